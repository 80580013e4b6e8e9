/** A body that comes from somewhere else, on its way into one that others wait for already. */
import type { BodyReader, BodySource } from './body-source.ts'

export class BodyCopy implements BodyReader {
  readonly #from: BodySource
  readonly #to: BodySource
  /** Told once: how many bytes there are; 0: it broke off. */
  readonly #onEnd: (bytes: number) => void
  #at = 0

  constructor(from: BodySource, to: BodySource, onEnd: (bytes: number) => void) {
    this.#from = from
    this.#to = to
    this.#onEnd = onEnd
    from.hold()
    from.join(this)
    if (from.state === 'broken') this.onBroken()
    else this.onMore()
  }

  onMore(): void {
    const { bytes, filled, state } = this.#from
    if (this.#at < filled) this.#to.push(bytes, this.#at, filled)
    this.#at = filled
    if (state !== 'complete') return this.#to.advance()
    this.#from.release()
    this.#to.complete()
    this.#onEnd(filled)
  }

  onBroken(): void {
    this.#from.release()
    this.#to.break()
    this.#onEnd(0)
  }
}
