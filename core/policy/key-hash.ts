/** Hashes of keys in two words, for tables: quick, and not to be foretold by who does not know the seed. No digest. */

export class KeyHash {
  upper = 0
  lower = 0
  readonly #seed: readonly [number, number]

  /** `salt`: keys of one owner do not meet those of another. */
  constructor(seed: readonly [number, number], salt: string) {
    this.#seed = seed
    this.of(salt)
    this.#seed = [this.upper, this.lower]
  }

  /** Leaves the hash in `upper` and `lower`. */
  of(key: string): void {
    let [a, b] = this.#seed
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      a = Math.imul(a ^ code, 0x9e3779b1)
      b = Math.imul(b ^ code, 0x5f356495)
      a ^= a >>> 15
      b ^= b >>> 13
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
    b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
    this.upper = (a ^ (a >>> 16)) >>> 0
    this.lower = (b ^ (b >>> 16)) >>> 0
  }
}
