/**
 * `sluice init`: a project that runs, passes its own tests and explains itself. No file is overwritten: what would be is listed, and
 * nothing is written. What an existing project has already (package.json, tsconfig.json …) stays; package.json gets what it lacks.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { nearest } from '../config/nearest.ts'
import { exitCodes } from './exit-codes.ts'
import { findInstalled } from './installation.ts'
import { formatJson, JsoncError, parseJsonc, setJsonc } from './jsonc.ts'
import { shortPath } from './short-path.ts'
import {
  allowedScripts,
  neededPackages,
  scripts,
  surroundingFiles,
  type Template,
  templateFiles,
  templates,
  typePackages,
} from './starter.ts'

export interface InitOptions {
  readonly dir: string
  /** Default `reverse`. */
  readonly template?: string | undefined
  readonly force?: boolean | undefined
}

export async function runInit({ dir, template: name = 'reverse', force = false }: InitOptions): Promise<number> {
  const template = templates.find((one) => one.name === name)
  if (template === undefined) return refuse(name)
  const folder = resolve(dir)
  const own = templateFiles(template)
  const conflicts = [...own.keys()].filter((path) => existsSync(join(folder, path)))
  if (conflicts.length > 0 && !force) {
    process.stderr.write(`sluice: nothing was written, for there is already:\n${conflicts.map((path) => `  ${path}\n`).join('')}`)
    process.stderr.write('--force replaces them; sluice init DIR writes into another folder\n')
    return exitCodes.failed
  }
  for (const [path, text] of own) write(folder, path, text)
  let isDone = true
  for (const [path, text] of surroundingFiles(template, packageName(folder))) {
    if (!existsSync(join(folder, path))) write(folder, path, text)
    else if (path === 'package.json') isDone = completeManifest(join(folder, path)) && isDone
    else say(`  ${path} stays as it is`)
  }
  printNextSteps(folder, template)
  return isDone ? exitCodes.ok : exitCodes.failed
}

function refuse(name: string): number {
  const near = nearest(
    name,
    templates.map((one) => one.name),
  )
  const hint = near === null ? `there is: ${templates.map((one) => one.name).join(', ')}` : `did you mean ${near}?`
  process.stderr.write(`sluice: there is no template ${name}; ${hint}\n`)
  return exitCodes.usage
}

function write(folder: string, path: string, text: string): void {
  const file = join(folder, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  say(`  ${path}`)
}

/** Adds what is missing and changes nothing that is there. False if it could not. */
function completeManifest(file: string): boolean {
  const before = readFileSync(file, 'utf8')
  try {
    const { value } = parseJsonc(before)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new JsoncError('it is no object')
    const missing = missingFields(value as Record<string, unknown>)
    const text = missing.reduce((text, [path, value]) => setJsonc(text, path, value), laidOut(before, value))
    if (text !== before) writeFileSync(file, text)
    say(missing.length === 0 ? '  package.json stays as it is' : `  package.json got ${missing.map(([path]) => path.join('.')).join(', ')}`)
    return true
  } catch (error) {
    if (!(error instanceof JsoncError)) throw error
    say(`  package.json was left alone: ${error.message}. It needs the dependency sluice, and scripts such as "start": "sluice"`)
    return false
  }
}

/** Of what stands on one line, as npm leaves what was written so: one field a line. */
function laidOut(text: string, value: unknown): string {
  return /\n.|\/[/*]/.test(text) ? text : `${formatJson(value)}\n`
}

type Field = readonly [path: readonly string[], value: unknown]

/** And `allowScripts`, as README.md has people write it first. */
const MADE_BY_NPM: ReadonlySet<string> = new Set(['dependencies', 'devDependencies', 'allowScripts'])

function missingFields(manifest: Readonly<Record<string, unknown>>): Field[] {
  const { dependencies = {}, devDependencies = {} } = manifest as Record<string, Record<string, unknown>>
  const has = (name: string): boolean => Object.hasOwn(dependencies, name) || Object.hasOwn(devDependencies, name)
  const missingOf = (packages: Readonly<Record<string, string>>) => Object.entries(packages).filter(([name]) => !has(name))
  const known = (manifest.scripts ?? {}) as Record<string, unknown>
  // As `npm install` made it in an empty folder: whether its files are modules is not decided yet.
  const isBare = Object.keys(manifest).every((field) => MADE_BY_NPM.has(field))
  const allowed = (manifest.allowScripts ?? {}) as Record<string, unknown>
  const needed = neededPackages()
  const missingAllowed = Object.entries(allowedScripts()).filter(
    ([name]) => !Object.hasOwn(allowed, name) && (isBare || Object.hasOwn(needed, name)),
  )
  const bare: Field[] = isBare
    ? [
        [['private'], true],
        [['type'], 'module'],
      ]
    : []
  const missingScripts = Object.entries(scripts).filter(([name]) => !Object.hasOwn(known, name))
  return [
    ...bare,
    ...missingScripts.map(([name, command]): Field => [['scripts', name], command]),
    ...missingOf(needed).map(([name, version]): Field => [['dependencies', name], version]),
    ...missingOf(typePackages).map(([name, version]): Field => [['devDependencies', name], version]),
    ...missingAllowed.map(([name, is]): Field => [['allowScripts', name], is]),
  ]
}

function printNextSteps(folder: string, template: Template): void {
  const enter = folder === process.cwd() ? '' : `cd ${shortPath(folder)} && `
  const isInstalled = ['sluice', '@types/node', 'typescript'].every((name) => findInstalled(name, folder) !== null)
  const steps = isInstalled
    ? [`${enter}npm test`, 'npm start', template.tryOut]
    : [`${enter}npm install`, 'npm test', `npm start                    # then: ${template.tryOut}`]
  say(`\nNext:\n${steps.map((step) => `  ${step}\n`).join('')}`.trimEnd())
}

/** What npm accepts of a folder's name. */
function packageName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+|-+$/g, '')
  return name === '' || name === 'sluice' || name === 'node_modules' ? 'my-proxy' : name
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
