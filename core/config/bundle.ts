/**
 * A config's file and what it imports → one script that any process can evaluate. Runs in the supervisor only: it loads esbuild, and
 * keeps what it has read, so that building again costs as much as what has changed.
 */
import { dirname, join, resolve } from 'node:path'
import { type BuildContext, type BuildFailure, context, type Message } from 'esbuild'
import { toFunction } from './function-body.ts'
import { type BundlePlugin, ConfigModules } from './modules.ts'
import { stampOf } from './packages.ts'
import { ConfigError, errorProblem, type Problem, placeIn } from './problems.ts'

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
  readonly package: { readonly name: string; readonly version: string; readonly builtFor: string | null } | null
  readonly isolation: 'worker' | 'process'
  readonly prelude: string
}

export interface BundleOptions {
  bundlePlugin: BundlePlugin
}

/** Once. Throws ConfigError with every problem at its place. */
export async function bundleConfig(path: string, { bundlePlugin }: BundleOptions): Promise<Bundle> {
  const bundler = new ConfigBundler(path, bundlePlugin)
  try {
    return await bundler.bundle()
  } finally {
    await bundler.close()
  }
}

/** One build after the other. */
export class ConfigBundler {
  readonly #file: string
  readonly #folder: string
  readonly #modules: ConfigModules
  #builder: Promise<BuildContext<{ write: false; metafile: true }>> | null = null
  /** Of the last build that succeeded. */
  #known: readonly string[]
  #watch: readonly string[]
  #warnings: readonly Problem[] = []

  constructor(path: string, bundlePlugin: BundlePlugin) {
    this.#file = resolve(path)
    this.#folder = dirname(this.#file)
    this.#modules = new ConfigModules(this.#file, bundlePlugin)
    this.#known = [this.#file]
    this.#watch = this.#known
  }

  /** What the last build has read, or looked for and not found. After one that failed, also what the one before has read. */
  get watch(): readonly string[] {
    return this.#watch
  }

  /** Of the last build that succeeded, at their places. */
  get warnings(): readonly Problem[] {
    return this.#warnings
  }

  /** Throws ConfigError with every problem at its place. */
  async bundle(): Promise<Bundle> {
    this.#modules.begin()
    try {
      this.#builder ??= this.#createBuilder()
      const { outputFiles, metafile, warnings } = await (await this.#builder).rebuild()
      // The bundler's own are about style.
      const ours = warnings.filter(({ pluginName }) => pluginName === this.#modules.plugin.name)
      this.#warnings = ours.map((message) => ({ ...toProblem(message, this.#folder), severity: 'warning' }))
      const text = (end: string): string => outputFiles.find((output) => output.path.endsWith(end))!.text
      const { code, externals } = toFunction(text('bundle.js'), (specifier) => this.#modules.nameOf(specifier))
      const { sources, packages } = this.#modules
      const inputs = Object.keys(metafile.inputs).map((input) => resolve(this.#folder, input))
      const files = [...new Set([...inputs, ...sources.flatMap((source) => source.files)])]
      const { stamp, files: packageFiles } = await stampOf([...packages.values()])
      this.#known = [...new Set([this.#file, ...files, ...packageFiles])]
      this.#watch = this.#known
      const map = text('bundle.js.map')
      return { file: this.#file, code, externals, map, plugins: [...sources], files, named: [], dataHash: null, packagesStamp: stamp }
    } catch (error) {
      // Only a build that could not even be tried has nothing to keep.
      if (!isBuildFailure(error)) this.#builder = null
      const known = toConfigError(error, this.#folder)
      const missing = known instanceof ConfigError ? known.problems.flatMap((problem) => lookedFor(problem, this.#folder)) : []
      this.#watch = [...new Set([...this.#known, ...this.#modules.files, ...missing])]
      throw known
    }
  }

  /** Starts what the next build needs. */
  warm(): void {
    this.#builder ??= this.#createBuilder()
    // The build that needs it tells why there is none.
    this.#builder.catch(() => {})
  }

  async close(): Promise<void> {
    const builder = this.#builder
    this.#builder = null
    // Where its process is gone there is nothing left to give back.
    await (await builder?.catch(() => null))?.dispose().catch(() => {})
  }

  #createBuilder() {
    return context({
      entryPoints: [this.#file],
      absWorkingDir: this.#folder,
      outfile: resolve(this.#folder, 'bundle.js'),
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
      // Tables and lists: text-files.d.ts says so to the editor.
      loader: { '.csv': 'text', '.txt': 'text' },
      plugins: [this.#modules.plugin],
    })
  }
}

const ENDINGS = ['', '.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '.jsx', '.json', '/index.ts', '/index.js', '/package.json']

/** Files whose coming into being would solve the problem. */
function lookedFor({ message, place }: Problem, folder: string): string[] {
  const name = /^Could not resolve "([^"]+)"/.exec(message)?.[1]
  if (name === undefined) return []
  const from = place === null ? folder : dirname(place.file)
  if (/^\.{0,2}\//.test(name)) {
    const path = resolve(from, name)
    // TypeScript lets `./a.js` stand for `./a.ts`.
    const stems = [path, path.replace(/\.[cm]?js$/, '')]
    return [...new Set(stems.flatMap((stem) => ENDINGS.map((ending) => stem + ending)))]
  }
  const packageName = name.split('/').slice(0, name.startsWith('@') ? 2 : 1)
  const folders: string[] = []
  for (let at = from; ; at = dirname(at)) {
    folders.push(at)
    if (at === dirname(at)) return folders.map((one) => join(one, 'node_modules', ...packageName, 'package.json'))
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error
}

function toConfigError(error: unknown, folder: string): unknown {
  return isBuildFailure(error) ? new ConfigError(error.errors.map((message) => toProblem(message, folder))) : error
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
