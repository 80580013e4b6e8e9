/** The request as an endpoint receives it: the client's lines, less what ended here, plus what tells of this hop. */
import type { RequestHead } from '../net/http1/head.ts'
import type { UpstreamPlan } from '../plan/plan.ts'

/** `hop`: lines of identity.ts. The head must not be edited after this for the same attempt. */
export function requestText(head: RequestHead, upstream: UpstreamPlan, endpointAddress: string, hop: string): string {
  if (upstream.host !== 'preserve') head.set('Host', upstream.host === 'endpoint' ? endpointAddress : upstream.hostName)
  else if (head.minor === 0 && !head.has('host')) head.set('Host', upstream.hostName)
  let out = head.text() + hop
  if (head.contentLength === -1) out += 'Transfer-Encoding: chunked\r\n'
  if (head.upgrade !== null) out += `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n`
  else if (head.acceptsTrailers) out += 'Connection: te\r\nTE: trailers\r\n'
  return `${out}\r\n`
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
