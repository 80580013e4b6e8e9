/**
 * Reads a part of an open file, piece by piece, as fast as it is taken: one buffer of at most 128 KiB, read into only when nobody needs what is in
 * it any more. It closes the file. One that has become shorter than its head says ends as a failure.
 */
import { read } from 'node:fs'
import { closeFile, type OpenFile } from './find.ts'

/** As of an endpoint's connection. */
export interface FileTaker {
  /** The bytes are overwritten afterwards, unless the reading was paused. */
  onBody(prefix: string, bytes: Buffer, from: number, to: number): void
  onBodyEnd(trailers: string): void
  onReadEnd(): void
  onSupplyFailed(detail: string): void
}

const PIECE_BYTES = 131_072

export class FileReading {
  readonly #file: OpenFile
  readonly #taker: FileTaker
  #at: number
  readonly #to: number
  #buffer: Buffer | null = null
  #isReading = false
  #isPaused = false
  #isStarted = false
  #isOver = false

  /** Bytes [from, to). */
  constructor(file: OpenFile, { from, to }: { readonly from: number; readonly to: number }, taker: FileTaker) {
    this.#file = file
    this.#taker = taker
    this.#at = from
    this.#to = to
  }

  start(): void {
    this.#isStarted = true
    if (this.#isOver) return
    if (this.#at === this.#to) this.#finish()
    else this.#readOn()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#readOn()
  }

  /** Nobody wants the rest. */
  abort(): void {
    if (this.#isOver) return
    this.#isOver = true
    // The buffer of a read under way is the thread's until it is done, and so is the file.
    if (!this.#isReading) closeFile(this.#file)
  }

  #readOn(): void {
    if (!this.#isStarted || this.#isReading || this.#isPaused || this.#isOver) return
    this.#isReading = true
    const length = Math.min(PIECE_BYTES, this.#to - this.#at)
    this.#buffer ??= Buffer.allocUnsafeSlow(length)
    read(this.#file.descriptor, this.#buffer, 0, length, this.#at, (error, count) => this.#came(error, count))
  }

  #came(error: Error | null, count: number): void {
    this.#isReading = false
    if (this.#isOver) return closeFile(this.#file)
    if (error !== null || count === 0) {
      this.abort()
      return this.#taker.onSupplyFailed(`${this.#file.path}: ${error === null ? 'it has become shorter' : String(error)}`)
    }
    this.#at += count
    this.#taker.onBody('', this.#buffer!, 0, count)
    if (this.#isOver) return
    if (this.#at === this.#to) return this.#finish()
    this.#taker.onReadEnd()
    this.#readOn()
  }

  #finish(): void {
    this.#isOver = true
    closeFile(this.#file)
    this.#taker.onBodyEnd('')
    this.#taker.onReadEnd()
  }
}
