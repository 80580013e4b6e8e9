/** What a request asks, for who needs it later, or once more: nothing of it changes with the one it was. */
import { RequestHead } from '../net/http1/head.ts'

export function copyRequest(head: RequestHead): RequestHead {
  const lines = head.lines()
  const copy = new RequestHead(lines, 0, head.method, head.minor)
  copy.endFields(lines.length)
  copy.path = head.path
  copy.search = head.search
  copy.host = head.host
  copy.hasIdentity = head.hasIdentity
  copy.bindsConnection = head.bindsConnection
  copy.clientCertificate = head.clientCertificate
  copy.decisions = head.decisions === null ? null : [...head.decisions]
  copy.user = head.user
  copy.isPersonal = head.isPersonal
  return copy
}
