/** Names of hosts, exact ones and wildcards, each with what is for it: as RFC 9525 §6.3 reads the names in a certificate. */

export class NameTable<T> {
  readonly #exact = new Map<string, T>()
  /** By what follows the star and its dot. */
  readonly #wildcards = new Map<string, T>()

  /** `name`: in lower case, `*.` in front for a wildcard. */
  set(name: string, value: T): void {
    if (name.startsWith('*.')) this.#wildcards.set(name.slice(2), value)
    else this.#exact.set(name, value)
  }

  /** Exact before wildcard; a star stands for one label. */
  find(name: string): T | null {
    const host = name.endsWith('.') ? name.slice(0, -1) : name
    const dot = host.indexOf('.')
    return this.#exact.get(host) ?? (dot < 1 ? null : (this.#wildcards.get(host.slice(dot + 1)) ?? null))
  }
}
