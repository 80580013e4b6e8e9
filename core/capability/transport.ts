/**
 * One request over the network and its whole answer. The name is resolved once, and the address that was looked at is the one that is
 * dialled. Not the byte path: the client of Node, loaded when it is first needed, with a bounded number of kept connections.
 */
import type * as http from 'node:http'
import { isIP } from 'node:net'
import { CidrSet } from '../net/cidr.ts'
import { DnsCache, type Resolved } from '../upstream/dns.ts'
import type { Fields } from './fetch-request.ts'
import { portOf } from './grants.ts'

export interface Hop {
  readonly url: URL
  readonly method: string
  readonly fields: Fields
  readonly body: Buffer | null
}

export interface HopResponse {
  readonly status: number
  readonly statusText: string
  readonly fields: Fields
  readonly body: Buffer
}

/** Gives up, and lets go of the connection, when the signal says so. */
export type Transport = (hop: Hop, signal: AbortSignal) => Promise<HopResponse>

export interface TransportOptions {
  /** Names → addresses; default: a cache that keeps to the records' TTL. */
  readonly resolve?: (name: string, done: Resolved) => void
  readonly mostResponseBody?: number
  /** Certificates that are trusted instead of the usual ones. */
  readonly ca?: string
}

const MOST_RESPONSE_BODY = 1024 * 1024
const MOST_HEAD = 32 * 1024
/** Addresses of a name that are tried. */
const MOST_ADDRESSES = 3
/**
 * Whatever answers on a machine's own link, its metadata above all, and the metadata of clouds that have them elsewhere (Amazon and
 * Google by IPv6, Alibaba, Azure): a name must not lead there. Written as an address it was meant.
 */
const forbidden = new CidrSet([
  ...['169.254.0.0/16', 'fe80::/10', '64:ff9b::a9fe:0/112'],
  ...['fd00:ec2::254', 'fd20:ce::254', '100.100.100.200', '168.63.129.16'],
])

export function createTransport(options: TransportOptions = {}): Transport {
  const network = new Network(options)
  return (hop, signal) => network.send(hop, signal)
}

interface Client {
  readonly request: typeof http.request
  readonly agent: http.Agent
}

class Network {
  readonly #options: TransportOptions
  readonly #clients = new Map<string, Client>()
  #dns: DnsCache | null = null

  constructor(options: TransportOptions) {
    this.#options = options
  }

  async send(hop: Hop, signal: AbortSignal): Promise<HopResponse> {
    const client = this.#client(hop.url.protocol)
    const addresses = await this.#addresses(hop.url)
    for (const [i, address] of addresses.entries()) {
      signal.throwIfAborted()
      try {
        const attempt = { hop, address, signal }
        return await this.#attempt(client, attempt).catch((error) => {
          if (error instanceof StaleError) return this.#attempt(client, attempt)
          throw error
        })
      } catch (error) {
        const isLast = i === addresses.length - 1
        if (isLast || !isDialError(error)) throw readable(error, hop.url)
      }
    }
    throw new Error(`fetch to ${hop.url.host}: it has no address`)
  }

  /** Those that may be dialled. */
  async #addresses(url: URL): Promise<readonly string[]> {
    const name = nameOf(url)
    if (isIP(name) !== 0) return [name]
    const resolve = this.#options.resolve ?? ((wanted, done) => this.#cache().resolve(wanted, done))
    const found = await new Promise<readonly string[]>((done, fail) => {
      resolve(name, (addresses) => {
        if (addresses === null) fail(new Error(`fetch to ${url.host}: the name cannot be resolved`))
        else done(addresses)
      })
    })
    const allowed = found.filter((address) => !forbidden.has(address))
    if (allowed.length === 0)
      throw new Error(
        `fetch to ${url.host}: the name leads to ${found[0]}, an address of the local link or of a cloud's metadata, which a name may not`,
      )
    return allowed.slice(0, MOST_ADDRESSES)
  }

  #cache(): DnsCache {
    this.#dns ??= new DnsCache()
    return this.#dns
  }

  /** Loaded for the first fetch; an `import` would load all of undici with it. */
  #client(protocol: string): Client {
    const known = this.#clients.get(protocol)
    if (known !== undefined) return known
    const { Agent, request } = process.getBuiltinModule(protocol === 'https:' ? 'node:https' : 'node:http')
    const agent = new Agent({ keepAlive: true, maxSockets: 64, maxTotalSockets: 256, maxFreeSockets: 8, timeout: 30_000 })
    const client = { request, agent }
    this.#clients.set(protocol, client)
    return client
  }

  #attempt({ request, agent }: Client, { hop, address, signal }: Attempt): Promise<HopResponse> {
    const { url, method } = hop
    const name = nameOf(url)
    const { ca, mostResponseBody = MOST_RESPONSE_BODY } = this.#options
    // The certificate is checked for the name, or for the address where there is none.
    const tls = { servername: isIP(name) === 0 ? name : '', rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
    return new Promise((resolve, reject) => {
      const sent = request({
        ...{ agent, method, signal, host: address, port: portOf(url), path: url.pathname + url.search },
        ...{ headers: linesOf(hop), maxHeaderSize: MOST_HEAD, ...tls },
      })
      sent.on('response', (response) =>
        collect(response, method === 'HEAD' ? Number.POSITIVE_INFINITY : mostResponseBody, { resolve, reject }),
      )
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const isStale = sent.reusedSocket && error.code === 'ECONNRESET' && (method === 'GET' || method === 'HEAD')
        reject(isStale ? new StaleError('the connection was reset', { cause: error }) : error)
      })
      sent.on('upgrade', (_, socket) => {
        socket.destroy()
        reject(new Error('it switched to another protocol'))
      })
      sent.on('close', () => reject(new Error('the connection was closed before the answer was complete')))
      sent.end(hop.body ?? undefined)
    })
  }
}

interface Attempt {
  readonly hop: Hop
  readonly address: string
  readonly signal: AbortSignal
}

/** A kept connection that the other side had closed meanwhile: nothing was read, so another one may be tried. */
class StaleError extends Error {}

/** Without brackets. */
function nameOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** Methods that say nothing of a body if there is none (RFC 9110 §8.6). */
const bodiless = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

function linesOf({ url, method, fields, body }: Hop): string[] {
  const names = new Set(fields.map(([name]) => name.toLowerCase()))
  const lines = ['Host', url.host, ...fields.flat()]
  if (!names.has('user-agent')) lines.push('User-Agent', 'sluice')
  if (!names.has('accept')) lines.push('Accept', '*/*')
  if (body !== null || !bodiless.has(method)) lines.push('Content-Length', String(body?.length ?? 0))
  return lines
}

interface Settle {
  resolve(response: HopResponse): void
  reject(error: Error): void
}

/** More than `most` bytes: the connection is not worth keeping. */
function collect(response: http.IncomingMessage, most: number, { resolve, reject }: Settle): void {
  const chunks: Buffer[] = []
  let size = 0
  const refuse = (): void => {
    reject(new Error(`the answer is larger than ${most} bytes`))
    response.destroy()
  }
  if (Number(response.headers['content-length'] ?? 0) > most) return refuse()
  response.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > most) refuse()
    else chunks.push(chunk)
  })
  response.on('end', () => {
    const { statusCode: status = 0, statusMessage: statusText = '', rawHeaders } = response
    const fields: [string, string][] = []
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) fields.push([rawHeaders[i]!, rawHeaders[i + 1]!])
    resolve({ status, statusText, fields, body: Buffer.concat(chunks) })
  })
  response.on('error', reject)
}

function isDialError(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).syscall === 'connect'
}

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'it cannot be reached',
  ENETUNREACH: 'it cannot be reached',
  HPE_HEADER_OVERFLOW: `the head of the answer is larger than ${MOST_HEAD} bytes`,
}

function readable(error: unknown, url: URL): Error {
  const { code = '', message } = error as NodeJS.ErrnoException
  const text = words[code] ?? (code.startsWith('HPE_') ? 'the answer is not valid HTTP' : message)
  return new Error(`fetch to ${url.host}: ${text}`, { cause: error })
}
