/**
 * Runs a bundle and gives its Config. The bundle is a function, not a module: modules are never freed, and a config is evaluated at
 * every reload. Workers do this too, so nothing here loads a compiler.
 */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { compileFunction } from 'node:vm'
import { takeMissing } from '../environment.ts'
import type { Config } from '../index.ts'
import type { Bundle, External } from './bundle.ts'
import { nearest } from './nearest.ts'
import { ConfigError, errorProblem, type Problem, wholeFile } from './problems.ts'
import { bundleUrl, Locator } from './source-map.ts'

/** What a bundle says for `import` and `import.meta`: as long as those, so that nothing behind them moves. */
export const IMPORT_NAME = '$mport'
export const META_NAME = '$mport_meta'

/** Throws ConfigError. Not validated: that was done once, when the config was loaded. */
export async function evaluate(bundle: Bundle): Promise<Config> {
  return (await run(bundle)) as Config
}

export interface RunOptions {
  /** More names that the code may use. */
  readonly extras?: Readonly<Record<string, unknown>>
  /** From a place in the code that runs to the one that the source map knows. */
  readonly adjust?: (line: number, column: number) => readonly [line: number, column: number]
  /** Gets what is known to be wrong before the code runs. */
  readonly onProblems?: (problems: readonly Problem[]) => void
}

/** As `evaluate`, with the type it really has. */
export async function run(bundle: Bundle, options: RunOptions = {}): Promise<unknown> {
  const { config, problems } = await tryRun(bundle, options)
  if (problems.length > 0) throw new ConfigError(problems)
  return config
}

export interface Evaluated {
  readonly config: unknown
  readonly problems: readonly Problem[]
  /** False: it was not evaluated to its end, or gave nothing. */
  readonly isThere: boolean
}

/** Goes on as far as it can: a hole takes the place of what could not be imported, a mark that of a missing variable. */
export async function tryRun(bundle: Bundle, { extras = {}, adjust, onProblems }: RunOptions = {}): Promise<Evaluated> {
  const locator = new Locator(bundle, adjust)
  takeMissing()
  const { names, problems } = await bindExternals(bundle, locator)
  const hasHoles = problems.length > 0
  if (hasHoles) onProblems?.(problems)
  let config: unknown
  try {
    const values = { ...names, ...extras, ...surroundings(bundle.file) }
    const body = compileFunction(`return (async () => { 'use strict';\n${bundle.code}\n})()`, Object.keys(values), {
      filename: bundleUrl(bundle.file),
      lineOffset: -1,
    })
    config = await body(...Object.values(values))
    if (typeof config === 'function' && !isHole(config)) config = await config()
  } catch (error) {
    // What a hole brings about is not worth telling.
    if (!hasHoles) problems.push(errorProblem(readable(error), locator.locateError(error)))
    return { config: undefined, problems: [...problems, ...missingProblems(locator)], isThere: false }
  }
  problems.push(...missingProblems(locator))
  if (config === undefined)
    problems.push(errorProblem('the config has no default export: export default defineConfig({ … })', wholeFile(bundle.file)))
  return { config, problems, isThere: config !== undefined }
}

/** Takes every use without complaint: it may be called, read, spread. */
const hole: unknown = new Proxy(class {}, {
  get: (target, key) => {
    // Whoever awaits it gets it; and that of a class cannot be told otherwise.
    if (key === 'then' || key === 'prototype') return Reflect.get(target, key)
    if (key === Symbol.iterator) return () => [][Symbol.iterator]()
    return key === Symbol.toPrimitive ? () => '' : hole
  },
  set: () => true,
  apply: () => hole,
  construct: () => hole as object,
})

/** Whether this stands for something that could not be imported. */
export function isHole(value: unknown): boolean {
  return value === hole
}

/** What a module has around it. What each file says of itself in `import.meta` was filled in when it was bundled. */
function surroundings(file: string): Readonly<Record<string, unknown>> {
  const require = createRequire(file)
  const { href: url } = pathToFileURL(file)
  const resolve = (specifier: string): string => {
    if (/^(?:\.{0,2}\/|[a-z]+:)/.test(specifier)) return new URL(specifier, url).href
    const found = require.resolve(specifier)
    return found.startsWith('/') ? pathToFileURL(found).href : found
  }
  const dynamicImport = async (specifier: unknown, options?: ImportCallOptions): Promise<unknown> => {
    const name = String(specifier)
    return name === 'sluice' || name === 'sluice/plugin' ? load(name) : import(resolve(name), options)
  }
  return { require, [IMPORT_NAME]: dynamicImport, [META_NAME]: { url, filename: file, dirname: dirname(file), resolve } }
}

async function bindExternals(bundle: Bundle, locator: Locator): Promise<{ names: Record<string, unknown>; problems: Problem[] }> {
  const names: Record<string, unknown> = {}
  const problems: Problem[] = []
  for (const external of bundle.externals) {
    const place = locator.locateImport(external.name) ?? wholeFile(bundle.file)
    try {
      const module = await load(external.specifier)
      for (const { imported, local } of external.bindings) {
        if (imported !== '*' && !(imported in module)) problems.push(errorProblem(missingExport(external, imported, module), place))
        names[local] = imported === '*' ? module : imported in module ? module[imported] : hole
      }
    } catch (error) {
      for (const { local } of external.bindings) names[local] = hole
      problems.push(errorProblem(`${JSON.stringify(external.name)} could not be imported: ${readable(error)}`, place))
    }
  }
  return { names, problems }
}

type Namespace = Readonly<Record<string, unknown>>

/** `sluice` is this program's own, wherever the config lies. */
async function load(specifier: string): Promise<Namespace> {
  if (specifier === 'sluice') return import('../index.ts')
  if (specifier === 'sluice/plugin') return import('../plugin.ts')
  return import(specifier)
}

function missingExport({ name }: External, imported: string, module: Namespace): string {
  const near = nearest(imported, Object.keys(module))
  return `${JSON.stringify(name)} has no export ${imported}${near === null ? '' : `; did you mean ${near}?`}`
}

function missingProblems(locator: Locator): Problem[] {
  return takeMissing().map(({ error }) => errorProblem(error.message, locator.locateError(error)))
}

function readable(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${String(error)}`
  // So the bundler names what a module exports by default.
  const [, name] = /^(\w+)_default\d* is not a function$/.exec(error.message) ?? []
  if (name !== undefined)
    return `what is imported as ${name} is called, and is not a function; a plugin's module says export default definePlugin({ … })`
  return error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
}
