/** An OCSP response (RFC 6960 §4.2.1) as it is stapled: looked at just far enough to tell one from something else, and a stale one. */

/** SEQUENCE { ENUMERATED successful, … } in DER. */
export function isOcspResponse(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x30) return false
  const lengthBytes = bytes[1]! < 0x80 ? 0 : bytes[1]! & 0x7f
  const at = 2 + lengthBytes
  return bytes[at] === 0x0a && bytes[at + 1] === 1 && bytes[at + 2] === 0
}

/** `nextUpdate` of the answer that ends first; null if it says none. */
export function goodUntil(bytes: Buffer): Date | null {
  let soonest: Date | null = null
  for (let at = bytes.indexOf(NEXT_UPDATE); at >= 0; at = bytes.indexOf(NEXT_UPDATE, at + 1)) {
    const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(bytes.latin1Slice(at + 4, at + 19))
    if (parts === null) continue
    const [year, month, day, hour, minute, second] = parts.slice(1).map(Number) as [number, number, number, number, number, number]
    const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
    if (soonest === null || date < soonest) soonest = date
  }
  return soonest
}

/** [0] EXPLICIT GeneralizedTime, of 15 characters. */
const NEXT_UPDATE = Buffer.from([0xa0, 0x11, 0x18, 0x0f])
