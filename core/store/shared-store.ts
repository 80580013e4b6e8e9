/**
 * One store in one worker, for all who name it: a few connections, the least busy of which is asked. No question waits longer than its
 * deadline; while the store is away none waits at all; and whether it is away is told once.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import { type Argument, type AskOptions, type Link, type LinkEvents, type Script, StoreError, type StoreEvents } from './store.ts'

/** Questions that wait: more fail at once. */
const MOST_WAITING = 10_000
const MOST_REFUSALS = 16

export interface SharedStoreParts {
  readonly name: string
  readonly connections: number
  /** Milliseconds for one question. */
  readonly timeout: number
  readonly deadlines: Deadlines
  readonly events: StoreEvents
  /** The library is loaded for the first store. */
  load(): Promise<(events: LinkEvents) => Link>
}

export class SharedStore {
  readonly name: string
  /** Resolves when it is known for the first time whether the store can be reached. */
  readonly settled: Promise<void>
  readonly #parts: SharedStoreParts
  readonly #settle: () => void
  #open: ((events: LinkEvents) => Link) | null = null
  readonly #links: Link[] = []
  /** Null: nobody knows yet. */
  #isAway: boolean | null = null
  #waiting = 0
  /** First words of what it refused with. */
  readonly #refusals = new Set<string>()
  #isClosed = false

  constructor(parts: SharedStoreParts) {
    this.name = parts.name
    this.#parts = parts
    const { promise, resolve } = Promise.withResolvers<void>()
    this.settled = promise
    this.#settle = resolve
    void this.#begin()
  }

  get isAway(): boolean {
    return this.#isAway === true
  }

  async ask(command: string, args: readonly Argument[], options: AskOptions = {}): Promise<unknown> {
    return this.#within(options, (link) => link.send(command, args, options.asBytes === true))
  }

  async run(script: Script, keys: readonly (string | Buffer)[], args: readonly Argument[], options: AskOptions = {}): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args]
    const asBytes = options.asBytes === true
    return this.#within(options, async (link) => {
      try {
        return await link.send('EVALSHA', [script.hash, ...rest], asBytes)
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
        return link.send('EVAL', [script.source, ...rest], asBytes)
      }
    })
  }

  close(): void {
    this.#isClosed = true
    for (const link of this.#links.splice(0)) link.close()
    this.#settle()
  }

  async #begin(): Promise<void> {
    try {
      this.#open = await this.#parts.load()
    } catch (error) {
      return this.#change(true, error instanceof Error ? error.message : String(error))
    }
    if (!this.#isClosed) this.#addLink()
  }

  #addLink(): void {
    this.#links.push(
      this.#open!({
        ready: () => this.#change(false, ''),
        lost: (why) => {
          if (!this.#links.some(({ isReady }) => isReady)) this.#change(true, why)
        },
      }),
    )
  }

  #change(isAway: boolean, why: string): void {
    if (this.#isClosed || this.#isAway === isAway) return
    // To be there from the start is no news.
    const isNews = isAway || this.#isAway !== null
    this.#isAway = isAway
    this.#settle()
    if (isNews) this.#parts.events.changed(this.name, isAway, why)
  }

  async #within({ timeoutMs }: AskOptions, send: (link: Link) => Promise<unknown>): Promise<unknown> {
    const { deadlines, timeout } = this.#parts
    if (this.#waiting >= MOST_WAITING) throw this.#failed('busy', 'too many questions wait for it')
    this.#waiting++
    const question = new Question(deadlines, timeoutMs ?? timeout)
    try {
      return await Promise.race([question.late, this.#send(question, send)])
    } catch (error) {
      if (error === LATE) {
        const why = `no answer within ${timeoutMs ?? timeout} ms`
        // Silent to everybody: the host is gone, say, which nobody tells.
        if (question.link !== null && question.link.heardAt < question.askedAt) question.link.reset(why)
        throw this.#failed('timeout', why)
      }
      if (error instanceof StoreError) throw error
      const message = error instanceof Error ? error.message : String(error)
      if (!isReply(error)) throw this.#failed('away', message)
      this.#tellRefusal(message)
      throw this.#failed('error', message)
    } finally {
      question.end()
      this.#waiting--
    }
  }

  async #send(question: Question, send: (link: Link) => Promise<unknown>): Promise<unknown> {
    // Only once, at the very start.
    if (this.#isAway === null) await this.settled
    if (question.isOver) throw LATE
    const link = this.#leastBusy()
    if (link === null) throw this.#failed('away', 'it cannot be reached')
    question.link = link
    question.askedAt = this.#parts.deadlines.read()
    return send(link)
  }

  #leastBusy(): Link | null {
    let chosen: Link | null = null
    for (const link of this.#links) if (link.isReady && (chosen === null || link.underWay < chosen.underWay)) chosen = link
    if (chosen !== null && chosen.underWay > 0 && this.#links.length < this.#parts.connections) this.#addLink()
    return chosen
  }

  /** By its first word: what follows may be another one each time. */
  #tellRefusal(message: string): void {
    const [word = ''] = message.split(' ', 1)
    if (this.#refusals.has(word) || this.#refusals.size >= MOST_REFUSALS) return
    this.#refusals.add(word)
    this.#parts.events.refused(this.name, message)
  }

  #failed(kind: StoreError['kind'], message: string): StoreError {
    this.#parts.events.failed(this.name, kind)
    return new StoreError(kind, `${this.name}: ${message}`)
  }
}

const LATE = new Error('late')

class Question implements Timed {
  dueAt: number
  slot = -1
  isOver = false
  askedAt: number
  link: Link | null = null
  readonly late: Promise<never>
  readonly #deadlines: Deadlines
  readonly #reject: (error: Error) => void

  constructor(deadlines: Deadlines, ms: number) {
    const { promise, reject } = Promise.withResolvers<never>()
    // Nobody may be waiting any more.
    promise.catch(() => {})
    this.late = promise
    this.#reject = reject
    this.#deadlines = deadlines
    this.askedAt = deadlines.read()
    this.dueAt = deadlines.in(ms)
    deadlines.add(this)
  }

  onDeadline(): void {
    this.isOver = true
    this.#reject(LATE)
  }

  end(): void {
    this.isOver = true
    this.#deadlines.remove(this)
  }
}

/** It answered, though not as was hoped: the connection is sound. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
