/** What was made of a file's text, kept as long as builds ask for it and the text is the same. */

interface Entry<V> {
  readonly text: string
  readonly value: V
  isUsed: boolean
}

export class TextCache<V> {
  readonly #entries = new Map<string, Entry<V>>()

  get(path: string, text: string, make: () => V): V {
    const known = this.#entries.get(path)
    if (known?.text === text) {
      known.isUsed = true
      return known.value
    }
    const value = make()
    this.#entries.set(path, { text, value, isUsed: true })
    return value
  }

  /** Forgets what nobody has asked for since the last time. */
  sweep(): void {
    for (const [path, entry] of this.#entries) {
      if (!entry.isUsed) this.#entries.delete(path)
      entry.isUsed = false
    }
  }
}
