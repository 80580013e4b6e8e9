/** What a listener needs to answer TLS: made when a plan is prepared, so that a wrong certificate is told before the swap. */
import { constants } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import { loadTls } from '../net/tls.ts'

export interface Termination {
  readonly context: SecureContext
  readonly alpn: readonly string[]
}

export interface TerminationTexts {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly alpn: readonly string[]
}

/** Throws if the certificate and the key cannot be used, or not together. */
export function makeTermination({ cert, key, alpn }: TerminationTexts): Termination {
  const context = loadTls().createSecureContext({
    ...{ cert, key, minVersion: 'TLSv1.2', honorCipherOrder: true, sessionIdContext: 'sluice' },
    // A client could make us shake hands again and again, which costs us far more than it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  })
  return { context, alpn }
}
