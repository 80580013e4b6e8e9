/** What the answer to a change points at (RFC 9111 §4.4), by the names that it may be kept under. Pure. */
import type { ResponseHead } from '../net/http1/head.ts'
import { escapeRawBytes, normalisePath } from '../net/path.ts'
import { authority, keyedQuery, type QueryRule } from './key.ts'

/** RFC 3986, appendix B: scheme, authority, path, query. */
const PARTS = /^(?:([^:/?#]+):)?(?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?/

/** URLs of the same origin as `url`: of another one it may say what it likes. */
export function pointedUrls(head: Pick<ResponseHead, 'get'>, url: string, rule: QueryRule): Set<string> {
  const found = new Set<string>()
  for (const name of ['location', 'content-location']) {
    const field = head.get(name)
    if (field !== null) addUrls(found, { field, url, rule })
  }
  return found
}

function addUrls(found: Set<string>, { field, url, rule }: { field: string; url: string; rule: QueryRule }): void {
  const [, scheme, host, path = '', search] = PARTS.exec(field)!
  const [, ourScheme = '', ourHost = '', ourPath = '', ourSearch = ''] = PARTS.exec(url)!
  if (scheme !== undefined && (scheme.toLowerCase() !== ourScheme || host === undefined)) return
  if (host !== undefined && authority(ourScheme, host) !== ourHost) return
  const isSameFile = host === undefined && path === ''
  const query = keyedQuery(escapeRawBytes(search ?? (isSameFile ? ourSearch : '')), rule)
  const written = escapeRawBytes(isSameFile ? ourPath : fromRoot(path, ourPath))
  // Paths that clients name to a forward proxy are keys as they are.
  for (const one of [normalisePath(written, { encodedSlashes: true }), written])
    if (one !== null) found.add(`${ourScheme}://${ourHost}${one}${query}`)
}

function fromRoot(path: string, base: string): string {
  if (path.startsWith('/')) return path
  return path === '' ? '/' : base.slice(0, base.lastIndexOf('/') + 1) + path
}
