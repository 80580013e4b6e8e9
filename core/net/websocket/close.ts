/** The payload of a close frame (RFC 6455 §5.5.1 and §7.4). */
import { isUtf8 } from 'node:buffer'

export const CLOSE = { goingAway: 1001, protocolError: 1002, invalidData: 1007, policy: 1008, tooBig: 1009, failed: 1011 } as const

/** At most 123 bytes of reason: a control frame holds 125. */
export function closePayload(code: number, reason: string): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
  payload.writeUInt16BE(code)
  payload.write(reason, 2)
  return payload
}

/** What is wrong with it, as a code to close with; null: nothing. */
export function closeFault(payload: Buffer): number | null {
  if (payload.length === 0) return null
  if (payload.length === 1 || !maySend(payload.readUInt16BE())) return CLOSE.protocolError
  return isUtf8(payload.subarray(2)) ? null : CLOSE.invalidData
}

/** 1005, 1006 and 1015 are never sent, 1004 and 1016 to 2999 mean nothing yet (§7.4.2 and IANA's registry). */
function maySend(code: number): boolean {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999)
}
