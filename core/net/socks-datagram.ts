/** Datagrams as a client of SOCKS5 wraps them (RFC 1928 §7). Fragments are none that this proxy would put together. */
import { makeDestination, type NamedDestination } from './destination.ts'
import { readPlace, writePlace } from './socks.ts'

export interface SocksDatagram {
  readonly destination: NamedDestination
  readonly payload: Buffer
}

/** Null: malformed, a fragment, or to no place; it is dropped. */
export function readDatagram(bytes: Buffer): SocksDatagram | null {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0 || bytes[2] !== 0) return null
  const place = readPlace(bytes, 3)
  if (place === null || place === 'unknown') return null
  const destination = makeDestination(place.host, place.port)
  return destination === null ? null : { destination, payload: bytes.subarray(place.end) }
}

/** One that came from this address, for the client. */
export function wrapDatagram(host: string, port: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0, 0, 0), writePlace(host, port), payload])
}
