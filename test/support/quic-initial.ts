/** Writes Initial packets of a QUIC client, by the letter of RFC 9000, 9001 and 9369 and apart from the reader. */
import { createCipheriv, createHmac } from 'node:crypto'
import { numbers, vector } from './client-hello.ts'

export const V1 = 1
export const V2 = 0x6b3343cf
export const CONNECTION_ID = Buffer.from('8394c8f03e515708', 'hex')

export interface PacketParts {
  readonly version?: number
  readonly connectionId?: Buffer
  readonly token?: Buffer
  readonly number?: number
  readonly numberBytes?: 1 | 2 | 3 | 4
  /** Of a long header; 0 is Initial in version 1. */
  readonly type?: number
  readonly reserved?: number
  readonly payload: Buffer
}

export function varint(value: number): Buffer {
  if (value < 64) return numbers(1, value)
  if (value < 16_384) return numbers(2, value | 0x4000)
  const bytes = Buffer.alloc(value < 2 ** 30 ? 4 : 8)
  if (bytes.length === 4) bytes.writeUInt32BE(value + 2 ** 31)
  else bytes.writeBigUInt64BE(BigInt(value) | (3n << 62n))
  return bytes
}

export function cryptoFrame(offset: number, data: Buffer): Buffer {
  return Buffer.concat([numbers(1, 6), varint(offset), varint(data.length), data])
}

export function packet(parts: PacketParts): Buffer {
  const { version = V1, connectionId = CONNECTION_ID, token = Buffer.alloc(0), number = 0, numberBytes = 4, reserved = 0, payload } = parts
  const { type = version === V2 ? 1 : 0 } = parts
  const keys = clientKeys(version, connectionId)
  const packetNumber = Buffer.alloc(4)
  packetNumber.writeUInt32BE(number)
  const shown = packetNumber.subarray(4 - numberBytes)
  const word = Buffer.alloc(4)
  word.writeUInt32BE(version)
  const header = Buffer.concat([
    Buffer.from([0xc0 | (type << 4) | (reserved << 2) | (numberBytes - 1)]),
    ...[word, vector(1, connectionId), vector(1), varint(token.length), token, varint(numberBytes + payload.length + 16), shown],
  ])
  const nonce = Buffer.from(keys.iv)
  for (let i = 0; i < 4; i++) nonce[8 + i]! ^= packetNumber[i]!
  const cipher = createCipheriv('aes-128-gcm', keys.key, nonce).setAAD(header)
  const sealed = Buffer.concat([cipher.update(payload), cipher.final(), cipher.getAuthTag()])
  const sample = sealed.subarray(4 - numberBytes, 20 - numberBytes)
  const mask = createCipheriv('aes-128-ecb', keys.hp, null).update(sample)
  header[0]! ^= mask[0]! & 0x0f
  for (let i = 0; i < numberBytes; i++) header[header.length - numberBytes + i]! ^= mask[1 + i]!
  return Buffer.concat([header, sealed])
}

/** Padded as clients do it, by PADDING frames in the last packet. */
export function datagram(...packets: readonly PacketParts[]): Buffer {
  const written = packets.map(packet)
  const missing = 1200 - written.reduce((sum, bytes) => sum + bytes.length, 0)
  const last = packets.at(-1)!
  // A longer payload takes a byte more for its length.
  const payload = Buffer.concat([last.payload, Buffer.alloc(Math.max(0, missing))])
  return Buffer.concat([...written.slice(0, -1), packet({ ...last, payload })])
}

function clientKeys(version: number, connectionId: Buffer): Record<'key' | 'iv' | 'hp', Buffer> {
  const salt = version === V2 ? '0dede3def700a6db819381be6e269dcbf9bd2ed9' : '38762cf7f55934b34d179ae6a4c80cadccbb7f0a'
  const sum = (key: Buffer, ...parts: Buffer[]): Buffer => createHmac('sha256', key).update(Buffer.concat(parts)).digest()
  const label = (secret: Buffer, name: string, size: number): Buffer =>
    sum(secret, numbers(2, size), vector(1, Buffer.from(`tls13 ${name}`)), vector(1), numbers(1, 1)).subarray(0, size)
  const secret = label(sum(Buffer.from(salt, 'hex'), connectionId), 'client in', 32)
  const prefix = version === V2 ? 'quicv2' : 'quic'
  return { key: label(secret, `${prefix} key`, 16), iv: label(secret, `${prefix} iv`, 12), hp: label(secret, `${prefix} hp`, 16) }
}
