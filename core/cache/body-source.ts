/**
 * A body that several read while it still comes: bytes that were written once and never change, and those who wait for more of them. What
 * a reader was lent stays as it is, also when the buffer has grown out of it. Once nothing keeps it and nobody holds it, its memory may be
 * given back at once: whoever comes then finds it broken, and never another one's bytes.
 */
// Also for programs that import types of hooks and do not list that one.
/// <reference path="../net/latin1.d.ts" />
import { flat } from './flat-text.ts'

export interface BodyReader {
  /** There is more, or it is complete. */
  onMore(): void
  /** The rest will not come. */
  onBroken(): void
}

const FIRST_BYTES = 16_384
/** One up to here that comes in one piece stays text, as it leaves: a buffer of its own would take 400 bytes more, and a microsecond to make. */
const TEXT_BYTES = 4096
const EMPTY = Buffer.alloc(0)
/** What a body in another coding takes beside its bytes: its buffer, and an answer's head for it. */
export const CODED_BYTES = 1280

export class BodySource {
  /** Of it are valid. */
  filled = 0
  /** `broken`: the rest will not come, or it was freed. */
  state: 'growing' | 'complete' | 'broken' = 'growing'
  /** How many answers have it that are kept, or wait for a disk. */
  keepers = 0
  /** All of it, as latin1; null: `bytes` has it. */
  text: string | null = null
  /** Exact; -1: not known. */
  readonly #length: number
  #bytes: Buffer | null = null
  /** As many as wait for this body. */
  #readers: Set<BodyReader> | null = null
  /** Those who are sent it, or make something of it: as long as there are any it takes its room, kept or not. */
  #holders = 0
  /** A client's wire may have some of it still: whoever sent it did not wait. */
  #mayBeLent = false
  /** Somebody was given some of it for longer than a call: what it has grown out of since may still be read. */
  wasLent = false
  #freed: (() => void)[] | null = null
  /** The same in other codings, by their names; null: in none. */
  coded: Map<string, BodySource> | null = null

  /** `length`: exact; -1: not known. */
  constructor(length: number) {
    this.#length = length
  }

  /** Valid are [0, filled). Of one that is text they are made anew for each who asks. */
  get bytes(): Buffer {
    if (this.text !== null) return Buffer.from(this.text, 'latin1')
    this.#bytes ??= this.#length > 0 ? Buffer.allocUnsafeSlow(this.#length) : EMPTY
    return this.#bytes
  }

  /** What it takes of memory. */
  get room(): number {
    return this.#bytes === null ? this.filled : this.#bytes.length
  }

  get hasReaders(): boolean {
    return this.#readers !== null && this.#readers.size > 0
  }

  get isHeld(): boolean {
    return this.#holders > 0
  }

  /** What those in other codings take that are complete. */
  get codedBytes(): number {
    let bytes = 0
    if (this.coded !== null) for (const { state, filled } of this.coded.values()) bytes += state === 'complete' ? CODED_BYTES + filled : 0
    return bytes
  }

  hold(): void {
    this.#holders++
  }

  /** `mayBeLent`: what was written of it may not have left. */
  release(mayBeLent = false): void {
    if (mayBeLent) this.#mayBeLent = true
    if (--this.#holders > 0 || this.#freed === null) return
    const freed = this.#freed
    this.#freed = null
    for (const tell of freed) tell()
  }

  /** Told once nobody holds it. */
  whenFree(tell: () => void): void {
    this.#freed ??= []
    this.#freed.push(tell)
  }

  /**
   * Gives its memory back, if nothing keeps it and nobody has it any more. V8 would not collect it before there are 64 MB of such bodies, and the next
   * one would be written to memory that nobody has touched: 10 KB cost 7 µs then, and 1.4 so.
   */
  free(): void {
    const bytes = this.#bytes
    if (bytes === null || bytes.length === 0 || this.state !== 'complete') return
    if (this.keepers > 0 || this.#holders > 0 || this.#mayBeLent) return
    this.state = 'broken'
    this.#bytes = EMPTY
    freeNow(bytes)
  }

  /** Tells it from now on. */
  join(reader: BodyReader): void {
    if (this.state !== 'growing') return
    this.#readers ??= new Set()
    this.#readers.add(reader)
  }

  leave(reader: BodyReader): void {
    if (this.#readers !== null) this.#readers.delete(reader)
  }

  push(bytes: Buffer, from: number, to: number): void {
    const own = this.#makeRoom(to - from)
    bytes.copy(own, this.filled, from, to)
    this.filled += to - from
  }

  /** The same as latin1. */
  pushText(text: string): void {
    const { length } = text
    if (length === this.#length && length <= TEXT_BYTES && this.filled === 0) this.text = flat(text)
    else this.#makeRoom(length).latin1Write(text, this.filled)
    this.filled += length
  }

  /** So many bytes more were written into `bytes` where the filled ones end. */
  fill(count: number): void {
    this.filled += count
  }

  /** What was pushed is there for all. */
  advance(): void {
    if (this.#readers === null) return
    for (const reader of [...this.#readers]) if (this.#readers.has(reader)) reader.onMore()
  }

  complete(): void {
    this.state = 'complete'
    // A quarter of a buffer is not left empty for as long as the body is kept.
    if (this.#bytes !== null && this.#bytes.length - this.filled > this.filled >> 2) {
      const exact = Buffer.allocUnsafeSlow(this.filled)
      this.#bytes.copy(exact, 0, 0, this.filled)
      this.#moveTo(exact)
    }
    this.#tell((reader) => reader.onMore())
  }

  break(): void {
    if (this.state !== 'growing') return
    this.state = 'broken'
    this.#tell((reader) => reader.onBroken())
  }

  #tell(say: (reader: BodyReader) => void): void {
    if (this.#readers === null) return
    const readers = [...this.#readers]
    this.#readers = null
    for (const reader of readers) say(reader)
  }

  #makeRoom(more: number): Buffer {
    const { bytes } = this
    const needed = this.filled + more
    this.text = null
    if (needed > bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, bytes.length * 2, needed))
      bytes.copy(grown, 0, 0, this.filled)
      this.#moveTo(grown)
    } else this.#bytes = bytes
    return this.#bytes!
  }

  #moveTo(bytes: Buffer): void {
    const old = this.#bytes
    this.#bytes = bytes
    if (old !== null && old.length > 0 && !this.wasLent) freeNow(old)
  }
}

/** Whoever still had them would find none. All buffers here are alone in their memory: allocUnsafeSlow. */
function freeNow(bytes: Buffer): void {
  ;(bytes.buffer as ArrayBuffer).transfer(0)
}
