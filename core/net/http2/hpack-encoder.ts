/**
 * Field lines of HTTP/1.1 → a field block (RFC 7541), as latin1 text. What comes again and again on a connection is one byte from the
 * second time on: a line is looked for as the text it came as. Strings are not Huffman-coded: it would save a quarter of those few that are
 * new, for more work than all else here together.
 */
import { trimmed } from '../http1/fields.ts'
import { ENTRY_OVERHEAD, STATIC_ENTRIES, staticNames, TABLE_BYTES } from './hpack-table.ts'

/** `index`: is put into the table; `plain`: not, for it is another one each time; `secret`: in no table, and no proxy may put it there. */
type Treatment = 'index' | 'plain' | 'secret' | 'drop'

interface KnownName {
  readonly lower: string
  /** Of the static table, 0: none. */
  readonly index: number
  readonly treatment: Treatment
}

/** Values that seldom come twice would only drive others out. */
const CHANGING = /^(?:age|content-length|content-range|content-disposition|etag|expires|last-modified|location|x-request-id|traceparent)$/
/** What an attacker who can choose other fields must not be able to guess by sizes (§7.1). */
const SECRET = /^(?:set-cookie|cookie|authorization|proxy-authorization|www-authenticate|proxy-authenticate|authentication-info)$/
/** About the connection: HTTP/2 has no place for them (RFC 9113 §8.2.2). */
const OF_CONNECTION = /^(?:connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/
/** Larger ones are written out each time. */
const MOST_INDEXED = 512
/** Names that were seen, as they were written: endpoints use few, and whoever uses many gets no faster. */
const MOST_NAMES = 512
const known = new Map<string, KnownName>()

const STATUS: ReadonlyMap<number, string> = new Map([200, 204, 206, 304, 400, 404, 500].map((status, i) => [status, indexed(8 + i)]))
const STATUS_NAME = '\x08'

export class HpackEncoder {
  /** Lines of the dynamic table, and the number each had when it came in. */
  readonly #numbers = new Map<string, number>()
  /** The same in the order they came, the oldest first. */
  readonly #lines: string[] = []
  /** Of the first of `#lines`. */
  #oldest = 0
  #bytes = 0
  #limit = TABLE_BYTES
  /** Sizes to be told at the beginning of the next block: the smallest since the last one, and the present (§4.2). */
  #smallest = -1

  /** The other side keeps no more than this many bytes. */
  limit(bytes: number): void {
    const limit = Math.min(bytes, TABLE_BYTES)
    if (limit === this.#limit) return
    this.#smallest = this.#smallest < 0 ? limit : Math.min(this.#smallest, limit)
    this.#limit = limit
    this.#evict(limit)
  }

  /** `lines`: field lines, each ended by CRLF. `status` 0: trailers, which have none. */
  encode(status: number, lines: string): string {
    let block = this.#smallest < 0 ? '' : this.#tellSizes()
    if (status !== 0) block += STATUS.get(status) ?? `${STATUS_NAME}\x03${status}`
    for (let at = 0; at < lines.length; ) {
      const end = lines.indexOf('\r', at)
      block += this.#line(lines.slice(at, end))
      at = end + 2
    }
    return block
  }

  #line(line: string): string {
    const number = this.#numbers.get(line)
    if (number !== undefined) return indexed(STATIC_ENTRIES + this.#oldest + this.#lines.length - number)
    const colon = line.indexOf(':')
    const { lower, index, treatment } = knownName(line.slice(0, colon))
    if (treatment === 'drop') return ''
    const value = trimmed(line, colon + 1, line.length)
    const name = index === 0 ? string(lower) : ''
    const isKept = treatment === 'index' && this.#add(line, lower.length + value.length + ENTRY_OVERHEAD)
    if (isKept) return prefixed(0x40, 63, index) + name + string(value)
    return prefixed(treatment === 'secret' ? 0x10 : 0, 15, index) + name + string(value)
  }

  /** Returns whether it is in the table now. */
  #add(line: string, size: number): boolean {
    if (size > MOST_INDEXED || size > this.#limit) return false
    this.#evict(this.#limit - size)
    // A slice would keep all of the head it is from.
    const own = Buffer.from(line, 'latin1').latin1Slice()
    this.#numbers.set(own, this.#oldest + this.#lines.length)
    this.#lines.push(own)
    this.#bytes += size
    return true
  }

  #evict(bytes: number): void {
    while (this.#bytes > bytes) {
      const line = this.#lines.shift()!
      this.#oldest++
      this.#numbers.delete(line)
      const colon = line.indexOf(':')
      this.#bytes -= colon + trimmed(line, colon + 1, line.length).length + ENTRY_OVERHEAD
    }
  }

  #tellSizes(): string {
    const smallest = this.#smallest
    this.#smallest = -1
    return (smallest < this.#limit ? prefixed(0x20, 31, smallest) : '') + prefixed(0x20, 31, this.#limit)
  }
}

function knownName(name: string): KnownName {
  const found = known.get(name)
  if (found !== undefined) return found
  const lower = name.toLowerCase()
  const treatment = OF_CONNECTION.test(lower) ? 'drop' : SECRET.test(lower) ? 'secret' : CHANGING.test(lower) ? 'plain' : 'index'
  const made: KnownName = { lower, index: staticNames.get(lower) ?? 0, treatment }
  if (known.size < MOST_NAMES) known.set(Buffer.from(name, 'latin1').latin1Slice(), made)
  return made
}

function indexed(index: number): string {
  return index < 127 ? String.fromCharCode(0x80 | index) : prefixed(0x80, 127, index)
}

function string(text: string): string {
  return prefixed(0, 127, text.length) + text
}

/** An integer behind some bits of its first byte (§5.1); `mask`: the bits that are its own. */
function prefixed(bits: number, mask: number, value: number): string {
  if (value < mask) return String.fromCharCode(bits | value)
  let out = String.fromCharCode(bits | mask)
  let left = value - mask
  for (; left >= 128; left = Math.floor(left / 128)) out += String.fromCharCode((left & 127) | 128)
  return out + String.fromCharCode(left)
}
