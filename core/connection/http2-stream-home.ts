/** What a stream of HTTP/2 needs of its connection, and what whoever takes it as bytes is told. */
import type { Downstream, HopMemo } from '../http/downstream.ts'
import type { Inside } from '../http/interception.ts'
import type { HpackEncoder } from '../net/http2/hpack-encoder.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'
import type { Secured } from '../net/secured.ts'
import type { PrivateConnections } from '../upstream/private-connections.ts'
import type { ReceivingHome } from './http2-receiving.ts'
import type { Http2Stream } from './http2-stream.ts'

export interface StreamHome extends ReceivingHome {
  readonly peer: string
  readonly scheme: 'http' | 'https'
  readonly memo: HopMemo
  readonly privates: PrivateConnections
  readonly hasPrivates: boolean
  readonly secured: Secured | null
  readonly inside: Inside | null
  readonly original: Downstream['original']
  readonly encoder: HpackEncoder
  readonly remoteAddress: string
  readonly remotePort: number
  facts(): ProxyFacts
  isMisdirected(host: string): boolean
  reset(stream: Http2Stream, error: number): void
  becameTunnel(): void
  /** A client's own fault has ended a request. */
  faulted(): void
  /** Nothing more comes or goes on it. */
  streamClosed(stream: Http2Stream): void
}

/** Whoever takes a stream as bytes both ways. */
export interface StreamRelay {
  onBytes(bytes: Buffer): void
  onEnd(): void
  onDrain(): void
  /** It is gone, both ways. */
  onGone(error: string | null): void
}
