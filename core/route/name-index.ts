/** Things by the server names they are for: who asks with one name looks at those alone that may fit. Each keeps its ordinal. */

export class NameIndex<T> {
  readonly #any: T[] = []
  readonly #exact = new Map<string, T[]>()
  /** By what follows the `*`. */
  readonly #suffixes = new Map<string, T[]>()

  /** `names`: `example.com` or `*.example.com`; null: for every name, and for none. */
  add(names: readonly string[] | null, item: T): void {
    if (names === null) this.#any.push(item)
    for (const name of new Set(names))
      if (name.startsWith('*.')) push(this.#suffixes, name.slice(1), item)
      else push(this.#exact, name, item)
  }

  /** Lists of those that may be for that name, each in the order they were added. `*.a.test` asks who is for every name of it. */
  candidates(name: string | null): (readonly T[])[] {
    const lists: (readonly T[])[] = [this.#any]
    if (name === null) return lists
    const add = (list: readonly T[] | undefined): number => (list === undefined ? 0 : lists.push(list))
    add(this.#exact.get(name))
    for (let dot = name.indexOf('.', 1); dot > 0; dot = name.indexOf('.', dot + 1)) add(this.#suffixes.get(name.slice(dot)))
    return lists
  }
}

function push<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [item])
  else list.push(item)
}
