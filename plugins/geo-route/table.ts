/**
 * Networks and their codes, for look-up by address: overlapping networks become ranges that do not overlap, the longest prefix wins,
 * and a look-up is a binary search that makes no object.
 */
import { emptyNetwork, type Network, parseAddress, parseNetwork, words } from './address.ts'

export class GeoTable {
  readonly #v4: Ranges
  readonly #v6: Ranges
  /** The first stands for none. */
  readonly #codes: readonly string[]
  readonly networks: number

  /** Lines `192.0.2.0/24,DE`; empty ones and those that begin with `#` are left out. Throws at the first that is not valid. */
  constructor(text: string) {
    const codes = new Map<string, number>([['', 0]])
    const v4 = new Networks()
    const v6 = new Networks()
    readLines(text, (network, code, wrong) => {
      let index = codes.get(code)
      if (index === undefined) {
        if (!/^[\w.-]{1,32}$/.test(code)) throw wrong()
        index = codes.size
        if (index > 65535) throw new Error('the table has more than 65535 codes')
        codes.set(code, index)
      } else if (index === 0) throw wrong()
      ;(network.family === 4 ? v4 : v6).add(network, index)
    })
    this.networks = v4.size + v6.size
    this.#codes = [...codes.keys()]
    this.#v4 = toRanges(v4)
    this.#v6 = toRanges(v6)
  }

  has(code: string): boolean {
    return code !== '' && this.#codes.includes(code)
  }

  /** The code of an address; null if no network holds it. */
  find(ip: string): string | null {
    const family = parseAddress(ip)
    if (family === 0) return null
    // An IPv4 address in IPv6 has its own words in front.
    if (family === 4) words.fill(0, 0, 3)
    const { starts, codes } = family === 4 ? this.#v4 : this.#v6
    let low = 0
    let high = codes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareAt(starts, middle, words, 0) <= 0) low = middle + 1
      else high = middle
    }
    const index = low === 0 ? 0 : codes[low - 1]!
    return index === 0 ? null : this.#codes[index]!
  }
}

/** Ranges that do not overlap, in order: each begins at four words of `starts` and ends where the next begins. Code 0: no network. */
interface Ranges {
  readonly starts: Uint32Array
  readonly codes: Uint16Array
}

/** Many networks in few arrays: a hundred thousand objects would not fit into a plugin's memory. */
class Networks {
  size = 0
  /** Four words each. */
  firsts = new Uint32Array(4096)
  lasts = new Uint32Array(4096)
  bits = new Uint8Array(1024)
  codes = new Uint16Array(1024)

  add({ first, last, bits }: Network, code: number): void {
    const at = this.size++
    if (at === this.bits.length) {
      this.firsts = doubled(this.firsts, new Uint32Array(at * 8))
      this.lasts = doubled(this.lasts, new Uint32Array(at * 8))
      this.bits = doubled(this.bits, new Uint8Array(at * 2))
      this.codes = doubled(this.codes, new Uint16Array(at * 2))
    }
    for (let i = 0; i < 4; i++) {
      this.firsts[at * 4 + i] = first[i]!
      this.lasts[at * 4 + i] = last[i]!
    }
    this.bits[at] = bits
    this.codes[at] = code
  }

  /** Where one begins, the wider one goes first; of two that are the same, the earlier line. */
  inOrder(): Uint32Array {
    const order = new Uint32Array(this.size)
    let isSorted = true
    for (let i = 0; i < this.size; i++) {
      order[i] = i
      if (i > 0 && this.#compare(i - 1, i) > 0) isSorted = false
    }
    // Most tables come in order, and sorting is most of the work.
    return isSorted ? order : order.sort((a, b) => this.#compare(a, b))
  }

  #compare(a: number, b: number): number {
    return compareAt(this.firsts, a, this.firsts, b) || this.bits[a]! - this.bits[b]! || a - b
  }
}

function doubled<A extends Uint8Array | Uint16Array | Uint32Array>(from: A, to: A): A {
  to.set(from)
  return to
}

function compareAt(a: Uint32Array, i: number, b: Uint32Array, j: number): number {
  for (let word = 0; word < 4; word++) {
    const x = a[i * 4 + word]!
    const y = b[j * 4 + word]!
    if (x !== y) return x < y ? -1 : 1
  }
  return 0
}

/** The network is the same object each time. */
function readLines(text: string, see: (network: Network, code: string, wrong: () => Error) => void): void {
  const network = emptyNetwork()
  let number = 0
  let line = ''
  const wrong = (): Error => new Error(`line ${number} of the table is not valid: ${line.slice(0, 80)} (a line is 192.0.2.0/24,DE)`)
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf('\n', at)
    if (end < 0) end = text.length
    number++
    line = text.slice(at, end).trim()
    at = end + 1
    if (line === '' || line.startsWith('#')) continue
    const comma = line.indexOf(',')
    if (comma < 0 || parseNetwork(unquoted(line.slice(0, comma)), network) === null) throw wrong()
    see(network, unquoted(line.slice(comma + 1)), wrong)
  }
}

function unquoted(text: string): string {
  const trimmed = text.trim()
  return trimmed.startsWith('"') && trimmed.endsWith('"') ? trimmed.slice(1, -1) : trimmed
}

/** Of two networks that are the same, the later line wins. */
function toRanges(networks: Networks): Ranges {
  const { firsts, lasts, codes } = networks
  // A network begins one range, and another may begin after it.
  const starts = new Uint32Array(networks.size * 8)
  const found = new Uint16Array(networks.size * 2)
  let size = 0
  const begin = (from: Uint32Array, at: number, code: number): void => {
    if (size > 0 && compareAt(starts, size - 1, from, at) === 0) found[size - 1] = code
    else if ((size === 0 ? 0 : found[size - 1]) !== code) {
      for (let i = 0; i < 4; i++) starts[size * 4 + i] = from[at * 4 + i]!
      found[size++] = code
    }
  }
  // Networks hold one another or are apart: those around the present address form a stack.
  const around: number[] = []
  const next = new Uint32Array(4)
  const leave = (): void => {
    if (setAfter(next, lasts, around.pop()!)) begin(next, 0, around.length === 0 ? 0 : codes[around.at(-1)!]!)
  }
  for (const at of networks.inOrder()) {
    while (around.length > 0 && compareAt(lasts, around.at(-1)!, firsts, at) < 0) leave()
    begin(firsts, at, codes[at]!)
    around.push(at)
  }
  while (around.length > 0) leave()
  return { starts: starts.slice(0, size * 4), codes: found.slice(0, size) }
}

/** The address after that one; false after the last of all. IPv4 addresses may go one beyond their last: nobody looks there. */
function setAfter(next: Uint32Array, lasts: Uint32Array, at: number): boolean {
  for (let i = 0; i < 4; i++) next[i] = lasts[at * 4 + i]!
  for (let i = 3; i >= 0; i--) {
    next[i] = next[i]! + 1
    if (next[i] !== 0) return true
  }
  return false
}
