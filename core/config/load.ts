/**
 * A config's file → a bundle that workers can take, and all that is wrong with it. Runs in the supervisor; the config itself is
 * evaluated and checked in a child process with a deadline, for a config is a program and may loop.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Bundle, type BundleOptions, bundleConfig } from './bundle.ts'
import { instrument } from './instrument.ts'
import { ConfigError, errorProblem, type Problem } from './problems.ts'

export interface LoadOptions extends BundleOptions {
  /** For evaluating. Default 10 s. */
  readonly deadlineMs?: number
}

export interface Loaded {
  /** Null if there is an error among the problems. */
  readonly bundle: Bundle | null
  readonly problems: readonly Problem[]
}

/** Never throws for what is wrong with the config. */
export async function loadConfig(path: string, options: LoadOptions): Promise<Loaded> {
  const file = resolve(path)
  if (!existsSync(file)) return { bundle: null, problems: [errorProblem(`there is no file ${file}`)] }
  // Forked first: it starts while the config is being bundled.
  const checker = new Checker(options.deadlineMs ?? 10_000)
  try {
    const bundle = await bundleConfig(file, options)
    const problems = await checker.check(bundle)
    return { bundle: problems.some(({ severity }) => severity === 'error') ? null : bundle, problems }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { bundle: null, problems: error.problems }
  } finally {
    checker.end()
  }
}

/** What the child is given. `parts`: places of the values in the instrumented code. */
export interface CheckRequest {
  readonly bundle: Bundle
  readonly instrumented: ReturnType<typeof instrument>
}

class Checker {
  readonly #child: ChildProcess
  readonly #deadlineMs: number
  readonly #ended: Promise<Problem[]>

  constructor(deadlineMs: number) {
    this.#deadlineMs = deadlineMs
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
    const program = fileURLToPath(new URL(`./check-child${extension}`, import.meta.url))
    // What a config prints goes beside the answer; standard output belongs to the command.
    const cache = getCompileCacheDir()
    this.#child = fork(program, cache === undefined ? [] : [dirname(cache)], { execArgv: [], stdio: ['ignore', 2, 2, 'ipc'] })
    this.#ended = once(this.#child, 'exit').then(
      ([code, signal]) => [errorProblem(`the config ended the process that evaluated it (${signal ?? `exit code ${code}`})`)],
      (error: unknown) => [errorProblem(`the config could not be evaluated: ${String(error)}`)],
    )
  }

  async check(bundle: Bundle): Promise<readonly Problem[]> {
    const { promise: late, resolve: onLate } = Promise.withResolvers<Problem[]>()
    const text = `the config did not finish within ${this.#deadlineMs / 1000} s`
    const place = { file: bundle.file, line: 0, column: 0, source: [], firstLine: 1 }
    const timer = setTimeout(() => onLate([errorProblem(text, place)]), this.#deadlineMs)
    const answer = once(this.#child, 'message').then(([problems]) => problems as Problem[])
    // When the child dies first, nobody is left to ask for the answer.
    answer.catch(() => {})
    this.#child.send({ bundle, instrumented: instrument(bundle) } satisfies CheckRequest, () => {})
    try {
      return await Promise.race([answer, this.#ended, late])
    } finally {
      clearTimeout(timer)
    }
  }

  end(): void {
    this.#child.removeAllListeners('message')
    this.#child.kill('SIGKILL')
  }
}
