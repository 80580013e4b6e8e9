/**
 * A config's file → a bundle that workers can take, all that is wrong with it, and the files to watch. Runs in the supervisor; the
 * config itself is evaluated and checked in a process of its own with a deadline, for a config is a program and may loop.
 */
import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { stop } from 'esbuild'
import { type Bundle, ConfigBundler } from '../config/bundle.ts'
import type { Facts } from '../config/facts.ts'
import { instrument } from '../config/instrument.ts'
import type { BundlePlugin } from '../config/modules.ts'
import { byPlace, ConfigError, errorProblem, type Problem } from '../config/problems.ts'
import { withoutSecrets } from '../config/secrets.ts'
import { bundlePlugin } from '../sandbox/bundle.ts'
import { Checker, type Question } from './checker.ts'
import { mayUsePlugins } from './foreseen.ts'
import { PluginBundles } from './plugin-bundles.ts'
import type { CheckedUse } from './plugins.ts'

export interface LoaderOptions {
  /** For evaluating and checking. Default 10 s. */
  readonly deadlineMs?: number
  /** Bundles one plugin; the sandbox's own unless given. */
  readonly bundlePlugin?: BundlePlugin
}

export interface LoadOptions {
  /** Whether every use of a plugin is loaded in a sandbox, too. Default true. Workers load them anyway: a reload can leave it to them. */
  readonly plugins?: boolean
}

export interface Loaded {
  /** Null if there is an error among the problems. */
  readonly bundle: Bundle | null
  readonly problems: readonly Problem[]
  /** Absolute paths: a change of any of them, or its coming into being, may change the result. Told when loading failed, too. */
  readonly watch: readonly string[]
  /** Null if it was not evaluated. */
  readonly facts: Facts | null
  /** What it was built from; null if it could not be. */
  readonly sources: Sources | null
  /** Uses of plugins that were loaded to be checked. */
  readonly uses: readonly CheckedUse[]
  /** When reading began, by `Date.now()`: what has changed since may not be in the result. */
  readonly startedAt: number
}

/** Absolute paths. */
export interface Sources {
  /** All. */
  readonly files: readonly string[]
  /** Of these, what runs in the sandbox, and the plugins' own files among them. */
  readonly plugins: { readonly files: readonly string[]; readonly entries: readonly string[] }
}

/** Once. Never throws for what is wrong with the config. */
export async function loadConfig(file: string, options: LoaderOptions & LoadOptions = {}): Promise<Loaded> {
  const loader = new ConfigLoader(file, options)
  try {
    return await loader.load(options)
  } finally {
    await loader.close()
  }
}

/** Loads one config again and again: what it has read is kept, so that a reload costs what has changed. */
export class ConfigLoader {
  readonly file: string
  readonly #deadlineMs: number
  readonly #plugins: PluginBundles
  #bundler: ConfigBundler | null = null
  /** Files of the last load that succeeded, for those that do not come as far as to know them. */
  #known: readonly string[]
  #spare: Checker | null = null
  /** Of the load that is under way. */
  #checker: Checker | null = null
  #loads = 0
  #loading: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(file: string, options: LoaderOptions = {}) {
    this.file = resolve(file)
    this.#deadlineMs = options.deadlineMs ?? 10_000
    this.#plugins = new PluginBundles(options.bundlePlugin ?? bundlePlugin)
    this.#known = [this.file]
  }

  /** Never throws for what is wrong with the config. One after the other. */
  load({ plugins = true }: LoadOptions = {}): Promise<Loaded> {
    const loaded = this.#loading.then(() => this.#load(plugins))
    this.#loading = loaded.catch(() => {})
    return loaded
  }

  /** A load is near: starts what takes time. */
  warm(): void {
    if (this.#isClosed) return
    this.#spare ??= this.#createSpare()
    this.#openBundler().warm()
    this.#restIn(WARM_MS)
  }

  /** A load that is under way is given up. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#checker?.end()
    await this.#loading
    await this.#rest()
  }

  async #load(plugins: boolean): Promise<Loaded> {
    if (this.#isClosed) throw new Error('the loader is closed')
    if (this.#idle !== null) clearTimeout(this.#idle)
    // The first load may be the last for days.
    const isOnly = this.#loads++ === 0
    this.#checker = this.#takeSpare(plugins)
    try {
      return await this.#loadWith(plugins, isOnly)
    } finally {
      const isOver = isOnly || this.#isClosed
      this.#spare = isOver ? null : this.#nextSpare(this.#checker)
      if (this.#spare !== this.#checker) this.#checker.end()
      this.#checker = null
      if (isOver) await this.#rest()
      else this.#restIn(WARM_MS)
    }
  }

  /** The one that has answered, if it can be asked again: to start one takes ten times what it takes to answer. */
  #nextSpare(checker: Checker): Checker {
    if (!checker.mayGoOn) return this.#createSpare()
    checker.unref()
    return checker
  }

  async #loadWith(plugins: boolean, isOnly: boolean): Promise<Loaded> {
    const startedAt = Date.now()
    const absent = whyAbsent(this.file)
    if (absent !== null) return { bundle: null, problems: [errorProblem(absent)], watch: this.#known, ...NOTHING, startedAt }
    let bundler = this.#openBundler()
    try {
      this.#plugins.sweep()
      const bundle = await bundler.bundle().catch(async (error: unknown) => {
        if (error instanceof ConfigError) throw error
        // The bundler's process may have been killed: once more, with another.
        await this.#closeBundler()
        await stop()
        bundler = this.#openBundler()
        return bundler.bundle()
      })
      const {
        problems: checked,
        named,
        dataHash,
        facts,
        uses = [],
      } = await this.#checkerFor(bundle, plugins).ask({ ...questionOf(bundle, plugins), isOnly }, this.#deadlineMs)
      const problems = byPlace([...bundler.warnings, ...checked], this.file)
      const isValid = !problems.some(({ severity }) => severity === 'error')
      const watch = [...new Set([...bundler.watch, ...named])]
      // One that was not evaluated to its end has named no files: those it named before may be what is wrong.
      const found = { facts, uses, sources: sourcesOf(bundle), startedAt }
      if (!isValid) return { bundle: null, problems, watch: this.#withKnown(watch), ...found }
      this.#known = watch
      return { bundle: { ...bundle, named, dataHash }, problems, watch, ...found }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return { bundle: null, problems: withoutSecrets(error.problems), watch: this.#withKnown(bundler.watch), ...NOTHING, startedAt }
    }
  }

  #checkerFor(bundle: Bundle, plugins: boolean): Checker {
    const checker = this.#checker!
    if (checker.suits(bundle, plugins)) return checker
    checker.end()
    this.#checker = new Checker({ loadsPlugins: plugins && bundle.plugins.length > 0 })
    return this.#checker
  }

  #openBundler(): ConfigBundler {
    if (this.#bundler === null) {
      this.#bundler = new ConfigBundler(this.file, this.#plugins.get)
      openBundlers++
    }
    return this.#bundler
  }

  #withKnown(files: readonly string[]): readonly string[] {
    return [...new Set([...this.#known, ...files])]
  }

  #takeSpare(plugins: boolean): Checker {
    const spare = this.#spare
    this.#spare = null
    if (spare === null || !spare.isAlive) {
      spare?.end()
      return new Checker({ loadsPlugins: plugins && mayUsePlugins(this.file) })
    }
    spare.ref()
    return spare
  }

  #createSpare(): Checker {
    const spare = new Checker({ isAhead: true, loadsPlugins: mayUsePlugins(this.file) })
    spare.unref()
    return spare
  }

  #restIn(ms: number): void {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      this.#loading = this.#loading.then(() => this.#rest())
    }, ms).unref()
  }

  /** Gives back what only the next load would need: processes, and what the bundler remembers. */
  async #rest(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle)
    this.#idle = null
    this.#spare?.end()
    this.#spare = null
    await this.#closeBundler()
  }

  async #closeBundler(): Promise<void> {
    const bundler = this.#bundler
    this.#bundler = null
    if (bundler === null) return
    await bundler.close()
    // Its process is one for all bundlers of this process.
    if (--openBundlers === 0) await stop()
  }
}

/** How long what a load needs is kept ready for the next one. */
const WARM_MS = 300_000

let openBundlers = 0

const NOTHING = { facts: null, sources: null, uses: [] }

function sourcesOf({ files, plugins }: Bundle): Sources {
  return { files, plugins: { files: plugins.flatMap((plugin) => plugin.files), entries: plugins.map(({ file }) => file) } }
}

function questionOf(bundle: Bundle, plugins: boolean): Question {
  // Their code is long, and read only by who loads them.
  const sent = plugins ? bundle : { ...bundle, plugins: [] }
  return { request: { bundle: sent, instrumented: instrument(bundle) }, plugins }
}

function whyAbsent(file: string): string | null {
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat?.isDirectory()) return `${file} is a folder: name the config in it`
  if (stat !== undefined) return null
  return `there is no file ${file}${basename(file) === 'proxy.config.ts' ? '; sluice init makes one' : ''}`
}
