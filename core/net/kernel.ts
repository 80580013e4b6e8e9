/**
 * System calls on sockets without libuv's streams in between, and one epoll instance that tells of them and of libuv's own: it waits in
 * libuv's place, and a turn is one system call for as long as nothing else is to be done. Linux and `node:ffi` alone; where they are
 * missing `kernel` is null, and handle-wire.ts serves instead. `SLUICE_NO_FFI=1` chooses that.
 */
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { type KernelCalls, kernelSignatures } from './kernel-calls.ts'
import { POLLED_READABLE, type Receiver, Ring, SERVED, type Sender } from './ring.ts'
import { RECEIVE_BUFFERS } from './ring-buffers.ts'
import { makeRingMemory } from './ring-memory.ts'
import { SocketCalls } from './socket-calls.ts'
import { throwLater } from './throw-later.ts'

/** Somebody with a socket that the kernel tells about. */
export interface Watched {
  /** `mask`: EPOLLIN and its like. May close it. */
  onReady(mask: number): void
}

export const EPOLLIN = 1
export const EPOLLOUT = 4
export const EPOLLERR = 8
export const EPOLLHUP = 16

export const EAGAIN = 11

const [CTL_ADD, CTL_DEL, CTL_MOD] = [1, 2, 3]
const EPOLL_CLOEXEC = 0x80000
const UV_PREPARE = 9
const SHUT_WR = 1
const MSG_DONTWAIT = 0x40
/** With MSG_DONTWAIT: more follows at once. */
const MSG_MORE_DONTWAIT = 0x8040
/** Served in one turn; what else is ready is told in the next. */
const MOST_EVENTS = 256
/** struct epoll_event in 32-bit words: packed on x86-64 alone (epoll_ctl(2)). */
const WORDS = process.arch === 'x64' ? 3 : 4
const DATA = WORDS - 2

interface Library {
  registerCallback(signature: object, callback: () => void): bigint
}

interface Ffi {
  dlopen<Calls = KernelCalls>(path: null, symbols: object): { readonly functions: Calls; readonly lib: Library }
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer
  getRawPointer(bytes: Uint8Array): bigint
  getCurrentEventLoop(): bigint
}

export class Kernel {
  /** How often sockets were told of. */
  turns = 0
  /** Sockets are being served: what is asked of `atTurnEnd` is done soon. */
  isServing = false
  readonly sockets: SocketCalls
  readonly #calls: KernelCalls
  readonly #read: KernelCalls['read']
  readonly #write: KernelCalls['write']
  readonly #ffi: Ffi
  /** Kept: with it the callback would go. */
  readonly #library: Library
  readonly #errno: Int32Array
  readonly #epoll: number
  readonly #loop: bigint
  /** What libuv waits with. */
  readonly #loopFd: number
  readonly #handle: Uint8Array
  readonly #callback: bigint
  #isOver = false
  /** Null where there is none to be had: everything is told by epoll then. */
  readonly ring: Ring | null
  readonly #event = new Int32Array(new ArrayBuffer(64), 0, WORDS)
  readonly #eventPointer: bigint
  readonly #events = new Int32Array(WORDS * MOST_EVENTS)
  readonly #eventsPointer: bigint
  /** By descriptor. A number is used again: what is told of the one before has another turn's stamp. */
  readonly #watched: (Watched | undefined)[] = []
  readonly #stamps: number[] = []
  #stamp = 0
  #count = 0
  readonly #vector = new BigUint64Array(new ArrayBuffer(32))
  readonly #vectorPointer: bigint
  #atTurnEnd: (() => void)[] = []

  constructor(ffi: Ffi) {
    const { functions, lib } = ffi.dlopen(null, kernelSignatures)
    this.#calls = functions
    this.#ffi = ffi
    this.#library = lib
    this.#read = functions.read
    this.#write = functions.write
    this.#errno = new Int32Array(ffi.toArrayBuffer(functions.__errno_location(), 4, false))
    this.sockets = new SocketCalls(ffi, this.#errno)
    this.#eventPointer = ffi.getRawPointer(new Uint8Array(this.#event.buffer))
    this.#epoll = functions.epoll_create1(EPOLL_CLOEXEC)
    if (this.#epoll < 0) throw new Error('no epoll')
    this.#loop = ffi.getCurrentEventLoop()
    this.#loopFd = functions.uv_backend_fd(this.#loop)
    if (this.#control(CTL_ADD, this.#loopFd, EPOLLIN) < 0) throw new Error('no loop')
    this.ring = makeRing(this.#epoll, () => this.#release())
    this.#handle = new Uint8Array(new ArrayBuffer(Number(functions.uv_handle_size(UV_PREPARE))))
    this.#callback = this.#library.registerCallback({ arguments: ['pointer'], return: 'void' }, () => this.#wait())
    if (functions.uv_prepare_init(this.#loop, this.#handle) !== 0) throw new Error('no wait')
    // The loop runs once more when JavaScript may not any more.
    process.once('exit', () => {
      this.#isOver = true
      this.ring?.submit()
      functions.uv_prepare_stop(this.#handle)
    })
    this.#vectorPointer = ffi.getRawPointer(new Uint8Array(this.#vector.buffer))
    this.#eventsPointer = ffi.getRawPointer(new Uint8Array(this.#events.buffer))
  }

  /** Of the system call that has just failed. */
  get errno(): number {
    return this.#errno[0]!
  }

  /** What `errno` says afterwards is of a call that was made since. */
  clearErrno(): void {
    this.#errno[0] = 0
  }

  /** Where bytes that do not move are. They must outlive every use of it. */
  pointerTo(bytes: Uint8Array): bigint {
    return this.#ffi.getRawPointer(bytes)
  }

  /** Bytes read, up to `length`; 0 at the end; minus errno. */
  read(fd: number, pointer: bigint, length: number): number {
    const read = this.#read(fd, pointer, length)
    return read >= 0 ? read : -this.#errno[0]!
  }

  /** Bytes taken, or minus errno. */
  write(fd: number, pointer: bigint, length: number): number {
    const written = this.#write(fd, pointer, length)
    return written >= 0 ? written : -this.#errno[0]!
  }

  /** The same, but they leave with what is sent next, or the end of it, in one segment. */
  writeHeld(fd: number, pointer: bigint, length: number): number {
    const written = this.#calls.send(fd, pointer, length, MSG_MORE_DONTWAIT)
    return written >= 0 ? written : -this.#errno[0]!
  }

  /** Bytes of both taken, the first ones first, or minus errno. */
  writeTwo(fd: number, first: bigint, firstLength: number, second: bigint, secondLength: number): number {
    const vector = this.#vector
    vector[0] = first
    vector[1] = BigInt(firstLength)
    vector[2] = second
    vector[3] = BigInt(secondLength)
    const written = this.#calls.writev(fd, this.#vectorPointer, 2)
    return written >= 0 ? written : -this.#errno[0]!
  }

  /** No more is sent. Returns 0 or minus errno. */
  shutdown(fd: number): number {
    return this.#calls.shutdown(fd, SHUT_WR) === 0 ? 0 : -this.#errno[0]!
  }

  /** One datagram, by a struct msghdr (recvmsg(2)): its bytes, or minus errno. */
  receive(fd: number, message: bigint): number {
    const read = this.#calls.recvmsg(fd, message, MSG_DONTWAIT)
    return read >= 0 ? read : -this.#errno[0]!
  }

  /** One datagram, by a struct msghdr (sendmsg(2)). Returns 0 or minus errno. */
  send(fd: number, message: bigint): number {
    return this.#calls.sendmsg(fd, message, MSG_DONTWAIT) >= 0 ? 0 : -this.#errno[0]!
  }

  /** Switches an option of a socket on (setsockopt(2)). Returns 0 or minus errno. */
  switchOn(fd: number, level: number, option: number): number {
    const on = new Uint8Array(Int32Array.of(1).buffer)
    return this.#calls.setsockopt(fd, level, option, on, on.length) === 0 ? 0 : -this.#errno[0]!
  }

  /** `mask` 0 only for errors and hang-ups. Returns 0 or minus errno. */
  watch(fd: number, mask: number, watched: Watched): number {
    this.#watched[fd] = watched
    const stamp = ++this.#stamp | 0
    this.#stamps[fd] = stamp
    this.#hold()
    return this.#control(CTL_ADD, fd, mask)
  }

  /** Tells another of it from now on; it is watched. */
  handOver(fd: number, watched: Watched): void {
    this.#watched[fd] = watched
  }

  change(fd: number, mask: number): void {
    this.#control(CTL_MOD, fd, mask)
  }

  unwatch(fd: number): void {
    this.forget(fd)
    this.#control(CTL_DEL, fd, 0)
  }

  /** Instead of unwatch where it is about to be closed, which the kernel notices by itself. */
  forget(fd: number): void {
    this.#watched[fd] = undefined
    this.#release()
  }

  /** Whatever arrives is told to `receiver`. Its number in the ring, which is there. */
  receiveAll(fd: number, receiver: Receiver): number {
    this.#hold()
    return this.ring!.receive(fd, receiver)
  }

  /** Sends `length` bytes that are where the ring has room. Its number there, until `sender` is told. */
  sendSoon(fd: number, length: number, sender: Sender): number {
    this.#hold()
    return this.ring!.send(fd, length, sender)
  }

  #hold(): void {
    if (this.#count++ === 0 && !this.#isOver) this.#calls.uv_prepare_start(this.#handle, this.#callback)
  }

  #release(): void {
    if (--this.#count === 0) this.#calls.uv_prepare_stop(this.#handle)
  }

  #control(how: number, fd: number, mask: number): number {
    const event = this.#event
    event[0] = mask
    event[DATA] = fd
    event[DATA + 1] = this.#stamps[fd]!
    return this.#calls.epoll_ctl(this.#epoll, how, fd, this.#eventPointer) === 0 ? 0 : -this.#errno[0]!
  }

  /** When all that was told at once is served, before the kernel is asked again. Only while `isServing`. */
  atTurnEnd(run: () => void): void {
    this.#atTurnEnd.push(run)
  }

  /** What libuv does right before it waits: waiting, until there is something that it has to do itself. */
  #wait(): void {
    const { ring } = this
    let timeout = this.#timeout()
    do {
      if (ring?.isUsed === true ? this.#serveRing(ring, timeout) : this.#serveEvents(timeout)) {
        ring?.submit()
        // It may be gone by now (another process has accepted it, nobody reads that socket any more), and libuv would wait for the next.
        setImmediate(nothing)
        return
      }
      if (timeout === 0) break
      timeout = this.#timeout()
      // Without a socket to watch, libuv waits by itself.
    } while (timeout !== 0 && this.#count > 0)
    ring?.submit()
    // What libuv is to watch since this turn it adds now: that is not among what keeps it from waiting, and it would not look at our sockets.
    if (this.#count > 0) setImmediate(nothing)
  }

  /** For how long libuv would wait: until its next timer, and not at all if something else waits to be done. */
  #timeout(): number {
    this.#calls.uv_update_time(this.#loop)
    return this.#calls.uv_backend_timeout(this.#loop)
  }

  /** Waits for events. Returns whether libuv has something to read. */
  #serveEvents(timeout: number): boolean {
    const count = this.#calls.epoll_wait(this.#epoll, this.#eventsPointer, MOST_EVENTS, timeout)
    if (count <= 0) return false
    this.isServing = true
    const isLoopReady = this.#tellEvents(count)
    if (isLoopReady && count === 1) this.isServing = false
    else this.#endServing(isLoopReady)
    return isLoopReady
  }

  /** The same by the ring, which tells when there are events. */
  #serveRing(ring: Ring, timeout: number): boolean {
    ring.wait(timeout)
    this.isServing = true
    const told = ring.serve()
    let isLoopReady = false
    let others = told & SERVED
    if ((told & POLLED_READABLE) !== 0) {
      const count = this.#calls.epoll_wait(this.#epoll, this.#eventsPointer, MOST_EVENTS, 0)
      if (count > 0) {
        isLoopReady = this.#tellEvents(count)
        others += isLoopReady ? count - 1 : count
      }
    }
    if (others === 0) this.isServing = false
    else this.#endServing(isLoopReady)
    return isLoopReady
  }

  #tellEvents(count: number): boolean {
    const events = this.#events
    let isLoopReady = false
    for (let i = 0, at = 0; i < count; i++, at += WORDS) {
      const fd = events[at + DATA]!
      const watched = this.#watched[fd]
      if (fd === this.#loopFd) isLoopReady = true
      if (watched === undefined || this.#stamps[fd] !== events[at + DATA + 1]) continue
      try {
        watched.onReady(events[at]!)
      } catch (error) {
        throwLater(error)
      }
    }
    return isLoopReady
  }

  #endServing(isLoopReady: boolean): void {
    this.turns++
    tick()
    if (this.#atTurnEnd.length > 0) this.#endTurn(isLoopReady)
    this.isServing = false
  }

  #endTurn(isLoopReady: boolean): void {
    const ends = this.#atTurnEnd
    this.#atTurnEnd = []
    for (let i = 0; i < ends.length; i++) {
      // What libuv is about to read belongs to the same turn.
      if (isLoopReady) setImmediate(ends[i]!)
      else {
        try {
          ends[i]!()
        } catch (error) {
          throwLater(error)
        }
        tick()
      }
    }
  }
}

/** Of a turn that may be going on: at its end, else once the event loop has served all that it knows of. */
export function atTurnEnd(run: () => void): void {
  if (kernel?.isServing === true) kernel.atTurnEnd(run)
  else setImmediate(run)
}

const runTicks = (process as unknown as { _tickCallback: () => void })._tickCallback

function nothing(): void {}

/** What the event loop does after each callback of its own (node::InternalCallbackScope): ticks, then promises. */
function tick(): void {
  try {
    runTicks()
  } catch (error) {
    throwLater(error)
  }
}

/** `SLUICE_NO_RING=1` does without. */
function makeRing(epoll: number, ended: () => void): Ring | null {
  if (process.env.SLUICE_NO_RING === '1') return null
  try {
    return new Ring(makeRingMemory({ submissions: 512, completions: 16384, buffers: RECEIVE_BUFFERS }), epoll, ended)
  } catch {
    return null
  }
}

function load(): Kernel | null {
  if (process.platform !== 'linux' || process.env.SLUICE_NO_FFI === '1' || process.env.SLUICE_NO_HANDLES === '1') return null
  // A thread's loop is closed with it, and would find a handle that is not its own.
  if (!isMainThread || typeof runTicks !== 'function') return null
  try {
    return new Kernel(createRequire(import.meta.url)('node:ffi') as Ffi)
  } catch {
    return null
  }
}

let kernel: Kernel | null | undefined

export type SocketsBy = 'io_uring' | 'epoll' | 'libuv'

/** What this process reads and writes its sockets by. */
export function socketsBy(): SocketsBy {
  const kernel = getKernel()
  return kernel === null ? 'libuv' : kernel.ring === null ? 'epoll' : 'io_uring'
}

/** The process's one, or null. Made when it is first asked for. */
export function getKernel(): Kernel | null {
  if (kernel === undefined) kernel = load()
  return kernel
}
