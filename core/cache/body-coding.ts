/** A body that is kept, or still comes, on its way into a coding: what is made of it is read by many while it is made. */
import type { BodyCoder } from '../hooks.ts'
import type { BodyReader, BodySource } from './body-source.ts'

/** Given to the coder at a time. */
const PIECE_BYTES = 131_072

export class BodyCoding implements BodyReader {
  readonly made: BodySource
  readonly #source: BodySource
  readonly #coder: BodyCoder
  /** Told once: how many bytes there are; 0: it failed. */
  readonly #onEnd: (bytes: number) => void
  #at = 0
  #isBusy = false
  /** The coder was told that nothing follows. */
  #isLast = false
  #isOver = false

  constructor({ source, made }: { source: BodySource; made: BodySource }, coder: BodyCoder, onEnd: (bytes: number) => void) {
    this.#source = source
    this.made = made
    this.#coder = coder
    this.#onEnd = onEnd
    source.hold()
    source.wasLent = true
    source.join(this)
    if (source.state === 'broken') this.onBroken()
    else this.#go()
  }

  onMore(): void {
    this.#go()
  }

  onBroken(): void {
    if (this.#isOver) return
    this.#coder.destroy()
    this.#fail()
  }

  #go(): void {
    const { bytes, filled, state } = this.#source
    const isWhole = state === 'complete'
    if (this.#isBusy || this.#isLast || this.#isOver || (this.#at === filled && !isWhole)) return
    const from = this.#at
    this.#at = Math.min(filled, from + PIECE_BYTES)
    this.#isBusy = true
    this.#isLast = isWhole && this.#at === filled
    this.#coder.encode(bytes.subarray(from, this.#at), this.#isLast, (error, made) => this.#encoded(error, made))
  }

  #encoded(error: Error | null, made: Buffer): void {
    this.#isBusy = false
    if (this.#isOver) return
    if (error !== null) return this.#fail()
    this.made.push(made, 0, made.length)
    if (!this.#isLast) {
      this.made.advance()
      return this.#go()
    }
    this.#isOver = true
    this.#source.release()
    this.made.complete()
    this.#onEnd(this.made.filled)
  }

  #fail(): void {
    this.#isOver = true
    // The coder may be reading it.
    this.#source.release(this.#isBusy)
    this.made.break()
    this.#onEnd(0)
  }
}
