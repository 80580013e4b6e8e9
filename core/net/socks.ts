/**
 * The opening of a SOCKS connection as a server reads it: SOCKS4, 4a, and 5 (RFC 1928) with a name and a password (RFC 1929). Bytes in,
 * steps out; what is malformed is known as early as it can be, and nothing is kept beyond the message that is being read.
 */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from './address.ts'
import { makeDestination, type NamedDestination } from './destination.ts'

export type SocksStep =
  /** SOCKS5: has to be sent, then reading goes on. */
  | { readonly kind: 'answer'; readonly bytes: Buffer }
  /** Waits for `verified`. */
  | { readonly kind: 'credentials'; readonly name: string /** `name:password` */; readonly bytes: Buffer }
  | SocksRequest
  /** It ends here. `bytes`: what the client is told before; null: nothing, for whoever it is speaks something else. */
  | { readonly kind: 'refused'; readonly why: SocksFault; readonly detail: string; readonly bytes: Buffer | null }

export type SocksRequest = ConnectRequest | UdpRequest

export interface ConnectRequest {
  readonly kind: 'request'
  readonly version: 4 | 5
  readonly command: 'connect'
  readonly destination: NamedDestination
  /** What came behind the request: the first bytes of the tunnel. */
  readonly early: Buffer
}

export interface UdpRequest {
  readonly kind: 'request'
  readonly version: 5
  readonly command: 'udp'
  /** The port that its datagrams will come from; 0: it does not know yet. What address it says is not looked at. */
  readonly clientPort: number
}

/** `malformed`: no SOCKS. `unsupported`: well-formed, but not offered here. `unauthenticated`: no method of it that is accepted. */
export type SocksFault = 'malformed' | 'unsupported' | 'unauthenticated'

export interface SocksOptions {
  /** A name and a password are wanted: SOCKS5 alone has them. */
  readonly wantsUser: boolean
  readonly udp: boolean
}

/** RFC 1928 §6. */
export type SocksReply = keyof typeof REPLIES
const REPLIES = {
  granted: 0,
  failed: 1,
  refused: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  connectionRefused: 5,
  timedOut: 6,
  commandUnsupported: 7,
  addressUnsupported: 8,
} as const

const NOTHING = Buffer.alloc(0)
const MOST_TEXT = 255
const [CONNECT, BIND, UDP] = [1, 2, 3]
const [IPV4, NAME, IPV6] = [1, 3, 4]
const COLON = 58

export class SocksOpening {
  readonly #options: SocksOptions
  #held = NOTHING
  #state: 'version' | 'methods' | 'credentials' | 'verifying' | 'request' | 'done' = 'version'

  constructor(options: SocksOptions) {
    this.#options = options
  }

  /** Null: more bytes are needed. After a step, `next` may have another one in what was read already. */
  push(bytes: Uint8Array): SocksStep | null {
    this.#held = this.#held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#held, bytes])
    return this.next()
  }

  next(): SocksStep | null {
    if (this.#state === 'version') {
      const version = this.#held[0]
      if (version === undefined) return null
      if (version === 5) this.#state = 'methods'
      else if (version !== 4) return this.#refuse('malformed', `the first byte is ${version}`, null)
    }
    switch (this.#state) {
      case 'version':
        return this.#readSocks4()
      case 'methods':
        return this.#readMethods()
      case 'credentials':
        return this.#readCredentials()
      case 'request':
        return this.#readRequest()
      default:
        return null
    }
  }

  /** What was asked with `credentials`: the answer, after which a request follows, or the end. */
  verified(isRight: boolean): Buffer {
    this.#state = isRight ? 'request' : 'done'
    return Buffer.of(1, isRight ? 0 : 1)
  }

  /** RFC 1928 §3. */
  #readMethods(): SocksStep | null {
    const held = this.#held
    if (held.length < 2) return null
    const end = 2 + held[1]!
    if (held.length < end) return null
    const methods = held.subarray(2, end)
    const { wantsUser } = this.#options
    if (!methods.includes(wantsUser ? 2 : 0)) {
      const detail = wantsUser ? 'the client offers no name and password' : 'the client does not go without a name and a password'
      return this.#refuse('unauthenticated', detail, Buffer.of(5, 0xff))
    }
    this.#take(end)
    this.#state = wantsUser ? 'credentials' : 'request'
    return { kind: 'answer', bytes: Buffer.of(5, wantsUser ? 2 : 0) }
  }

  /** RFC 1929 §2. */
  #readCredentials(): SocksStep | null {
    const held = this.#held
    if (held.length === 0) return null
    if (held[0] !== 1) return this.#refuse('malformed', `name and password of version ${held[0]}`, null)
    if (held.length < 2) return null
    const passwordAt = 2 + held[1]!
    if (held.length < passwordAt + 1) return null
    const end = passwordAt + 1 + held[passwordAt]!
    if (held.length < end) return null
    const name = held.subarray(2, passwordAt)
    const bytes = Buffer.concat([name, Buffer.of(COLON), held.subarray(passwordAt + 1, end)])
    this.#take(end)
    this.#state = 'verifying'
    return { kind: 'credentials', name: name.toString(), bytes }
  }

  /** RFC 1928 §4. */
  #readRequest(): SocksStep | null {
    const held = this.#held
    if (held.length === 0) return null
    if (held[0] !== 5) return this.#refuse('malformed', `a request of version ${held[0]}`, null)
    if (held.length < 4) return null
    if (held[2] !== 0) return this.#refuse('malformed', 'the reserved byte is not zero', socksReply(5, 'failed'))
    const place = readPlace(held, 3)
    if (place === null) return null
    if (place === 'unknown') return this.#refuse('unsupported', `addresses of type ${held[3]}`, socksReply(5, 'addressUnsupported'))
    const command = held[1]!
    if (command !== CONNECT && !(command === UDP && this.#options.udp)) {
      return this.#refuse('unsupported', `the command ${commandName(command)}`, socksReply(5, 'commandUnsupported'))
    }
    if (command === UDP) {
      this.#finish()
      return { kind: 'request', version: 5, command: 'udp', clientPort: place.port }
    }
    const destination = makeDestination(place.host, place.port)
    if (destination === null) return this.#refuse('malformed', shownPlace(place), socksReply(5, 'failed'))
    return this.#connect(5, destination, place.end)
  }

  /** Version 4: command, port, address, user, and in 4a a name where the address is 0.0.0.x. There is no password. */
  #readSocks4(): SocksStep | null {
    const held = this.#held
    const refuse = (why: SocksFault, detail: string): SocksStep => this.#refuse(why, detail, socksReply(4, 'failed'))
    if (held.length > 1 && held[1] !== CONNECT && held[1] !== BIND)
      return this.#refuse('malformed', `the command ${held[1]} of SOCKS4`, null)
    if (held.length < 9) return null
    const userEnd = held.indexOf(0, 8)
    if (userEnd > 8 + MOST_TEXT || (userEnd < 0 && held.length > 8 + MOST_TEXT)) return refuse('malformed', 'a user of more than 255 bytes')
    if (userEnd < 0) return null
    const isNamed = held[4] === 0 && held[5] === 0 && held[6] === 0 && held[7] !== 0
    const nameAt = userEnd + 1
    const nameEnd = isNamed ? held.indexOf(0, nameAt) : userEnd
    if (nameEnd > nameAt + MOST_TEXT || (nameEnd < 0 && held.length > nameAt + MOST_TEXT))
      return refuse('malformed', 'a name of more than 255 bytes')
    if (nameEnd < 0) return null
    if (held[1] === BIND) return refuse('unsupported', 'the command BIND')
    if (this.#options.wantsUser) return refuse('unauthenticated', 'SOCKS4 knows no passwords')
    const place = {
      host: isNamed ? held.latin1Slice(nameAt, nameEnd) : formatIpv4(held.readUInt32BE(4)),
      port: held.readUInt16BE(2),
    }
    const destination = makeDestination(place.host, place.port)
    if (destination === null) return refuse('malformed', shownPlace(place))
    return this.#connect(4, destination, nameEnd + 1)
  }

  #connect(version: 4 | 5, destination: NamedDestination, end: number): ConnectRequest {
    const early = this.#held.subarray(end)
    this.#finish()
    return { kind: 'request', version, command: 'connect', destination, early }
  }

  #refuse(why: SocksFault, detail: string, bytes: Buffer | null): SocksStep {
    this.#finish()
    return { kind: 'refused', why, detail, bytes }
  }

  #finish(): void {
    this.#held = NOTHING
    this.#state = 'done'
  }

  #take(end: number): void {
    this.#held = this.#held.subarray(end)
  }
}

/** An address of SOCKS5 with its port, from its type on. */
export interface SocksPlace {
  readonly host: string
  readonly port: number
  /** Behind it. */
  readonly end: number
}

/** Null: it is not all there. */
export function readPlace(bytes: Buffer, at: number): SocksPlace | 'unknown' | null {
  const type = bytes[at]
  if (type === undefined) return null
  if (type !== IPV4 && type !== NAME && type !== IPV6) return 'unknown'
  const from = type === NAME ? at + 2 : at + 1
  const length = type === IPV4 ? 4 : type === IPV6 ? 16 : bytes[at + 1]
  if (length === undefined || bytes.length < from + length + 2) return null
  const end = from + length
  return { host: readHost(bytes, type, { from, end }), port: bytes.readUInt16BE(end), end: end + 2 }
}

function readHost(bytes: Buffer, type: number, { from, end }: { readonly from: number; readonly end: number }): string {
  if (type === NAME) return bytes.latin1Slice(from, end)
  if (type === IPV4) return formatIpv4(bytes.readUInt32BE(from))
  for (let i = 0; i < 8; i++) words[i] = bytes.readUInt16BE(from + i * 2)
  return formatIpv6(words)
}

const words = new Uint16Array(8)

/** Type, address and port; an address that is none is written as a name. */
export function writePlace(host: string, port: number): Buffer {
  const ipv4 = parseIpv4(host)
  const address = ipv4 >= 0 ? 4 : parseIpv6(host, words) ? 16 : 0
  const head = address === 4 ? [IPV4] : address === 16 ? [IPV6] : [NAME, host.length]
  const bytes = Buffer.alloc(head.length + (address || host.length) + 2)
  bytes.set(head)
  if (address === 4) bytes.writeUInt32BE(ipv4, 1)
  else if (address === 16) for (let i = 0; i < 8; i++) bytes.writeUInt16BE(words[i]!, 1 + i * 2)
  else bytes.latin1Write(host, head.length)
  bytes.writeUInt16BE(port, bytes.length - 2)
  return bytes
}

/** The end of an opening. `bound`: of UDP, where datagrams go; else zeros, for where the proxy dials from is nobody's business. */
export function socksReply(
  version: 4 | 5,
  reply: SocksReply,
  bound: { readonly host: string; readonly port: number } | null = null,
): Buffer {
  if (version === 4) return Buffer.from([0, reply === 'granted' ? 90 : 91, 0, 0, 0, 0, 0, 0])
  return Buffer.concat([Buffer.of(5, REPLIES[reply], 0), writePlace(bound?.host ?? '0.0.0.0', bound?.port ?? 0)])
}

function commandName(command: number): string {
  return command === BIND ? 'BIND' : command === UDP ? 'UDP ASSOCIATE' : String(command)
}

function shownPlace({ host, port }: { readonly host: string; readonly port: number }): string {
  return port === 0 ? 'port 0' : `no host: ${JSON.stringify(host)}`
}
