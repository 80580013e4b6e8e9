/** The request as an endpoint receives it: the client's lines, less what ended here, plus what tells of this hop. */
import type { RequestHead } from '../net/http1/head.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'

/** `tail`: lines that tell of this hop (identity.ts), and the empty line. Few pieces, for each costs when they are written. */
export function requestText(head: RequestHead, upstream: UpstreamPlan, endpointAddress: string, tail: string): string {
  if (upstream.host !== 'preserve') head.set('Host', upstream.host === 'endpoint' ? endpointAddress : upstream.hostName)
  else if (head.minor === 0 && !head.has('host')) head.set('Host', upstream.hostName)
  if (head.contentLength !== -1 && head.upgrade === null && !head.acceptsTrailers) return head.text() + tail
  let own = head.contentLength === -1 ? 'Transfer-Encoding: chunked\r\n' : ''
  if (head.upgrade !== null) own += `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n`
  else if (head.acceptsTrailers) own += 'Connection: te\r\nTE: trailers\r\n'
  return head.text() + own + tail
}

/** RFC 9110 §9.2.2: may be sent twice. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'PUT':
    case 'DELETE':
    case 'OPTIONS':
    case 'TRACE':
      return true
    default:
      return false
  }
}
