/** The policy that looks at what responses are. */
import type { Size } from '../plugin.ts'
import type { OneOrMany } from './lists.ts'
import type { HttpPolicy } from './policies.ts'

export interface ContentFilterOptions {
  /** Media types that do not pass, as responses say them: `'video/*'`, `'application/zip'`, `'*+zip'`. */
  types?: OneOrMany<string> | undefined
  /** Also go by how a body begins, where that tells a type (programs, archives, images, films, documents). Default false. */
  sniff?: boolean | undefined
  /** Files that do not pass, by the end of the URL's path and by the name that a response gives (`Content-Disposition`): `'exe'`, `'tar.gz'`. */
  extensions?: OneOrMany<string> | undefined
  /**
   * Words that do not pass in text, JSON, XML and what says no type, or none that can be read, in any case: `'casino'`, `'online casino'`, `'gambl*'` for all that begins so. Whole words, in the first
   * 16 MiB of a body, across all borders of its pieces; markup inside of a word hides it.
   */
  keywords?: OneOrMany<string> | undefined
  /** More of a response does not pass: as announced, and as counted while it comes. */
  maxSize?: Size | undefined
}
/**
 * Refuses responses by what they are: 403 with the rule, on the page and in the log. What is found when the response has begun (a word behind the first
 * 256 KiB, a size that nobody announced) breaks it off. With `keywords` or `sniff` endpoints are asked for plain and whole bodies, so compression by
 * them and ranges are lost; `compress()` after it in the list gives clients the one back.
 */
export function contentFilter(options: ContentFilterOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'contentFilter', options }
}
