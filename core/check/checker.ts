/**
 * The process in which a config is evaluated and checked, as the supervisor sees it: it may loop, end itself or be killed, and always
 * there is an answer within the deadline.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CheckRequest } from '../config/check.ts'
import { errorProblem, type Problem, wholeFile } from '../config/problems.ts'

/** What the process is asked. */
export type Question = { readonly kind: 'check'; readonly request: CheckRequest; readonly plugins: boolean }

export interface Checked {
  readonly problems: readonly Problem[]
  /** Files that the config's values name. */
  readonly named: readonly string[]
  /** Null if it could not be evaluated. */
  readonly dataHash: string | null
}

/** isolated-vm needs the first; without the second a hostile plugin outgrows its memory unhindered. */
const FLAGS = ['--no-node-snapshot', '--no-concurrent-osr', '--disable-warning=ExperimentalWarning']

export class Checker {
  readonly #child: ChildProcess
  readonly #ended: Promise<Checked>

  constructor() {
    const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
    const program = fileURLToPath(new URL(`./checker-process${extension}`, import.meta.url))
    const cache = getCompileCacheDir()
    // What a config prints goes beside the answer; standard output belongs to the command.
    this.#child = fork(program, cache === undefined ? [] : [dirname(cache)], {
      execArgv: FLAGS,
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    })
    this.#ended = once(this.#child, 'exit').then(
      ([code, signal]) => failed(`the config ended the process that evaluated it (${signal ?? `exit code ${code}`})`),
      (error: unknown) => failed(`the config could not be evaluated: ${String(error)}`),
    )
  }

  async ask(question: Question, deadlineMs: number): Promise<Checked> {
    const { promise: late, resolve: onLate } = Promise.withResolvers<Checked>()
    const { file } = question.request.bundle
    const timer = setTimeout(
      () => onLate({ ...failed(''), problems: [errorProblem(`the config did not finish within ${deadlineMs / 1000} s`, wholeFile(file))] }),
      deadlineMs,
    )
    const answer = once(this.#child, 'message').then(([checked]) => checked as Checked)
    // When the process dies first, nobody is left to ask for the answer.
    answer.catch(() => {})
    this.#child.send(question, () => {})
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

function failed(message: string): Checked {
  return { problems: [errorProblem(message)], named: [], dataHash: null }
}
