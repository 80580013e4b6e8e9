/**
 * A socket that listens, and connections taken off it by system calls of our own, many in one turn, each no more than a descriptor. libuv
 * takes one a turn, with an object of V8's, a callback and a look at its epoll instance for each. Linux alone (kernel.ts).
 */
import { getSystemErrorName } from 'node:util'
import { BareSocket } from './bare-socket.ts'
import { EAGAIN, EPOLLIN, type Kernel, type Watched } from './kernel.ts'
import { type Peer, readSockaddr } from './sockaddr.ts'

/** A handle of libuv's that is bound, and does not listen by itself. */
export interface BoundHandle {
  readonly fd?: number
  close(): void
  setNoDelay?(on: boolean): number
}

/** In one turn of one socket: those who are connected have their turn as well. What else waits is told in the next. */
const MOST_ACCEPTED = 32
/** Where other processes accept from the same socket: else one of them would have them all. */
const MOST_SHARED = 1
/** For want of descriptors or memory nothing is accepted for so long. */
const REST_MS = 100
/** So often at the most it is told. */
const TELL_MS = 60_000
/** Of one connection, which is gone, or that a firewall does not let in (accept(2)); the next may be a good one. */
const [EINTR, EPERM, EPROTO, ENOPROTOOPT, ENETDOWN, EOPNOTSUPP, ENETUNREACH, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, ENONET] = [
  4, 1, 71, 92, 100, 95, 101, 103, 112, 113, 64,
]
const PASSING = new Set([
  EINTR,
  EPERM,
  EPROTO,
  ENOPROTOOPT,
  ENETDOWN,
  EOPNOTSUPP,
  ENETUNREACH,
  ECONNABORTED,
  EHOSTDOWN,
  EHOSTUNREACH,
  ENONET,
])

export class ListeningSocket implements Watched {
  /** Gets each connection. */
  accepted: (socket: BareSocket) => void = (socket) => socket.close()
  /** Called once, when nothing is accepted any more. */
  closed: (() => void) | null = null
  /** It cannot accept, and tries again by itself. `error`: errno name such as `EMFILE`. Not told each time. */
  failed: ((error: string) => void) | null = null
  readonly kernel: Kernel
  readonly #handle: BoundHandle
  readonly #fd: number
  readonly #address: Peer
  readonly #most: number
  #isClosed = false
  #rest: NodeJS.Timeout | null = null
  #toldAt = Number.NEGATIVE_INFINITY

  /** Throws if it cannot listen; then `handle` is closed. */
  constructor(kernel: Kernel, handle: BoundHandle, backlog: number) {
    this.kernel = kernel
    this.#handle = handle
    this.#fd = handle.fd ?? -1
    const { sockets } = kernel
    const refused = sockets.listen(this.#fd, backlog) || sockets.ownName(this.#fd)
    if (refused !== 0) {
      handle.close()
      throw new Error(`cannot listen: ${getSystemErrorName(refused)}`)
    }
    this.#address = readSockaddr(sockets.name)
    this.#watch()
    // Linux has sockets inherit that from the one that listens (tcp(7) does not say so; its sources do, inet_csk_clone_lock).
    handle.setNoDelay?.(true)
    this.#most = this.isTcp ? MOST_ACCEPTED : MOST_SHARED
  }

  /** Not a unix socket. */
  get isTcp(): boolean {
    return this.#address.address !== undefined
  }

  address(): Peer {
    return this.#address
  }

  /** What waits in its queue stays there, for whoever else has this socket. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#rest === null) this.kernel.unwatch(this.#fd)
    else clearTimeout(this.#rest)
    this.#handle.close()
    this.closed?.()
  }

  /** @internal */
  onReady(): void {
    const { sockets } = this.kernel
    for (let i = 0; i < this.#most && !this.#isClosed; i++) {
      const fd = sockets.accept(this.#fd)
      if (fd >= 0) this.accepted(new BareSocket(sockets, fd, readSockaddr(sockets.name)))
      else if (fd === -EAGAIN) return
      else if (!PASSING.has(-fd)) return this.#pause(getSystemErrorName(fd))
    }
  }

  #watch(): void {
    const error = this.kernel.watch(this.#fd, EPOLLIN, this)
    if (error < 0) this.#pause(getSystemErrorName(error))
  }

  /** It stays readable: asked again at once, the kernel would say the same without end. */
  #pause(error: string): void {
    this.kernel.unwatch(this.#fd)
    this.#rest = setTimeout(() => {
      this.#rest = null
      this.#watch()
    }, REST_MS)
    const now = performance.now()
    if (now - this.#toldAt < TELL_MS) return
    this.#toldAt = now
    this.failed?.(error)
  }
}
