/**
 * The admin listener: `/metrics`, `/healthz`, `/readyz`, `/api/status`, `/api/plugins`, `/api/upstreams`, `/api/endpoints`, `/api/cache`. It answers only who is meant: a page in a browser cannot reach
 * it by a rebound name or from another origin, and beyond loopback it asks for a token.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import type * as http from 'node:http'
import net from 'node:net'
import { type CacheAsk, type CacheTold, parseList, parsePurge } from '../cache/asks.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { ENDPOINT_ASKS, type EndpointAsk, EndpointError, parseEndpointAsk } from '../upstream/endpoint-asks.ts'

export interface AdminSource {
  metrics(): Promise<{ readonly type: string; readonly text: string }>
  /** null when all is ready, or what is missing. */
  unready(): string | null
  /** What is amiss though it is ready: a line each. */
  remarks(): readonly string[]
  status(): Promise<unknown>
  plugins(): Promise<unknown>
  upstreams(): Promise<unknown>
  caches(ask: CacheAsk): Promise<CacheTold>
  /** Rejects with EndpointError, too. */
  endpoints(ask: EndpointAsk): Promise<unknown>
}

export interface AdminOptions {
  readonly listen: readonly ListenAddress[]
  /** What `Authorization: Bearer` must carry; null where it is not asked for. */
  readonly token: string | null
  readonly source: AdminSource
}

/** It may not listen there (`refused`), or cannot (`bind`). */
export class AdminError extends Error {
  override readonly name = 'AdminError'
  readonly kind: 'refused' | 'bind'
  readonly address: ListenAddress
  constructor(kind: 'refused' | 'bind', address: ListenAddress, message: string) {
    super(message)
    this.kind = kind
    this.address = address
  }
}

export interface Admin {
  /** `http://127.0.0.1:9900`, with the port that was given. */
  readonly addresses: readonly string[]
  close(): Promise<void>
}

/** Rejects with AdminError. */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const open = options.listen.find((address) => !isLocal(address))
  if (open !== undefined && options.token === null) {
    throw new AdminError(
      'refused',
      open,
      `admin on ${describe(open)} can be reached from other machines: set SLUICE_ADMIN_TOKEN, or listen on 127.0.0.1`,
    )
  }
  const servers: http.Server[] = []
  const addresses: string[] = []
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeServer))
  }
  try {
    for (const address of options.listen) {
      const server = createServer(options)
      addresses.push(await listen(server, address))
      servers.push(server)
    }
  } catch (error) {
    await close()
    throw error
  }
  return { addresses, close }
}

function createServer({ token, source }: AdminOptions): http.Server {
  const server = loadHttp().createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
    answer(request, { token, source }).then(
      ({ status, type, text }) => {
        const headers = {
          'content-type': type,
          'content-length': Buffer.byteLength(text),
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        }
        response.writeHead(status, headers).end(request.method === 'HEAD' ? '' : text)
      },
      () => response.writeHead(500).end(),
    )
  })
  // Metrics are of no use to a client that is slow to read them.
  server.setTimeout(30_000)
  return server
}

interface AdminAnswer {
  readonly status: number
  readonly type: string
  readonly text: string
}

async function answer(
  request: http.IncomingMessage,
  { token, source }: { token: string | null; source: AdminSource },
): Promise<AdminAnswer> {
  const path = (request.url ?? '/').split('?', 1)[0]
  const change = request.method === 'POST' ? changeOf(path ?? '') : null
  if (request.method !== 'GET' && request.method !== 'HEAD' && change === null)
    return request.method === 'POST' && !READ.includes(path ?? '') ? plain(404, HERE) : plain(405, 'only GET and HEAD')
  const host = request.headers.host ?? ''
  const origin = request.headers.origin
  if (origin !== undefined && origin !== `http://${host}`) return plain(403, 'requests of other origins are refused')
  if (path === '/healthz') return plain(200, 'ok')
  if (path === '/readyz') {
    const missing = source.unready()
    return missing === null ? plain(200, ['ready', ...source.remarks()].join('\n')) : plain(503, missing)
  }
  const authorized = token !== null && isToken(request.headers.authorization, token)
  if (token !== null && !authorized) return plain(401, 'set Authorization: Bearer TOKEN')
  // A rebound name arrives as Host; an address cannot be rebound, and a page has no token.
  if (!authorized && !isAddressOrLocal(host))
    return plain(403, `the name ${JSON.stringify(host)} is not served here; use localhost or the address`)
  if (change !== null) return posted(request, change, source)
  switch (path) {
    case '/api/endpoints':
      return asked({ kind: 'list', upstream: new URL(request.url!, 'http://localhost').searchParams.get('upstream') }, source)
    case '/api/cache':
      return list(new URL(request.url!, 'http://localhost').searchParams, source)
    case '/metrics':
      return { status: 200, ...(await source.metrics()) }
    case '/api/status':
      return { status: 200, type: 'application/json', text: `${JSON.stringify(await source.status())}\n` }
    case '/api/plugins':
      return { status: 200, type: 'application/json', text: `${JSON.stringify(await source.plugins())}\n` }
    case '/api/upstreams':
      return { status: 200, type: 'application/json', text: `${JSON.stringify(await source.upstreams())}\n` }
    default:
      return plain(404, HERE)
  }
}

const READ = ['/metrics', '/healthz', '/readyz', '/api/status', '/api/plugins', '/api/upstreams', '/api/endpoints', '/api/cache']
const HERE = `here are ${READ.join(', ')} and, to POST to, /api/cache/purge and /api/endpoints/ with add, drain, undrain or remove`

const MOST_BYTES = 8192

/** What is posted there; null: nothing. */
type Change = 'purge' | Exclude<EndpointAsk['kind'], 'list'>

function changeOf(path: string): Change | null {
  if (path === '/api/cache/purge') return 'purge'
  const kind = ENDPOINT_ASKS.find((one) => path === `/api/endpoints/${one}`)
  return kind === undefined || kind === 'list' ? null : kind
}

/** A page of another origin cannot send JSON without asking first, and nobody answers that. */
async function posted(request: http.IncomingMessage, change: Change, source: AdminSource): Promise<AdminAnswer> {
  if (!/^application\/json\b/i.test(request.headers['content-type'] ?? '')) return plain(415, 'send application/json')
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MOST_BYTES) return plain(413, `this takes up to ${MOST_BYTES} bytes`)
  }
  if (change !== 'purge') return asked({ ...fieldsOf(text), kind: change }, source)
  const ask = parsePurge(fieldsOf(text))
  return typeof ask === 'string' ? plain(400, ask) : told(source, ask)
}

const STATUS_OF = { unknown: 404, conflict: 409, busy: 503 } as const

async function asked(fields: Readonly<Record<string, unknown>>, source: AdminSource): Promise<AdminAnswer> {
  const ask = parseEndpointAsk(fields)
  if (typeof ask === 'string') return plain(400, ask)
  try {
    return { status: 200, type: 'application/json', text: `${JSON.stringify(await source.endpoints(ask))}\n` }
  } catch (error) {
    return error instanceof EndpointError ? plain(STATUS_OF[error.kind], error.message) : plain(503, String(error))
  }
}

/** `?prefix=https://example.com/&most=100&cache=NAME`; without a prefix the counts alone. */
async function list(params: URLSearchParams, source: AdminSource): Promise<AdminAnswer> {
  const cache = params.get('cache')
  const prefix = params.get('prefix')
  if (prefix === null) return told(source, { kind: 'stat', cache })
  const ask = parseList({ prefix, cache, most: Number(params.get('most') ?? 100) })
  return typeof ask === 'string' ? plain(400, ask) : told(source, ask)
}

async function told(source: AdminSource, ask: CacheAsk): Promise<AdminAnswer> {
  try {
    const answer = await source.caches(ask)
    return { status: answer.problems.length === 0 ? 200 : 503, type: 'application/json', text: `${JSON.stringify(answer)}\n` }
  } catch (error) {
    return plain(503, error instanceof Error ? error.message : String(error))
  }
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  } catch {
    return {}
  }
}

function plain(status: number, text: string): AdminAnswer {
  return { status, type: 'text/plain; charset=utf-8', text: `${text}\n` }
}

/** Takes the same time for each wrong token. */
function isToken(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return given !== undefined && timingSafeEqual(digest(given), digest(token))
}

function isAddressOrLocal(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost') || name === '') return true
  return net.isIP(name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name) !== 0
}

function isLocal(address: ListenAddress): boolean {
  if (address.kind === 'unix') return true
  return address.host !== null && (address.host === '::1' || address.host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(address.host))
}

/** Returns where it listens. */
/** An `import` would load all of undici with it, a tenth of a second of CPU. */
function loadHttp(): typeof http {
  return process.getBuiltinModule('node:http')
}

async function listen(server: http.Server, address: ListenAddress): Promise<string> {
  const options =
    address.kind === 'unix' ? { path: address.path } : { port: address.port, ...(address.host === null ? {} : { host: address.host }) }
  try {
    server.listen(options)
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    const why = code === 'EADDRINUSE' ? 'another program uses it already' : error instanceof Error ? error.message : String(error)
    throw new AdminError('bind', address, `admin cannot use ${describe(address)}: ${why}`)
  }
  const bound = server.address()
  if (address.kind === 'unix' || bound === null || typeof bound === 'string') return describe(address)
  return `http://${describe({ ...address, port: bound.port })}`
}

function describe(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = address.host ?? '0.0.0.0'
  return `${net.isIPv6(host) ? `[${host}]` : host}:${address.port}`
}

async function closeServer(server: http.Server): Promise<void> {
  server.close()
  server.closeAllConnections()
  if (server.listening) await once(server, 'close')
}
