/**
 * A queue of bytes: in memory as far as that goes, then in a file without a name, which is gone with this process however that ends. Where the disk does not take
 * any more, or must not, there is no room, and whoever fills it waits for whoever empties it.
 */
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import type { DiskRoom } from '../upstream/disk-room.ts'
import { openUnnamed } from './unnamed-file.ts'

export interface SpoolOptions {
  readonly memoryBytes: number
  /** Shared with others. */
  readonly room: DiskRoom
  /** Where the file is made. Default: the system's folder for temporary files. */
  readonly folder?: string
}

export interface SpoolOwner {
  /** There is more to take, or more room. */
  onMore(): void
  /** What was written cannot be read again. */
  onBroken(detail: string): void
}

/** Read at a time. */
const PIECE_BYTES = 65_536
/** Waits in memory to be written; more is not taken. */
const WRITE_BEHIND_BYTES = 262_144
const SLAB_BYTES = 16_384
const LEAST_SLAB_BYTES = 1_024
const NOTHING = Buffer.alloc(0)

export class Spool {
  readonly #options: SpoolOptions
  readonly #owner: SpoolOwner
  /** In the order in which they are taken: what is in memory, what is in the file from #readAt to #writtenTo, what is being written, what waits to be. */
  readonly #memory: Buffer[] = []
  #memoryBytes = 0
  #readAt = 0
  #writtenTo = 0
  #writing: Buffer[] = []
  #tail: Buffer[] = []
  /** Of the last two. */
  #pendingBytes = 0
  /** Of the file at its largest. */
  #fileBytes = 0
  /** The last piece in one of the lists, if it still grows, and what it grows in. */
  #growing: Buffer | null = null
  #slab = NOTHING
  #descriptor = -1
  #isReading = false
  #isWriting = false
  #hasFailed = false
  #isClosed = false

  constructor(options: SpoolOptions, owner: SpoolOwner) {
    this.#options = options
    this.#owner = owner
  }

  /** Copies them. */
  append(bytes: Buffer, from = 0, to = bytes.length): void {
    const length = to - from
    if (this.#isClosed || length === 0) return
    if (!this.#isOnDisk && this.#memoryBytes + length <= this.#options.memoryBytes) {
      this.#keep(this.#memory, bytes, from, to)
      this.#memoryBytes += length
      return
    }
    this.#keep(this.#tail, bytes, from, to)
    this.#pendingBytes += length
    this.#write()
  }

  /** Small pieces share a buffer: one of a byte would cost a hundred. */
  #keep(list: Buffer[], bytes: Buffer, from: number, to: number): void {
    const length = to - from
    const last = list.at(-1)
    if (last !== undefined && last === this.#growing && last.length + length <= this.#slab.length) {
      bytes.copy(this.#slab, last.length, from, to)
      this.#growing = list[list.length - 1] = this.#slab.subarray(0, last.length + length)
      return
    }
    if (length >= SLAB_BYTES / 4) {
      list.push(Buffer.from(bytes.subarray(from, to)))
      return
    }
    this.#slab = Buffer.allocUnsafeSlow(Math.max(LEAST_SLAB_BYTES, Math.min(SLAB_BYTES, 4 * length)))
    bytes.copy(this.#slab, 0, from, to)
    this.#growing = this.#slab.subarray(0, length)
    list.push(this.#growing)
  }

  /** Whoever fills it may go on; else it is full, or has yet to be written. */
  get hasRoom(): boolean {
    return this.#pendingBytes < WRITE_BEHIND_BYTES && !this.isFull
  }

  get isFull(): boolean {
    const { room, memoryBytes } = this.#options
    if (this.#hasFailed || room.most === 0) return this.#memoryBytes + this.#pendingBytes >= memoryBytes
    return room.used + this.#pendingBytes >= room.most && this.#writtenTo + this.#pendingBytes >= this.#fileBytes
  }

  get isEmpty(): boolean {
    return this.#memory.length === 0 && !this.#isOnDisk
  }

  /** Null: nothing is there now. If there will be, `onMore` says when. */
  take(): Buffer | null {
    const first = this.#memory.shift()
    if (first !== undefined) {
      this.#memoryBytes -= first.length
      return first
    }
    if (this.#readAt < this.#writtenTo) {
      this.#read()
      return null
    }
    if (this.#isWriting) return null
    const next = this.#tail.shift()
    if (next === undefined) return null
    this.#pendingBytes -= next.length
    return next
  }

  /** All that there is, if it is in memory; null: some of it is not. */
  takeWhole(): Buffer | null {
    if (this.#isOnDisk) return null
    this.#memoryBytes = 0
    return Buffer.concat(this.#memory.splice(0))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#memory.length = 0
    this.#tail = []
    if (!this.#isReading && !this.#isWriting) this.#closeFile()
  }

  /** What was appended later comes behind something that is not in memory. */
  get #isOnDisk(): boolean {
    return this.#isReading || this.#readAt < this.#writtenTo || this.#isWriting || this.#tail.length > 0
  }

  // ── the file ───────────────────────────────────────────────────────────────────────────────────────────────────

  #write(): void {
    if (this.#isWriting || this.#hasFailed || this.#isClosed || this.#tail.length === 0 || this.#options.room.most === 0) return
    this.#isWriting = true
    if (this.#descriptor >= 0) return this.#writeTail()
    openUnnamed(this.#options.folder ?? tmpdir(), (descriptor) => {
      this.#descriptor = descriptor
      if (this.#isClosed || descriptor < 0) this.#wrote(false)
      else this.#writeTail()
    })
  }

  #writeTail(): void {
    const batch = this.#tail
    this.#tail = []
    this.#writing = batch
    const bytes = batch.reduce((sum, { length }) => sum + length, 0)
    const more = Math.max(0, this.#writtenTo + bytes - this.#fileBytes)
    this.#fileBytes += more
    this.#options.room.take(more)
    fs.writev(this.#descriptor, batch, this.#writtenTo, (error, written) => {
      // A disk that is full takes a part of it first.
      const isWhole = error === null && written === bytes
      if (isWhole) {
        this.#writtenTo += bytes
        this.#pendingBytes -= bytes
      }
      this.#wrote(isWhole)
    })
  }

  #wrote(isWhole: boolean): void {
    this.#isWriting = false
    if (!isWhole) {
      this.#hasFailed = true
      this.#tail = [...this.#writing, ...this.#tail]
    }
    this.#writing = []
    if (this.#isClosed) {
      if (!this.#isReading) this.#closeFile()
      return
    }
    this.#write()
    this.#owner.onMore()
  }

  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    const length = Math.min(PIECE_BYTES, this.#writtenTo - this.#readAt)
    const piece = Buffer.allocUnsafeSlow(length)
    fs.read(this.#descriptor, piece, 0, length, this.#readAt, (error, count) => this.#cameBack(piece, error, count))
  }

  #cameBack(piece: Buffer, error: Error | null, count: number): void {
    this.#isReading = false
    if (this.#isClosed) {
      if (!this.#isWriting) this.#closeFile()
      return
    }
    if (error !== null || count === 0)
      return this.#owner.onBroken(`a buffered body: ${error === null ? 'its file has become shorter' : String(error)}`)
    this.#readAt += count
    this.#memory.push(count === piece.length ? piece : piece.subarray(0, count))
    this.#memoryBytes += count
    // From the beginning again: the file is no longer than what was behind at its worst.
    if (this.#readAt === this.#writtenTo && !this.#isWriting) this.#readAt = this.#writtenTo = 0
    this.#owner.onMore()
  }

  #closeFile(): void {
    this.#options.room.take(-this.#fileBytes)
    this.#fileBytes = 0
    if (this.#descriptor >= 0) fs.close(this.#descriptor, () => {})
    this.#descriptor = -1
  }
}
