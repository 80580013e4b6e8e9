/** Memory that an io_uring reads into, which it chooses itself as bytes arrive (struct io_uring_buf_ring), and addresses in 32-bit words. */
import type { RingMemory } from './ring-memory.ts'

/** The most that is received at once. */
export const RECEIVE_BYTES = 16384
/** 4 MiB of address space, touched as far as what arrives reaches. A power of two. */
export const RECEIVE_BUFFERS = 256

/** struct io_uring_buf, in words. */
const BUFFER_WORDS = 4
/** In it, in 16-bit halves: what a buffer is known by, and, in the first one, how many were given. */
const [NUMBER_HALF, TAIL_HALF] = [6, 7]
const TWO_TO_32 = 2 ** 32

export class ReceiveBuffers {
  readonly #buffers: Buffer[] = []
  /** Low and high word of each. */
  readonly #addresses: Int32Array
  readonly #words: Int32Array
  readonly #halves: Uint16Array
  #tail = 0
  readonly #pointerTo: RingMemory['pointerTo']

  constructor(memory: RingMemory) {
    this.#words = new Int32Array(memory.bufferRing)
    this.#halves = new Uint16Array(memory.bufferRing)
    this.#addresses = new Int32Array(2 * RECEIVE_BUFFERS)
    this.#pointerTo = (bytes) => memory.pointerTo(bytes)
    for (let i = 0; i < RECEIVE_BUFFERS; i++) this.replace(i)
  }

  at(number: number): Buffer {
    return this.#buffers[number]!
  }

  /** Somebody keeps its bytes: other memory is read into from now on. */
  replace(number: number): void {
    const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES)
    const address = Number(this.#pointerTo(buffer))
    this.#buffers[number] = buffer
    this.#addresses[2 * number] = low(address)
    this.#addresses[2 * number + 1] = high(address)
    this.giveBack(number)
  }

  /** It may be read into again. */
  giveBack(number: number): void {
    const place = this.#tail & (RECEIVE_BUFFERS - 1)
    const words = this.#words
    const at = place * BUFFER_WORDS
    words[at] = this.#addresses[2 * number]!
    words[at + 1] = this.#addresses[2 * number + 1]!
    words[at + 2] = RECEIVE_BYTES
    this.#halves[2 * at + NUMBER_HALF] = number
    this.#tail = (this.#tail + 1) & 0xffff
    this.#halves[TAIL_HALF] = this.#tail
  }
}

export function low(address: number): number {
  return (address % TWO_TO_32) | 0
}

export function high(address: number): number {
  return Math.floor(address / TWO_TO_32)
}

/** Memory whose addresses differ in their lower 32 bits alone, and where it is. */
export function inOneBlock(memory: RingMemory, bytes: number): [Buffer, number] {
  const others: Buffer[] = []
  for (;;) {
    const buffer = Buffer.allocUnsafeSlow(bytes)
    const address = Number(memory.pointerTo(buffer))
    if (high(address) === high(address + bytes - 1)) return [buffer, address]
    others.push(buffer)
  }
}
