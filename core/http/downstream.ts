/**
 * What an exchange needs of the side that asked: one protocol's way to write a response. HTTP/1 writes text, HTTP/2 frames; the
 * exchange knows neither.
 */

import type { EndedExchange } from '../events.ts'
import type { Blocks } from '../forward/blocks.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { ResponseHead } from '../net/http1/head.ts'
import type { Meter } from '../policy/quota.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import type { GrantedTunnel, Inside } from './interception.ts'
import type { RelayedMessages } from './message-hooks.ts'
import type { TunnelEnded } from './tunnel-end.ts'

/** The lines that tell of this hop: the same for every request of a connection that asks for the same host. */
export interface HopMemo {
  host: string
  minor: 0 | 1
  /** The service's number: an idle connection must not keep a plan alive. */
  service: number
  lines: string
}

export interface Downstream {
  readonly memo: HopMemo
  readonly protocol: EndedExchange['protocol']
  readonly scheme: 'http' | 'https'
  /** The socket's address, or that of the PROXY header before it; IPv4-mapped ones as IPv4. */
  readonly peer: string
  /** Of the connection, which many streams may have in common. */
  readonly privates: PrivateConnections
  /** Whether there are any, or ever were: asking for them makes them. */
  readonly hasPrivates: boolean
  /** Fields that tell endpoints of the client's certificate; `''`: none. */
  readonly certificateLines: string
  /** The tunnel of the forward side that it came by, which ends here; null: by none. */
  readonly inside: Inside | null
  /** Chunk framing may be passed on as the endpoint sent it. */
  readonly passesFraming: boolean
  /** Where its client wanted to go before it was sent here; null: here, or that is not known. */
  readonly original: NamedDestination | null
  /** Written, but the client has not taken it. */
  readonly congested: boolean
  /** Whoever asks for this host has to show another certificate than this connection was asked for (RFC 9110 §7.4). */
  isMisdirected(host: string): boolean
  sendInformational(head: ResponseHead): void
  /** Edits the head for this hop and keeps it for the first flush. `length`: bytes of body, -1 chunked framing follows, -2 unknown. */
  sendHead(head: ResponseHead, length: number, answersHead: boolean): void
  /** False: stop until the exchange's `onReceivable`, and leave the bytes untouched until then. */
  sendBody(prefix: string, bytes: Buffer, from: number, to: number): boolean
  /** Body as latin1 text. */
  sendText(text: string): void
  endBody(trailers: string): void
  /** Writes what was kept together. False as in sendBody. */
  flush(): boolean
  /** The response is complete and flushed: the exchange is over. */
  finished(): void
  /** The response cannot be completed: the client must not take it for complete. */
  abort(): void
  /** Reading of the request body. */
  pauseBody(): void
  resumeBody(): void
  /** All of the request body has left. */
  bodyTaken(): void
  /**
   * 101, or 200 to CONNECT: sends the head and relays both ways from now on; `ended` when both sides are closed. `looks`: null, nobody looks at
   * what passes.
   */
  becomeTunnel(head: ResponseHead, upstream: UpstreamConnection, rest: Buffer, ended: TunnelEnded, looks: TunnelLooks | null): void
  /** 200 to CONNECT for a tunnel that may end here: sends the head; who looks at what follows is the listener's business. */
  grantTunnel(head: ResponseHead, tunnel: GrantedTunnel): void
}

/** What is looked at of all that passes: messages of a WebSocket, by hooks; or the name that TLS asks for, by lists, and how much it is. */
export type TunnelLooks =
  | { readonly kind: 'messages'; readonly messages: RelayedMessages }
  | { readonly kind: 'forward'; readonly blocks: Blocks | null; readonly meter: Meter | null }
