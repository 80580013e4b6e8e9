/** IP addresses as numbers: four 32-bit words, an IPv4 address in the last. Only the text of an address is read, never a name. */

/** The address that `parseAddress` read last: reused, for a look-up is to make nothing. */
export const words = new Uint32Array(4)

/** 4 or 6, with the address in `words`; 0 if it is none. An IPv4 address in IPv6 (`::ffff:192.0.2.1`) is IPv4. */
export function parseAddress(text: string): 0 | 4 | 6 {
  if (!text.includes(':')) {
    const value = parseV4(text, 0)
    if (value < 0) return 0
    words.fill(0)
    words[3] = value
    return 4
  }
  if (!parseV6(text)) return 0
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff ? 4 : 6
}

/** Four decimal parts from `at` to the end, none with a zero in front; -1 otherwise. */
function parseV4(text: string, at: number): number {
  let value = 0
  let part = -1
  let dots = 0
  for (let i = at; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i)
    if (code === 46) {
      if (part < 0 || dots > 3) return -1
      value = value * 256 + part
      part = -1
      dots++
    } else {
      const digit = code - 48
      if (digit < 0 || digit > 9 || part === 0) return -1
      part = (part < 0 ? 0 : part * 10) + digit
      if (part > 255) return -1
    }
  }
  return dots === 4 ? value : -1
}

const groups = new Uint16Array(8)

/** RFC 4291 §2.2; a zone (`%eth0`) is left out. */
function parseV6(text: string): boolean {
  const percent = text.indexOf('%')
  const end = percent < 0 ? text.length : percent
  let count = 0
  let gap = -1
  let at = 0
  if (text.startsWith('::')) {
    gap = 0
    at = 2
  } else if (text.startsWith(':')) return false
  while (at < end) {
    if (count === 8) return false
    let to = text.indexOf(':', at)
    if (to < 0 || to > end) to = end
    const value = to === end && count <= 6 && text.indexOf('.', at) > 0 ? parseV4(text.slice(0, end), at) : -1
    if (value >= 0) {
      groups[count++] = value / 65536
      groups[count++] = value % 65536
    } else {
      const group = parseGroup(text, at, to)
      if (group < 0) return false
      groups[count++] = group
    }
    at = to + 1
    if (to === end) break
    if (text.charCodeAt(at) === 58) {
      if (gap >= 0) return false
      gap = count
      at++
    } else if (at >= end) return false
  }
  if (gap < 0 ? count !== 8 : count > 7) return false
  for (let i = 0; i < 4; i++) words[i] = groupAt(2 * i, count, gap) * 65536 + groupAt(2 * i + 1, count, gap)
  return true
}

function parseGroup(text: string, from: number, to: number): number {
  if (to === from || to - from > 4) return -1
  let value = 0
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i)
    const lower = code | 32
    const digit = code >= 48 && code <= 57 ? code - 48 : lower >= 97 && lower <= 102 ? lower - 87 : -1
    if (digit < 0) return -1
    value = value * 16 + digit
  }
  return value
}

/** The group at that place once the gap is filled with zeros. */
function groupAt(place: number, count: number, gap: number): number {
  if (gap < 0 || place < gap) return groups[place]!
  const after = place - (8 - count)
  return after < gap ? 0 : groups[after]!
}

export interface Network {
  family: 4 | 6
  /** The first and the last address, four words each. */
  readonly first: Uint32Array
  readonly last: Uint32Array
  /** Bits of the prefix, of 32 or 128. */
  bits: number
}

export function emptyNetwork(): Network {
  return { family: 4, first: new Uint32Array(4), last: new Uint32Array(4), bits: 32 }
}

/**
 * `192.0.2.0/24`, `2001:db8::/32`, or one address; null if it is none. Bits beyond the prefix are ignored. `into`: filled and returned,
 * for whoever reads many.
 */
export function parseNetwork(text: string, into: Network = emptyNetwork()): Network | null {
  const slash = text.indexOf('/')
  const family = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (family === 0) return null
  const most = family === 4 ? 32 : 128
  let bits = slash < 0 ? most : parsePrefix(text, slash + 1)
  // An IPv4 network written in IPv6.
  if (family === 4 && slash >= 0 && text.includes(':')) bits -= 96
  if (bits < 0 || bits > most) return null
  into.family = family
  into.bits = bits
  const inAll = family === 4 ? bits + 96 : bits
  for (let i = 0; i < 4; i++) {
    const kept = inAll - 32 * i
    const mask = kept <= 0 ? 0xffffffff : kept >= 32 ? 0 : 0xffffffff >>> kept
    const word = family === 4 && i < 3 ? 0 : words[i]!
    into.first[i] = word & ~mask
    into.last[i] = family === 4 && i < 3 ? 0 : word | mask
  }
  return into
}

/** One to three digits; -1 for anything else. */
function parsePrefix(text: string, from: number): number {
  if (from === text.length || text.length - from > 3) return -1
  let value = 0
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** Is the address that `parseAddress` read last, of that family, in there? */
export function isInside({ family, first, last }: Network, of: 4 | 6): boolean {
  if (family !== of) return false
  if (of === 4) return words[3]! >= first[3]! && words[3]! <= last[3]!
  return compare(words, first) >= 0 && compare(words, last) <= 0
}

function compare(a: Uint32Array, b: Uint32Array): number {
  for (let i = 0; i < 4; i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1
  return 0
}
