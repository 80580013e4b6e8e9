/** Whether an answer may be for whoever asked alone (RFC 9111 §3.5), in whatever way it is known who that is. Pure. */
import type { RequestHead } from '../net/http1/head.ts'

/** What a policy took out of the request, or found in a cookie or a certificate, counts as the field does. */
export function hasCredentials(request: Pick<RequestHead, 'has' | 'isPersonal' | 'clientCertificate'>): boolean {
  return request.isPersonal || request.clientCertificate !== null || request.has('authorization')
}
