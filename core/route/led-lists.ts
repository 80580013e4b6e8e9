/** Lists by the text that something must begin with: found by one look for each length there is, of few. */
export class LedLists<T> {
  readonly #lists = new Map<string, T[]>()
  readonly #lengths: number[] = []

  add(lead: string, item: T): void {
    const list = this.#lists.get(lead)
    if (list !== undefined) {
      list.push(item)
      return
    }
    this.#lists.set(lead, [item])
    if (!this.#lengths.includes(lead.length)) this.#lengths.push(lead.length)
  }

  all(): Iterable<readonly T[]> {
    return this.#lists.values()
  }

  /** Adds every list whose lead stands in the text from `at` on. */
  collect(text: string, at: number, lists: (readonly T[])[]): void {
    const left = text.length - at
    for (const length of this.#lengths) {
      if (length > left) continue
      const list = this.#lists.get(text.slice(at, at + length))
      if (list !== undefined) lists.push(list)
    }
  }
}
