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

/** Null: it is not what `packHead` wrote for that key. Its body is still to come. */
export function unpackHead(text: string, key: string): StoredResponse | null {
  let packed: Packed
  try {
    packed = JSON.parse(text) as Packed
  } catch {
    return null
  }
  if (packed?.version !== VERSION || packed.key !== key) return null
  const { url, vary, variant, status, lines, etag, tags, isForAll, length } = packed
  const freshness = { ...packed.freshness, lastModified: packed.freshness.lastModified ?? Number.NaN }
  const body = new BodySource(length)
  const response = new StoredResponse({ key, url, vary, variant, status, lines, freshness, etag, tags, isForAll, body, length })
  response.seal()
  return response
}
