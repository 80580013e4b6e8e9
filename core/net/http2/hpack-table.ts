/** The static table of HPACK (RFC 7541 Appendix A), and the dynamic one that a decoder keeps: at most 4 KiB, counted as §4.1 says. */

/** One field of a list. Those of a table are the same objects each time, so what was found out about one is found out once. */
export class Field {
  readonly name: string
  readonly value: string
  /** Left to whoever reads it: what it is, 0 if nobody has looked yet; and as a line of HTTP/1.1. */
  kind = 0
  line = ''

  constructor(name: string, value: string) {
    this.name = name
    this.value = value
  }
}

/** An entry's size is that of its texts and as much again for what keeps it (§4.1). */
export const ENTRY_OVERHEAD = 32
/** SETTINGS_HEADER_TABLE_SIZE as it is where nobody says otherwise; we never do. */
export const TABLE_BYTES = 4096
/** The most entries that fit: a power of two. */
const MOST_ENTRIES = TABLE_BYTES / ENTRY_OVERHEAD

const STATIC = `:authority|
:method|GET
:method|POST
:path|/
:path|/index.html
:scheme|http
:scheme|https
:status|200
:status|204
:status|206
:status|304
:status|400
:status|404
:status|500
accept-charset|
accept-encoding|gzip, deflate
accept-language|
accept-ranges|
accept|
access-control-allow-origin|
age|
allow|
authorization|
cache-control|
content-disposition|
content-encoding|
content-language|
content-length|
content-location|
content-range|
content-type|
cookie|
date|
etag|
expect|
expires|
from|
host|
if-match|
if-modified-since|
if-none-match|
if-range|
if-unmodified-since|
last-modified|
link|
location|
max-forwards|
proxy-authenticate|
proxy-authorization|
range|
referer|
refresh|
retry-after|
server|
set-cookie|
strict-transport-security|
transfer-encoding|
user-agent|
vary|
via|
www-authenticate|`

/** By index, from 1 on. */
export const staticTable: readonly (Field | null)[] = [
  null,
  ...STATIC.split('\n').map((line) => {
    const bar = line.indexOf('|')
    return new Field(line.slice(0, bar), line.slice(bar + 1))
  }),
]
export const STATIC_ENTRIES: number = staticTable.length - 1

/** Field objects by a name's first index: to write literals with. */
export const staticNames: ReadonlyMap<string, number> = new Map(
  staticTable.flatMap((field, i) => (field === null ? [] : [[field.name, i] as const])).reverse(),
)

export class DynamicTable {
  readonly #entries: (Field | null)[] = new Array(MOST_ENTRIES).fill(null)
  /** Where the newest is. */
  #newest = 0
  #count = 0
  #bytes = 0
  #limit = TABLE_BYTES

  get bytes(): number {
    return this.#bytes
  }

  get count(): number {
    return this.#count
  }

  /** `at`: 0 is the newest. Null: there is none. */
  get(at: number): Field | null {
    return at < this.#count ? this.#entries[(this.#newest - at) & (MOST_ENTRIES - 1)]! : null
  }

  /** One that is larger than the table empties it (§4.4). */
  add(field: Field): void {
    const size = field.name.length + field.value.length + ENTRY_OVERHEAD
    this.#shrink(this.#limit - size)
    if (size > this.#limit) return
    this.#newest = (this.#newest + 1) & (MOST_ENTRIES - 1)
    this.#entries[this.#newest] = field
    this.#count++
    this.#bytes += size
  }

  /** `bytes`: no more than TABLE_BYTES. */
  resize(bytes: number): void {
    this.#limit = bytes
    this.#shrink(bytes)
  }

  #shrink(bytes: number): void {
    while (this.#bytes > bytes && this.#count > 0) {
      const oldest = (this.#newest - this.#count + 1) & (MOST_ENTRIES - 1)
      const { name, value } = this.#entries[oldest]!
      this.#entries[oldest] = null
      this.#count--
      this.#bytes -= name.length + value.length + ENTRY_OVERHEAD
    }
  }
}
