/**
 * Granted tunnels of a forward listener, from the first byte of their client on: those whose TLS is to be read end here, and carry HTTP from then
 * on; all others are relayed to their destination unread. Nobody is dialled before that is known.
 */
import type { TLSSocket } from 'node:tls'
import { peerOf } from '../connection/announced.ts'
import type { Accepted, ConnectionHome, Granted } from '../connection/home.ts'
import { Http1Connection } from '../connection/http1.ts'
import { Http2Connection } from '../connection/http2.ts'
import { Relay } from '../connection/relay.ts'
import type { Screen } from '../connection/screened-wire.ts'
import type { TunnelFacts } from '../connection/tunnel-facts.ts'
import type { HandshakeFailure } from '../events.ts'
import type { Refusal } from '../forward/access.ts'
import { type Forwarding, refusalInside } from '../http/forwarding.ts'
import { plainAddress } from '../http/identity.ts'
import type { Inside } from '../http/interception.ts'
import type { ClientHello } from '../net/client-hello.ts'
import { makeDestination, type NamedDestination } from '../net/destination.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import { ANYBODY } from '../net/secured.ts'
import { wireOfSecured } from '../net/tls-wire.ts'
import type { AcceptedWire, Wire } from '../net/wire.ts'
import { type Detected, Detection } from './detection.ts'
import { Handshake, wasReset } from './handshake.ts'
import { InsideHome } from './inside-home.ts'
import type { Interceptor } from './interceptor.ts'
import { Interim } from './interim.ts'
import { ServerLook } from './server-look.ts'

/** The listener that they belong to. */
export interface InterceptionsHome
  extends Pick<ConnectionHome, 'service' | 'draining' | 'becameTunnel' | 'tunnelClosed' | 'connectionClosed'> {
  /** Of the plan in force; null: no tunnel ends here any more. */
  readonly interceptor: Interceptor | null
  /** The next stage of a connection: it stays one. */
  replace(before: Accepted, after: Accepted): void
  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void
}

/** For the first message of TLS; whose client has said nothing by then waits for its server to speak first. */
const DETECT_MS = 3_000
/** Alerts of a client that looks at our certificate and does not like it (RFC 8446 §6.2), as OpenSSL names them. Others just leave. */
const REFUSED = /ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN)|UNKNOWN_CA)/

const NO_FORWARD = 'its listener is no forward proxy any more'
const LATE: Refusal = { code: 'hello_timeout', detail: 'it came when its tunnel passed unread already' }

export type AcceptedTunnel = Omit<Granted, 'wire'> & { readonly wire: AcceptedWire }

export class Interceptions {
  readonly #home: InterceptionsHome
  readonly #open = new Set<InsideHome>()

  constructor(home: InterceptionsHome) {
    this.#home = home
  }

  /** `stage`: what its connection was so far. */
  begin(stage: Accepted, tunnel: AcceptedTunnel): void {
    const { wire, facts, early, hasEnded } = tunnel
    const { deadlines } = this.#home.service
    const options = { facts, hooks: null, header: null, deadlines, limitMs: DETECT_MS }
    const detection: Detection = new Detection(
      wire,
      {
        detected: (_, found) => this.#decide(detection, tunnel, found),
        connectionClosed: (one) => this.#home.connectionClosed(one),
      },
      options,
    )
    this.#home.replace(stage, detection)
    if (early.length > 0) detection.onBytes(early, early.length)
    if (hasEnded && !wire.closed) wire.owner.onEnd()
  }

  /** Another plan is in force: connections that would not be read by it end with what is under way. */
  use(): void {
    const { forward } = this.#home.service
    for (const one of [...this.#open]) {
      // What they carry has no rules any more where this is no forward proxy.
      if (forward === null) one.destroy()
      else if (!one.isStillRead) one.end()
    }
  }

  #decide(stage: Accepted, tunnel: AcceptedTunnel, found: Detected): void {
    const { interceptor, service } = this.#home
    const { greeting } = found
    const { forward } = service
    if (forward === null) return this.#drop(stage, found, () => tunnel.facts.end('no_route', NO_FORWARD))
    if (greeting === 'none') return this.#pass(stage, tunnel, found, forward)
    const { destination, facts } = tunnel
    const asked = greeting.serverName === null ? destination : makeDestination(greeting.serverName, destination.port)
    if (asked === null) return this.#drop(stage, found, () => facts.end('bad_hello', 'it asks for what is no name'))
    const name = asked.host
    if (interceptor !== null && speaksHttp(greeting) && interceptor.reads(name, facts.ip))
      return this.#look(stage, tunnel, { found, name, interceptor })
    const refused = refusalInside(forward, destination, name, { ip: facts.ip, user: tunnel.user })
    if (refused === null) this.#pass(stage, tunnel, found, forward)
    else this.#drop(stage, found, () => facts.end(refused.code, refused.detail))
  }

  #drop(stage: Accepted, { wire, facts, early }: Detected, tell: () => void): void {
    facts.bytesIn = early.length
    tell()
    this.#home.replace(stage, new Interim(wire, this.#home))
    wire.reset()
  }

  #pass(stage: Accepted, tunnel: AcceptedTunnel, { wire, facts, early, hasEnded, greeting }: Detected, forward: Forwarding): void {
    const { deadlines, listener } = this.#home.service
    const { destination, paced, meter } = tunnel
    const upstream = forward.upstreamTo(destination, null)
    const idleMs = listener.timeouts.tunnelIdle
    const screen = greeting === 'none' && early.length === 0 ? this.#lateScreen(tunnel, forward) : null
    const options = { facts, upstream, early, hasEnded, header: null, hooks: null, alpn: [], screen, paced, meter, deadlines, idleMs }
    const relay = new Relay(wire, this.#home, options)
    this.#home.replace(stage, relay)
    relay.start()
  }

  /** Of a client that had said nothing when it was let pass: to wait is no way around what would be read, or is not to be reached. */
  #lateScreen({ destination, facts }: AcceptedTunnel, { blocks }: Forwarding): Screen {
    const { interceptor } = this.#home
    return {
      blocks: blocks ?? (() => null),
      refuses: (hello) => {
        const name = hello.serverName === null ? destination.host : hello.serverName.toLowerCase().replace(/\.$/, '')
        return speaksHttp(hello) && interceptor?.reads(name, facts.ip) === true ? LATE : null
      },
      asked: (serverName, refused) => {
        facts.sni = serverName
        if (refused === null) return
        facts.reason = refused.code
        facts.detail = refused.detail
      },
    }
  }

  /** At the server, if its names are wanted. One that is refused by another name than its tunnel's is not connected to: its client will be told. */
  #look(stage: Accepted, tunnel: AcceptedTunnel, terminating: Terminating): void {
    const { destination, facts, user } = tunnel
    const { name, interceptor, found } = terminating
    const { forward, deadlines } = this.#home.service
    const isRefused = refusalInside(forward!, destination, name, { ip: facts.ip, user }) !== null
    if (isRefused || !interceptor.hasToLook(name, destination)) return this.#terminate(stage, tunnel, terminating)
    const upstream = forward!.upstreamTo(destination, interceptor.originationTo(name, destination))
    const home = {
      looked: (look: ServerLook) => this.#terminate(look, tunnel, terminating),
      gone: (look: ServerLook) => {
        facts.bytesIn = found.early.length
        facts.end('client_gone', null)
        this.#home.connectionClosed(look)
      },
    }
    const look = new ServerLook(found.wire, upstream, home, deadlines)
    this.#home.replace(stage, look)
    look.start()
  }

  #terminate(stage: Accepted, { destination, user, facts, header }: AcceptedTunnel, { found, name, interceptor }: Terminating): void {
    const { wire, early } = found
    // What it has not taken of our answer would be lost.
    if (wire.congested) return this.#drop(stage, found, () => facts.end('handshake_failed', 'the client takes no answer'))
    const { deadlines, listener } = this.#home.service
    facts.bytesIn = early.length
    const others = interceptor.othersOf(name, destination)
    const done = (handshake: Handshake, carrier: TLSSocket | Wire, alpn: string | null): void => {
      if (wasReset(handshake, carrier)) {
        facts.end('client_gone', null)
        return this.#home.connectionClosed(handshake)
      }
      const secured = wireOfSecured(carrier)
      if (this.#home.service.inside === null) {
        facts.end('no_route', NO_FORWARD)
        this.#home.replace(handshake, new Interim(secured, this.#home))
        return secured.destroy()
      }
      interceptor.accepted(name, facts.ip)
      facts.end(null, null)
      const inside = { destination, name, user, origination: interceptor.originationTo(name, destination), others }
      this.#home.replace(handshake, this.#inside({ wire: secured, alpn, header }, inside))
    }
    const handshake = new Handshake(
      wire,
      {
        handshakeDone: (one, carrier, _, alpn) => done(one, carrier, alpn),
        handshakeFailed: (why, detail, address) => {
          this.#home.handshakeFailed(why, detail, address)
          const alert =
            why === 'gone' ? 'it left during the handshake' : why === 'tls' && detail !== null && REFUSED.test(detail) ? detail : null
          if (alert !== null) tellRefusal(facts, { name, alert, interceptor })
          else facts.end('handshake_failed', detail ?? why)
        },
        connectionClosed: (one) => this.#home.connectionClosed(one),
      },
      {
        termination: interceptor.terminationFor(name, destination),
        deadlines,
        limitMs: listener.timeouts.requestHead,
        header: null,
        hello: early,
      },
    )
    this.#home.replace(stage, handshake)
  }

  /** In a simulation, of what would be inside. Null: tunnels to there are not read. */
  enter(wire: Wire, destination: NamedDestination): Accepted | null {
    const { interceptor, service } = this.#home
    const name = destination.host
    // Whoever would have been asked for the tunnel is taken for somebody who may.
    const user = service.forward?.passwords?.anybody ?? null
    if (interceptor?.reads(name, plainAddress(wire.remoteAddress)) !== true) return null
    return this.#inside(
      { wire, alpn: null, header: null },
      { destination, name, user, origination: interceptor.originationTo(name, destination), others: null },
    )
  }

  #inside({ wire, alpn, header }: Readable, inside: Inside): Accepted {
    const home: InsideHome = new InsideHome(this.#home, inside, {
      ip: peerOf(wire.remoteAddress, header),
      over: () => this.#open.delete(home),
    })
    this.#open.add(home)
    const connection =
      alpn === 'h2'
        ? new Http2Connection(wire, home, { scheme: 'https', header, secured: ANYBODY })
        : new Http1Connection(wire, home, 'https', header, ANYBODY)
    home.carries(connection)
    return connection
  }
}

/** What is inside of TLS. */
interface Readable {
  readonly wire: Wire
  readonly alpn: string | null
  readonly header: ProxyHeader | null
}

interface Terminating {
  readonly found: Detected
  readonly name: string
  readonly interceptor: Interceptor
}

/** Without a word about it, it does. */
function speaksHttp({ alpn }: Pick<ClientHello, 'alpn'>): boolean {
  return alpn.length === 0 || alpn.includes('h2') || alpn.includes('http/1.1') || alpn.includes('http/1.0')
}

function tellRefusal(facts: TunnelFacts, { name, alert, interceptor }: { name: string; alert: string; interceptor: Interceptor }): void {
  const count = interceptor.refused(name, facts.ip)
  const next =
    count >= interceptor.exceptAfter
      ? `refused ${count} times: tunnels of this client to there pass unread from now on`
      : `if it should: sluice ca trust-help; if it accepts its own certificates alone: except: ['${name}']`
  facts.end('interception_refused', `${alert}; ${next}`)
}

/** The wire of a client that may be put under TLS; null: it is read by others already. */
export function acceptedWire(wire: Wire): AcceptedWire | null {
  if (!('detachHandle' in wire)) return null
  wire.expectDetach?.(true)
  return wire as AcceptedWire
}
