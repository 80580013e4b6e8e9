/** node:tls, loaded by the first who needs it (5 MB that a worker without TLS does not pay for), and the server's side of it. */
import type { Socket } from 'node:net'
import type * as tls from 'node:tls'

export function loadTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}

export interface TlsAnswer {
  readonly context: tls.SecureContext
  readonly alpn: readonly string[]
  /** `require`: without a certificate OpenSSL refuses the client. Whether it is a right one is to be asked: `verifyProblem`. */
  readonly clientCertificate: 'require' | 'request' | null
}

/** Answers the handshake of a client; `secure` on the socket says that it is done, and `ready` has to follow at once. */
export function answerTls(below: Socket, { context, alpn, clientCertificate }: TlsAnswer): tls.TLSSocket {
  const { TLSSocket } = loadTls()
  const asks = { requestCert: clientCertificate !== null, rejectUnauthorized: clientCertificate === 'require' }
  return new TLSSocket(below, { isServer: true, secureContext: context, ALPNProtocols: [...alpn], ...asks })
}

/**
 * What OpenSSL has against the certificate that the client showed, as its code; null: nothing. Node lets every certificate through the
 * handshake and leaves the rest to tls.Server; where that cannot be asked, no certificate is right.
 */
export function verifyProblem(socket: tls.TLSSocket): string | null {
  const handle = (socket as unknown as { readonly _handle: { verifyError?(): NodeJS.ErrnoException | null | undefined } | null })._handle
  if (typeof handle?.verifyError !== 'function') return 'NOT_VERIFIED'
  const error = handle.verifyError()
  return error ? (error.code ?? error.message) : null
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
