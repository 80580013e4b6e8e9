/**
 * One client of a UDP listener: a connected socket to its endpoint, and replies to where it spoke from. It holds no plan. It ends when
 * nothing has come either way for long enough; until its route is decided and its endpoint there, it holds a bounded number of datagrams.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { DatagramLoss, Observer } from '../events.ts'
import type { Hook } from '../hooks.ts'
import type { DatagramSocket, Sender } from '../net/datagrams.ts'
import { QuicHello } from '../net/quic-initial.ts'
import { isKnownVersion, sourceIdOf, versionAt } from '../net/quic-packet.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import type { Greeting } from '../route/tcp-table.ts'
import type { DatagramLink, LinkOwner } from '../upstream/datagram-link.ts'
import type { Accepted } from './home.ts'
import type { TunnelFacts } from './tunnel-facts.ts'

export interface SessionHome {
  /** `decide` has been called for; answered by `relay` or `refuse`. */
  decide(session: UdpSession, greeting: Greeting): void
  openLink(target: EndpointPlan['target'], owner: LinkOwner): DatagramLink
  /** It wants to hold so many bytes more (or less). False: there is no room. */
  hold(bytes: number): boolean
  /** Packets with that id belong to it: of its endpoint's choosing. */
  hasConnectionId(session: UdpSession, id: Buffer): void
  dropped(why: DatagramLoss): void
  sessionEnded(session: UdpSession): void
}

/** Where its datagrams go. */
export interface SessionTarget {
  readonly route: { readonly id: string; readonly logHooks: readonly Hook[] | null }
  readonly upstream: string
  /** In the order in which they are tried. */
  readonly endpoints: readonly EndpointPlan[]
  /** Replies to each datagram, after which it ends; null: nobody counts. */
  readonly replies: number | null
}

export interface SessionOptions {
  readonly facts: TunnelFacts
  readonly socket: DatagramSocket
  readonly sender: Sender
  readonly deadlines: Deadlines
  readonly observer: Observer
  readonly idleMs: number
}

/** Until it is decided, and until its endpoint is there. A hello is two datagrams as a rule, and never more than 55. */
const MOST_HELD = 64
/** For the rest of a hello. */
const DETECT_MS = 3_000
/** So long its client is not listened to: a line in the log each time, not each datagram. */
const REFUSED_MS = 10_000
/** Of what is drained: replies are on their way for so long. */
const QUIET_MS = 1_000

export class UdpSession implements Accepted, Timed, LinkOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly facts: TunnelFacts
  readonly sender: Sender
  readonly #home: SessionHome
  readonly #options: SessionOptions
  /** Null: decided. */
  #hello: QuicHello | null = null
  #held: Buffer[] | null = []
  #target: SessionTarget | null = null
  #link: DatagramLink | null = null
  #refused: { readonly code: ErrorCode; readonly detail: string | null } | null = null
  #idleMs: number
  /** Nothing of it is left. */
  isOver = false

  constructor(home: SessionHome, options: SessionOptions) {
    this.#home = home
    this.#options = options
    this.facts = options.facts
    this.sender = options.sender
    this.#idleMs = options.idleMs
    this.dueAt = options.deadlines.in(options.idleMs)
    options.deadlines.add(this)
  }

  get target(): SessionTarget | null {
    return this.#target
  }

  get isQuic(): boolean {
    return this.facts.protocol === 'QUIC'
  }

  /** Its route depends on what its client says: `decide` follows. */
  detect(): void {
    this.#hello = new QuicHello()
    this.dueAt = this.#options.deadlines.in(DETECT_MS)
  }

  relay(target: SessionTarget): void {
    const { facts } = this
    this.#hello = null
    this.#target = target
    facts.routed(target.route)
    facts.upstream = target.upstream
    this.dueAt = this.#options.deadlines.in(this.#idleMs)
    this.#dial()
  }

  /** Its datagrams are passed over for a while. */
  refuse(code: ErrorCode, detail: string | null): void {
    this.#hello = null
    this.#refused = { code, detail }
    this.#letGo()
    this.dueAt = this.#options.deadlines.in(REFUSED_MS)
  }

  /** The bytes are valid inside the call only. */
  onDatagram(bytes: Buffer, length: number): void {
    if (this.isOver) return
    const { facts } = this
    facts.bytesIn += length
    facts.datagramsIn++
    if (this.#refused !== null) return this.#home.dropped('refused')
    if (this.#held === null) {
      this.dueAt = this.#options.deadlines.in(this.#idleMs)
      return this.#link!.send(bytes, length)
    }
    if (this.#held.length >= MOST_HELD || !this.#home.hold(length)) {
      this.#home.dropped('waiting')
      if (this.#hello !== null) this.refuse('hello_too_large', null)
      return
    }
    const copy = Buffer.from(bytes.subarray(0, length))
    this.#held.push(copy)
    if (this.#hello !== null) this.#read(this.#hello, copy)
  }

  onDeadline(): void {
    if (this.#hello?.isBegun === false) return this.#decide('none')
    if (this.#hello !== null) return this.refuse('hello_timeout', null)
    if (this.#refused !== null) return this.#end(this.#refused.code, this.#refused.detail)
    this.#end(this.#isOwedReplies() ? 'response_timeout' : null, null)
  }

  /** Nothing of its client comes here any more: it ends once its endpoint is quiet, too. */
  drain(): void {
    if (this.#refused !== null) return this.#end(this.#refused.code, this.#refused.detail)
    if (this.#hello !== null) return this.#end('hello_timeout', null)
    this.#idleMs = Math.min(this.#idleMs, QUIET_MS)
    this.dueAt = Math.min(this.dueAt, this.#options.deadlines.in(this.#idleMs))
  }

  destroy(): void {
    this.#end(this.#refused?.code ?? null, this.#refused?.detail ?? null)
  }

  // ── the endpoint ─────────────────────────────────────────────────────────────────────────────────────────────────

  onOpen(): void {
    const { facts } = this
    this.#options.observer.dialled(facts.upstream!, facts.endpoint!, true)
    for (const bytes of this.#held ?? []) this.#link!.send(bytes, bytes.length)
    this.#letGo()
  }

  onReply(bytes: Buffer): void {
    const { facts } = this
    const { socket } = this.#options
    facts.bytesOut += bytes.length
    facts.datagramsOut++
    this.dueAt = this.#options.deadlines.in(this.#idleMs)
    if (!socket.send(this.sender, bytes, bytes.length)) this.#home.dropped('not_sent')
    if (this.isQuic) {
      const id = sourceIdOf(bytes)
      if (id !== null && id.length > 0) this.#home.hasConnectionId(this, id)
    }
    if (this.#target!.replies !== null && !this.#isOwedReplies()) this.#end(null, null)
  }

  /** What the client sends again goes to the next endpoint; an endpoint that has answered is not exchanged for another one. */
  onFailed(code: ErrorCode, detail: string): void {
    const { facts } = this
    const wasOpen = this.#held === null
    this.#link = null
    if (wasOpen) this.#options.observer.upstreamClosed(facts.upstream!, facts.endpoint!)
    else this.#options.observer.dialled(facts.upstream!, facts.endpoint!, false)
    const isLast = facts.attempts >= this.#target!.endpoints.length
    if (isLast || facts.datagramsOut > 0 || errorTable[code].retry !== 'safe') return this.#end(code, detail)
    this.#held ??= []
    this.#dial()
  }

  #dial(): void {
    const { facts } = this
    const endpoint = this.#target!.endpoints[facts.attempts]
    if (endpoint === undefined) return this.#end('no_endpoint', null)
    facts.attempts++
    facts.endpoint = endpoint.address
    this.#link = this.#home.openLink(endpoint.target, this)
  }

  // ── the client's first words ─────────────────────────────────────────────────────────────────────────────────────

  #read(hello: QuicHello, datagram: Buffer): void {
    const answer = hello.add(datagram)
    if (answer === null) return
    if (answer === 'too_large') return this.refuse('hello_too_large', null)
    if (answer !== 'malformed') return this.#decide(answer === 'version' ? 'none' : answer)
    if (hello.isBegun) return this.refuse('bad_hello', null)
    // What comes before the first Initial packet may have overtaken it.
    const version = versionAt(datagram)
    if (version === null || !isKnownVersion(version)) this.#decide('none')
  }

  #decide(greeting: Greeting): void {
    const { facts } = this
    this.#hello = null
    if (greeting !== 'none') {
      facts.protocol = 'QUIC'
      facts.sni = greeting.serverName
    }
    this.#home.decide(this, greeting)
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #isOwedReplies(): boolean {
    const replies = this.#target?.replies ?? 0
    return this.facts.datagramsOut < replies * this.facts.datagramsIn
  }

  #letGo(): void {
    for (const bytes of this.#held ?? []) this.#home.hold(-bytes.length)
    this.#held = null
  }

  #end(reason: ErrorCode | null, detail: string | null): void {
    if (this.isOver) return
    this.isOver = true
    const { deadlines, observer } = this.#options
    const { facts } = this
    const wasOpen = this.#link !== null && this.#held === null
    deadlines.remove(this)
    this.#link?.close()
    this.#link = null
    this.#letGo()
    if (wasOpen) observer.upstreamClosed(facts.upstream!, facts.endpoint!)
    facts.end(reason, detail)
    this.#home.sessionEnded(this)
  }
}
