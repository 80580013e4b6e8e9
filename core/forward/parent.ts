/** A parent: the proxy that a listener of the forward side asks in its turn, as a config writes it. */
import { formatHost, isHostName, isIp } from '../net/address.ts'

export interface Parent {
  readonly kind: 'http' | 'socks5'
  readonly target: { readonly kind: 'name' | 'ip'; readonly host: string; readonly port: number }
  /** `http://10.0.0.1:3128`, without what is secret. */
  readonly name: string
  /** Null: none is given. */
  readonly credentials: { readonly name: string; readonly password: string } | null
}

const FORM = /^(http|socks5h?):\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(?:\[([^\]]+)\]|([^:@/?#[\]]+))(?::(\d{1,5}))?\/?$/i
const DEFAULT_PORTS = { http: 80, socks5: 1080 }
/** RFC 1929 §2. */
const MOST_BYTES = 255

/** A sentence about what is wrong with it, which repeats none of it: it may hold a password. */
export function parseParent(written: string): Parent | string {
  const [whole, scheme = '', user, password = '', bracketed, plain = '', digits] = FORM.exec(written) ?? []
  if (whole === undefined)
    return "expected 'http://host:port' or 'socks5://host:port', with user:password@ before the host if it asks for them"
  const kind = scheme.toLowerCase() === 'http' ? 'http' : 'socks5'
  const host = (bracketed ?? plain).toLowerCase()
  const port = digits === undefined ? DEFAULT_PORTS[kind] : Number(digits)
  if (port < 1 || port > 65535) return 'a port is a number from 1 to 65535'
  const isAddress = isIp(host)
  if (!isAddress && (bracketed !== undefined || !isHostName(host))) return 'the host of a parent is a name or an address'
  const credentials = user === undefined ? null : { name: decoded(user), password: decoded(password) }
  if (credentials !== null && (credentials.name === null || credentials.password === null))
    return 'a % in its user or password is written %25'
  const given = credentials as Parent['credentials']
  if (given !== null && [given.name, given.password].some((text) => Buffer.byteLength(text) > MOST_BYTES))
    return `its user and its password have at most ${MOST_BYTES} bytes each`
  if (given?.name.includes(':')) return 'a user has no colon in its name'
  return {
    kind,
    target: { kind: isAddress ? 'ip' : 'name', host, port },
    name: `${kind}://${formatHost(host)}:${port}`,
    credentials: given,
  }
}

/** The line that tells an HTTP parent who asks; `''` where it is not told. */
export function parentLine({ credentials }: Parent): string {
  if (credentials === null) return ''
  return `Proxy-Authorization: Basic ${Buffer.from(`${credentials.name}:${credentials.password}`).toString('base64')}\r\n`
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
