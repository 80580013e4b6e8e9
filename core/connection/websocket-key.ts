/** The key of a WebSocket's opening, and the answer to it: that the other side speaks the protocol (RFC 6455 §4). */
import { createHash, randomBytes } from 'node:crypto'

export function newKey(): string {
  return randomBytes(16).toString('base64')
}

export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
