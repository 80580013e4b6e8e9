/**
 * What esbuild is told about each module of a config: packages stay outside, `sluice` is left to the program that runs it, and a module
 * that defines a plugin never comes in: its place is taken by a stub. One of these serves all builds of a config.
 */
import { readFile } from 'node:fs/promises'
import { dirname, extname } from 'node:path'
import { type Loader, type OnLoadResult, type Plugin, type PluginBuild, transform } from 'esbuild'
import type { PluginSource } from './bundle.ts'
import { findPackage, isInPackage, isPluginPackage, type Package, toFileUrl } from './packages.ts'
import { TextCache } from './text-cache.ts'
import { Wall } from './wall.ts'

/** A package that the bundle imports when it is evaluated. */
export interface UsedPackage {
  /** The file that its name stands for. */
  readonly entry: string
  /** Null if none says what it is. */
  readonly home: Package | null
}

/** Bundles one plugin for the sandbox. What it throws may have `problems` with a place each. */
export type BundlePlugin = (file: string) => Promise<PluginSource>

const SOURCE_FILE = /\.[cm]?[jt]sx?$/

export class ConfigModules {
  /** Of the last build, as the packages and the files are. */
  readonly sources: PluginSource[] = []
  readonly packages = new Map<string, UsedPackage>()
  /** Source files that were read, also when the build failed. */
  readonly files = new Set<string>()
  readonly #entry: string
  readonly #bundlePlugin: BundlePlugin
  readonly #names = new Map<string, string>()
  readonly #wall = new Wall()
  readonly #fixed = new TextCache<Promise<string>>()

  constructor(entry: string, bundlePlugin: BundlePlugin) {
    this.#entry = entry
    this.#bundlePlugin = bundlePlugin
  }

  /** A new build: what the last one found is forgotten, what it read and has not changed is not. */
  begin(): void {
    this.sources.length = 0
    this.packages.clear()
    this.files.clear()
    this.#names.clear()
    this.#wall.begin()
    this.#fixed.sweep()
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
    if (home !== null && isInPackage(home.json, args.path) && isPluginPackage(home.json))
      return { path: found.path, pluginData: { isPlugin: true } }
    if (!found.path.includes('/node_modules/')) return { path: found.path }
    const specifier = kind === 'require-call' ? found.path : toFileUrl(found.path)
    this.#names.set(specifier, args.path)
    this.packages.set(found.path, { entry: found.path, home })
    return { path: specifier, external: true }
  }

  async #load(path: string, isPackage: boolean): Promise<OnLoadResult | null> {
    this.files.add(path)
    if (isPackage) return this.#stub(path, null)
    const text = await readFile(path, 'utf8')
    const loader = loaderOf(path)
    const analysis = await this.#wall.analyse(path, text, loader)
    if (analysis.definesPlugin) {
      if (path !== this.#entry) return this.#stub(path, analysis.pluginName)
      return { errors: [{ text: 'a config cannot define a plugin: put it into a file of its own and import that' }] }
    }
    if (!text.includes('import.meta')) return { contents: text, loader }
    return { contents: await this.#fixed.get(path, text, () => fixImportMeta(path, text, loader)), loader: 'js' }
  }

  async #stub(path: string, name: string | null): Promise<OnLoadResult> {
    try {
      const source = await this.#bundlePlugin(path)
      if (!this.sources.some((known) => known.id === source.id)) this.sources.push(source)
      for (const file of source.files) this.files.add(file)
      const warnings = source.package !== null && source.package.builtFor === null ? [{ text: saysNoRange(source.package) }] : []
      return { contents: stubModule(source, name ?? nameFromPath(path)), loader: 'js', warnings }
    } catch (error) {
      const problems = error instanceof Error && 'problems' in error ? (error.problems as readonly PluginProblem[]) : null
      if (problems === null) return { errors: [{ text: error instanceof Error ? error.message : String(error) }] }
      for (const { file } of problems) this.files.add(file)
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

function saysNoRange({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name} ${version} does not say which sluice it was built for: its package.json has no range in peerDependencies.sluice`
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
