/** A TCP connection through a simulation, once it is over: where it went, and what either side got. */
import type { Connected, ConnectRequest, LogLine } from './messages.ts'

/** What a client of TCP does. */
export interface ConnectInit {
  /** It begins with a TLS hello that asks for this name; with `alpn` alone, for none. */
  sni?: string | undefined
  /** What it offers in its hello: `['h2', 'http/1.1']`. */
  alpn?: readonly string[] | undefined
  /** Address of the client. Default `127.0.0.1`. */
  from?: string | undefined
  /**
   * What it sends, behind the hello: several pieces one after the other, each once all that came of the one before is over. TLS itself is not
   * spoken: where a route ends it, these are the bytes inside.
   */
  data?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined
}

export class SimulatedConnection {
  /** Of the config. */
  readonly listener: string
  /** `edge/bank`, `edge[0]`; null if none was found. */
  readonly route: string | null
  /** Null if it came to none. */
  readonly upstream: string | null
  /** Address of the one that was tried last. */
  readonly endpoint: string | null
  /** `HTTP`: the route leads to HTTP, and a request was read. */
  readonly protocol: 'TCP' | 'TLS' | 'HTTP'
  readonly sni: string | null
  /** Why the proxy ended it (`connection_denied`, `no_route` …); null if the sides did. */
  readonly reason: string | null
  readonly detail: string | null
  /** Name of the plugin, or place of the hook, that refused it or sent it elsewhere. */
  readonly decidedBy: string | null
  readonly attempts: number
  /** What the endpoint got, after all hooks; a hello that is passed on is a part of it. */
  readonly sent: Uint8Array
  /** What the client got. */
  readonly received: Uint8Array
  /** The client learned by a reset that it is over. */
  readonly isReset: boolean
  /** What plugins have printed meanwhile. */
  readonly logs: readonly LogLine[]

  constructor({ facts, sent, received, isReset, logs }: Connected) {
    this.listener = facts.listener
    this.route = facts.route
    this.upstream = facts.upstream
    this.endpoint = facts.endpoint
    this.protocol = facts.protocol
    this.sni = facts.sni
    this.reason = facts.reason
    this.detail = facts.detail
    this.decidedBy = facts.decidedBy
    this.attempts = facts.attempts
    this.sent = sent
    this.received = received
    this.isReset = isReset
    this.logs = logs
  }

  get sentText(): string {
    return new TextDecoder().decode(this.sent)
  }

  get receivedText(): string {
    return new TextDecoder().decode(this.received)
  }
}

export function toConnectRequest(listener: string | null, { sni, alpn, from = '127.0.0.1', data = [] }: ConnectInit): ConnectRequest {
  const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data
  const hello = sni === undefined && alpn === undefined ? null : { serverName: sni ?? null, alpn: [...(alpn ?? [])] }
  return { listener, hello, from, data: pieces.map((piece) => (typeof piece === 'string' ? new TextEncoder().encode(piece) : piece)) }
}
