/** Answers of the proxy's own: fixed ones, redirects, and errors. The only place that turns a ProxyError into a response. */
import { type ErrorCode, errorTable } from '../errors.ts'
import type { ReplyFields } from '../hooks.ts'
import { type RequestHead, ResponseHead } from '../net/http1/head.ts'
import { reasonPhrases } from '../net/http1/reason.ts'

export interface Reply {
  readonly head: ResponseHead
  /** Latin1 text, a character a byte. */
  readonly body: string
}

/** `body` is encoded as UTF-8; a content-type is added when it has none. Throws TypeError for an invalid field. */
export function makeReply(status: number, body: string, headers: ReplyFields): Reply {
  const text = mayHaveContent(status) ? body : ''
  const bytes = isAscii(text) ? text : Buffer.from(text, 'utf8').latin1Slice()
  const head = new ResponseHead('', 0, status, reasonPhrases[status] ?? '', 1)
  head.isOwn = true
  for (const name in headers) for (const value of [headers[name]!].flat()) head.append(name, value)
  head.delete('content-length')
  head.delete('transfer-encoding')
  head.delete('connection')
  if (bytes !== '' && !head.has('content-type')) head.addLines('Content-Type: text/plain; charset=utf-8\r\n')
  // RFC 9110 §8.6, §15.3.6: a 205 says that it has none.
  if (status !== 204 && status !== 304) head.addLines(`Content-Length: ${bytes.length}\r\n`)
  head.contentLength = bytes.length
  return { head, body: bytes }
}

export function makeRedirect(status: number, location: string): Reply {
  return makeReply(status, '', { Location: location })
}

export interface ErrorReplyOptions {
  /** Its name. */
  readonly proxy: string
  /** Beside those that every error has. */
  readonly fields?: Readonly<Record<string, string>> | undefined
  /** More on it that the client may know. It may hold what an endpoint has chosen. */
  readonly detail?: string | null
}

const MOST_DETAIL = 500

/**
 * A short body that says what happened, as RFC 9457 JSON when the client prefers that; `Proxy-Status` (RFC 9209) with the stable
 * token. Nothing of the request is echoed, but for a name that was found in a list.
 */
export function makeErrorReply(
  code: ErrorCode,
  request: RequestHead | null,
  id: string,
  { proxy, fields, detail = null }: ErrorReplyOptions,
): Reply {
  const row = errorTable[code]
  const more = detail === null ? '' : detail.replace(/[^\x20-\x7e]+/g, ' ').slice(0, MOST_DETAIL)
  const title = reasonPhrases[row.status] ?? ''
  const headers: Record<string, string> = {
    'Proxy-Status': `${proxy}; error=${row.token}`,
    'Cache-Control': 'no-store',
    ...(row.status === 503 && { 'Retry-After': '1' }),
    ...(row.status === 407 && { 'Proxy-Authenticate': 'Basic realm="sluice", charset="UTF-8"' }),
    ...fields,
  }
  if (!prefersJson(request))
    return makeReply(
      row.status,
      `${row.status} ${title}\n\n${row.text}\n${more === '' ? '' : `${more}\n`}reason: ${code}, request: ${id}\n`,
      headers,
    )
  headers['Content-Type'] = 'application/problem+json'
  const text = more === '' ? row.text : `${row.text} ${more}`
  const problem = { type: 'about:blank', title, status: row.status, detail: text, reason: code, request: id }
  return makeReply(row.status, `${JSON.stringify(problem)}\n`, headers)
}

/** JSON named in Accept, and HTML not before it. */
function prefersJson(request: RequestHead | null): boolean {
  const accept = request?.get('accept')?.toLowerCase() ?? ''
  const json = accept.search(/application\/(?:[a-z.-]+\+)?json/)
  const html = accept.indexOf('text/html')
  return json >= 0 && (html < 0 || json < html)
}

function mayHaveContent(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304
}

function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text)
}
