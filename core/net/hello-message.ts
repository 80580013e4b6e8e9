/**
 * The ClientHello message of TLS (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), whatever carries it: TLS records, or CRYPTO frames of QUIC. What
 * is malformed is told as soon as that is certain. Nothing is allocated but the answer.
 */
import { isHostName, isIp } from './address.ts'

export interface ClientHello {
  /** In lower case, and a name: null if there is none, or an IP address, which RFC 6066 §3 does not permit there. */
  readonly serverName: string | null
  /** What the client offers, in its order, like `versions`; values of GREASE (RFC 8701) are left out of both. */
  readonly alpn: readonly string[]
  /** `0x0304` is TLS 1.3. */
  readonly versions: readonly number[]
  /** The outer hello of RFC 9849, whose server name need not be the one that is meant; or GREASE that looks like it on purpose. */
  readonly isEch: boolean
}

/** Null: more bytes are needed. */
export type HelloAnswer = ClientHello | null | 'malformed' | 'too_large'

/** What it may take, with all that it is wrapped in. Post-quantum key shares make hellos of 2 KB. */
export const MAX_HELLO_BYTES = 65_536

/** Type and length. */
export const MESSAGE_HEADER_BYTES = 4

/** Reads bytes [from, to), which begin with the message's type. What follows the message is not looked at. */
export function readHelloMessage(bytes: Uint8Array, from: number, to: number): HelloAnswer {
  if (to > from && bytes[from] !== CLIENT_HELLO) return 'malformed'
  if (to - from < MESSAGE_HEADER_BYTES) return null
  const size = messageBytes(bytes, from)
  if (size > MAX_HELLO_BYTES) return 'too_large'
  cursor.start(bytes, from + MESSAGE_HEADER_BYTES, from + size)
  cursor.have = Math.min(to, from + size)
  walkHello(cursor)
  cursor.release()
  if (cursor.state === WRONG) return 'malformed'
  return cursor.state === SHORT ? null : answer(bytes)
}

/** Of the message that begins there, its header included. */
export function messageBytes(bytes: Uint8Array, at: number): number {
  return MESSAGE_HEADER_BYTES + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
}

const CLIENT_HELLO = 1

/** RFC 6066 §3, RFC 7301 §3.1, RFC 8446 §4.2.1 and §4.2.11, RFC 9849 §5. */
const EXTENSION = { serverName: 0, alpn: 16, preSharedKey: 41, supportedVersions: 43, encryptedClientHello: 0xfe0d }

const nothing = new Uint8Array()
const FINE = 0
const SHORT = 1
const WRONG = 2

/** Reads numbers and vectors. After the first thing that is not there, or cannot be, it stands still and reads zeros. */
class Cursor {
  state = FINE
  at = 0
  /** Where the vector ends that is being read. */
  end = 0
  /** Where the bytes end that are there. */
  have = 0
  #bytes: Uint8Array = nothing

  start(bytes: Uint8Array, at: number, end: number): void {
    this.state = FINE
    this.at = at
    this.end = end
    this.#bytes = bytes
  }

  get hasMore(): boolean {
    return this.state === FINE && this.at < this.end
  }

  skip(count: number): boolean {
    if (this.state !== FINE) return false
    if (this.at + count > this.end) this.state = WRONG
    else if (this.at + count > this.have) this.state = SHORT
    else this.at += count
    return this.state === FINE
  }

  byte(): number {
    return this.skip(1) ? this.#bytes[this.at - 1]! : 0
  }

  word(): number {
    return this.skip(2) ? (this.#bytes[this.at - 2]! << 8) | this.#bytes[this.at - 1]! : 0
  }

  skipRest(): void {
    this.skip(this.end - this.at)
  }

  /** What was read up to here must be so. */
  check(isSo: boolean): void {
    if (this.state === FINE && !isSo) this.state = WRONG
  }

  /** Enters a vector of that length; to be given back to `leave`: the end of the one around it. */
  enter(length: number): number {
    const outer = this.end
    this.check(this.at + length <= outer)
    if (this.state === FINE) this.end = this.at + length
    return outer
  }

  leave(outer: number): void {
    this.check(this.at === this.end)
    this.end = outer
  }

  /** Does not keep the bytes alive. */
  release(): void {
    this.#bytes = nothing
  }
}

/** What the walk found, as places in the bytes; 0: not there. Reused, as the cursor is: nothing can come in between. */
const found = { legacyVersion: 0, name: 0, nameEnd: 0, alpn: 0, alpnEnd: 0, versions: 0, versionsEnd: 0, isEch: false }
const cursor = new Cursor()
/** A bit a type of extension. */
const seen = new Uint8Array(8192)

function walkHello(c: Cursor): void {
  found.name = found.alpn = found.versions = 0
  found.isEch = false
  found.legacyVersion = c.word()
  c.check(found.legacyVersion >> 8 === 3)
  c.skip(32)
  const sessionId = c.byte()
  c.check(sessionId <= 32)
  c.skip(sessionId)
  const suites = c.word()
  c.check(suites >= 2 && suites % 2 === 0)
  c.skip(suites)
  const compressions = c.byte()
  c.check(compressions >= 1)
  c.skip(compressions)
  if (c.hasMore) walkExtensions(c)
}

function walkExtensions(c: Cursor): void {
  const length = c.word()
  c.check(c.at + length === c.end)
  seen.fill(0)
  while (c.hasMore) {
    const type = c.word()
    const size = c.word()
    const outer = c.enter(size)
    // It binds all that comes before it.
    c.check(type !== EXTENSION.preSharedKey || c.end === outer)
    c.check((seen[type >> 3]! & (1 << (type & 7))) === 0)
    if (c.state !== FINE) return
    seen[type >> 3]! |= 1 << (type & 7)
    walkExtension(c, type)
    c.leave(outer)
  }
}

function walkExtension(c: Cursor, type: number): void {
  if (type === EXTENSION.serverName) walkServerNames(c)
  else if (type === EXTENSION.alpn) walkAlpn(c)
  else if (type === EXTENSION.supportedVersions) walkVersions(c)
  else if (type === EXTENSION.encryptedClientHello) walkEch(c)
  else c.skipRest()
}

/** One of each type at most; a name of a type that is not known yet begins with its length all the same (RFC 6066 §3). */
function walkServerNames(c: Cursor): void {
  const length = c.word()
  c.check(length > 0 && c.at + length === c.end)
  while (c.hasMore) {
    const type = c.byte()
    const size = c.word()
    c.check(size > 0)
    if (type === 0) {
      c.check(found.name === 0)
      found.name = c.at
      found.nameEnd = c.at + size
    }
    c.skip(size)
  }
}

function walkAlpn(c: Cursor): void {
  const length = c.word()
  c.check(length > 0 && c.at + length === c.end)
  found.alpn = c.at
  found.alpnEnd = c.end
  while (c.hasMore) {
    const size = c.byte()
    c.check(size > 0)
    c.skip(size)
  }
}

function walkVersions(c: Cursor): void {
  const length = c.byte()
  c.check(length >= 2 && length % 2 === 0 && c.at + length === c.end)
  found.versions = c.at
  found.versionsEnd = c.end
  c.skipRest()
}

/** An inner hello is seen by a server behind the one that decrypts; it is all that there is to see. */
function walkEch(c: Cursor): void {
  const type = c.byte()
  c.check(type === 0 || type === 1)
  if (type === 1 || c.state !== FINE) return
  found.isEch = true
  // Cipher suite and config id.
  c.skip(5)
  c.skip(c.word())
  const payload = c.word()
  c.check(payload > 0)
  c.skip(payload)
}

function answer(bytes: Uint8Array): ClientHello | 'malformed' {
  const { legacyVersion, name, nameEnd, isEch } = found
  const serverName = name === 0 ? null : readName(text(bytes, name, nameEnd).toLowerCase())
  if (serverName === MALFORMED) return 'malformed'
  // A version above 1.2 can be offered by the extension only.
  const versions = found.versions === 0 ? [Math.min(legacyVersion, 0x0303)] : readVersions(bytes)
  return { serverName, alpn: found.alpn === 0 ? [] : readAlpn(bytes), versions, isEch }
}

/** No name can be empty. */
const MALFORMED = ''

function readName(name: string): string | null {
  // As `010.1` is: an address in somebody's eyes.
  if (isIp(name) || /^[\d.]+$/.test(name)) return null
  return isHostName(name) && !name.endsWith('.') ? name : MALFORMED
}

function readAlpn(bytes: Uint8Array): string[] {
  const names: string[] = []
  for (let at = found.alpn; at < found.alpnEnd; ) {
    const end = at + 1 + bytes[at]!
    const isGrease = end === at + 3 && isGreaseWord(bytes, at + 1)
    if (!isGrease) names.push(text(bytes, at + 1, end))
    at = end
  }
  return names
}

function readVersions(bytes: Uint8Array): number[] {
  const versions: number[] = []
  for (let at = found.versions; at < found.versionsEnd; at += 2) {
    if (!isGreaseWord(bytes, at)) versions.push((bytes[at]! << 8) | bytes[at + 1]!)
  }
  return versions
}

/** `0x0a0a`, `0x1a1a` … `0xfafa`. */
function isGreaseWord(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === bytes[at + 1] && (bytes[at]! & 15) === 10
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.prototype.latin1Slice.call(bytes, from, to)
}
