/** Text that keeps nothing else alive, for what stays longer than the read that it came by. */

/** As long as most heads and texts are. */
const scratch = Buffer.allocUnsafeSlow(16_384)

/** A copy in one piece: a part of what was read would keep all of it, and a sum of texts all its parts. */
export function flat(text: string): string {
  const { length } = text
  if (length < SHORT) return text
  const bytes = length <= scratch.length ? scratch : Buffer.allocUnsafe(length)
  bytes.latin1Write(text, 0, length)
  const copy = bytes.latin1Slice(0, length)
  // A hook may have written what is not latin1.
  return copy === text ? copy : text
}

/** Of shorter ones V8 makes copies itself. */
const SHORT = 13
