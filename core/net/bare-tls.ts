/**
 * The server's side of TLS on a bare handle: Node's C++ stream for it (src/crypto/crypto_tls.cc) without a TLSSocket and a Socket above,
 * which cost more than the handshake. It does what lib/internal/tls/wrap.js does for a server that verifies no clients.
 */
import { bindings, type StreamHandle } from './bindings.ts'
import { factsOfHandle } from './handle-wire.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'
import { alpnNames, type TlsAnswer } from './tls.ts'
import { TlsWire } from './tls-wire.ts'
import type { Wire } from './wire.ts'

export interface BareSecured {
  readonly servername: string | null
  readonly alpn: string | null
  readonly isResumed: boolean
}

export interface BareHandshake {
  /** The wire is nobody's, and does not read yet: to be used at once, for what the client has sent already comes next. */
  secured(wire: Wire, told: BareSecured): void
  /** `code`: of OpenSSL or an errno; null: the client closed. It is closed. Not said after it was given up. */
  failed(code: string | null): void
}

const UV_EOF = -4095
const nothing = (): void => {}

/** Answers the handshake that begins with `hello`. Returns how to give it up, after which nobody is told. */
export function answerBare(
  below: AcceptedHandle,
  hello: Uint8Array,
  { context, alpn, staple }: Pick<TlsAnswer, 'context' | 'alpn' | 'staple'>,
  told: BareHandshake,
): () => void {
  const { handle, remoteAddress, remotePort } = below
  const tls = bindings!.wrapTls(handle, context.context, true, false)
  let [isOver, isClosed, isGivenUp] = [false, false, false]
  let wire: TlsWire | null = null
  const close = () => {
    if (isClosed) return
    isClosed = true
    tls.onread = nothing
    // Writes under way refer to it: it goes after they are told that they failed, and not on OpenSSL's stack.
    handle.close(() => tls.destroySSL())
  }
  const facts = (): ProxyFacts => ({
    ...factsOfHandle(handle, { address: remoteAddress, port: remotePort }),
    tls: {
      serverName: tls.getServername() || null,
      alpn: tls.getALPNNegotiatedProtocol() || null,
      version: tls.getProtocol(),
      cipher: tls.getCipher()?.name ?? null,
      commonName: null,
    },
  })
  const fail = (code: string | null) => {
    if (isOver) return
    isOver = true
    close()
    // A hello may be refused before whoever gave it is back; ticks may be run before that, too (kernel.ts is no callback scope of Node's).
    setImmediate(() => {
      if (!isGivenUp) told.failed(code)
    })
  }
  tls.onhandshakestart = nothing
  tls.onclienthello = nothing
  tls.oncertcb = nothing
  tls.onnewsession = nothing
  tls.onkeylog = nothing
  tls.onerror = (error) => {
    const code = error.code ?? error.message
    if (wire === null) fail(code)
    else wire.lost(code)
  }
  tls.onhandshakedone = () => {
    if (isOver) return
    isOver = true
    wire = new TlsWire(tls, { remoteAddress, remotePort, facts, close }, [])
    const [servername, alpn] = [tls.getServername() || null, tls.getALPNNegotiatedProtocol() || null]
    told.secured(wire, { servername, alpn, isResumed: tls.isSessionReused() })
  }
  tls.onread = () => {
    const length = bindings!.state[bindings!.kRead]!
    if (length < 0) fail(length === UV_EOF ? null : 'ECONNRESET')
  }
  if (alpn.length > 0) tls.setALPNProtocols(alpnNames(alpn))
  if (staple !== null) tls.setOCSPResponse(staple)
  tls.receive(hello)
  if (!isOver) tls.readStart()
  return () => {
    isGivenUp = true
    isOver = true
    if (wire === null) close()
  }
}

/** A connection that was accepted, and is given up to TLS. */
export interface AcceptedHandle {
  readonly handle: StreamHandle
  readonly remoteAddress: string
  readonly remotePort: number
}
