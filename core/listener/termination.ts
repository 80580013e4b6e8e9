/** What a listener needs to answer TLS: made when a plan is prepared, so that a wrong certificate is told before the swap. */
import { constants } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { NameTable } from '../net/name-table.ts'
import { loadTls } from '../net/tls.ts'

export interface Termination {
  readonly context: SecureContext
  readonly alpn: readonly string[]
  /** Terminations for some names; this one is for all others. Null: it is for every name. */
  readonly others: NameTable<Termination> | null
}

export interface TerminationTexts {
  /** PEM: one certificate with its chain, or several of unlike kinds (ECDSA, RSA) for the same names, of which the client's abilities choose. */
  readonly cert: string | readonly string[]
  readonly key: string | readonly string[]
  readonly alpn: readonly string[]
}

/** Throws if the certificate and the key cannot be used, or not together. */
export function makeTermination({ cert, key, alpn }: TerminationTexts): Termination {
  const context = loadTls().createSecureContext({
    ...{ cert: cert as string | string[], key: key as string | string[] },
    ...{ minVersion: 'TLSv1.2', honorCipherOrder: true, sessionIdContext: 'sluice' },
    // A client could make us shake hands again and again, which costs us far more than it.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  })
  return { context, alpn: alpn.length === 0 ? ['http/1.1'] : alpn, others: null }
}

/** `servername`: in lower case; null: the client names none. */
export function terminationFor(termination: Termination, servername: string | null): Termination {
  return (servername === null ? null : termination.others?.find(servername.toLowerCase())) ?? termination
}
