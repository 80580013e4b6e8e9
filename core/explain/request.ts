/** The request as the listener would read it: by the proxy's own parser and rules. */
import { isIP } from 'node:net'
import { type ErrorCode, errorTable } from '../errors.ts'
import { clientAddress, plainAddress } from '../http/identity.ts'
import { parseDestination } from '../net/destination.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { parseRequestHead } from '../net/http1/request.ts'
import type { ListenerPlan } from '../plan/plan.ts'
import type { Asked, Refusal, RequestStep } from './explanation.ts'
import type { Target } from './listener.ts'
import { clean } from './shown.ts'

export interface ReadRequest {
  /** Null if it is refused. */
  readonly head: RequestHead | null
  readonly peer: string
  readonly ip: string
  readonly isHttp2: boolean
  readonly step: RequestStep
}

export function readRequest(asked: Asked, target: Target, listener: ListenerPlan): ReadRequest {
  const text = asked.head ?? (listener.forward === null ? makeHead(asked, target) : makeProxyHead(asked, target))
  const head = parse(text, listener)
  const peer = plainAddress(asked.from)
  const isHttp2 = asked.protocol === 'HTTP/2'
  const [, method = '', written = ''] = /^(\S+) (\S+)/.exec(text) ?? []
  if (typeof head === 'string') {
    const refused = refusal(head, text)
    const client = { ip: peer, peer, because: 'the address of the peer' }
    const step = {
      method: clean(method),
      host: clean(target.authority),
      path: clean(written),
      search: '',
      writtenPath: null,
      client,
      refused,
    }
    return { head: null, peer, ip: peer, isHttp2, step }
  }
  const ip = clientAddress(head, peer, listener.trust)
  const writtenPath = written.replace(/^https?:\/\/[^/?]*/i, '').replace(/\?.*/, '') || '/'
  const step: RequestStep = {
    ...{ method: head.method, host: clean(head.host), path: clean(head.path), search: clean(head.search), refused: null },
    writtenPath: writtenPath === head.path || listener.forward !== null ? null : clean(writtenPath),
    client: { ip, peer, because: whyClient(head, { ip, peer }, listener) },
  }
  return { head, peer, ip, isHttp2, step }
}

/** What a client would send to a forward proxy: a whole URL, or for what is encrypted a tunnel first. */
function makeProxyHead(asked: Asked, { scheme, authority, port, target }: Target): string {
  const connects = asked.method === 'CONNECT' || scheme === 'https'
  const place = port === null && scheme === 'https' ? `${authority}:443` : authority
  if (!connects) return makeHead(asked, { scheme, authority, port, target: `http://${authority}${target}` })
  return makeHead({ ...asked, method: 'CONNECT' }, { scheme, authority, port, target: place })
}

/** What a client would send: UTF-8 as bytes, a space escaped. */
function makeHead({ method, headers }: Asked, { authority, target }: Target): string {
  const host = headers.some(([name]) => name.toLowerCase() === 'host') ? '' : `Host: ${authority === '' ? 'localhost' : authority}\r\n`
  const lines = headers.map(([name, value]) => `${name}: ${bytesOf(value)}\r\n`).join('')
  return `${method} ${bytesOf(target).replace(/ /g, '%20')} HTTP/1.1\r\n${host}${lines}\r\n`
}

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').latin1Slice()
}

function parse(text: string, { limits, encodedSlashes, forward, transparent }: ListenerPlan): RequestHead | ErrorCode {
  const rules = {
    requestLineBytes: limits.requestLineBytes,
    fields: limits.fields,
    encodedSlashes,
    forward: forward !== null,
    transparent: transparent !== null,
  }
  const head = parseRequestHead(text, 0, text.length, rules)
  if (typeof head === 'string') return head
  // Of a client that knows of no proxy; the port that it wanted is that of HTTP.
  if (forward !== null && transparent !== null) head.destination ??= parseDestination(head.host, 80)
  if (text.length > limits.headBytes) return 'head_too_large'
  return head.contentLength > limits.bodyBytes ? 'body_too_large' : head
}

function refusal(code: ErrorCode, text: string): Refusal {
  const { status, text: sentence } = errorTable[code]
  const path = /^\S+ (\S*)/.exec(text)?.[1]?.replace(/\?.*/, '') ?? ''
  return { code, status, because: code === 'bad_path' ? whyBadPath(path) : sentence }
}

function whyBadPath(path: string): string {
  const slash = /%(?:2f|5c)/i.exec(path)?.[0]
  if (slash !== undefined)
    return `${slash} in the path is an encoded ${/2f/i.test(slash) ? 'slash' : 'backslash'}: two servers may read it in two ways; encodedSlashes: true on the listener lets it pass`
  if (/%00/.test(path)) return '%00 in the path is an encoded NUL, which nothing lets pass'
  if (path.includes('\\')) return 'a backslash in the path: some servers take it for a slash'
  const malformed = /%(?![0-9a-f]{2}).{0,2}/i.exec(path)?.[0]
  if (malformed !== undefined) return `${clean(malformed)} in the path is no escape of two hex digits`
  return 'a segment of the path begins with ..; which some servers take for ..'
}

function whyClient(head: RequestHead, { ip, peer }: { readonly ip: string; readonly peer: string }, { name, trust }: ListenerPlan): string {
  const chain = head.get('x-forwarded-for')
  if (chain === null) return 'the address of the peer'
  if (trust === null) return `the peer's: X-Forwarded-For is not believed, for ${name} trusts nobody (see trust)`
  if (!trust.has(peer)) return `the peer's: X-Forwarded-For is not believed, for ${peer} is not among those that ${name} trusts`
  if (ip === peer && !chain.split(',').some((part) => isIP(plainAddress(part.trim())) > 0))
    return "the peer's: X-Forwarded-For holds no address"
  return 'the rightmost address in X-Forwarded-For that is not trusted'
}
