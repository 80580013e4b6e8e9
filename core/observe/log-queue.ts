/**
 * Lines of the access log on their way through `onLog`: gathered, handed to the hooks in batches off the way of the exchanges, and
 * written in their order. What a hook fails to look at is written masked; memory is bounded, for more lines than that are dropped.
 */
import { Deadlines, type Timed } from '../deadlines.ts'
import { ProxyError } from '../errors.ts'
import type { EndedExchange, EndedTunnel } from '../events.ts'
import { type Answer, type Hook, type HookCall, type LogPart, PENDING, type Verdict } from '../hooks.ts'
import { RequestHead } from '../net/http1/head.ts'
import { isEntry, PendingLine } from './pending-line.ts'
import { PendingTunnel } from './pending-tunnel.ts'

export type AnyPending = PendingLine | PendingTunnel

export interface LogQueueOptions {
  write(line: AnyPending): void
  count(what: 'leftOut' | 'masked', lines: number): void
  /** Told once a second at most: of lines that a hook failed to look at, or that were dropped. */
  warn(hook: string, text: string): void
  /** The clock. A batch waits up to two of its ticks. */
  readonly deadlines?: Deadlines
}

/** Lines of one batch. */
const MOST_IN_BATCH = 128
/** Lines that wait, for a batch or for an answer. */
const MOST_WAITING = 8_192
/** Half of what a line may wait for others. */
const TICK_MS = 25
/** A plugin has a deadline of its own, which is shorter; a hook of the config has only this one. */
const ANSWER_MS = 30_000
const WARN_EVERY_MS = 1_000

export class LogQueue implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** Lines that did not fit in. */
  dropped = 0
  readonly #options: LogQueueOptions
  readonly #deadlines: Deadlines
  readonly #chains = new Map<readonly Hook[], Chain>()
  #waiting = 0
  #isFlushSet = false
  #onNone: (() => void) | null = null
  #warnedAt = Number.NEGATIVE_INFINITY

  constructor(options: LogQueueOptions) {
    this.#options = options
    this.#deadlines = options.deadlines ?? new Deadlines(TICK_MS)
  }

  /** Lines that are not written yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** `hooks`: the same list for all exchanges whose lines are to go together. No hook is asked in here. */
  add(exchange: EndedExchange, hooks: readonly Hook[]): void {
    if (this.#hasRoom(hooks)) this.#gather(new PendingLine(exchange), hooks)
  }

  /** The same for a line that is not of HTTP. */
  addTunnel(tunnel: EndedTunnel, hooks: readonly Hook[]): void {
    if (this.#hasRoom(hooks)) this.#gather(new PendingTunnel(tunnel), hooks)
  }

  /** Hands on what was gathered. */
  flush(): void {
    this.#deadlines.remove(this)
    for (const chain of this.#chains.values()) {
      const { gathered } = chain
      for (let at = 0; at < gathered.length; at += MOST_IN_BATCH) chain.batches.push(new Batch(gathered.slice(at, at + MOST_IN_BATCH)))
      chain.gathered = []
      this.#advance(chain)
    }
  }

  /** For the end: resolves once all lines are written; after `ms` those that still wait are written masked. */
  async settle(ms: number): Promise<void> {
    this.flush()
    if (this.#waiting === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const late = setTimeout(() => this.#giveUp(), ms)
    this.#onNone = resolve
    await promise
    clearTimeout(late)
  }

  onDeadline(): void {
    this.flush()
  }

  #hasRoom(hooks: readonly Hook[]): boolean {
    if (this.#waiting < MOST_WAITING) return true
    this.dropped++
    this.#warn(hooks[0]!.name, `access lines are being dropped: ${MOST_WAITING} wait for the answers of onLog`)
    return false
  }

  #gather(line: AnyPending, hooks: readonly Hook[]): void {
    let chain = this.#chains.get(hooks)
    if (chain === undefined) {
      chain = new Chain(hooks)
      this.#chains.set(hooks, chain)
      // Its plan may be gone before they have answered.
      for (const hook of hooks) hook.hold()
    }
    this.#waiting++
    chain.gathered.push(line)
    if (chain.gathered.length >= MOST_IN_BATCH) this.#flushSoon()
    else if (this.slot < 0) this.#startTimer()
  }

  #startTimer(): void {
    this.#deadlines.add(this)
    this.dueAt = this.#deadlines.in(0)
  }

  /** Not inside the exchange whose line was the last one. */
  #flushSoon(): void {
    if (this.#isFlushSet) return
    this.#isFlushSet = true
    setImmediate(() => {
      this.#isFlushSet = false
      this.flush()
    })
  }

  /** Asks whoever can be asked: at no hook a batch overtakes the one before it. */
  #advance(chain: Chain): void {
    const { hooks, batches } = chain
    let limit = hooks.length
    for (const batch of batches) {
      while (batch.call === null && batch.answered < limit) this.#ask(chain, batch)
      limit = batch.call === null ? batch.answered : batch.answered + 1
    }
    while (batches.length > 0 && batches[0]!.answered === hooks.length) this.#write(batches.shift()!)
    if (batches.length === 0 && chain.gathered.length === 0) this.#leave(chain)
  }

  #ask(chain: Chain, batch: Batch): void {
    const hook = chain.hooks[batch.answered]!
    if (batch.lines.length === 0) {
      batch.answered++
      return
    }
    const call = new LogCall(batch.lines, (verdict) => {
      this.#deadlines.remove(call)
      this.#settled(hook, batch, verdict)
      this.#advance(chain)
    })
    batch.call = call
    const answer = attempt(hook, call)
    if (answer !== PENDING) {
      call.ended = true
      return this.#settled(hook, batch, answer)
    }
    if (call.ended) return
    this.#deadlines.add(call)
    call.dueAt = this.#deadlines.in(ANSWER_MS)
  }

  #settled(hook: Hook, batch: Batch, verdict: Verdict | null): void {
    batch.call = null
    batch.answered++
    if (verdict === null) return
    const fault = verdict.kind === 'entries' ? faultOf(verdict.entries, batch.lines.length) : faultText(verdict)
    if (verdict.kind !== 'entries' || fault !== null) return this.#mask(hook, batch, fault ?? '')
    const { entries } = verdict
    const kept: AnyPending[] = []
    for (const [i, line] of batch.lines.entries()) {
      const entry = entries[i]!
      if (entry === null) continue
      line.take(entry)
      kept.push(line)
    }
    const leftOut = batch.lines.length - kept.length
    if (leftOut > 0) this.#options.count('leftOut', leftOut)
    this.#waiting -= leftOut
    batch.lines = kept
  }

  #mask({ name }: Hook, { lines }: Batch, why: string): void {
    for (const line of lines) line.mask()
    this.#warn(name, `onLog failed, so its access lines are written masked: ${why}`)
  }

  #write({ lines }: Batch): void {
    const masked = lines.filter((line) => line.isMasked).length
    if (masked > 0) this.#options.count('masked', masked)
    for (const line of lines) this.#options.write(line)
    this.#waiting -= lines.length
  }

  #leave({ hooks }: Chain): void {
    this.#chains.delete(hooks)
    for (const hook of hooks) hook.release()
    if (this.#chains.size > 0 || this.#onNone === null) return
    this.#onNone()
    this.#onNone = null
  }

  #giveUp(): void {
    this.flush()
    for (const chain of this.#chains.values()) {
      for (const batch of chain.batches) {
        const hook = chain.hooks[batch.answered]
        if (hook === undefined) continue
        this.#mask(hook, batch, 'it has not answered by the end')
        batch.answered = chain.hooks.length
        if (batch.call !== null) this.#forget(batch.call)
        batch.call = null
      }
      this.#advance(chain)
    }
  }

  /** Its answer comes too late. */
  #forget(call: LogCall): void {
    this.#deadlines.remove(call)
    call.ended = true
  }

  #warn(hook: string, text: string): void {
    const { now } = this.#deadlines
    if (now - this.#warnedAt < WARN_EVERY_MS) return
    this.#warnedAt = now
    this.#options.warn(hook, text)
  }
}

/** Lines that have the same hooks. */
class Chain {
  readonly hooks: readonly Hook[]
  gathered: AnyPending[] = []
  /** Under way, oldest first. */
  readonly batches: Batch[] = []

  constructor(hooks: readonly Hook[]) {
    this.hooks = hooks
  }
}

class Batch {
  lines: readonly AnyPending[]
  /** How many hooks have answered. */
  answered = 0
  /** Of the hook that owes an answer. */
  call: LogCall | null = null

  constructor(lines: readonly AnyPending[]) {
    this.lines = lines
  }
}

/** Of no request in particular. */
const NO_REQUEST = new RequestHead('', 0, 'GET', 1)

class LogCall implements HookCall, Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly request = NO_REQUEST
  readonly response = null
  readonly ip = ''
  readonly part: LogPart
  ended = false
  readonly #onAnswer: (verdict: Verdict | null) => void

  constructor(lines: readonly AnyPending[], onAnswer: (verdict: Verdict | null) => void) {
    this.part = { kind: 'log', entries: lines.map((line) => line.fields()) }
    this.#onAnswer = onAnswer
  }

  resume(verdict: Verdict | null): void {
    if (this.ended) return
    this.ended = true
    this.#onAnswer(verdict)
  }

  onDeadline(): void {
    this.resume(failure(`it has not answered within ${ANSWER_MS / 1_000} s`))
  }
}

function attempt(hook: Hook, call: LogCall): Answer {
  try {
    return hook.onLog!(call)
  } catch (error) {
    return failure(error instanceof Error ? error.message : String(error))
  }
}

function failure(why: string): Verdict {
  return { kind: 'fail', error: new ProxyError('hook_failed', why) }
}

function faultText(verdict: Verdict): string {
  return verdict.kind === 'fail' ? verdict.error.message : `an answer of the wrong kind: ${verdict.kind}`
}

/** What is wrong with the entries that a hook returned; null if nothing is. */
function faultOf(entries: readonly unknown[], lines: number): string | null {
  if (!Array.isArray(entries)) return 'it returned no list of entries'
  if (entries.length !== lines) return `it returned ${entries.length} entries for ${lines}`
  const at = entries.findIndex((entry) => entry !== null && !isEntry(entry))
  return at < 0 ? null : `what it returned as entry ${at} is neither an entry whose texts are strings nor null`
}
