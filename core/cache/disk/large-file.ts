/**
 * A body in a file that is never in memory as a whole: written in blocks while it comes, no more of which wait than it says here, and read
 * in blocks, from any place and by many, each confirmed by its checksum. Also while it is written, and when its name is gone.
 */
import { close, open, read, write } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { BodyReader } from '../body-source.ts'
import { BLOCK_BYTES, blocksOf, DamagedFile, headerBytes, headerOf, sumsIn } from './object-file.ts'

/** How its writing ended: `cut`: it did not come whole; or why it cannot be written. */
export type Ending = 'whole' | 'cut' | Error

/** Blocks that wait to be written: the endpoint is not read on until there are less. */
const MOST_WAITING = 8

export class LargeFile {
  readonly length: number
  state: 'growing' | 'complete' | 'broken' = 'growing'
  /** Resolves when it can be found, or was given up. */
  settled: Promise<void> = Promise.resolve()
  /** More may come: told once after `hasRoom` was false. */
  onRoom: (() => void) | null = null
  /** A block was not what was written, or could not be read. */
  onDamage: ((error: Error) => void) | null = null
  readonly #sums: Uint32Array
  #written = 0
  #fd = -1
  /** Who writes it, or has opened it, and those who are sent it. */
  #holders = 1
  readonly #readers = new Set<BodyReader>()
  /** Under way: until they are over its descriptor is not another file's. */
  #reading = 0
  #waiting: Buffer[] = []
  #block: Buffer | null = null
  #filled = 0
  #isWriting = false
  #hasAllCome = false
  #onEnd: (ending: Ending) => void = () => {}

  private constructor(length: number, sums: Uint32Array) {
    this.length = length
    this.#sums = sums
  }

  /** A new one, under a name that is not there yet. `onEnd`: told once, later. */
  static create(path: string, length: number, onEnd: (ending: Ending) => void): LargeFile {
    const made = new LargeFile(length, new Uint32Array(blocksOf(length)))
    made.#onEnd = onEnd
    made.#isWriting = true
    open(path, 'wx+', 0o600, (error, fd) => {
      made.#isWriting = false
      if (error !== null) return made.#fail(error)
      made.#fd = fd
      if (made.state === 'growing') made.#writeOn()
      else made.#closeIfFree()
    })
    return made
  }

  /** One that is there; who opens it holds it. */
  static open(path: string, length: number, taker: (error: Error | null, file: LargeFile | null) => void): void {
    open(path, 'r', (error, fd) => {
      if (error !== null) return taker(error, null)
      const header = Buffer.allocUnsafe(headerBytes(length))
      read(fd, header, 0, header.length, 0, (failure, bytes) => {
        const sums = failure === null && bytes === header.length ? sumsIn(header, length) : 'it is too short'
        if (failure !== null || typeof sums === 'string') {
          close(fd, () => {})
          return taker(failure ?? new DamagedFile(String(sums)), null)
        }
        const opened = new LargeFile(length, sums)
        opened.#fd = fd
        opened.#written = sums.length
        opened.state = 'complete'
        taker(null, opened)
      })
    })
  }

  // ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes from the first on that can be read. */
  get readable(): number {
    return Math.min(this.length, this.#written * BLOCK_BYTES)
  }

  /** What of the block at that place follows it. */
  read(place: number, taker: (bytes: Buffer | null) => void): void {
    const i = Math.floor(place / BLOCK_BYTES)
    const block = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, this.length - i * BLOCK_BYTES))
    this.#reading++
    read(this.#fd, block, 0, block.length, headerBytes(this.length) + i * BLOCK_BYTES, (error, bytes) => {
      this.#reading--
      const isGood = error === null && bytes === block.length && crc32(block) === this.#sums[i]
      if (!isGood) this.onDamage?.(error ?? new DamagedFile('its body is damaged'))
      taker(isGood ? block.subarray(place - i * BLOCK_BYTES) : null)
      this.#closeIfFree()
    })
  }

  join(reader: BodyReader): void {
    if (this.state === 'growing') this.#readers.add(reader)
  }

  leave(reader: BodyReader): void {
    this.#readers.delete(reader)
  }

  /** By others than who writes it and who it was fetched for. */
  get isShared(): boolean {
    return this.#holders > 2
  }

  hold(): void {
    this.#holders++
  }

  release(): void {
    this.#holders--
    this.#closeIfFree()
  }

  /** For who goes on with what was just given away. */
  releaseLater(): void {
    setImmediate(() => this.release())
  }

  #closeIfFree(): void {
    if (this.#holders > 0 || this.#reading > 0 || this.#fd < 0 || this.#isWriting) return
    close(this.#fd, () => {})
    this.#fd = -1
  }

  // ── written ──────────────────────────────────────────────────────────────────────────────────────────────────────

  get hasRoom(): boolean {
    return this.#waiting.length < MOST_WAITING
  }

  push(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to && this.state === 'growing'; ) {
      const begun = (this.#written + this.#waiting.length) * BLOCK_BYTES
      this.#block ??= Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, this.length - begun))
      const copied = bytes.copy(this.#block, this.#filled, at, to)
      at += copied
      this.#filled += copied
      if (this.#filled < this.#block.length) continue
      this.#waiting.push(this.#block)
      this.#block = null
      this.#filled = 0
    }
    this.#writeOn()
  }

  /** All has come. */
  finish(): void {
    this.#hasAllCome = true
    this.#writeOn()
  }

  /** The rest will not come. */
  break(): void {
    this.#fail('cut')
  }

  /** What has come and is not in the file, now that it cannot be written: what follows `readable`. */
  takeRest(): Buffer[] {
    const rest = this.#block === null ? this.#waiting : [...this.#waiting, this.#block.subarray(0, this.#filled)]
    this.#waiting = []
    this.#block = null
    return rest
  }

  #writeOn(): void {
    if (this.#isWriting || this.#fd < 0 || this.state !== 'growing') return
    const block = this.#waiting[0]
    if (block !== undefined) return this.#write(block, headerBytes(this.length) + this.#written * BLOCK_BYTES, () => this.#wrote(block))
    if (!this.#hasAllCome || this.#written < this.#sums.length) return
    // What has no header is nothing.
    this.#write(headerOf(this.length, this.#sums), 0, () => {
      this.state = 'complete'
      this.#readers.clear()
      this.#onEnd('whole')
    })
  }

  #wrote(block: Buffer): void {
    this.#sums[this.#written++] = crc32(block)
    const hadRoom = this.hasRoom
    this.#waiting.shift()
    this.#writeOn()
    for (const reader of [...this.#readers]) if (this.#readers.has(reader)) reader.onMore()
    if (!hadRoom) this.onRoom?.()
  }

  #write(bytes: Buffer, place: number, done: () => void): void {
    this.#isWriting = true
    const go = (from: number): void => {
      write(this.#fd, bytes, from, bytes.length - from, place + from, (error, count) => {
        if (error === null && this.state === 'growing' && from + count < bytes.length) return go(from + count)
        this.#isWriting = false
        if (this.state === 'broken') this.#closeIfFree()
        else if (error !== null) this.#fail(error)
        else done()
      })
    }
    go(0)
  }

  #fail(why: 'cut' | Error): void {
    if (this.state !== 'growing') return
    this.state = 'broken'
    const readers = [...this.#readers]
    this.#readers.clear()
    for (const reader of readers) reader.onBroken()
    this.onRoom?.()
    this.#onEnd(why)
  }
}
