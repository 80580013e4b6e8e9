/**
 * Dials by way of the first of several parents that leads on. Which ones are asked, and how long each may take, is decided here; the next is
 * asked only while nothing of the client's has been sent.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { Parent } from '../forward/parent.ts'
import type { ParentHealth, ParentOutcome } from '../forward/parent-health.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { type Dial, type Dialled, type DialOptions, dialTlsOn } from './dial.ts'
import { introduce, type ParentFailed } from './parent.ts'
import type { ParentHealths } from './parent-healths.ts'

const CONNECT_MS = 5_000
/** Its own dialling is in it. */
const ANSWER_MS = 10_000
const TLS_MS = 10_000

export interface ParentDialOptions {
  /** At least one. */
  readonly parents: readonly Parent[]
  /** The number of the one whose connections are kept. */
  readonly first: number
  /** HTTP parents are asked for whole URLs, not for a tunnel. */
  readonly isPlain: boolean
  readonly healths: ParentHealths
  readonly deadlines: Deadlines
  /** How parents themselves are reached. */
  readonly dial: Dial
}

/** More than all of them may take. */
export function longestMs({ length }: readonly Parent[]): number {
  return length * (CONNECT_MS + ANSWER_MS) + TLS_MS
}

export function dialByParents(options: ParentDialOptions): Dial {
  return (asked, done) => {
    const dialling = new ParentDial(options, asked, done)
    dialling.next()
    return () => dialling.giveUp()
  }
}

class ParentDial implements Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #options: ParentDialOptions
  readonly #asked: DialOptions
  readonly #done: Dialled
  /** The number of the next that may be asked. */
  #at = 0
  /** What was said of those that were asked. */
  readonly #told: string[] = []
  /** Of the one that is asked now: what is said to those before counts no more. */
  #turn = 0
  #parent: Parent
  #health: ParentHealth | null = null
  #ticket = 0
  #abort: () => void = () => {}
  #isThere: () => boolean = () => false
  #isOver = false

  constructor(options: ParentDialOptions, asked: DialOptions, done: Dialled) {
    this.#options = options
    this.#asked = asked
    this.#done = done
    this.#parent = options.parents[0]!
  }

  /** Asks the next; false: there is none. */
  next(): boolean {
    const { parents, healths } = this.#options
    const now = this.#now()
    while (this.#at < parents.length) {
      const parent = parents[this.#at++]!
      if (healths.of(parent).mayAsk(now)) return this.#ask(parent, now)
    }
    return this.#told.length === 0 && this.#ask(parents[0]!, now)
  }

  giveUp(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#settle('none')
    this.#abort()
  }

  onDeadline(): void {
    this.#turn++
    this.#abort()
    this.#failed({ code: 'connect_timeout', detail: 'it did not answer in time', isFinal: false, isThere: this.#isThere() })
  }

  #ask(parent: Parent, now: number): true {
    const { deadlines, dial, isPlain, healths } = this.#options
    const { target } = this.#asked
    if (target.kind === 'unix') throw new Error('no parent leads to a unix socket')
    const turn = ++this.#turn
    this.#parent = parent
    this.#health = healths.of(parent)
    this.#ticket = this.#health.begin(now)
    this.#isThere = () => false
    this.#wait(deadlines.in(CONNECT_MS))
    const options = { ...this.#asked, target: parent.target, tls: null, header: null, guard: null }
    this.#abort = dial(options, (wire, error, detail) => {
      if (wire === null) return this.#failed({ code: error!, detail, isFinal: false, isThere: false })
      if (isPlain && parent.kind === 'http') return this.#led(wire, parent)
      this.#abort = () => wire.destroy()
      this.#wait(deadlines.in(ANSWER_MS))
      this.#isThere = introduce(wire, parent, target, (failed, rest) => {
        if (turn !== this.#turn) return
        if (failed !== null) this.#failed(failed)
        else this.#led(wire, null, rest)
      })
    })
    return true
  }

  #led(wire: Wire, asksWhole: Parent | null, rest: Buffer | null = null): void {
    const { parents, first } = this.#options
    const { tls } = this.#asked
    this.#settle('there')
    const by = { asksWhole, isStandIn: this.#parent !== parents[first] }
    if (tls === null || rest === null) return this.#finish(wire, null, null, by)
    // Of this machine's own dialling: such wires can be put under TLS.
    this.#abort = dialTlsOn((wire as AcceptedWire).detach(rest), { ...this.#asked, tls }, (encrypted, error, detail) => {
      if (encrypted === null) this.#finish(null, error!, this.#tell(detail))
      else this.#finish(encrypted, null, null, by)
    })
  }

  #failed({ code, detail, isFinal, isThere }: ParentFailed): void {
    if (this.#isOver) return
    this.#settle(isThere ? 'there' : 'failed', detail ?? code)
    this.#told.push(this.#tell(detail))
    if (isFinal || !this.next()) this.#finish(null, code, this.#told.join('; '))
  }

  #tell(detail: string | null): string {
    return [`parent ${this.#parent.name}`, ...(detail === null ? [] : [detail])].join(': ')
  }

  #finish: Dialled = (...result) => {
    if (this.#isOver) return result[0]?.destroy()
    this.#isOver = true
    this.#done(...result)
  }

  #settle(outcome: ParentOutcome, why = ''): void {
    this.#options.deadlines.remove(this)
    const health = this.#health
    this.#health = null
    health?.settle(this.#ticket, outcome, this.#now(), why)
  }

  #wait(dueAt: number): void {
    const { deadlines } = this.#options
    if (this.slot < 0) deadlines.add(this)
    this.dueAt = dueAt
  }

  #now(): number {
    return this.#options.deadlines.read()
  }
}
