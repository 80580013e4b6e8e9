/**
 * Events tell: something happened. They are calls, not objects that are built; whoever listens bumps typed arrays or
 * appends to a buffer and keeps no reference to what it was given.
 */
import type { ErrorCode } from './errors.ts'
import type { Hook } from './hooks.ts'
import type { ClientCertificate } from './net/client-certificate.ts'

/** What an ended exchange or tunnel was. The exchange itself implements it; read it inside the call only. */
export interface EndedExchange {
  readonly listener: string
  /** `web/me`, `web[0]`; null when no route matched. */
  readonly route: string | null
  readonly upstream: string | null
  /** Address of the endpoint that was tried last, `127.0.0.1:3001`. */
  readonly endpoint: string | null
  readonly id: string
  /** The number behind the dash of the id: counts the exchanges of this worker. */
  readonly serial: number
  /** Of the plan it ran on. */
  readonly generation: number
  readonly scheme: 'http' | 'https'
  /** The head as it came, edits left out; what came of it if it could not be read. */
  readonly received: string
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2'
  readonly method: string
  /** What a client of a forward proxy asked for: `example.com:443`; null of other listeners. */
  readonly destination: string | null
  readonly host: string
  readonly path: string
  readonly search: string
  readonly userAgent: string | null
  readonly referer: string | null
  readonly ip: string
  readonly peer: string
  /** Status that was sent; 0 when the client was gone before. */
  readonly status: number
  /** Why the proxy itself ended it; null when the endpoint's answer was passed on. */
  readonly reason: ErrorCode | null
  /** More on the reason, for the log alone; null if there is nothing more to say. */
  readonly detail: string | null
  /** Name of the hook that answered; null if none did. */
  readonly decidedBy: string | null
  /** Bytes of body from the client, and to the client, framing included; for a tunnel all bytes each way. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly durationMs: number
  /** From the first byte sent to the endpoint to its response head, of the last attempt; NaN without an answer. */
  readonly upstreamMs: number
  readonly attempts: number
  /** Why a client with a cookie of ours got another endpoint than that of the cookie; null: it did not. */
  readonly moved: 'removed' | 'drained' | 'unhealthy' | 'ejected' | 'failed' | null
  readonly tunnel: boolean
  /** Null: the client showed none. */
  readonly clientCertificate: ClientCertificate | null
  /** Who the client has proved to be; null: nobody asked. */
  readonly user: string | null
  /** How it fared with the cache on its way, `hit`; `beside`: no client asked, a cache did. Null: there was none. */
  readonly cache: string | null
  /** Hooks that are to be asked about its access line, in order; null: none. The same list for all that have the same. It may be kept. */
  readonly logHooks: readonly Hook[] | null
  /** What its route says of its line; null: nothing. */
  readonly logged: Logged | null
}

/** Of one line of the access log. */
export interface Logged {
  readonly isWritten: boolean
  /** Members that are left out; `query`: of the path. */
  readonly without: ReadonlySet<string>
  /** More members of a line of JSON, which leave room for the others; null: none. */
  readonly more: Readonly<Record<string, unknown>> | null
}

/** What an ended connection to a TCP or SOCKS listener, or an ended session of UDP, was. Read it inside the call only. */
export interface EndedTunnel {
  readonly listener: string
  /** `edge/bank`, `edge[0]`; null when no route was found. */
  readonly route: string | null
  readonly upstream: string | null
  /** Of the endpoint that was tried last. */
  readonly endpoint: string | null
  readonly id: string
  /** The number behind the dash of the id. */
  readonly serial: number
  /** Of the plan it began on. */
  readonly generation: number
  /** `TLS`, `QUIC`: its hello was read. `SOCKS`: not so far that its version would be known. `UDP`: of a client of SOCKS5, too. */
  readonly protocol: 'TCP' | 'TLS' | 'UDP' | 'QUIC' | 'SOCKS' | 'SOCKS4' | 'SOCKS5'
  /** What a client of the forward side asked for: `example.com:443`; null if it did not come to that, and of other listeners. */
  readonly destination: string | null
  /** Who has shown a name and a password to the forward side; null: nobody was asked. */
  readonly user: string | null
  /** The server name that the client asked for; null if there was none, or nobody looked. */
  readonly sni: string | null
  /** `''` on a unix socket. */
  readonly ip: string
  /** Why the proxy itself ended it; null when the sides did. */
  readonly reason: ErrorCode | null
  readonly detail: string | null
  /** Name of the hook that refused it, or sent it elsewhere; null if none did. */
  readonly decidedBy: string | null
  /** From the client, and to it. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of UDP; else 0. */
  readonly datagramsIn: number
  readonly datagramsOut: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly durationMs: number
  /** Of the last attempt; NaN without a connection. */
  readonly connectMs: number
  readonly attempts: number
  /** As of an exchange. */
  readonly logHooks: readonly Hook[] | null
}

/**
 * Why a connection never carried a request. Of TLS: late, not TLS at all, closed before, refused by TLS itself, or for the client's certificate. Of the PROXY
 * protocol: late, closed before, no such header, or from somebody who is not trusted to send one.
 */
export type HandshakeFailure = 'timeout' | 'not_tls' | 'gone' | 'tls' | 'client_certificate' | 'proxy_header' | 'untrusted'

/**
 * Why a datagram went nowhere, without a line in the log: more sessions than the limit, or its client's was refused, has too much
 * waiting already, or cannot be answered at the moment.
 */
export type DatagramLoss = 'limit' | 'refused' | 'waiting' | 'not_sent'

export interface SourcePlace {
  readonly file: string
  /** 1-based; 0 if it is not known. */
  readonly line: number
}

export const PARENTS_OF = 'parents of '

/** An endpoint, or an upstream as a whole, is in another state. */
export interface UpstreamChange {
  /** Or `PARENTS_OF` and a listener of the forward side, whose parents are its endpoints. */
  readonly upstream: string
  /** Null: the upstream as a whole. */
  readonly endpoint: string | null
  /**
   * Of an endpoint: `ejected` until it is `available` again, for what came of its requests; `unhealthy` until it is `healthy`, for what came of its health checks.
   * Of an upstream: in `panic` it uses all endpoints, for too few are available; until `calm`. Its circuit: `open`, `half-open`, `closed`.
   * `limited`: some requests wait or are refused, for as many as it answers in good time are under way; until `unlimited`.
   * Its endpoints were `discovered` to be others, or can be again; they could not be: `undiscovered`; or not all of them made sense: `incomplete`.
   */
  readonly state:
    | 'ejected'
    | 'available'
    | 'unhealthy'
    | 'healthy'
    | 'panic'
    | 'calm'
    | 'open'
    | 'half-open'
    | 'closed'
    | 'discovered'
    | 'undiscovered'
    | 'incomplete'
    | 'limited'
    | 'unlimited'
  /** A few words for the log. */
  readonly why: string
  /** Another worker has found it out, and told: it is counted here, and logged there. */
  readonly isShared: boolean
}

/**
 * What became of the copy of a request: the class of its answer; `failed`: there was none. It was not made: `busy`, too many are under way; `too_large`, its
 * body; `incomplete`, the body did not come.
 */
export type MirrorOutcome = '2xx' | '3xx' | '4xx' | '5xx' | 'failed' | 'busy' | 'too_large' | 'incomplete'

/** Every call is synchronous, must not throw, and costs nothing when it does nothing. */
export interface Observer {
  connectionOpened(listener: string): void
  connectionClosed(listener: string): void
  /** `detail`: OpenSSL's or the system's code, what the client spoke instead, or the address that is not trusted. `address`: the client's. */
  handshakeFailed(listener: string, why: HandshakeFailure, detail: string | null, address: string): void
  exchangeEnded(exchange: EndedExchange): void
  tunnelEnded(tunnel: EndedTunnel): void
  datagramDropped(listener: string, why: DatagramLoss): void
  /** A connection to an endpoint: opened, failed to open, closed. */
  dialled(upstream: string, endpoint: string, ok: boolean): void
  upstreamClosed(upstream: string, endpoint: string): void
  /** A request was not sent once more, for too many were. */
  retryRefused(upstream: string): void
  /** So many more bytes of bodies are buffered on disk, or less. */
  buffered(upstream: string, change: number): void
  /** A copy of a request was sent to another upstream, or was not. */
  mirrored(upstream: string, outcome: MirrorOutcome): void
  /** A second try beside a first one: it was answered first, it was not, or it came to nothing. */
  hedged(upstream: string, outcome: 'won' | 'lost' | 'failed'): void
  /** As many requests of an upstream may be under way at a time in this worker; it has learnt that. */
  limitMoved(upstream: string, limit: number): void
  /** One more request, or one less, waits for a connection. */
  queued(upstream: string, change: 1 | -1): void
  upstreamChanged(change: UpstreamChange): void
  /** One crossing into a plugin: how many calls went, and how long it took. 0 ms: a call that was answered without one. */
  pluginCalled(plugin: string, calls: number, tookMs: number): void
  /** A call of a plugin that failed: threw, timed out, ran out of memory, was parked. `detail`: null where there are too many to tell of each. */
  pluginFailed(plugin: string, why: 'threw' | 'timeout' | 'memory' | 'crashed' | 'parked', detail: string | null): void
  /** console.* inside a plugin, and what there is to say about it. `at`: where in its source; null if that is not known. */
  pluginLogged(plugin: string, level: 'debug' | 'info' | 'warn' | 'error', text: string, at: SourcePlace | null): void
}
