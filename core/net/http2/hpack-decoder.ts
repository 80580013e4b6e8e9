/**
 * Field blocks → fields (RFC 7541). One decoder a connection, and every block goes through it, wanted or not: the next one depends on it.
 * A block may name many bytes with few, so it tells each field as an object of its table, which costs nothing, and leaves it to the
 * reader of the fields to stop gathering.
 */

import { DynamicTable, Field, STATIC_ENTRIES, staticTable, TABLE_BYTES } from './hpack-table.ts'
import { huffmanDecode } from './huffman.ts'

export interface FieldReader {
  field(field: Field): void
}

/** What integers may reach: longer than any block. */
const MOST = 2 ** 28
/** Of a decoded string that fits; longer ones get room of their own. */
const scratch = Buffer.allocUnsafeSlow(16_384)

export class HpackDecoder {
  readonly #table = new DynamicTable()
  #bytes: Buffer = scratch
  #at = 0
  #to = 0
  /** The block is malformed. */
  #failed = false

  /** False: malformed, and nothing that follows on this connection can be understood (§2.3.3). */
  decode(bytes: Buffer, from: number, to: number, reader: FieldReader): boolean {
    this.#bytes = bytes
    this.#at = from
    this.#to = to
    this.#failed = false
    let mayResize = true
    while (this.#at < this.#to && !this.#failed) {
      const byte = bytes[this.#at]!
      if ((byte & 0xe0) === 0x20) {
        // Only at the beginning of a block (§4.2).
        if (!mayResize) return this.#end(false)
        const size = this.#integer(31)
        if (size > TABLE_BYTES) return this.#end(false)
        if (!this.#failed) this.#table.resize(size)
        continue
      }
      mayResize = false
      const field = byte >= 0x80 ? this.#indexed(this.#integer(127)) : this.#literal(byte)
      if (field !== null) reader.field(field)
    }
    return this.#end(!this.#failed)
  }

  #end(isRight: boolean): boolean {
    this.#bytes = scratch
    return isRight
  }

  #fail(): null {
    this.#failed = true
    return null
  }

  #indexed(index: number): Field | null {
    if (this.#failed) return null
    const field = index <= STATIC_ENTRIES ? staticTable[index]! : this.#table.get(index - STATIC_ENTRIES - 1)
    return field ?? this.#fail()
  }

  /** With incremental indexing (01), without (0000), never (0001): §6.2. */
  #literal(byte: number): Field | null {
    const isKept = byte >= 0x40
    const index = this.#integer(isKept ? 63 : 15)
    if (this.#failed) return null
    const name = index === 0 ? this.#string() : (this.#indexed(index)?.name ?? null)
    if (name === null) return null
    const value = this.#string()
    if (value === null) return null
    const field = new Field(name, value)
    if (isKept) this.#table.add(field)
    return field
  }

  /** `prefix`: its bits, all set (§5.1). */
  #integer(prefix: number): number {
    let value = this.#bytes[this.#at++]! & prefix
    if (value < prefix) return value
    for (let factor = 1; this.#at < this.#to && factor < MOST; factor *= 128) {
      const byte = this.#bytes[this.#at++]!
      value += (byte & 127) * factor
      if (byte < 128) {
        if (value > MOST) this.#fail()
        return value
      }
    }
    this.#fail()
    return 0
  }

  #string(): string | null {
    if (this.#at >= this.#to) return this.#fail()
    const isHuffman = this.#bytes[this.#at]! >= 0x80
    const length = this.#integer(127)
    const start = this.#at
    const end = start + length
    if (this.#failed || end > this.#to) return this.#fail()
    this.#at = end
    if (!isHuffman) return this.#bytes.latin1Slice(start, end)
    const most = Math.ceil((length * 8) / 5)
    const out = most <= scratch.length ? scratch : Buffer.allocUnsafe(most)
    const decoded = huffmanDecode(this.#bytes, start, end, out)
    return decoded < 0 ? this.#fail() : out.latin1Slice(0, decoded)
  }
}
