/** From what a test gives to `fetch` to the request that a client sends. */
import type { ClientRequest, Fields } from './messages.ts'

/** As for `fetch`, and what only a proxy's test wants to say. */
export interface SimulatedInit extends RequestInit {
  /** Address of the client. Default `127.0.0.1`. */
  from?: string | undefined
  /** Name of the listener to enter by. Default: the one that the URL's scheme and port mean. */
  listener?: string | undefined
  /** Default `1.1`. */
  http?: '1.0' | '1.1' | undefined
  /** The request target just as it is sent, where a URL would tidy it up: `/a/../b`, `//admin`. */
  target?: string | undefined
}

export async function toClientRequest(url: string | URL, init: SimulatedInit): Promise<ClientRequest> {
  const parsed = parseUrl(url)
  const { method = 'GET', headers, body = null, from = '127.0.0.1', listener = null, http = '1.1', target } = init
  // A response with that body knows its bytes, and the type that goes with it.
  const message = new Response(body)
  const bytes = new Uint8Array(await message.arrayBuffer())
  const fields = new Headers(headers)
  const type = message.headers.get('content-type')
  if (type !== null && !fields.has('content-type')) fields.set('content-type', type)
  return {
    method: /^(?:get|head|post|put|delete|options)$/i.test(method) ? method.toUpperCase() : method,
    url: parsed.href,
    target: target ?? parsed.pathname + parsed.search,
    fields: withOwn([...fields], {
      host: parsed.host,
      length: bytes.length,
      hasBody: body !== null || /^(?:post|put|patch)$/i.test(method),
    }),
    body: bytes,
    from,
    listener,
    http,
  }
}

function parseUrl(url: string | URL): URL {
  try {
    const parsed = new URL(url, 'http://localhost')
    if (parsed.protocol === 'http:' || parsed.protocol === 'https:') return parsed
  } catch {}
  throw new TypeError(`not a URL that a proxy can be asked for: ${url} (like http://example.com/, or /path for http://localhost/path)`)
}

function withOwn(fields: Fields, { host, length, hasBody }: { host: string; length: number; hasBody: boolean }): Fields {
  const has = (lower: string): boolean => fields.some(([name]) => name === lower)
  const own: [string, string][] = []
  if (!has('host')) own.push(['host', host])
  if (hasBody && !has('content-length') && !has('transfer-encoding')) own.push(['content-length', String(length)])
  return [...own, ...fields]
}
