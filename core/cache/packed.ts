/** The head of an answer that is kept, as text for where only bytes are kept, and back. Pure. */
import { BodySource } from './body-source.ts'
import type { Freshness } from './freshness.ts'
import { StoredResponse } from './stored-response.ts'

interface Packed {
  /** Of what is written here: another one is not read. */
  readonly version: typeof VERSION
  readonly key: string
  readonly url: string
  readonly vary: readonly string[] | null
  readonly variant: string
  readonly status: number
  readonly lines: string
  /** `lastModified` null: there is none. */
  readonly freshness: Omit<Freshness, 'lastModified'> & { readonly lastModified: number | null }
  readonly etag: string | null
  readonly tags: readonly string[]
  readonly isForAll: boolean
  readonly length: number
}

const VERSION = 2

export function packHead(response: StoredResponse): string {
  const { key, url, vary, variant, status, lines, etag, tags, isForAll, length } = response
  const lastModified = Number.isNaN(response.lastModified) ? null : response.lastModified
  const freshness = { ...response.freshness, lastModified }
  const packed: Packed = { version: VERSION, key, url, vary, variant, status, lines, freshness, etag, tags, isForAll, length }
  return JSON.stringify(packed)
}

interface BodyPlace {
  readonly bytes: number
  /** It does not come into memory. */
  readonly isElsewhere?: boolean
}

/** Null: it is not what `packHead` wrote for that key, or a body of that length. The body is still to come. */
export function unpackHead(text: string, key: string, { bytes, isElsewhere = false }: BodyPlace): StoredResponse | null {
  let packed: Packed
  try {
    packed = JSON.parse(text) as Packed
  } catch {
    return null
  }
  if (packed?.version !== VERSION || packed.key !== key || packed.length !== bytes || !makesSense(packed)) return null
  const { url, vary, variant, status, lines, etag, tags, isForAll, length } = packed
  const freshness = { ...packed.freshness, lastModified: packed.freshness.lastModified ?? Number.NaN }
  const body = new BodySource(isElsewhere ? 0 : length)
  const response = new StoredResponse({ key, url, vary, variant, status, lines, freshness, etag, tags, isForAll, body, length })
  response.seal()
  return response
}

/** What says where an answer ends is written anew for each client. */
const LINES = /^(?:(?!(?:content-length|transfer-encoding|connection):)[!#-'*+.^_`|~\dA-Za-z-]+:[^\r\n\0]*\r\n)*$/i

/** Others may write where it was kept: nothing that they say there takes the place of another answer. */
function makesSense({ url, vary, variant, status, lines, freshness, etag, tags }: Packed): boolean {
  const isTexts = (list: unknown): boolean => Array.isArray(list) && list.every((one) => typeof one === 'string')
  if (typeof url !== 'string' || typeof variant !== 'string' || !(vary === null || isTexts(vary)) || !isTexts(tags)) return false
  if (!Number.isInteger(status) || status < 200 || status > 599 || status === 206 || status === 304) return false
  if (typeof lines !== 'string' || !LINES.test(lines) || (etag !== null && typeof etag !== 'string')) return false
  const { directives, lifetime, askedAt, bornAt, date, lastModified, staleWhileRevalidate, staleIfError } = freshness ?? {}
  const times = [lifetime, askedAt, bornAt, date, staleWhileRevalidate, staleIfError]
  return (
    typeof directives === 'object' &&
    directives !== null &&
    times.every(Number.isFinite) &&
    (lastModified === null || Number.isFinite(lastModified))
  )
}
