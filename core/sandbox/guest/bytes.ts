/** Bytes as a plugin may give them, and as they cross the wall: base64. */
import { Bytes, Failure, fromBase64, isView, toBase64 } from './primordials.ts'

/** The same memory, as bytes. */
export function bytesOf(value: unknown, what: string): Uint8Array {
  if (isView(value)) return new Bytes(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return new Bytes(value)
  throw new Failure(`${what} takes an ArrayBuffer or a typed array`)
}

export function encodeBase64(bytes: Uint8Array): string {
  return toBase64(bytes)
}

export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return fromBase64(text)
}
