/**
 * The process in which a config is evaluated and checked, as the supervisor sees it: it may loop, end itself or be killed, and always
 * there is an answer within the deadline.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import type { Bundle } from '../config/bundle.ts'
import type { CheckRequest } from '../config/check.ts'
import type { Facts } from '../config/facts.ts'
import { errorProblem, type Place, type Problem, wholeFile } from '../config/problems.ts'
import { entryFile } from '../entry-files.ts'
import type { Asked, Explanation } from '../explain/explanation.ts'
import { isolateFlags } from '../sandbox/engine/isolate-flags.ts'
import type { CheckedUse } from './plugins.ts'

/** What the process is asked. */
export interface Question {
  readonly request: CheckRequest
  /** Whether every use of a plugin is loaded, too. */
  readonly plugins: boolean
  /** Explains this request, too, if the config is valid. */
  readonly asked?: Asked
  /** The process is ended afterwards: what the config leaves behind in it need not be known, and to look for that takes an eighth of its start. */
  readonly isOnly?: boolean
}

export interface Checked {
  readonly problems: readonly Problem[]
  /** Files that the config's values name. */
  readonly named: readonly string[]
  /** Null unless it is valid. */
  readonly dataHash: string | null
  /** Null if it was not evaluated. */
  readonly facts: Facts | null
  /** Of its plugins, those that were asked to be loaded and could be. */
  readonly uses?: readonly CheckedUse[]
  /** Of the request that was asked about. */
  readonly explanation?: Explanation
}

/** What the process says: some of it early, for it may not come to the end. */
export type Answer =
  | { readonly kind: 'partly'; readonly problems: readonly Problem[] }
  /** It is about to load this one. */
  | { readonly kind: 'use'; readonly plugin: string }
  /** `isUnchanged`: what was valid has left nothing behind, so there may be another question. */
  | { readonly kind: 'checked'; readonly checked: Checked; readonly isUnchanged: boolean }

/** Without the first a hostile plugin outgrows its memory unhindered. */
const FLAGS = ['--no-concurrent-osr', '--disable-warning=ExperimentalWarning']

/** So many questions, then another process: what an evaluation leaves unseen does not add up. */
const MOST_QUESTIONS = 50

export interface CheckerOptions {
  /** The question will come later. */
  readonly isAhead?: boolean
  /** It can load plugins, and so starts later. */
  readonly loadsPlugins: boolean
}

export class Checker {
  readonly #loadsPlugins: boolean
  readonly #child: ChildProcess
  /** Why there is no answer any more. */
  #failed: Checked | null = null
  #answer: ((checked: Checked) => void) | null = null
  /** What is wrong as far as it is known. */
  #known: readonly Problem[] = []
  #plugin: string | null = null
  #questions = 0
  #isUnchanged = true
  /** Of the packages that it has imported, and so remembers; null: of none. */
  #stamp: string | null = null

  constructor({ isAhead = false, loadsPlugins }: CheckerOptions) {
    this.#loadsPlugins = loadsPlugins
    const cache = getCompileCacheDir()
    // What a config prints goes beside the answer; standard output belongs to the command.
    this.#child = fork(entryFile('check/checker-process'), [isAhead ? 'ahead' : 'now', ...(cache === undefined ? [] : [dirname(cache)])], {
      execArgv: loadsPlugins ? [...FLAGS, ...isolateFlags] : FLAGS,
      stdio: ['ignore', 2, 2, 'ipc'],
      serialization: 'advanced',
    })
    this.#child.on('message', (message) => isAnswer(message) && this.#onAnswer(message))
    alive.add(this.#child)
    this.#child.once('error', (error) => this.#fail(`the config could not be evaluated: ${String(error)}`))
    this.#child.once('exit', (code, signal) =>
      this.#fail(`${this.#culprit()} ended the process that ${this.#verb()} it (${signal ?? `exit code ${code}`})`),
    )
  }

  /** One question after the other. Always answers, at the deadline at the latest. */
  async ask(question: Question, deadlineMs: number): Promise<Checked> {
    if (this.#failed !== null) return this.#failed
    const { file, packagesStamp } = question.request.bundle
    this.#questions++
    this.#stamp = packagesStamp
    this.#isUnchanged = false
    this.#known = []
    this.#plugin = null
    const { promise, resolve } = Promise.withResolvers<Checked>()
    this.#answer = resolve
    const timer = setTimeout(
      () => this.#fail(`${this.#culprit()} did not finish within ${deadlineMs / 1000} s`, wholeFile(file)),
      deadlineMs,
    )
    this.#child.send(question, () => {})
    try {
      return await promise
    } finally {
      this.#answer = null
      clearTimeout(timer)
    }
  }

  /** Whether there may be another question: the process is as it was before the first. */
  get mayGoOn(): boolean {
    return this.isAlive && this.#failed === null && this.#isUnchanged && this.#questions < MOST_QUESTIONS
  }

  /** Whether it has not imported other packages than this bundle's, and can load its plugins if that is asked for. */
  suits({ packagesStamp, plugins }: Bundle, loadsPlugins: boolean): boolean {
    if (loadsPlugins && plugins.length > 0 && !this.#loadsPlugins) return false
    return this.#stamp === null || this.#stamp === packagesStamp
  }

  /** False: it would not answer. */
  get isAlive(): boolean {
    return this.#child.connected
  }

  /** It no longer keeps this process alive. */
  unref(): void {
    this.#child.unref()
    this.#child.channel?.unref()
  }

  ref(): void {
    this.#child.ref()
    this.#child.channel?.ref()
  }

  /** Whoever waits for an answer is told that there is none. */
  end(): void {
    this.#fail(`${this.#culprit()} was not checked to its end`)
    alive.delete(this.#child)
    this.#child.removeAllListeners()
    // A process that could not be started tells so late.
    this.#child.on('error', () => {})
    this.#child.kill('SIGKILL')
  }

  #onAnswer(answer: Answer): void {
    if (answer.kind === 'partly') this.#known = answer.problems
    else if (answer.kind === 'use') this.#plugin = answer.plugin
    else {
      this.#isUnchanged = answer.isUnchanged
      this.#answer?.(answer.checked)
    }
  }

  #fail(message: string, place: Place | null = null): void {
    this.#failed ??= { problems: [...this.#known, errorProblem(message, place)], named: [], dataHash: null, facts: null }
    this.#answer?.(this.#failed)
  }

  #culprit(): string {
    return this.#plugin === null ? 'the config' : `the plugin ${this.#plugin}`
  }

  #verb(): string {
    return this.#plugin === null ? 'evaluated' : 'tried'
  }
}

/** There may be code of the config that speaks over the same channel. */
function isAnswer(message: unknown): message is Answer {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return false
  return (
    message.kind === 'use' || (message.kind === 'partly' && 'problems' in message) || (message.kind === 'checked' && 'checked' in message)
  )
}

/** A process that ends takes them along, also one that loops and cannot see it. */
const alive = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})
