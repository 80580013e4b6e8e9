/**
 * Bundles a plugin and what it imports into one script for the sandbox. Runs in the supervisor only: it loads esbuild. Modules of
 * Node are refused at the place of their import, and a package that was built for another sluice at the place of its own.
 */
import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { dirname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BuildFailure, type BuildOptions, build, type Message, type Plugin } from 'esbuild'
import { packageOf } from './package.ts'
import type { PluginSource } from './source.ts'

export type { PluginSource } from './source.ts'

/** Throws a BundleError with every problem at its place; an Error, a sentence, for a package that was built for another sluice. */
export async function bundlePlugin(entryFile: string): Promise<PluginSource> {
  const file = await realpath(resolve(entryFile))
  const found = await packageOf(file)
  const [{ code, map, files }, prelude] = await Promise.all([bundle(file), preludeScript()])
  const release = found === null ? '' : `${found.package.name}@${found.package.version}`
  const id = createHash('sha256').update([file, release, code, prelude].join('\0')).digest('hex').slice(0, 16)
  const isolation = file.includes(`${sep}node_modules${sep}`) ? 'process' : 'worker'
  return {
    id,
    file,
    code,
    map,
    files: found === null ? files : [...files, found.file],
    package: found?.package ?? null,
    isolation,
    prelude,
  }
}

export class BundleError extends Error {
  readonly problems: readonly BundleProblem[]
  constructor(problems: readonly BundleProblem[]) {
    super(problems.map(({ file, line, column, text }) => `${file}:${line}:${column}: ${text}`).join('\n'))
    this.name = 'BundleError'
    this.problems = problems
  }
}

export interface BundleProblem {
  readonly file: string
  /** 1-based. */
  readonly line: number
  readonly column: number
  readonly text: string
  /** The source line. */
  readonly source: string
}

async function bundle(file: string): Promise<{ code: string; map: string; files: readonly string[] }> {
  const result = await run({
    entryPoints: [file],
    format: 'iife',
    globalName: '__plugin',
    absWorkingDir: dirname(file),
    sourcemap: 'external',
    outfile: 'plugin.js',
    plugins: [sandboxModules],
    mainFields: ['module', 'main'],
    conditions: ['import', 'default'],
    keepNames: false,
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: false } },
  })
  const files = Object.keys(result.metafile.inputs)
    .filter((path) => !path.startsWith('sluice:'))
    .map((path) => resolve(dirname(file), path))
  const output = (end: string) => result.outputFiles.find((output) => output.path.endsWith(end))?.text ?? ''
  return { code: output('plugin.js'), map: output('plugin.js.map'), files }
}

let prelude: Promise<string> | null = null

/** An expression whose value is the guest's `boot`. The same for all plugins. */
function preludeScript(): Promise<string> {
  prelude ??= (async () => {
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
    const entry = fileURLToPath(new URL(`./guest/main${extension}`, import.meta.url))
    const result = await run({
      entryPoints: [entry],
      format: 'iife',
      globalName: 'boot',
      absWorkingDir: dirname(entry),
      minifySyntax: true,
    })
    return `(function () { "use strict"; ${result.outputFiles[0]!.text}\nreturn boot.default })()`
  })()
  return prelude
}

async function run(options: BuildOptions) {
  try {
    return await build({
      bundle: true,
      platform: 'neutral',
      target: 'esnext',
      charset: 'utf8',
      logLevel: 'silent',
      legalComments: 'none',
      loader: { '.csv': 'text', '.txt': 'text' },
      ...options,
      metafile: true,
      write: false,
    })
  } catch (error) {
    const { errors } = error as Partial<BuildFailure>
    if (errors === undefined) throw error
    throw new BundleError(errors.map((message) => problemOf(message, options.absWorkingDir ?? '.')))
  }
}

function problemOf({ text, location }: Message, folder: string): BundleProblem {
  if (location === null) return { file: folder, line: 0, column: 0, text, source: '' }
  return { file: resolve(folder, location.file), line: location.line, column: location.column + 1, text, source: location.lineText }
}

const builtins = new Set(builtinModules)

/** `sluice/plugin` is what the runtime gives the script; nothing else comes from outside. */
const sandboxModules: Plugin = {
  name: 'sandbox modules',
  setup(hooks) {
    hooks.onResolve({ filter: /^sluice(\/|$)/ }, ({ path }) => {
      if (path === 'sluice/plugin') return { path, namespace: 'sluice' }
      return { errors: [{ text: `a plugin cannot import "${path}": it runs in the sandbox and knows "sluice/plugin" alone` }] }
    })
    hooks.onLoad({ filter: /.*/, namespace: 'sluice' }, () => ({
      contents: 'export const { definePlugin, respond, routeTo, deny } = __sluice',
    }))
    hooks.onResolve({ filter: /^[\w@:-][\w@/:.-]*$/ }, ({ path }) => {
      const name = path.replace(/^node:/, '')
      if (!path.startsWith('node:') && !builtins.has(name)) return null
      return { errors: [{ text: `a plugin cannot import "${path}": the sandbox has no modules of Node` }] }
    })
  },
}
