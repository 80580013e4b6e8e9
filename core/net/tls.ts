/** node:tls, loaded by the first who needs it (5 MB that a worker without TLS does not pay for), and the server's side of it. */
import type { Socket } from 'node:net'
import type * as tls from 'node:tls'

export function loadTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}

export interface TlsAnswer {
  readonly context: tls.SecureContext
  /** Empty: whatever the client offers is left open. */
  readonly alpn: readonly string[]
}

/** Answers the handshake of a client; `secure` on the socket says that it is done, and `ready` has to follow at once. */
export function answerTls(below: Socket, { context, alpn }: TlsAnswer): tls.TLSSocket {
  const { TLSSocket } = loadTls()
  return new TLSSocket(below, { isServer: true, secureContext: context, ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }) })
}

/**
 * What tls.Server does for its own sockets (onServerSocketSecure of lib/internal/tls/wrap.js) and only it can: without this, errors
 * after the handshake are swallowed, and node:http2 waits for ever. Both are tested.
 */
export function ready(socket: tls.TLSSocket): void {
  const inner = socket as tls.TLSSocket & { secureConnecting?: boolean; _releaseControl?: () => boolean }
  inner._releaseControl?.()
  inner.secureConnecting = false
}
