/**
 * The packages in plugins/ are what they say: what they publish is all they need, the config in each README passes check in a folder
 * that has nothing but the published package, and the README of the repository names them all.
 */
import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFile } from './support/checked.ts'
import { compiler } from './support/project.ts'

const root = resolve(import.meta.dirname, '..')
const folder = join(root, 'plugins')

interface Manifest {
  readonly name: string
  readonly keywords: readonly string[]
  readonly files: readonly string[]
  readonly exports: string | Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const read = (...path: string[]): string => readFileSync(join(...path), 'utf8')
const manifestOf = (plugin: string): Manifest => JSON.parse(read(folder, plugin, 'package.json')) as Manifest
/** What is published: the folder evil is for tests. */
const plugins = readdirSync(folder).filter(isPackage)

function isPackage(name: string): boolean {
  try {
    manifestOf(name)
    return true
  } catch {
    return false
  }
}

function sourcesOf(plugin: string): string[] {
  return readdirSync(join(folder, plugin)).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
}

/** A project with the published files of all plugins, their dependencies, and for each a folder with the files that its README shows. */
const project = mkdtempSync(join(tmpdir(), 'sluice-plugins-'))
process.once('exit', () => rmSync(project, { recursive: true, force: true }))
const modules = join(project, 'node_modules')
mkdirSync(join(modules, '@types'), { recursive: true })
for (const name of ['@types/node', ...new Set(plugins.flatMap((plugin) => Object.keys(manifestOf(plugin).dependencies ?? {})))])
  symlinkSync(join(root, 'node_modules', name), join(modules, name))
symlinkSync(root, join(modules, 'sluice'))
for (const plugin of plugins) {
  const { name, files } = manifestOf(plugin)
  for (const file of ['package.json', ...files]) cpSync(join(folder, plugin, file), join(modules, name, file))
  for (const [, text] of read(folder, plugin, 'README.md').matchAll(/^```\w+\n(.*?)^```$/gms)) {
    const file = /^(?:\/\/|#) ([\w./-]+\.(?:ts|csv|txt))\n/.exec(text!)?.[1]
    if (file === undefined) continue
    mkdirSync(dirname(join(project, plugin, file)), { recursive: true })
    writeFileSync(join(project, plugin, file), text!)
  }
}

interface Ended {
  readonly code: number | null
  readonly output: string
}

function compile(cwd: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(compiler, ['-p', cwd], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const gather = (text: string): void => {
      output += text
    }
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', gather)
    child.on('close', (code) => resolve({ code, output }))
  })
}

for (const plugin of plugins) {
  test(`${plugin}: the config of its README passes check`, async () => {
    const { status, output } = await checkFile(join(project, plugin, 'proxy.config.ts'), { strict: true })
    assert.is(status, 0, output)
  })

  test(`${plugin}: its package holds what it needs and says what it is`, () => {
    const { name, keywords, files, exports, dependencies = {}, peerDependencies } = manifestOf(plugin)
    assert.is(name, `sluice-plugin-${plugin}`)
    assert.ok(keywords.includes('sluice-plugin'))
    assert.equal(Object.keys(peerDependencies), ['sluice'])
    const sources = sourcesOf(plugin)
    assert.equal([...files].sort(), ['README.md', ...sources].sort())
    for (const entry of typeof exports === 'string' ? [exports] : Object.values(exports)) assert.ok(sources.includes(entry.slice(2)), entry)
    const imports = sources.flatMap((file) => [...read(folder, plugin, file).matchAll(/from '([^']+)'/g)].map(([, from]) => from!))
    for (const from of imports) {
      const packageName = from
        .split('/')
        .slice(0, from.startsWith('@') ? 2 : 1)
        .join('/')
      assert.ok(from === 'sluice/plugin' || from.startsWith('./') || packageName in dependencies, `${from} is not among its dependencies`)
    }
    const versions = JSON.parse(read(root, 'package.json')) as Record<'dependencies' | 'devDependencies', Record<string, string>>
    for (const [dependency, version] of Object.entries(dependencies))
      assert.is(version, versions.dependencies[dependency] ?? versions.devDependencies[dependency], dependency)
  })

  test(`${plugin}: its README tells every option`, () => {
    const readme = read(folder, plugin, 'README.md')
    const told = new Set([...readme.matchAll(/^\| ((?:`\w+`(?:, )?)+) \|/gm)].flatMap(([, names]) => names!.match(/\w+/g)!))
    let options = 0
    for (const file of sourcesOf(plugin)) {
      for (const [, schema] of read(folder, plugin, file).matchAll(
        /^(?: {2}options: |export const options = )z\.strictObject\(\{\n(.*?)^ {0,2}\}\)/gms,
      )) {
        const depth = Math.min(...[...schema!.matchAll(/^( *)\w+: z/gm)].map(([, space]) => space!.length))
        for (const [, option] of schema!.matchAll(new RegExp(`^ {${depth}}(\\w+):`, 'gm'))) {
          assert.ok(told.has(option!), `${file}: ${option}`)
          options++
        }
      }
    }
    assert.ok(options > 0, 'its options were found')
  })
}

test('the configs of their READMEs are typed, every option of them', async () => {
  const compilerOptions = {
    target: 'esnext',
    module: 'preserve',
    types: ['node'],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*/proxy.config.ts'] }))
  const { output } = await compile(project)
  // Plugins are published as TypeScript: what they are made of is checked with the globals of the sandbox, not with those of Node.
  assert.equal(
    output.split('\n').filter((line) => /^[\w-]+\/proxy\.config\.ts/.test(line)),
    [],
  )
  const [first = ''] = plugins
  const config = join(project, first, 'proxy.config.ts')
  writeFileSync(config, readFileSync(config, 'utf8').replace('agents:', 'agent:'))
  const wrong = await compile(project)
  assert.match(wrong.output, `${first}/proxy.config.ts`)
})

test('files that several packages hold are the same', () => {
  const copies = plugins.flatMap((plugin) => (manifestOf(plugin).files.includes('address.ts') ? [read(folder, plugin, 'address.ts')] : []))
  assert.ok(copies.length > 1)
  assert.is(new Set(copies).size, 1, 'address.ts differs')
})

test('the README of the repository names them all', () => {
  const readme = read(root, 'README.md')
  for (const plugin of plugins) assert.ok(readme.includes(`\`${plugin}\``), plugin)
  assert.is(plugins.length, 11)
})

test.run()
