/**
 * A connected socket that is a descriptor and nothing else: no handle of libuv's is beneath, which costs more than all system calls of a
 * short connection. Whoever needs one, Node's own TLS for example, gets it when it asks. Closed once, however often that is said.
 */
import { bindings, type StreamHandle } from './bindings.ts'
import { type Peer, readSockaddr } from './sockaddr.ts'
import type { SocketCalls } from './socket-calls.ts'

const EBADF = 9

export class BareSocket {
  readonly fd: number
  /** Who is at the other end. */
  readonly peer: Peer
  readonly #calls: SocketCalls
  /** It is not closed, and nobody else's. */
  #isOurs = true

  constructor(calls: SocketCalls, fd: number, peer: Peer) {
    this.#calls = calls
    this.fd = fd
    this.peer = peer
  }

  /** Returns 0 or minus errno. */
  getsockname(out: Peer): number {
    const error = this.#isOurs ? this.#calls.ownName(this.fd) : -EBADF
    if (error === 0) Object.assign(out, readSockaddr(this.#calls.name))
    return error
  }

  close(): void {
    if (!this.#isOurs) return
    this.#isOurs = false
    this.#calls.close(this.fd)
  }

  /** Closes it; the other side is told by RST, where there is such a thing. Returns 0. */
  reset(): number {
    if (this.#isOurs) this.#calls.resetAtClose(this.fd)
    this.close()
    return 0
  }

  /** Gives it up to a handle of libuv's, which closes it. */
  toHandle(): StreamHandle {
    if (!this.#isOurs) throw new Error('a socket that is closed has no handle')
    const handle = this.peer.address === undefined ? bindings!.makePipe() : new bindings!.TCP(bindings!.tcpSocket)
    const error = handle.open(this.fd)
    if (error !== 0) throw new Error(`a socket that libuv does not take: ${error}`)
    this.#isOurs = false
    return handle
  }
}
