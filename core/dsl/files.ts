/** Files of a folder as the answers of a route. */
import type { OneOrMany } from './lists.ts'

export type FileCoding = 'br' | 'zstd' | 'gzip'

export interface FilesOptions {
  /** What is sent for a folder whose path ends in a slash; one without is redirected there. False: nothing. Default `'index.html'`. */
  index?: string | false | undefined
  /** Tell what is in a folder that has no index. Default false. */
  listing?: boolean | undefined
  /**
   * Sent, with 200, for a path that no file is for: `'index.html'` for an application that has its own routes. A path that ends in a known
   * extension (`/app.js`) gets 404 all the same.
   */
  fallback?: string | undefined
  /**
   * Send `app.js.br`, `app.js.zst` or `app.js.gz`, if it is there and the client takes it, in the place of `app.js`. True: each of them; of several that
   * a client likes as much the first in this order. Default false.
   */
  precompressed?: boolean | OneOrMany<FileCoding> | undefined
  /** Media types by extension, over those that are known: `{ '.map': 'application/json' }`. */
  types?: Readonly<Record<string, string>> | undefined
  /** Also files and folders whose names begin with a dot. `.well-known` (RFC 8615) is served in any case. Default false. */
  dotfiles?: boolean | undefined
  /** Follow symbolic links that lead out of the folder. Default false: 403. */
  links?: boolean | undefined
}

export interface Files {
  readonly kind: 'files'
  readonly path: string
  readonly options: FilesOptions
}

/**
 * Answers GET and HEAD with files: `files('./public')`, a path from the config's folder, of a folder or of one file. The whole path of the request is looked
 * for in it, or what `rewrite` makes of that. With validators, conditions and ranges (RFC 9110 §13, §14).
 */
export function files(path: string, options: FilesOptions = {}): Files {
  return { kind: 'files', path, options }
}
