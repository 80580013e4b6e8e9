/** Policies that write fields. */
import type { Duration, RequestView, Size } from '../plugin.ts'
import type { OneOrMany } from './lists.ts'
import type { HttpPolicy } from './policies.ts'

/** Text, or a function of the request that returns it; null: no such field. */
export type FieldValue = string | ((req: RequestView) => string | null)

export interface FieldRules {
  /** Taken out first. A `*` at the end stands for any rest: `'x-internal-*'`. */
  remove?: OneOrMany<string> | undefined
  /** In the place of what there is. */
  set?: Readonly<Record<string, FieldValue>> | undefined
  /** Beside what there is. */
  add?: Readonly<Record<string, FieldValue>> | undefined
}
export interface HeadersOptions {
  request?: FieldRules | undefined
  /** Also of answers of the proxy's own. */
  response?: FieldRules | undefined
}
/** Fields of requests and responses. Those of framing and of the connection belong to the proxy. */
export function headers(options: HeadersOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'headers', options }
}

export interface HideServersOptions {
  /** Tell `Location`, `Content-Location` and `Refresh` as clients know places: without the address of an endpoint, and with the path before `rewrite`. Default true. */
  links?: boolean | undefined
  /** The same of `Set-Cookie`: `Domain` of an endpoint is taken out, `Path` told as it is outside. Default true. */
  cookies?: boolean | undefined
  /** Fields that are taken out. Default: `server`, `x-powered-by`, `x-aspnet-version`, `x-aspnetmvc-version`, `via`. */
  remove?: OneOrMany<string> | undefined
  /** Other names that endpoints call themselves by, as they stand in references: `'app.internal:8080'`. */
  hosts?: OneOrMany<string> | undefined
}
/**
 * What endpoints say of themselves in their answers is taken out, or told as clients know it; `http://` on this host becomes a path where TLS ends here. The
 * way back of a path is known for a `rewrite` that ends in `*`. Not of answers of the proxy's own. What is in bodies stays.
 */
export function hideServers(options: HideServersOptions = {}): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'hideServers', options }
}

export interface RequestIdOptions {
  /** Default `X-Request-Id`. */
  header?: string | undefined
  /** Keep an id that the client sends, if it is one: up to 128 letters, digits and `-_.:/+=`. Default false. */
  trust?: boolean | undefined
}
/** Tells the endpoint and the client the id that the access log has. */
export function requestId(options: RequestIdOptions = {}): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'requestId', options }
}

export interface CorsOptions {
  /** `'*'`, origins such as `'https://app.example.com'`, a RegExp that matches a whole origin, or several. */
  origins: OneOrMany<string | RegExp>
  /** Default: GET, HEAD, POST, PUT, PATCH, DELETE. */
  methods?: OneOrMany<string> | undefined
  /** Fields that a request may have. Default: those that it asks for. */
  headers?: OneOrMany<string> | undefined
  /** Fields of a response that scripts may read, beside the usual ones. */
  expose?: OneOrMany<string> | undefined
  /** Cookies and other credentials may come along. Not with `origins: '*'`. Default false. */
  credentials?: boolean | undefined
  /** For how long a browser may remember the answer to a preflight. Default: as long as it likes to, which is 5 s. */
  maxAge?: Duration | undefined
}
/**
 * Lets scripts of other origins in (Fetch standard §3.2): answers preflights itself, and tells browsers of each response who may read it, whatever the
 * endpoint says about that.
 */
export function cors(options: CorsOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'cors', options }
}

export type ContentEncoding = 'zstd' | 'br' | 'gzip'
export interface CompressOptions {
  /** Those that may be used; of two that a client likes as much, the first. Default: zstd, br, gzip. */
  encodings?: OneOrMany<ContentEncoding> | undefined
  /** Bodies that are known to be shorter stay as they are. Default `1kb`. */
  minSize?: Size | undefined
  /** Media types: `'text/html'`, `'text/*'`, `'*+json'`. Default: text, JSON, XML, JavaScript, SVG, WebAssembly and uncompressed fonts. */
  types?: OneOrMany<string> | undefined
}
/**
 * Compresses responses of endpoints, and files, for clients that take it (RFC 9110 §12.5.3), piece by piece as they come. Not those that are compressed, parts of
 * something, or `no-transform`, nor other answers of the proxy's own. With a `cache` on the same way, before or behind it, each coding is made once, and kept.
 * `ETag`s become weak, and `Vary` says so.
 */
export function compress(options: CompressOptions = {}): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'compress', options }
}
