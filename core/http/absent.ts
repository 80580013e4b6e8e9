/**
 * In the place of a client where there is none, or none any more: an answer that a cache wants goes on to it, and it takes everything.
 */
import type { Downstream, HopMemo } from './downstream.ts'

/** Who asked, or because of whom it is asked: endpoints are told so. */
export class Absent implements Downstream {
  readonly memo: HopMemo = { host: '', minor: 1, service: 0, lines: '' }
  readonly passesFraming = false
  readonly congested = false
  readonly certificateLines: string
  readonly protocol: Downstream['protocol']
  readonly scheme: Downstream['scheme']
  readonly peer: string
  readonly inside: Downstream['inside']
  readonly original: Downstream['original']
  readonly #client: Downstream

  constructor(client: Downstream) {
    this.#client = client
    this.certificateLines = client.certificateLines
    this.protocol = client.protocol
    this.scheme = client.scheme
    this.peer = client.peer
    this.inside = client.inside
    this.original = client.original
  }

  /** Its own; gone when that client is. */
  get privates(): Downstream['privates'] {
    return this.#client.privates
  }

  get hasPrivates(): boolean {
    return this.#client.hasPrivates
  }

  isMisdirected(): boolean {
    return false
  }
  sendBody(): boolean {
    return true
  }
  flush(): boolean {
    return true
  }
  becomeTunnel(...[, upstream, , ended]: Parameters<Downstream['becomeTunnel']>): void {
    upstream.wire.destroy()
    ended(0, 0)
  }
  grantTunnel(...[, tunnel]: Parameters<Downstream['grantTunnel']>): void {
    tunnel.ended(0, 0)
  }
  sendInformational(): void {}
  sendHead(): void {}
  sendText(): void {}
  endBody(): void {}
  finished(): void {}
  abort(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
  bodyTaken(): void {}
}
