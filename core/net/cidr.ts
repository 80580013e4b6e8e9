/**
 * A set of networks that answers `has(ip)` in tens of nanoseconds: sorted ranges without overlap, searched by halves. An
 * IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is the IPv4 address it holds; `::/0` holds no IPv4.
 */
import { mappedIpv4, parseIpv4, parseIpv6 } from './address.ts'

export class CidrSet {
  /** First and last address of each range, in pairs, ascending. */
  readonly #v4: Float64Array
  /** The same, as eight words an address. */
  readonly #v6: Uint16Array
  readonly #words = new Uint16Array(8)

  /** Networks such as `10.0.0.0/8`, `fe80::/10`, or one address. Throws RangeError on anything else: see `isNetwork`. */
  constructor(networks: readonly string[]) {
    const parsed = networks.map((text) => {
      const network = parseNetwork(text)
      if (network === null) throw new RangeError(`not a network: ${text}`)
      return network
    })
    this.#v4 = Float64Array.from(
      joinRanges(parsed.filter((range) => range.family === 4)).flatMap(({ first, last }) => [Number(first), Number(last)]),
    )
    this.#v6 = Uint16Array.from(
      joinRanges(parsed.filter((range) => range.family === 6)).flatMap(({ first, last }) => [...toWords(first), ...toWords(last)]),
    )
  }

  /** False for what is no IP address. */
  has(ip: string): boolean {
    const address = parseIpv4(ip)
    if (address >= 0) return this.#has4(address)
    if (!parseIpv6(ip, this.#words)) return false
    const mapped = mappedIpv4(this.#words)
    return mapped >= 0 ? this.#has4(mapped) : this.#has6()
  }

  /** Whether every address of the other set is in this one. */
  covers(other: CidrSet): boolean {
    return (
      other.#pairs4().every(([first, last]) => this.#pairs4().some((own) => own[0] <= first && last <= own[1])) &&
      other.#pairs6().every(([first, last]) => this.#pairs6().some((own) => own[0] <= first && last <= own[1]))
    )
  }

  /** Whether there is an address that is in both. */
  overlaps(other: CidrSet): boolean {
    return (
      other.#pairs4().some(([first, last]) => this.#pairs4().some((own) => own[0] <= last && first <= own[1])) ||
      other.#pairs6().some(([first, last]) => this.#pairs6().some((own) => own[0] <= last && first <= own[1]))
    )
  }

  #pairs4(): [number, number][] {
    return Array.from({ length: this.#v4.length >> 1 }, (_, i) => [this.#v4[i * 2]!, this.#v4[i * 2 + 1]!])
  }

  #pairs6(): [bigint, bigint][] {
    const address = (at: number): bigint => this.#v6.subarray(at, at + 8).reduce((all, word) => (all << 16n) | BigInt(word), 0n)
    return Array.from({ length: this.#v6.length >> 4 }, (_, i) => [address(i * 16), address(i * 16 + 8)])
  }

  #has4(address: number): boolean {
    const ranges = this.#v4
    let low = 0
    let high = ranges.length >> 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (address < ranges[middle * 2]!) high = middle
      else if (address > ranges[middle * 2 + 1]!) low = middle + 1
      else return true
    }
    return false
  }

  #has6(): boolean {
    let low = 0
    let high = this.#v6.length >> 4
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(middle * 16) < 0) high = middle
      else if (this.#compare(middle * 16 + 8) > 0) low = middle + 1
      else return true
    }
    return false
  }

  #compare(at: number): number {
    for (let i = 0; i < 8; i++) {
      const difference = this.#words[i]! - this.#v6[at + i]!
      if (difference !== 0) return difference
    }
    return 0
  }
}

export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== null
}

interface Range {
  readonly family: 4 | 6
  readonly first: bigint
  readonly last: bigint
}

/** Bits behind the prefix are ignored, as everywhere: `10.1.2.3/8` is `10.0.0.0/8`. */
function parseNetwork(text: string): Range | null {
  const [, address, prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (address === undefined) return null
  const v4 = parseIpv4(address)
  if (v4 >= 0) return toRange(4, BigInt(v4), prefix === undefined ? 32 : Number(prefix))
  const words = new Uint16Array(8)
  if (!parseIpv6(address, words)) return null
  const length = prefix === undefined ? 128 : Number(prefix)
  const mapped = mappedIpv4(words)
  if (mapped >= 0 && length >= 96) return toRange(4, BigInt(mapped), length - 96)
  return toRange(
    6,
    words.reduce((all, word) => (all << 16n) | BigInt(word), 0n),
    length,
  )
}

function toRange(family: 4 | 6, address: bigint, prefix: number): Range | null {
  const bits = family === 4 ? 32 : 128
  if (prefix > bits) return null
  const size = 1n << BigInt(bits - prefix)
  const first = address - (address % size)
  return { family, first, last: first + size - 1n }
}

function joinRanges(ranges: readonly Range[]): Range[] {
  const sorted = ranges.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const joined: Range[] = []
  for (const range of sorted) {
    const before = joined.at(-1)
    if (before === undefined || range.first > before.last + 1n) joined.push(range)
    else if (range.last > before.last) joined[joined.length - 1] = { ...before, last: range.last }
  }
  return joined
}

function toWords(address: bigint): number[] {
  return Array.from({ length: 8 }, (_, i) => Number((address >> BigInt(112 - 16 * i)) & 0xffffn))
}
