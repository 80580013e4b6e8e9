/** A proxy with a cache on its way, in memory, and an endpoint that answers what it is told to: for what is measured of answers that are kept. */
import { CachePoint } from '../../core/cache/cache-point.ts'
import { Caches } from '../../core/cache/caches.ts'
import { Http1Connection } from '../../core/connection/http1.ts'
import { makeHook } from '../../core/hooks.ts'
import { compileRules } from '../../core/policy/cache.ts'
import { createService, homeOf, MemoryWire } from './in-memory.ts'

const AGENT = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n'
const READ_BYTES = 65_536

export interface Kind {
  /** Of the body. */
  readonly length: number
  /** Field lines of the answer beside Date and Content-Length, each with its end. */
  readonly lines: string
}

export const PLAIN_LINES = 'Server: nginx\r\nContent-Type: text/plain\r\nETag: "bench"\r\nConnection: keep-alive\r\n'
/** What a framework and what stands before it say of a page. */
export const MANY_LINES = `${PLAIN_LINES}Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r
Cache-Control: public, max-age=3600, stale-while-revalidate=60\r
Content-Language: en\r
Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r
Content-Security-Policy: default-src 'self'; img-src 'self' data:; script-src 'self' 'unsafe-inline'\r
X-Content-Type-Options: nosniff\r
X-Frame-Options: SAMEORIGIN\r
X-XSS-Protection: 1; mode=block\r
Referrer-Policy: strict-origin-when-cross-origin\r
Permissions-Policy: camera=(), microphone=(), geolocation=()\r
Access-Control-Allow-Origin: *\r
X-Request-Id: 6f1c2a3b-8d4e-4f5a-9b6c-7d8e9f0a1b2c\r
X-Runtime: 0.012345\r
X-Powered-By: Framework 7.1\r
Server-Timing: db;dur=53, app;dur=47.2\r
Accept-Ranges: bytes\r
`

/** `memory`: bytes of the cache. */
export function startProxy(kind: Kind, memory: number) {
  const caches = new Caches(createService().service.deadlines)
  const held = caches.open().hold('default', { bytes: memory })
  const point = new CachePoint(held, compileRules({ ttl: '10m' }), Date.now)
  const hook = makeHook('cache', {
    onRequest: ({ cacheSide }) => point.ask(cacheSide!),
    onResponse: ({ cacheSide }) => point.answer(cacheSide!),
  })
  const { service, upstreamWires } = createService(1, [hook])
  const client = new MemoryWire()
  new Http1Connection(client, homeOf(service), 'http')
  const [endpoint] = upstreamWires as [MemoryWire]
  const answer = answerOf(kind)
  const { cache } = held
  let asked = 0
  return {
    cache,
    client,
    get asked() {
      return asked
    },
    /** `lines`: of the request. */
    ask(path: string, lines = ''): void {
      const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n${AGENT}${lines}\r\n`, 'latin1')
      const { written } = endpoint
      client.owner.onBytes(request, request.length)
      if (endpoint.written === written) return
      asked++
      for (let at = 0; at < answer.length; at += READ_BYTES) {
        const read = answer.subarray(at, at + READ_BYTES)
        endpoint.owner.onBytes(read, read.length)
      }
    },
    stop(): void {
      service.deadlines.stop()
    },
  }
}

export type CachingProxy = ReturnType<typeof startProxy>

function answerOf({ length, lines }: Kind): Buffer {
  const head = `HTTP/1.1 200 OK\r\nDate: ${new Date().toUTCString()}\r\nContent-Length: ${length}\r\n${lines}\r\n`
  return Buffer.from(head + 'x'.repeat(length), 'latin1')
}

/** What is kept on the heap and in buffers. `collect`: the collector of garbage. */
export function takenBytes(collect: () => void): number {
  // What the first finds unused the second frees.
  for (let i = 0; i < 2; i++) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Answers of which one is filled with after the other. */
export interface Filling extends Kind {
  readonly name: string
  /** Requests for one URL, each with that field; default: one without. */
  readonly variants?: readonly string[]
  /** Each is asked for so often again. */
  readonly hits?: number
}

const LANGUAGES = ['en', 'de', 'fr', 'ja'].map((language) => `Accept-Language: ${language}\r\n`)

export const FILLINGS: readonly Filling[] = [
  ...[95, 1024].flatMap((length) => [
    { name: `${length} bytes, 4 fields`, length, lines: PLAIN_LINES },
    { name: `${length} bytes, 20 fields`, length, lines: MANY_LINES },
  ]),
  { name: '10 KB, 20 fields', length: 10_240, lines: MANY_LINES },
  { name: '100 KB, 4 fields', length: 102_400, lines: PLAIN_LINES },
  { name: '1 MB, 4 fields', length: 1_048_576, lines: PLAIN_LINES },
  { name: '95 bytes, variants', length: 95, lines: `${PLAIN_LINES}Vary: Accept-Language\r\n`, variants: LANGUAGES },
  { name: '95 bytes, tags', length: 95, lines: `${PLAIN_LINES}Cache-Tag: product-123456, category-shoes, page-of-products\r\n` },
  { name: '95 bytes, no validator', length: 95, lines: 'Server: nginx\r\nContent-Type: text/plain\r\n' },
  { name: '95 bytes, 20 fields, asked for again', length: 95, lines: MANY_LINES, hits: 2 },
]

export interface Filled {
  readonly count: number
  /** Of each answer. */
  readonly taken: number
  readonly counted: number
}

/** Fills a memory with about so many bytes of answers. */
export function fill({ length, lines, variants = [''], hits = 0 }: Filling, bytes: number, collect: () => void): Filled {
  const proxy = startProxy({ length, lines }, 16 * bytes)
  const urls = Math.floor(bytes / (length + lines.length + 900) / variants.length)
  const before = takenBytes(collect)
  for (let i = 0; i < urls; i++)
    for (const variant of variants) for (let asked = 0; asked <= hits; asked++) proxy.ask(`/some/path/of/a/page?id=${i}`, variant)
  const after = takenBytes(collect)
  const { objects, bytes: counted } = proxy.cache.counts
  if (objects !== urls * variants.length || proxy.asked !== objects) throw new Error('not all of it is kept')
  // Whatever still holds the proxy holds nothing of these.
  proxy.cache.store.resize({ bytes: 0, objectBytes: 0, variants: 1 })
  proxy.stop()
  return { count: objects, taken: (after - before) / objects, counted: counted / objects }
}
