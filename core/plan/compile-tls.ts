/** The options of one termination of TLS → TlsPlan: what was left out filled in, files by their whole path. */
import type { TlsTermination } from '../index.ts'
import { resolveFile } from './compile-upstream.ts'
import type { TlsPlan } from './plan.ts'

/** `alpn`: what is offered where the option says nothing. */
export function compileTls(options: TlsTermination, folder: string, alpn: readonly string[]): TlsPlan {
  const { cert, key, clientCertificate: mode, ca, forwardClientCertificate: forward = false } = options
  const { minVersion = 'TLSv1.2', ocsp, keyLog } = options
  const file = (text: string): string => resolveFile(folder, text)
  return Object.freeze({
    cert: file(cert),
    key: file(key),
    alpn: Object.freeze([...(options.alpn === undefined || options.alpn.length === 0 ? alpn : options.alpn)]),
    ...{ minVersion, ocsp: ocsp === undefined ? null : file(ocsp), keyLog: keyLog === undefined ? null : file(keyLog) },
    clients: mode === undefined || ca === undefined ? null : Object.freeze({ mode, ca: file(ca), forward }),
  })
}
