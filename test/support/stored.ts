/** Answers as a cache keeps them, made by hand. */
import { BodySource } from '../../core/cache/body-source.ts'
import { readFreshness } from '../../core/cache/freshness.ts'
import { makeHead, StoredResponse } from '../../core/cache/stored-response.ts'

const freshness = readFreshness(makeHead(200, 'Cache-Control: max-age=60\r\n', 0), 0, 0, {
  ...{ ttl: new Map(), heuristic: 0, staleWhileRevalidate: 0, staleIfError: 0 },
})

export function storedResponse(key: string, bytes: number, vary: readonly string[] | null = null, variant = ''): StoredResponse {
  const body = new BodySource(bytes)
  body.push(Buffer.alloc(bytes), 0, bytes)
  body.complete()
  const made = new StoredResponse({
    ...{ key, url: `http://x/${key}`, vary, variant, status: 200, lines: '', freshness },
    ...{ etag: null, tags: [], isForAll: false, body, length: bytes },
  })
  made.seal()
  return made
}
