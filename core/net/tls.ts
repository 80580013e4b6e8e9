/** node:tls, loaded by the first who needs it (5 MB that a worker without TLS does not pay for), and the server's side of it. */
import { appendFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import type * as tls from 'node:tls'

export function loadTls(): typeof tls {
  return process.getBuiltinModule('node:tls')
}

export interface TlsAnswer {
  readonly context: tls.SecureContext
  /** Empty: whatever the client offers is left open. */
  readonly alpn: readonly string[]
  /** `require`: without a certificate OpenSSL refuses the client. Whether it is a right one is to be asked: `verifyProblem`. */
  readonly clientCertificate: 'require' | 'request' | null
  /** OCSP, in DER. */
  readonly staple: Buffer | null
  readonly keyLog: string | null
}

/** Answers the handshake of a client; `secure` on the socket says that it is done, and `ready` has to follow at once. */
export function answerTls(below: Socket, { context, alpn, clientCertificate, staple, keyLog }: TlsAnswer): tls.TLSSocket {
  const { TLSSocket } = loadTls()
  const asks = { requestCert: clientCertificate !== null, rejectUnauthorized: clientCertificate === 'require' }
  const socket = new TLSSocket(below, {
    isServer: true,
    secureContext: context,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    ...asks,
  })
  if (staple !== null) handleOf(socket)?.setOCSPResponse?.(staple)
  if (keyLog !== null) socket.on('keylog', (line) => appendKey(keyLog, line))
  return socket
}

/** What tls.Server asks for its own sockets alone. */
interface TlsHandle {
  verifyError?(): NodeJS.ErrnoException | null | undefined
  setOCSPResponse?(response: Buffer): void
}

function handleOf(socket: tls.TLSSocket): TlsHandle | null {
  return (socket as unknown as { readonly _handle: TlsHandle | null })._handle
}

/** A disk that is full takes no connection with it. */
function appendKey(file: string, line: Buffer): void {
  try {
    appendFileSync(file, line, { mode: 0o600 })
  } catch {}
}

/**
 * What OpenSSL has against the certificate that the client showed, as its code; null: nothing. Node lets every certificate through the
 * handshake and leaves the rest to tls.Server; where that cannot be asked, no certificate is right.
 */
export function verifyProblem(socket: tls.TLSSocket): string | null {
  const handle = handleOf(socket)
  if (typeof handle?.verifyError !== 'function') return 'NOT_VERIFIED'
  const error = handle.verifyError()
  return error ? (error.code ?? error.message) : null
}

/**
 * What tls.Server does for its own sockets (onServerSocketSecure of lib/internal/tls/wrap.js) and only it can: without this, errors
 * after the handshake are swallowed.
 */
export function ready(socket: tls.TLSSocket): void {
  const inner = socket as tls.TLSSocket & { secureConnecting?: boolean; _releaseControl?: () => boolean }
  inner._releaseControl?.()
  inner.secureConnecting = false
}

const written = new WeakMap<readonly string[], Buffer>()

/** ProtocolNameList of RFC 7301 §3.1, written once a termination. */
export function alpnNames(names: readonly string[]): Buffer {
  let list = written.get(names)
  if (list === undefined) {
    list = Buffer.concat(names.flatMap((name) => [Buffer.of(name.length), Buffer.from(name, 'latin1')]))
    written.set(names, list)
  }
  return list
}
