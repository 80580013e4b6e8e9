/** What plugins keep in kv goes by their names, which they give themselves: of two with one name, each would have what the other keeps. */

interface Named {
  readonly name: string
  readonly file: string
  readonly grant: readonly string[]
}

/** Of one config. */
export class KvNames {
  readonly #files = new Map<string, string>()

  /** Why this one cannot be granted kv beside those before it; null if it can. */
  problemOf({ name, file, grant }: Named): string | null {
    if (!grant.includes('kv')) return null
    const known = this.#files.get(name) ?? file
    this.#files.set(name, known)
    if (known === file) return null
    return `it is granted kv, and so is the plugin of that name in ${known}: each would have what the other keeps; one of them needs another name`
  }
}
