/** Media types as policies are told them: `text/html`, `text/*`, `*+json`. */

export class MediaTypes {
  readonly #types: ReadonlySet<string>
  readonly #starts: readonly string[]
  readonly #ends: readonly string[]

  constructor(written: readonly string[]) {
    const all = written.map((type) => type.toLowerCase())
    this.#types = new Set(all)
    this.#starts = all.filter((type) => type.endsWith('/*')).map((type) => type.slice(0, -1))
    this.#ends = all.filter((type) => type.startsWith('*+')).map((type) => type.slice(1))
  }

  /** `type`: in lower case, without parameters. */
  has(type: string): boolean {
    return this.#types.has(type) || this.#starts.some((start) => type.startsWith(start)) || this.#ends.some((end) => type.endsWith(end))
  }
}
