/**
 * One connection of a TCP listener on its way to an endpoint: chooses one, dials, tries another where connecting failed, hands over
 * what was read before, and is a tunnel from then on. The client is not read until an endpoint is there.
 */
import { monotonicMs } from '../clock.ts'
import type { Deadlines } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import { repeatable } from '../http/retry-rules.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { Meter } from '../policy/quota.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import { PrivateConnections } from '../upstream/private-connections.ts'
import type { Asked } from '../upstream/request-key.ts'
import type { Acquirer, Upstream } from '../upstream/upstream.ts'
import { factsOf } from './announced.ts'
import type { ConnectionHooks, Decision } from './connection-hooks.ts'
import { type GatewayHome, GatewayTunnel } from './gateway-tunnel.ts'
import type { Accepted, ConnectionHome } from './home.ts'
import { inspected } from './inspected-wire.ts'
import { type Screen, screened } from './screened-wire.ts'
import { Tunnel } from './tunnel.ts'
import type { TunnelFacts } from './tunnel-facts.ts'

export type RelayHome = Pick<ConnectionHome, 'becameTunnel' | 'tunnelClosed' | 'connectionClosed'>

/** For a client that is told how dialling went. */
export interface RelayAnswers {
  readonly connected: Buffer
  /** It failed, and that is told to everybody but the client: the connection is taken over. */
  failed(relay: Relay, code: ErrorCode, detail: string | null): void
}

export interface RelayOptions {
  readonly facts: TunnelFacts
  readonly upstream: Upstream
  /** What the client has sent so far: it goes first. */
  readonly early: Buffer
  /** The client has said already that it sends no more. */
  readonly hasEnded: boolean
  /** What came before everything else; null: nothing did. */
  readonly header: ProxyHeader | null
  /** Those of the listener and of the route; null: none. */
  readonly hooks: ConnectionHooks | null
  /** Null: the client waits for nothing. */
  readonly answers?: RelayAnswers | null
  /** Reads all that is said; null: it passes unread. */
  readonly gateway?: GatewayHome | null
  /** Looks at what the client says first; null: nobody does. */
  readonly screen?: Screen | null
  /** Stands in front of the endpoint; null: nothing does. */
  readonly paced?: ((endpoint: Wire) => Wire) | null
  /** What it takes of a quota; null: there is none. */
  readonly meter?: Meter | null
  /** What is offered to an endpoint that is spoken to over TLS. */
  readonly alpn: readonly string[]
  readonly deadlines: Deadlines
  readonly idleMs: number
}

export class Relay implements Accepted, Acquirer, Asked, WireOwner {
  keptAt = -1
  /** It has none, nor has its client an address but this. */
  readonly request = null
  readonly ip: string
  /** What was said before on one that is kept was HTTP. */
  readonly takesKept = false
  readonly #wire: Wire
  readonly #home: RelayHome
  readonly #privates: PrivateConnections
  readonly #facts: TunnelFacts
  /** Null once it is a tunnel, or over. */
  #options: RelayOptions | null
  #tried: Endpoint[] | null = null
  #chosen: Endpoint | null = null
  #dialledAt = 0
  /** What it was let pass with, and owes the circuit breaker an outcome for; 0: nothing. */
  #ticket = 0
  #giveUp: (() => void) | null = null

  constructor(wire: Wire, home: RelayHome, options: RelayOptions) {
    this.#wire = wire
    this.#home = home
    this.#facts = options.facts
    this.ip = options.facts.ip
    this.#options = options
    const { facts, header } = options
    this.#privates = new PrivateConnections(() => {
      const told = factsOf(wire.facts(), header)
      return facts.sni === null ? told : { ...told, authority: facts.sni }
    })
    wire.owner = this
  }

  /** Apart from making it, for it may be over at once. */
  start(): void {
    // Without a name it is a destination of the client's own.
    this.#facts.upstream = this.#options!.upstream.plan.name || null
    if (this.#isAdmitted(this.#options!.upstream)) this.#attempt(this.#options!.upstream)
  }

  /** Whether the circuit breaker of its upstream lets it pass. */
  #isAdmitted({ safeguards }: Upstream): boolean {
    if (safeguards === null || safeguards.breaker === null) return true
    this.#ticket = safeguards.admit()
    if (this.#ticket === 0) this.#fail('circuit_open', null)
    return this.#ticket !== 0
  }

  #settle(failure: ErrorCode | null): void {
    const ticket = this.#ticket
    this.#ticket = 0
    if (ticket !== 0) this.#options?.upstream.safeguards?.settle(ticket, failure)
  }

  /** Only what asks by HTTP is shown to functions of the config. */
  view(): null {
    return null
  }

  /** What is a tunnel, or will be one, ends by itself. */
  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  // ── dialling ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #attempt(upstream: Upstream): void {
    const endpoint = this.#choose(upstream)
    if (endpoint === null) return
    this.#chosen = endpoint
    endpoint.inFlight++
    this.#facts.endpoint = endpoint.plan.address
    this.#facts.attempts++
    this.#dialledAt = monotonicMs()
    this.#giveUp = upstream.dial(endpoint, this, this.#privates, this.#options!.alpn)
  }

  onConnected(connection: UpstreamConnection): void {
    const { early, hasEnded, hooks, deadlines, idleMs, answers, screen, paced, meter = null, gateway = null } = this.#options!
    const facts = this.#facts
    const chosen = this.#chosen!
    const now = monotonicMs()
    facts.connectMs = now - this.#dialledAt
    const { upstream } = this.#options!
    upstream.safeguards?.answered(chosen, 0, facts.connectMs)
    if (upstream.timesAnswers) chosen.time.observe(facts.connectMs, now)
    this.#settle(null)
    this.#options = null
    this.#giveUp = null
    this.#tried = null
    this.#chosen = null
    this.#home.becameTunnel()
    const isInspected = hooks?.wantsData === true
    const denied = ({ code, detail, by }: Decision): void => {
      facts.reason = code
      facts.detail = detail
      facts.decidedBy = by
    }
    const taken = connection.takeWire()
    const endpoint = paced ? paced(taken) : taken
    const right = isInspected ? inspected(endpoint, hooks, 'upstream', denied) : endpoint
    const left = isInspected ? inspected(this.#wire, hooks, 'client', denied) : screen ? screened(this.#wire, screen) : this.#wire
    if (answers) left.write('', answers.connected, 0, answers.connected.length)
    // What was read before goes the way of all that follows.
    const isHeld = (left !== this.#wire || gateway !== null) && early.length > 0
    if (early.length > 0 && !isHeld) right.write('', early, 0, early.length)
    const ended = (fromClient: number, fromEndpoint: number, cut: ErrorCode | null, detail: string | null = null): void => {
      connection.left()
      chosen.inFlight--
      hooks?.close()
      facts.bytesIn = fromClient + (isHeld ? 0 : early.length)
      facts.bytesOut = fromEndpoint
      if (meter !== null) meter.end(facts.bytesIn + facts.bytesOut)
      facts.end(facts.reason ?? cut, facts.detail ?? detail)
      this.#home.tunnelClosed(this)
    }
    if (gateway === null) new Tunnel({ left, right }, { deadlines, idleMs, meter, ended })
    else
      new GatewayTunnel(
        { client: left, endpoint: right },
        { ...gateway, deadlines, idleMs, isEncrypted: upstream.plan.tls !== null, ended },
      )
    if (isHeld) this.#wire.owner.onBytes(early, early.length)
    if (hasEnded) this.#wire.owner.onEnd()
  }

  onWaiting(): void {}

  onDialFailed(code: ErrorCode, detail: string | null): void {
    this.#giveUp = null
    const { upstream } = this.#options!
    const endpoint = this.#chosen!
    const now = monotonicMs()
    upstream.safeguards?.failed(endpoint, code)
    if (upstream.timesAnswers) endpoint.failed(now - this.#dialledAt, now)
    this.#leave()
    const { retries } = upstream.plan
    if (retries === null || repeatable(code, retries) !== 'connect' || this.#facts.attempts >= retries.attempts)
      return this.#fail(code, detail)
    this.#tried = [...(this.#tried ?? []), endpoint]
    this.#attempt(upstream)
  }

  /** Null: there is none, and the connection has ended. */
  #choose(upstream: Upstream): Endpoint | null {
    try {
      const endpoint = upstream.choose(this.#tried, this)
      if (endpoint === null) this.#fail('no_endpoint', null)
      return endpoint
    } catch (error) {
      // A hook may send it where only requests of HTTP are expected.
      this.#fail('hook_failed', error instanceof Error ? error.message : String(error))
      return null
    }
  }

  #leave(): void {
    if (this.#chosen !== null) this.#chosen.inFlight--
    this.#chosen = null
  }

  #fail(code: ErrorCode, detail: string | null): void {
    this.#settle(code)
    this.#facts.end(code, detail)
    this.#options?.hooks?.close()
    const answers = this.#options?.answers
    if (answers) return answers.failed(this, code, detail)
    // An orderly end could be taken for an empty answer.
    this.#wire.reset()
  }

  // ── the client, until there is an endpoint ───────────────────────────────────────────────────────────────────────

  onBytes(): void {}
  onDrain(): void {}
  onEnd(): void {}

  onClose(error: string | null): void {
    this.#settle('client_gone')
    this.#options?.hooks?.close()
    this.#options = null
    this.#giveUp?.()
    this.#giveUp = null
    this.#leave()
    this.#facts.end('client_gone', error)
    this.#home.connectionClosed(this)
  }
}
