/** node:tls, loaded by the first who needs it: 5 MB that a worker without TLS does not pay for. */
import type * as tls from 'node:tls'

export function loadTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}
