/** The policy that says what the access log tells of a route. */
import type { HeadersView, RequestView } from '../plugin.ts'
import type { OneOrMany } from './lists.ts'
import type { HttpPolicy } from './policies.ts'

/** What of a line may be left out. `query`: of its path. */
export type LogFieldName =
  | 'listener'
  | 'route'
  | 'upstream'
  | 'endpoint'
  | 'upstreamMs'
  | 'protocol'
  | 'ip'
  | 'peer'
  | 'userAgent'
  | 'referer'
  | 'method'
  | 'host'
  | 'path'
  | 'destination'
  | 'query'
  | 'user'
  | 'cache'
  | 'detail'
  | 'decidedBy'
  | 'attempts'
  | 'moved'
  | 'clientCertificate'

export interface AccessLogOptions {
  /** Only of answers with such a status: `404`, `'5xx'`, `['4xx', '5xx']`. Default: all, and what was never answered. */
  statuses?: OneOrMany<number | '1xx' | '2xx' | '3xx' | '4xx' | '5xx'> | undefined
  /** Share of the lines that are written, evenly; those of answers of 500 and more, and of what the proxy itself ended, are in any case. Default 1: all. */
  sample?: number | undefined
  /** Left out: `['userAgent', 'query']`. Default: nothing. */
  remove?: OneOrMany<LogFieldName> | undefined
  /** Fields of the request that are written, as the endpoint got them: `requestHeaders` of a line of JSON. Default: none. */
  requestHeaders?: OneOrMany<string> | undefined
  /** The same of the response, as the client got them: `responseHeaders`. */
  responseHeaders?: OneOrMany<string> | undefined
  /** Of those, fields that are written as `***`. Always: Authorization, Proxy-Authorization, Cookie, Set-Cookie. */
  redact?: OneOrMany<string> | undefined
  /** More members of a line of JSON, by a function of yours that runs on the host when the exchange has ended. */
  fields?: ((req: RequestView, res: LoggedResponse) => Readonly<Record<string, string | number | boolean | null>>) | undefined
}

export interface LoggedResponse {
  /** 0: there was none. */
  readonly status: number
  readonly headers: HeadersView
}

/**
 * What the access log tells of the requests that get here; `accessLog(false)`: nothing. Of several on the way the last counts. Texts that are added are cut at
 * 256 characters, 24 members and 2,000 characters in all; they stand in lines of JSON alone.
 */
export function accessLog(options: AccessLogOptions | false): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'accessLog', options }
}
