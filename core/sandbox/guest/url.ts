/**
 * `URL` after the WHATWG URL standard, written for what a proxy's plugin meets: absolute and relative
 * references, special schemes, IPv4, IPv6, dot segments, percent-encoding. Not there: IDNA; a host that is not ASCII is refused.
 */
import { trimmed } from '../../net/trim.ts'
import { hex, percent } from './query.ts'
import { URLSearchParams } from './search-params.ts'
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

interface Parts {
  scheme: string
  username: string
  password: string
  /** null: no authority. */
  host: string | null
  port: string
  /** Segments, or one opaque string. */
  path: string[] | string
  query: string | null
  fragment: string | null
}

const defaultPorts: Record<string, string> = { http: '80', https: '443', ws: '80', wss: '443', ftp: '21', file: '' }

export class URL {
  #parts: Parts
  #params: URLSearchParams | null = null

  constructor(url: string, base?: string | URL) {
    const against = base === undefined ? null : parse(`${base}`, null)
    this.#parts = parse(`${url}`, against)
  }
  static canParse(url: string, base?: string): boolean {
    return URL.parse(url, base) !== null
  }
  static parse(url: string, base?: string): URL | null {
    try {
      return new URL(url, base)
    } catch {
      return null
    }
  }

  get href(): string {
    return write(this.#parts)
  }
  set href(href: string) {
    this.#parts = parse(`${href}`, null)
    this.#params?.replaceBy(this.#parts.query ?? '')
  }
  get origin(): string {
    const { scheme } = this.#parts
    return isSpecial(scheme) && scheme !== 'file' ? `${scheme}://${this.host}` : 'null'
  }
  get protocol(): string {
    return `${this.#parts.scheme}:`
  }
  set protocol(protocol: string) {
    const scheme = /^([a-z][a-z0-9+.-]*):?/i.exec(`${protocol}`)?.[1]?.toLowerCase()
    if (scheme === undefined || isSpecial(scheme) !== isSpecial(this.#parts.scheme)) return
    this.#parts.scheme = scheme
    if (this.#parts.port === defaultPorts[scheme]) this.#parts.port = ''
  }
  get username(): string {
    return this.#parts.username
  }
  set username(username: string) {
    if (this.#parts.host) this.#parts.username = encode(`${username}`, USERINFO)
  }
  get password(): string {
    return this.#parts.password
  }
  set password(password: string) {
    if (this.#parts.host) this.#parts.password = encode(`${password}`, USERINFO)
  }
  get host(): string {
    const { host, port } = this.#parts
    return host === null ? '' : port === '' ? host : `${host}:${port}`
  }
  set host(host: string) {
    const found = /^(\[[^\]]*\]|[^:/?#\\]*)(?::(\d*))?/.exec(`${host}`)
    this.hostname = found?.[1] ?? ''
    if (found?.[2]) this.port = found[2]
  }
  get hostname(): string {
    return this.#parts.host ?? ''
  }
  set hostname(hostname: string) {
    if (typeof this.#parts.path === 'string' || `${hostname}` === '') return
    try {
      this.#parts.host = readHost(`${hostname}`, isSpecial(this.#parts.scheme))
    } catch {
      // A host that is not valid leaves the URL as it was (URL standard §6.1).
    }
  }
  get port(): string {
    return this.#parts.port
  }
  set port(port: string) {
    if (!this.#parts.host || this.#parts.scheme === 'file') return
    const digits = /^\d*/.exec(`${port}`)![0]
    if (`${port}` === '') this.#parts.port = ''
    else if (digits !== '' && Number(digits) <= 65535)
      this.#parts.port = digits === defaultPorts[this.#parts.scheme] ? '' : `${Number(digits)}`
  }
  get pathname(): string {
    return writePath(this.#parts)
  }
  set pathname(pathname: string) {
    if (typeof this.#parts.path !== 'string') this.#parts.path = readPath(`${pathname}`, [], isSpecial(this.#parts.scheme))
  }
  get search(): string {
    return this.#parts.query ? `?${this.#parts.query}` : ''
  }
  set search(search: string) {
    const query = `${search}`.replace(/^\?/, '')
    this.#parts.query = query === '' ? null : encode(query, isSpecial(this.#parts.scheme) ? SPECIAL_QUERY : QUERY)
    this.#params?.replaceBy(query)
  }
  get searchParams(): URLSearchParams {
    this.#params ??= URLSearchParams.of(this.#parts.query ?? '', (params) => {
      this.#parts.query = params.toString() || null
    })
    return this.#params
  }
  get hash(): string {
    return this.#parts.fragment ? `#${this.#parts.fragment}` : ''
  }
  set hash(hash: string) {
    const fragment = `${hash}`.replace(/^#/, '')
    this.#parts.fragment = fragment === '' ? null : encode(fragment, FRAGMENT)
  }
  toString(): string {
    return this.href
  }
  toJSON(): string {
    return this.href
  }
}

// Percent-encode sets (URL standard §1.3), beyond controls and what is not ASCII.
const FRAGMENT = ' "<>`'
const QUERY = ' "#<>'
const SPECIAL_QUERY = `${QUERY}'`
const PATH = `${QUERY}?^\`{}`
/** U+0000 to U+0020. */
const CONTROLS = String.fromCharCode(...Array(0x21).keys())
const USERINFO = `${PATH}/:;=@[\\]|`

function parse(input: string, base: Parts | null): Parts {
  // C0 controls and spaces at both ends go, tabs and line ends everywhere (URL standard §4.4).
  let rest = trimmed(input, CONTROLS).replace(/[\t\n\r]/g, '')
  const hash = rest.indexOf('#')
  const fragment = hash < 0 ? null : encode(rest.slice(hash + 1), FRAGMENT)
  if (hash >= 0) rest = rest.slice(0, hash)
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(rest)?.[1]
  if (scheme !== undefined) {
    const name = scheme.toLowerCase()
    const after = rest.slice(scheme.length + 1)
    if (!isSpecial(name)) return parseGeneric(name, after, fragment)
    if (base === null || base.scheme !== name || /^[/\\]{2}/.test(after))
      return parseAuthority(name, after.replace(/^[/\\]*/, ''), fragment)
    return parseRelative(after, base, fragment)
  }
  if (base === null) throw new TypeError(`not a URL: ${input.slice(0, 100)}`)
  return parseRelative(rest, base, fragment)
}

function parseGeneric(scheme: string, after: string, fragment: string | null): Parts {
  if (after.startsWith('//')) return parseAuthority(scheme, after.slice(2), fragment)
  const [pathText, query] = splitQuery(after, scheme)
  const path = pathText.startsWith('/') ? readPath(pathText, [], false) : encode(pathText, '')
  return { scheme, username: '', password: '', host: null, port: '', path, query, fragment }
}

function parseAuthority(scheme: string, text: string, fragment: string | null): Parts {
  const special = isSpecial(scheme)
  const end = text.search(special ? /[/\\?]/ : /[/?]/)
  const authority = end < 0 ? text : text.slice(0, end)
  const at = authority.lastIndexOf('@')
  const userinfo = at < 0 ? '' : authority.slice(0, at)
  const colon = userinfo.indexOf(':')
  const found = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(authority.slice(at + 1))
  if (found === null || (found[1] === '' && (special ? scheme !== 'file' : at >= 0)) || Number(found[2] ?? 0) > 65535)
    throw new TypeError(`not a valid host: ${authority.slice(0, 100)}`)
  const port = found[2] ? `${Number(found[2])}` : ''
  const [pathText, query] = splitQuery(end < 0 ? '' : text.slice(end), scheme)
  return {
    scheme,
    username: encode(colon < 0 ? userinfo : userinfo.slice(0, colon), USERINFO),
    password: colon < 0 ? '' : encode(userinfo.slice(colon + 1), USERINFO),
    host: readHost(found[1]!, special),
    port: port === defaultPorts[scheme] ? '' : port,
    path: readPath(pathText, [], special),
    query,
    fragment,
  }
}

function parseRelative(text: string, base: Parts, fragment: string | null): Parts {
  const special = isSpecial(base.scheme)
  if (text === '' || typeof base.path === 'string') {
    if (text !== '') throw new TypeError(`not a URL: ${text.slice(0, 100)}`)
    return { ...base, path: copyPath(base.path), fragment }
  }
  const flat = special ? text.replaceAll('\\', '/') : text
  if (flat.startsWith('//')) return parseAuthority(base.scheme, text.slice(2), fragment)
  const [pathText, query] = splitQuery(text, base.scheme)
  if (pathText === '') return { ...base, path: copyPath(base.path), query, fragment }
  const path = flat.startsWith('/') ? readPath(pathText, [], special) : readPath(pathText, base.path.slice(0, -1), special)
  return { ...base, path, query, fragment }
}

function copyPath(path: string[] | string): string[] | string {
  return typeof path === 'string' ? path : [...path]
}

function splitQuery(text: string, scheme: string): [path: string, query: string | null] {
  const at = text.indexOf('?')
  if (at < 0) return [text, null]
  return [text.slice(0, at), encode(text.slice(at + 1), isSpecial(scheme) ? SPECIAL_QUERY : QUERY)]
}

function readPath(text: string, start: readonly string[], special: boolean): string[] {
  const segments = [...start]
  const parts = (special ? text.replaceAll('\\', '/') : text).replace(/^\//, '').split('/')
  if (text === '' && !special) return segments
  for (let i = 0; i < parts.length; i++) {
    const last = i === parts.length - 1
    const plain = parts[i]!.replace(/%2e/gi, '.')
    if (plain === '..') {
      segments.pop()
      if (last) segments.push('')
    } else if (plain !== '.') segments.push(encode(parts[i]!, PATH))
    else if (last) segments.push('')
  }
  return segments
}

function readHost(text: string, special: boolean): string {
  if (text.startsWith('[')) {
    if (!text.endsWith(']')) throw new TypeError(`not a valid host: ${text.slice(0, 100)}`)
    return `[${writeIpv6(readIpv6(text.slice(1, -1)))}]`
  }
  if (!special) {
    if (/[\0\t\n\r #/:<>?@[\\\]^|]/.test(text)) throw new TypeError(`not a valid host: ${text.slice(0, 100)}`)
    return encode(text, '')
  }
  const host = decodePercent(text).toLowerCase()
  // Forbidden domain code points (URL standard §3.2), and all that is not ASCII.
  if (/[^\x21-\x7e]|[#/:<>?@[\\\]^|%]/.test(host)) throw new TypeError(`not a valid host: ${text.slice(0, 100)}`)
  const last = host.replace(/\.$/, '').split('.').at(-1)!
  return /^(\d+|0x[0-9a-f]*)$/.test(last) ? readIpv4(host) : host
}

function readIpv4(host: string): string {
  const parts = host.replace(/\.$/, '').split('.')
  const numbers = parts.map((part) => {
    if (part === '' || !/^(0x[0-9a-f]*|0[0-7]*|[1-9]\d*)$/.test(part)) throw new TypeError(`not a valid IPv4 address: ${host}`)
    return part.startsWith('0x') ? Number(part === '0x' ? 0 : part) : part.startsWith('0') ? Number.parseInt(part, 8) : Number(part)
  })
  const tail = numbers.pop()!
  if (parts.length > 4 || numbers.some((n) => n > 255) || tail >= 256 ** (4 - numbers.length))
    throw new TypeError(`not a valid IPv4 address: ${host}`)
  const value = numbers.reduce((sum, n, i) => sum + n * 256 ** (3 - i), tail)
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

function readIpv6(text: string): number[] {
  const bad = () => new TypeError(`not a valid IPv6 address: ${text.slice(0, 100)}`)
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  let plain = text
  if (dotted !== null) {
    const bytes = dotted.slice(2).map(Number)
    if (bytes.some((byte) => byte > 255)) throw bad()
    plain = `${dotted[1]}${(bytes[0]! * 256 + bytes[1]!).toString(16)}:${(bytes[2]! * 256 + bytes[3]!).toString(16)}`
  }
  const halves = plain.split('::')
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')))
  const count = groups.reduce((sum, half) => sum + half.length, 0)
  if (halves.length > 2 || (halves.length === 1 ? count !== 8 : count > 7)) throw bad()
  const fill: string[] = halves.length === 1 ? [] : new Array<string>(8 - count).fill('0')
  return [...groups[0]!, ...fill, ...(groups[1] ?? [])].map((group) => {
    if (!/^[0-9a-f]{1,4}$/i.test(group)) throw bad()
    return Number.parseInt(group, 16)
  })
}

/** The shortest form: the longest run of zeros becomes `::` (RFC 5952). */
function writeIpv6(groups: readonly number[]): string {
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let run = 0
    while (i + run < 8 && groups[i + run] === 0) run++
    if (run > length) {
      start = i
      length = run
    }
    i += run
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  return start < 0 ? text(0, 8) : `${text(0, start)}::${text(start + length, 8)}`
}

function write(parts: Parts): string {
  const { scheme, username, password, host, port, query, fragment } = parts
  const userinfo = username === '' && password === '' ? '' : `${username}${password === '' ? '' : `:${password}`}@`
  const authority = host === null ? '' : `//${userinfo}${host}${port === '' ? '' : `:${port}`}`
  return `${scheme}:${authority}${writePath(parts)}${query === null ? '' : `?${query}`}${fragment === null ? '' : `#${fragment}`}`
}

function writePath({ path }: Parts): string {
  return typeof path === 'string' ? path : path.length === 0 ? '' : `/${path.join('/')}`
}

function isSpecial(scheme: string): boolean {
  return Object.hasOwn(defaultPorts, scheme)
}

function encode(text: string, set: string): string {
  let out = ''
  for (const char of text) {
    const code = char.codePointAt(0)!
    if (code > 0x20 && code < 0x7f && !set.includes(char)) out += char
    else if (code === 0x20 && !set.includes(char)) out += char
    else for (const byte of encodeUtf8(char)) out += percent(byte)
  }
  return out
}

function decodePercent(text: string): string {
  if (!text.includes('%')) return text
  const raw = encodeUtf8(text)
  const bytes: number[] = []
  for (let i = 0; i < raw.length; i++) {
    const high = raw[i] === 37 ? hex(raw[i + 1]) : -1
    const low = high >= 0 ? hex(raw[i + 2]) : -1
    bytes.push(low >= 0 ? high * 16 + low : raw[i]!)
    if (low >= 0) i += 2
  }
  return decodeUtf8(bytes)
}
