/**
 * `fetch` of a plugin: one request to a granted place, redirects only if asked and only to granted places, credentials never to
 * another origin. Whatever happens, it is over at its timeout.
 */
import { isUtf8 } from 'node:buffer'
import type { FetchRequest, Fields } from './fetch-request.ts'
import { mustBeGrantedHost } from './grants.ts'
import type { Hop, HopResponse, Transport } from './transport.ts'

/** As it crosses the wall. */
export interface FetchResult {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: Fields
  /** As text where it is valid UTF-8: the guest need not decode it. */
  readonly body: { readonly text: string } | { readonly base64: string }
}

const MOST_REDIRECTS = 5

export function createFetch(transport: Transport): (request: FetchRequest, grant: readonly string[]) => Promise<FetchResult> {
  return async (request, grant) => {
    const abort = new AbortController()
    const late = new Error(`fetch to ${request.url.host}: no complete answer within ${request.timeoutMs} ms`)
    const timer = setTimeout(() => abort.abort(late), request.timeoutMs).unref()
    try {
      return await run(request, grant, (hop) => abortable(transport(hop, abort.signal), abort.signal))
    } finally {
      clearTimeout(timer)
    }
  }
}

type Send = (hop: Hop) => Promise<HopResponse>

async function run(request: FetchRequest, grant: readonly string[], send: Send): Promise<FetchResult> {
  let hop: Hop = request
  for (let redirects = 0; ; redirects++) {
    mustBeGrantedHost(hop.url, grant)
    const response = await send(hop)
    const location = request.redirect === 'follow' ? locationOf(response) : null
    if (location === null) return toResult(hop.url, response)
    if (redirects === MOST_REDIRECTS) throw new Error(`fetch to ${request.url.host}: more than ${MOST_REDIRECTS} redirects`)
    hop = next(hop, response.status, location)
  }
}

function locationOf({ status, fields }: HopResponse): string | null {
  if (![301, 302, 303, 307, 308].includes(status)) return null
  return fields.find(([name]) => name.toLowerCase() === 'location')?.[1] ?? null
}

const credentials = new Set(['authorization', 'cookie'])

/** RFC 9110 §15.4; as browsers do it, a POST becomes a GET at 301 and 302. */
function next(hop: Hop, status: number, location: string): Hop {
  const url = URL.parse(location, hop.url)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new Error(`fetch to ${hop.url.host}: it redirects to what is no http URL`)
  const isGet = (status === 303 && hop.method !== 'HEAD') || (status <= 302 && hop.method === 'POST')
  const isAway = url.origin !== hop.url.origin
  const fields = hop.fields.filter(([name]) => {
    const lower = name.toLowerCase()
    return !(isAway && credentials.has(lower)) && !(isGet && lower.startsWith('content-'))
  })
  return { url, method: isGet ? 'GET' : hop.method, fields, body: isGet ? null : hop.body }
}

function toResult(url: URL, { status, statusText, fields, body }: HopResponse): FetchResult {
  const href = url.href.slice(0, url.href.length - url.hash.length)
  return {
    status,
    statusText,
    url: href,
    headers: fields,
    body: isUtf8(body) ? { text: body.toString('utf8') } : { base64: body.toString('base64') },
  }
}

/** Also for a transport that does not look at the signal. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
