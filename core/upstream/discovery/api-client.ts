/**
 * Requests to the API of a registry: whole answers of JSON, and streams of one JSON value a line. Not the byte path: the client of Node,
 * loaded when a plan has such a discovery. Every request ends: by its answer, by its time, or when it is given up.
 */
import { readFileSync } from 'node:fs'
import type * as http from 'node:http'
import { isIP } from 'node:net'
import type { RegistryTlsPlan } from '../../plan/upstream-plan.ts'
import type { DnsCache } from '../dns.ts'

export interface ApiRequest {
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly fields: Readonly<Record<string, string>>
  readonly body: string | null
  readonly tls: RegistryTlsPlan
  readonly signal: AbortSignal
}

export interface ApiAnswer {
  readonly status: number
  readonly text: string
}

/** Until the head of an answer, and for all of one that is no stream. */
const ANSWER_MS = 10_000
const CONNECT_ALIVE_MS = 15_000
/** 10,000 endpoints with all that a registry says of them. */
const MOST_BYTES = 32 * 1024 * 1024
const MOST_LINE = 8 * 1024 * 1024

export class ApiClient {
  readonly #dns: DnsCache

  constructor(dns: DnsCache) {
    this.#dns = dns
  }

  /** Rejects with a sentence. */
  async ask(request: ApiRequest): Promise<ApiAnswer> {
    const late = AbortSignal.timeout(ANSWER_MS)
    const signal = AbortSignal.any([request.signal, late])
    const response = await this.#send({ ...request, signal })
    let text = ''
    for await (const chunk of textOf(response, signal)) {
      text += chunk
      if (text.length > MOST_BYTES) throw new Error(`its answer is longer than ${MOST_BYTES} bytes`)
    }
    return { status: response.statusCode!, text }
  }

  /**
   * Resolves when the stream has ended. An answer that is not 200 is returned whole. `silentMs`: so long nothing may come before it counts as
   * broken off.
   */
  async stream(request: ApiRequest, { silentMs, onOpen, onValue }: StreamReader): Promise<ApiAnswer> {
    const head = new AbortController()
    const late = setTimeout(() => head.abort(new Error('no answer in time')), ANSWER_MS)
    const signal = AbortSignal.any([request.signal, head.signal])
    const response = await this.#send({ ...request, signal }).finally(() => clearTimeout(late))
    const isStream = response.statusCode === 200
    // Before the first byte, too.
    response.setTimeout(isStream ? silentMs : ANSWER_MS, () => response.destroy(new Error('nothing came for too long')))
    if (isStream) onOpen?.()
    let rest = ''
    for await (const chunk of textOf(response, signal)) {
      rest += chunk
      if (rest.length > MOST_LINE) throw new Error(`it said more than ${MOST_LINE} bytes at once`)
      if (!isStream) continue
      const lines = rest.split('\n')
      rest = lines.pop()!
      for (const line of lines) if (line.trim() !== '') onValue(JSON.parse(line))
    }
    return { status: response.statusCode!, text: isStream ? '' : rest }
  }

  #send({ url, method, fields, body, tls, signal }: ApiRequest): Promise<http.IncomingMessage> {
    const isSecure = url.protocol === 'https:'
    // An import would load all of undici with it.
    const { request } = process.getBuiltinModule(isSecure ? 'node:https' : 'node:http')
    const host = url.hostname.replace(/^\[|\]$/g, '')
    return new Promise((resolve, reject) => {
      const sent = request({
        // Each for itself: a stream is not shared, and the others are rare.
        ...{ agent: false, method, host, port: url.port, path: url.pathname + url.search, signal },
        headers: { accept: 'application/json', ...fields, ...(body === null ? {} : { 'content-length': Buffer.byteLength(body) }) },
        lookup: (name: string, options: { readonly all?: boolean }, done: Looked) => this.#lookUp(name, options, done),
        ...(isSecure ? { servername: tls.servername ?? (isIP(host) === 0 ? host : ''), ...pemsOf(tls) } : {}),
      } as http.RequestOptions)
      sent.on('socket', (socket) => socket.setKeepAlive(true, CONNECT_ALIVE_MS))
      sent.on('response', resolve)
      sent.on('error', (error) => reject(readable(error, signal)))
      sent.end(body ?? undefined)
    })
  }

  #lookUp(name: string, { all = false }: { readonly all?: boolean }, done: Looked): void {
    this.#dns.resolve(name, (addresses) => {
      if (addresses === null) return done(new Error(`there is no name ${name}, or nobody answers`))
      const list = addresses.map((address) => ({ address, family: isIP(address) }))
      if (all) done(null, list)
      else done(null, list[0]!.address, list[0]!.family)
    })
  }
}

export interface StreamReader {
  readonly silentMs: number
  /** Its head has come: it is a stream. */
  readonly onOpen?: () => void
  readonly onValue: (value: unknown) => void
}

async function* textOf(response: http.IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  try {
    yield* response.setEncoding('utf8') as AsyncIterable<string>
  } catch (error) {
    throw readable(error as NodeJS.ErrnoException, signal)
  }
}

type Looked = (error: Error | null, address?: string | readonly { address: string; family: number }[], family?: number) => void

function pemsOf({ ca, cert, key }: RegistryTlsPlan): Record<string, string> {
  const read = (written: string): string => (written.includes('-----BEGIN') ? written : readFileSync(written, 'utf8'))
  return Object.fromEntries(
    Object.entries({ ca, cert, key }).flatMap(([name, written]) => (written === null ? [] : [[name, read(written)]])),
  )
}

function readable(error: NodeJS.ErrnoException, signal: AbortSignal): Error {
  if (signal.aborted && signal.reason instanceof Error)
    return signal.reason.name === 'TimeoutError' ? new Error('no answer in time') : signal.reason
  // Node's word for an answer that breaks off.
  return error.code === 'ECONNRESET' && error.message === 'aborted' ? new Error('its answer broke off') : error
}
