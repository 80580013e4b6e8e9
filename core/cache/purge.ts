/** What is to leave a cache: one URL, a host, what begins so, what carries a tag, or all. Pure. */
import type { ResponseHead } from '../net/http1/head.ts'

export type Purge = { /** It stays, and is stale. */ readonly soft: boolean } & (
  | { readonly kind: 'url'; readonly url: string }
  /** `example.com`, with its port if it has one. */
  | { readonly kind: 'host'; readonly host: string }
  /** Of a URL, `https://example.com/assets/`. */
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'all' }
)

export function isPurged({ url, tags }: { readonly url: string; readonly tags: readonly string[] }, purge: Purge): boolean {
  switch (purge.kind) {
    case 'url':
      return url === purge.url
    case 'host':
      return hostOf(url) === purge.host
    case 'prefix':
      return url.startsWith(purge.prefix)
    case 'tag':
      return tags.includes(purge.tag)
    case 'all':
      return true
  }
}

export function hostOf(url: string): string {
  const from = url.indexOf('://') + 3
  const end = url.indexOf('/', from)
  return end < 0 ? url.slice(from) : url.slice(from, end)
}

/** More of them, or longer ones, are not kept. */
const MOST_TAGS = 64
const MOST_TAG_LENGTH = 256

/** `Cache-Tag: a, b`, `Surrogate-Key: a b`. */
export function tagsOf(head: Pick<ResponseHead, 'get'>): readonly string[] {
  return readTags(head.get('cache-tag'), head.get('surrogate-key'))
}

export function readTags(cacheTag: string | null, surrogateKey: string | null): readonly string[] {
  if (cacheTag === null && surrogateKey === null) return NONE
  const tags = new Set<string>()
  for (const tag of [...(cacheTag ?? '').split(','), ...(surrogateKey ?? '').split(/[ ,]+/)]) {
    const text = tag.trim()
    if (text !== '' && text.length <= MOST_TAG_LENGTH && tags.size < MOST_TAGS) tags.add(text)
  }
  return [...tags]
}

const NONE: readonly string[] = []
