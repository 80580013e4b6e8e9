/**
 * A config's file → a bundle that workers can take, all that is wrong with it, and the files to watch. Runs in the supervisor; the
 * config itself is evaluated and checked in a process of its own with a deadline, for a config is a program and may loop.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Bundle, type BundleOptions, bundleConfig } from '../config/bundle.ts'
import { instrument } from '../config/instrument.ts'
import { ConfigError, errorProblem, type Problem } from '../config/problems.ts'
import { bundlePlugin } from '../sandbox/bundle.ts'
import { Checker } from './checker.ts'

export interface LoaderOptions {
  /** For evaluating and checking. Default 10 s. */
  readonly deadlineMs?: number
  /** Bundles one plugin; the sandbox's own unless given. */
  readonly bundlePlugin?: BundleOptions['bundlePlugin']
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

export class ConfigLoader {
  readonly file: string
  readonly #options: LoaderOptions

  constructor(file: string, options: LoaderOptions = {}) {
    this.file = resolve(file)
    this.#options = options
  }

  /** Never throws for what is wrong with the config. */
  async load({ plugins = true }: LoadOptions = {}): Promise<Loaded> {
    if (!existsSync(this.file)) return { bundle: null, problems: [errorProblem(`there is no file ${this.file}`)], watch: [this.file] }
    // Forked first: it starts while the config is being bundled.
    const checker = new Checker()
    try {
      const bundle = await bundleConfig(this.file, { bundlePlugin: this.#options.bundlePlugin ?? bundlePlugin })
      const question = { kind: 'check', request: { bundle, instrumented: instrument(bundle) }, plugins } as const
      const { problems, named, dataHash } = await checker.ask(question, this.#options.deadlineMs ?? 10_000)
      const isValid = !problems.some(({ severity }) => severity === 'error')
      return { bundle: isValid ? { ...bundle, named, dataHash } : null, problems, watch: [...bundle.files, ...named] }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return { bundle: null, problems: error.problems, watch: [this.file] }
    } finally {
      checker.end()
    }
  }

  async close(): Promise<void> {}
}
