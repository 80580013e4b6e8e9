/**
 * One connection of a SOCKS listener until it is known what its client wants: reads the opening, asks who it is, and answers nothing that
 * the protocol does not ask for. The rest is the home's.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import { type SocksFault, SocksOpening, type SocksRequest, type SocksStep, socksReply } from '../net/socks.ts'
import type { AcceptedWire, WireOwner } from '../net/wire.ts'
import { BUSY, type Identified, type Passwords, whyUnchecked } from '../policy/passwords.ts'
import type { Accepted } from './home.ts'
import type { TunnelFacts } from './tunnel-facts.ts'

export interface OpeningHome {
  /** The wire is paused, and the home's. */
  asked(opening: Opening, request: SocksRequest): void
  /** It ends here, and that is told already. `answer`: what the client gets before; null: nothing. */
  refused(opening: Opening, answer: Buffer | null): void
  connectionClosed(opening: Opening): void
}

export interface OpeningOptions {
  /** What came before; null: nothing did. */
  readonly header: ProxyHeader | null
  readonly facts: TunnelFacts
  /** Null: nobody is asked. */
  readonly passwords: Passwords | null
  readonly udp: boolean
  readonly deadlines: Deadlines
  /** For all of the opening. */
  readonly limitMs: number
}

const codes: Readonly<Record<SocksFault, ErrorCode>> = {
  malformed: 'bad_socks',
  unsupported: 'unsupported_socks',
  unauthenticated: 'proxy_auth_required',
}

export class Opening implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly wire: AcceptedWire
  readonly header: ProxyHeader | null
  readonly facts: TunnelFacts
  /** The client has said already that it sends no more. */
  hasEnded = false
  readonly #home: OpeningHome
  readonly #options: OpeningOptions
  readonly #opening: SocksOpening
  #isOver = false
  #isVerifying = false
  #isLate = false

  constructor(wire: AcceptedWire, home: OpeningHome, options: OpeningOptions) {
    this.wire = wire
    this.header = options.header
    this.facts = options.facts
    this.#home = home
    this.#options = options
    this.#opening = new SocksOpening({ wantsUser: options.passwords !== null, udp: options.udp })
    this.dueAt = options.deadlines.in(options.limitMs)
  }

  /** Apart from making it, for it may be over at once. `early`: what was read already. */
  start(early: Buffer): void {
    this.#options.deadlines.add(this)
    this.wire.owner = this
    if (early.length > 0) this.onBytes(early, early.length)
    if (!this.#isOver && !this.#isVerifying && !this.wire.closed) this.wire.resume()
  }

  /** It may still become something that drains. */
  drain(): void {}

  destroy(): void {
    this.wire.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    if (this.#isOver) return
    this.facts.bytesIn += length
    this.#go(this.#opening.push(bytes.subarray(0, length)))
  }

  onDrain(): void {}

  onEnd(): void {
    this.hasEnded = true
    // Somebody is being asked about its password: a request may be there already.
    if (!this.#isVerifying && !this.#isOver) this.wire.destroy()
  }

  onDeadline(): void {
    if (!this.#isLate) {
      // What came while this process was busy is read first.
      this.#isLate = true
      this.dueAt = this.#options.deadlines.in(0)
      return
    }
    this.#refuse('socks_timeout', null, null)
  }

  onClose(error: string | null): void {
    this.#options.deadlines.remove(this)
    this.#isOver = true
    this.facts.end('client_gone', error ?? (this.facts.bytesIn === 0 ? 'closed before it said anything' : 'closed inside its opening'))
    this.#home.connectionClosed(this)
  }

  #go(first: SocksStep | null): void {
    for (let step = first; step !== null; step = this.#opening.next()) {
      switch (step.kind) {
        case 'answer':
          this.wire.write('', step.bytes, 0, step.bytes.length)
          break
        case 'credentials':
          return this.#verify(step.name, step.bytes)
        case 'refused':
          return this.#refuse(codes[step.why], step.detail, step.bytes)
        case 'request':
          this.#finish()
          return this.#home.asked(this, step)
      }
    }
    // What follows will not come.
    if (this.hasEnded) this.wire.destroy()
  }

  #verify(name: string, credentials: Buffer): void {
    this.#isVerifying = true
    this.wire.pause()
    const found = this.#options.passwords!.check(credentials, this.facts.ip)
    if (!(found instanceof Promise)) return this.#verified(name, found)
    found.then(
      (user) => this.#verified(name, user),
      (error: unknown) => {
        const { code, detail } = whyUnchecked(error)
        if (!this.#isOver) this.#refuse(code, detail, this.#opening.verified(false))
      },
    )
  }

  #verified(name: string, user: Identified): void {
    if (this.#isOver) return
    this.#isVerifying = false
    const answer = this.#opening.verified(typeof user === 'string')
    if (user === BUSY) return this.#refuse('policy_busy', 'too many passwords are being checked', answer)
    if (user === null) return this.#refuse('proxy_auth_required', `the name or the password is wrong: ${name}`, answer)
    this.facts.user = user
    this.wire.write('', answer, 0, answer.length)
    this.#go(this.#opening.next())
    if (!this.#isOver && !this.wire.closed) this.wire.resume()
  }

  #refuse(code: ErrorCode, detail: string | null, answer: Buffer | null): void {
    this.#finish()
    this.facts.end(code, detail)
    this.#home.refused(this, answer)
  }

  #finish(): void {
    this.#isOver = true
    this.#options.deadlines.remove(this)
    this.wire.pause()
  }
}

/** What a client of SOCKS is told of an end that the proxy caused. RFC 1928 §6. */
export function replyFor(version: 4 | 5, code: ErrorCode, detail: string | null): Buffer {
  switch (code) {
    case 'client_refused':
    case 'host_refused':
    case 'port_refused':
    case 'address_refused':
    case 'host_blocked':
    case 'quota_exceeded':
    case 'time_refused':
      return socksReply(version, 'refused')
    case 'dns_error':
      return socksReply(version, 'hostUnreachable')
    case 'connect_refused':
      return socksReply(version, 'connectionRefused')
    case 'dns_timeout':
    case 'connect_timeout':
      return socksReply(version, 'timedOut')
    case 'connect_failed':
      return socksReply(version, detail?.includes('ENETUNREACH') === true ? 'networkUnreachable' : 'hostUnreachable')
    default:
      return socksReply(version, 'failed')
  }
}
