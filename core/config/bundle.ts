/**
 * A config's file and what it imports → one script that any process can evaluate. Runs in the supervisor only: it loads esbuild.
 * Packages stay outside, `sluice` is left to the program that runs it, and a module that defines a plugin never comes in: its place
 * is taken by a stub.
 */
import { readFile } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { type BuildFailure, build, type Loader, type Message, type OnLoadResult, type Plugin, type PluginBuild, transform } from 'esbuild'
import { type FunctionParts, toFunction } from './function-body.ts'
import { findPackage, isInPackage, isPluginPackage, toFileUrl } from './packages.ts'
import { ConfigError, errorProblem, type Problem, placeIn } from './problems.ts'
import { Wall } from './wall.ts'

/** Plain data: it goes to workers as it is. */
export interface Bundle {
  /** The config's file, an absolute path. */
  readonly file: string
  /** The body of an async function whose parameters are the bindings of `externals`; it returns the default export. */
  readonly code: string
  readonly externals: readonly External[]
  /** Source map of `code`, JSON. */
  readonly map: string
  readonly plugins: readonly PluginSource[]
  /** Every file it was built from, plugins included. */
  readonly files: readonly string[]
  /** Files that the config's values name (certificates, keys, lists), absolute paths. Empty until it was checked. */
  readonly named: readonly string[]
  /** Of the config's data as it was evaluated when it was checked (data.ts). Null: whoever evaluates it has nothing to compare with. */
  readonly dataHash: string | null
  /** Of the npm packages it imports when it is evaluated. A process remembers them: another stamp takes new processes. */
  readonly packagesStamp: string
}

/** A module that the bundle imports when it is evaluated. */
export interface External {
  /** `sluice`, `sluice/plugin`, `node:fs`, or the URL of a file. */
  readonly specifier: string
  /** As the user wrote it. */
  readonly name: string
  /** `imported`: a name, `default`, or `*` for all. */
  readonly bindings: readonly { readonly imported: string; readonly local: string }[]
}

/** A plugin as bundled (sandbox/source.ts). */
export interface PluginSource {
  readonly id: string
  readonly file: string
  readonly code: string
  readonly map: string
  readonly files: readonly string[]
  readonly isolation: 'worker' | 'process'
  readonly prelude: string
}

export interface BundleOptions {
  /** Bundles one plugin for the sandbox. What it throws may have `problems` with a place each. */
  bundlePlugin(file: string): Promise<PluginSource>
}

const SOURCE_FILE = /\.[cm]?[jt]sx?$/

/** Throws ConfigError with every problem at its place. */
export async function bundleConfig(path: string, options: BundleOptions): Promise<Bundle> {
  const file = resolve(path)
  const modules = new ConfigModules(file, options)
  const folder = dirname(file)
  try {
    const { outputFiles, metafile } = await build({
      entryPoints: [file],
      absWorkingDir: folder,
      outfile: resolve(folder, 'bundle.js'),
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'node',
      target: 'esnext',
      charset: 'utf8',
      sourcemap: 'external',
      logLevel: 'silent',
      legalComments: 'none',
      // Otherwise esbuild would prefer `module`, which Node does not know.
      conditions: ['node'],
      mainFields: ['main'],
      plugins: [modules.plugin],
    })
    const text = (end: string): string => outputFiles.find((output) => output.path.endsWith(end))!.text
    const { code, externals }: FunctionParts = toFunction(text('bundle.js'), (specifier) => modules.nameOf(specifier))
    const inputs = Object.keys(metafile.inputs).map((input) => resolve(folder, input))
    const files = [...new Set([...inputs, ...modules.sources.flatMap((source) => source.files)])]
    return {
      file,
      code,
      externals,
      map: text('bundle.js.map'),
      plugins: modules.sources,
      files,
      named: [],
      dataHash: null,
      packagesStamp: '',
    }
  } catch (error) {
    throw toConfigError(error, folder)
  }
}

/** What esbuild is told about each module. */
class ConfigModules {
  readonly sources: PluginSource[] = []
  readonly #entry: string
  readonly #options: BundleOptions
  readonly #names = new Map<string, string>()
  readonly #wall = new Wall()

  constructor(entry: string, options: BundleOptions) {
    this.#entry = entry
    this.#options = options
  }

  readonly plugin: Plugin = {
    name: 'config modules',
    setup: (hooks) => {
      this.#wall.resolve = async (source, folder) => {
        const found = await hooks.resolve(source, { kind: 'import-statement', resolveDir: folder, pluginData: { isOurs: true } })
        return found.errors.length === 0 && found.namespace === 'file' && !found.external ? found.path : null
      }
      hooks.onResolve({ filter: /^sluice(\/|$)/ }, ({ path }) => {
        if (path === 'sluice' || path === 'sluice/plugin') return { path, external: true, sideEffects: false }
        return { errors: [{ text: `a config cannot import "${path}": it knows "sluice" and "sluice/plugin"` }] }
      })
      hooks.onResolve({ filter: /^[^./]/ }, (args) => (args.pluginData?.isOurs ? null : this.#resolvePackage(hooks, args)))
      hooks.onLoad({ filter: SOURCE_FILE, namespace: 'file' }, ({ path, pluginData }) => this.#load(path, pluginData?.isPlugin === true))
    },
  }

  /** As the user wrote it. */
  nameOf(specifier: string): string {
    return this.#names.get(specifier) ?? specifier
  }

  async #resolvePackage(hooks: PluginBuild, args: { path: string; kind: string; resolveDir: string; importer: string }) {
    const kind = args.kind === 'require-call' ? 'require-call' : 'import-statement'
    if (args.kind === 'entry-point') return null
    const found = await hooks.resolve(args.path, {
      kind,
      resolveDir: args.resolveDir,
      importer: args.importer,
      pluginData: { isOurs: true },
    })
    if (found.errors.length > 0 || found.external || found.namespace !== 'file') return null
    const home = await findPackage(found.path)
    if (home !== null && isInPackage(home, args.path) && isPluginPackage(home)) return { path: found.path, pluginData: { isPlugin: true } }
    if (!found.path.includes('/node_modules/')) return { path: found.path }
    const specifier = kind === 'require-call' ? found.path : toFileUrl(found.path)
    this.#names.set(specifier, args.path)
    return { path: specifier, external: true }
  }

  async #load(path: string, isPackage: boolean): Promise<OnLoadResult | null> {
    if (isPackage) return this.#stub(path, null)
    const text = await readFile(path, 'utf8')
    const loader = loaderOf(path)
    const analysis = await this.#wall.analyse(path, text, loader)
    if (analysis.definesPlugin) {
      if (path !== this.#entry) return this.#stub(path, analysis.pluginName)
      return { errors: [{ text: 'a config cannot define a plugin: put it into a file of its own and import that' }] }
    }
    if (!text.includes('import.meta')) return { contents: text, loader }
    return { contents: await fixImportMeta(path, text, loader), loader: 'js' }
  }

  async #stub(path: string, name: string | null): Promise<OnLoadResult> {
    try {
      const source = await this.#options.bundlePlugin(path)
      if (!this.sources.some((known) => known.id === source.id)) this.sources.push(source)
      return { contents: stubModule(source, name ?? nameFromPath(path)), loader: 'js', watchFiles: [...source.files] }
    } catch (error) {
      const problems = error instanceof Error && 'problems' in error ? (error.problems as readonly PluginProblem[]) : null
      if (problems === null) return { errors: [{ text: error instanceof Error ? error.message : String(error) }] }
      return {
        errors: problems.map(({ text, file, line, column, source }) => ({
          text,
          location: { file, line, column: column - 1, lineText: source },
        })),
      }
    }
  }
}

interface PluginProblem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly text: string
  readonly source: string
}

/** What a config gets instead of a plugin: the same call, and nothing of the plugin runs. */
function stubModule({ id }: PluginSource, name: string): string {
  const [plugin, label] = [JSON.stringify(id), JSON.stringify(name)]
  return `export default (options, use) => ({ kind: 'plugin', layer: 'http', name: ${label}, plugin: ${plugin}, options, use })\n`
}

/** `plugins/block-bots/index.ts` → `block-bots`. */
function nameFromPath(path: string): string {
  const parts = path.split('/')
  const base = parts.at(-1)!.replace(SOURCE_FILE, '')
  return base === 'index' ? (parts.at(-2) ?? base) : base
}

/** A bundle is one script: what `import.meta` says must be what it says in each file. */
async function fixImportMeta(path: string, text: string, loader: Loader): Promise<string> {
  const { code } = await transform(text, {
    loader,
    sourcefile: path,
    sourcemap: 'inline',
    target: 'esnext',
    define: {
      'import.meta.url': JSON.stringify(toFileUrl(path)),
      'import.meta.filename': JSON.stringify(path),
      'import.meta.dirname': JSON.stringify(dirname(path)),
      'import.meta.main': 'false',
    },
  })
  return code
}

function loaderOf(path: string): Loader {
  const end = extname(path).replace(/^\.[cm]/, '.')
  return end === '.tsx' ? 'tsx' : end === '.jsx' ? 'jsx' : end === '.ts' ? 'ts' : 'js'
}

function toConfigError(error: unknown, folder: string): unknown {
  const { errors } = error as Partial<BuildFailure>
  return errors === undefined ? error : new ConfigError(errors.map((message) => toProblem(message, folder)))
}

function toProblem({ text, location, notes }: Message, folder: string): Problem {
  const more = notes.map((note) => note.text).filter((note) => !note.startsWith('The plugin "'))
  const message = [text, ...more].join(' ').replace(/ You can mark the path .*$/s, '')
  if (location === null) return errorProblem(message)
  const file = resolve(folder, location.file)
  // esbuild counts bytes.
  const column = Buffer.from(location.lineText).subarray(0, location.column).toString().length + 1
  const place = { ...placeIn(location.lineText, file, 1, column), line: location.line, firstLine: location.line }
  return errorProblem(message, place)
}
