/** What a listener needs to answer TLS: made when a plan is prepared, so that a wrong certificate is told before the swap. */
import { constants, hash } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { NameTable } from '../net/name-table.ts'
import type { ClientRule } from '../net/secured.ts'
import { loadTls } from '../net/tls.ts'

export interface Termination {
  readonly context: SecureContext
  readonly alpn: readonly string[]
  /** Null: clients are not asked for certificates. */
  readonly clients: ClientRule | null
  /** Terminations for some names; this one is for all others. Null: it is for every name. */
  readonly others: NameTable<Termination> | null
}

export interface TerminationTexts {
  /** PEM: one certificate with its chain, or several of unlike kinds (ECDSA, RSA) for the same names, of which the client's abilities choose. */
  readonly cert: string | readonly string[]
  readonly key: string | readonly string[]
  readonly alpn: readonly string[]
  readonly clients?: ClientTexts | null
}

export interface ClientTexts {
  readonly mode: 'require' | 'request'
  /** PEM: who may have signed a client's certificate. */
  readonly ca: string
  readonly forward: boolean
}

/** Throws if the certificate and the key cannot be used, or not together. */
export function makeTermination({ cert, key, alpn, clients = null }: TerminationTexts): Termination {
  const rule = clients === null ? null : { ...clients, id: hash('sha256', JSON.stringify(clients), 'base64url') }
  const context = loadTls().createSecureContext({
    ...{ cert: cert as string | string[], key: key as string | string[] },
    ...(clients === null ? {} : { ca: clients.ca }),
    ...{ minVersion: 'TLSv1.2', honorCipherOrder: true, sessionIdContext: rule?.id.slice(0, 32) ?? 'sluice' },
    // A client could make us shake hands again and again, which costs us far more than it. Who has to show a certificate shows it each
    // time: a ticket would keep neither its chain nor the authorities that count by now.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | (rule === null ? 0 : constants.SSL_OP_NO_TICKET),
  })
  return { context, alpn: alpn.length === 0 ? ['http/1.1'] : alpn, clients: rule, others: null }
}

/** `servername`: in lower case; null: the client names none. */
export function terminationFor(termination: Termination, servername: string | null): Termination {
  return (servername === null ? null : termination.others?.find(servername.toLowerCase())) ?? termination
}
