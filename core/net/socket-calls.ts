/** System calls that begin and end connections (accept(2), close(2)), for kernel.ts and whoever has a descriptor of its own. */
import { SOCKADDR_BYTES } from './sockaddr.ts'

interface Calls {
  accept4(fd: number, name: bigint, nameLength: bigint, flags: number): number
  close(fd: number): number
  listen(fd: number, backlog: number): number
  getsockname(fd: number, name: bigint, nameLength: bigint): number
  setsockopt(fd: number, level: number, name: number, value: bigint, length: number): number
}

const signatures = {
  accept4: { arguments: ['int32', 'pointer', 'pointer', 'int32'], return: 'int32' },
  close: { arguments: ['int32'], return: 'int32' },
  listen: { arguments: ['int32', 'int32'], return: 'int32' },
  getsockname: { arguments: ['int32', 'pointer', 'pointer'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'pointer', 'uint32'], return: 'int32' },
}

interface Ffi {
  dlopen<Functions>(path: null, symbols: object): { readonly functions: Functions }
  getRawPointer(bytes: Uint8Array): bigint
}

/** SOCK_NONBLOCK and SOCK_CLOEXEC. */
const FLAGS = 0x80800
const [SOL_SOCKET, SO_LINGER] = [1, 13]
/** struct linger. */
const LINGER_BYTES = 8

export class SocketCalls {
  /** Of who was accepted last, or was asked for last; read it at once. */
  readonly name = Buffer.from(new ArrayBuffer(64), 0, SOCKADDR_BYTES)
  readonly #calls: Calls
  readonly #errno: Int32Array
  readonly #length = new Uint32Array(new ArrayBuffer(64))
  /** On, for no time at all. */
  readonly #linger = Int32Array.of(1, 0)
  readonly #namePointer: bigint
  readonly #lengthPointer: bigint
  readonly #lingerPointer: bigint

  constructor(ffi: Ffi, errno: Int32Array) {
    const pointerTo = (array: ArrayBufferView<ArrayBuffer>): bigint => ffi.getRawPointer(new Uint8Array(array.buffer))
    this.#calls = ffi.dlopen<Calls>(null, signatures).functions
    this.#errno = errno
    this.#namePointer = pointerTo(this.name)
    this.#lengthPointer = pointerTo(this.#length)
    this.#lingerPointer = pointerTo(this.#linger)
  }

  /** Takes a connection off a socket that listens: its descriptor, with who it is from in `name`; or minus errno. */
  accept(fd: number): number {
    this.#length[0] = SOCKADDR_BYTES
    const accepted = this.#calls.accept4(fd, this.#namePointer, this.#lengthPointer, FLAGS)
    return accepted >= 0 ? accepted : -this.#errno[0]!
  }

  /** Returns 0 or minus errno. */
  listen(fd: number, backlog: number): number {
    return this.#calls.listen(fd, backlog) === 0 ? 0 : -this.#errno[0]!
  }

  /** The descriptor's own address is in `name`. Returns 0 or minus errno. */
  ownName(fd: number): number {
    this.#length[0] = SOCKADDR_BYTES
    return this.#calls.getsockname(fd, this.#namePointer, this.#lengthPointer) === 0 ? 0 : -this.#errno[0]!
  }

  /** Whatever it says, the descriptor is closed (close(2)). */
  close(fd: number): void {
    this.#calls.close(fd)
  }

  /** When it is closed, the other side gets RST. */
  resetAtClose(fd: number): void {
    this.#calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, this.#lingerPointer, LINGER_BYTES)
  }
}
