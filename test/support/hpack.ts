/** A writer of HPACK that can do all that the format allows (RFC 7541 §5, §6), for tests of what reads it. */
import { HpackDecoder } from '../../core/net/http2/hpack-decoder.ts'
import type { Field } from '../../core/net/http2/hpack-table.ts'
import { huffmanCodes } from '../../core/net/http2/huffman.ts'

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

/** `bits`: those above the prefix. */
export function integer(bits: number, prefix: number, value: number): Buffer {
  if (value < prefix) return Buffer.of(bits | value)
  const bytes = [bits | prefix]
  let left = value - prefix
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128)
  return Buffer.of(...bytes, left)
}

export function string(text: string, isHuffman = false): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const coded = isHuffman ? huffmanEncode(bytes) : bytes
  return Buffer.concat([integer(isHuffman ? 128 : 0, 127, coded.length), coded])
}

export function huffmanEncode(bytes: Uint8Array): Buffer {
  const { codes, lengths } = huffmanCodes()
  let bits = ''
  for (const byte of bytes) bits += codes[byte]!.toString(2).padStart(lengths[byte]!, '0')
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)))
}

/** A literal with a new name. */
export function literal(name: string, value: string, { isKept = false, isHuffman = false } = {}): Buffer {
  return Buffer.concat([Buffer.of(isKept ? 0x40 : 0), string(name, isHuffman), string(value, isHuffman)])
}

/** Names and values by turns; null: malformed. */
export function decodeWith(decoder: HpackDecoder, block: Buffer): string[] | null {
  const fields: string[] = []
  const isRight = decoder.decode(block, 0, block.length, { field: ({ name, value }: Field) => fields.push(name, value) })
  return isRight ? fields : null
}

export function decode(...blocks: readonly Buffer[]): (string[] | null)[] {
  const decoder = new HpackDecoder()
  return blocks.map((block) => decodeWith(decoder, block))
}
