/** Values in DER (ITU-T X.690 §10) as certificates have them: read as far as somebody asks, and null for what is not well-formed. */

export interface DerValue {
  readonly tag: number
  /** With its tag and its length. */
  readonly whole: Buffer
  readonly content: Buffer
}

/** The values that stand one after the other in `bytes`; null if they do not fill it exactly. */
export function readValues(bytes: Buffer): readonly DerValue[] | null {
  const values: DerValue[] = []
  for (let at = 0; at < bytes.length; ) {
    const value = readValue(bytes, at)
    if (value === null) return null
    values.push(value)
    at += value.whole.length
  }
  return values
}

function readValue(bytes: Buffer, at: number): DerValue | null {
  const [tag, first] = [bytes[at], bytes[at + 1]]
  // Tags of more than one byte do not occur.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return null
  const digits = first < 0x80 ? 0 : first & 0x7f
  if (first >= 0x80 && (digits === 0 || digits > 4 || at + 2 + digits > bytes.length)) return null
  const length = digits === 0 ? first : bytes.readUIntBE(at + 2, digits)
  const from = at + 2 + digits
  if (from + length > bytes.length) return null
  return { tag, whole: bytes.subarray(at, from + length), content: bytes.subarray(from, from + length) }
}
