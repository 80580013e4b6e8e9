/** What a listener needs to answer TLS: made when a plan is prepared, so that a wrong certificate is told before the swap. */
import { constants, hash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import type { SecureContext, SecureVersion } from 'node:tls'
import type { ClientHello } from '../net/client-hello.ts'
import type { NameTable } from '../net/name-table.ts'
import { getOpenSsl } from '../net/openssl.ts'
import type { ClientRule } from '../net/secured.ts'
import { ServerContext } from '../net/server-context.ts'
import type { TicketKeys } from '../net/ticket-keys.ts'
import { loadTls } from '../net/tls.ts'

export interface Termination {
  readonly context: SecureContext
  /** The same for OpenSSL itself; null where that cannot be used, and where Node has to tell of certificates and keys. */
  readonly serverContext: () => ServerContext | null
  readonly alpn: readonly string[]
  /** Null: clients are not asked for certificates. */
  readonly clients: ClientRule | null
  /** An OCSP response in DER, for clients that ask for one. */
  readonly staple: Buffer | null
  /** A file that gets the keys of every connection. */
  readonly keyLog: string | null
  /** Terminations for some names; this one is for all others. Null: it is for every name. */
  readonly others: NameTable<Termination> | null
  /** The hosts that its certificates are for; null: there are no others, and nothing to tell apart. */
  readonly served: NameTable<true> | null
  /** What authorities are shown that come to look whether the names are ours; null: none will come. */
  readonly challenges: TlsChallenges | null
}

/** Certificates for clients that speak a protocol of their own (challenges.ts). */
export interface TlsChallenges {
  /** Somebody may come for one: the first message has to be read. */
  readonly areByTls: boolean
  /** Null: it is an ordinary client. */
  terminationFor(hello: Pick<ClientHello, 'serverName' | 'alpn'>): Termination | null
}

export interface TerminationTexts {
  /** PEM: one certificate with its chain, or several of unlike kinds (ECDSA, RSA) for the same names, of which the client's abilities choose. */
  readonly cert: string | readonly string[]
  readonly key: string | readonly string[]
  readonly alpn: readonly string[]
  readonly clients?: ClientTexts | null
  /** Default: TLS 1.2. */
  readonly minVersion?: SecureVersion
  /** DER in base64. */
  readonly staple?: string | null
  readonly keyLog?: string | null
}

export interface ClientTexts {
  readonly mode: 'require' | 'request'
  /** PEM: who may have signed a client's certificate. */
  readonly ca: string
  readonly forward: boolean
}

/**
 * Mozilla's "intermediate" in our order, but for clients that want ChaCha20 most: their processor has no AES. Without DHE, which needs
 * parameters of its own and nobody else needs.
 */
const CIPHERS: readonly string[] = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
]
/** A ticket is good for less than its key is. */
const SESSION_S = 7_200
const SESSIONS = 'sluice'

/** Throws if the certificate and the key cannot be used, or not together. */
export function makeTermination(texts: TerminationTexts, ticketKeys: TicketKeys | null = null): Termination {
  const { cert, key, alpn, clients = null, minVersion = 'TLSv1.2', staple = null, keyLog = null } = texts
  const rule = clients === null ? null : { ...clients, id: hash('sha256', JSON.stringify(clients), 'base64url') }
  const context = loadTls().createSecureContext({
    ...{ cert: cert as string | string[], key: key as string | string[] },
    ...(clients === null ? {} : { ca: clients.ca }),
    ...{ minVersion, ciphers: CIPHERS.join(':'), honorCipherOrder: true, sessionTimeout: SESSION_S },
    ...{ sessionIdContext: rule?.id.slice(0, 32) ?? SESSIONS },
    // A client could make us shake hands again and again, which costs us far more than it. Who has to show a certificate shows it each
    // time: a ticket would keep neither its chain nor the authorities that count by now.
    secureOptions:
      constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_PRIORITIZE_CHACHA | (rule === null ? 0 : constants.SSL_OP_NO_TICKET),
  })
  if (rule === null) ticketKeys?.applyTo(context)
  if (keyLog !== null) closeSync(openSync(keyLog, 'a', 0o600))
  const stapled = staple === null ? null : Buffer.from(staple, 'base64')
  const serverContext =
    rule !== null || keyLog !== null
      ? () => null
      : once(() => makeServerContext({ ...{ cert, key, alpn, minVersion, staple: stapled }, ticketKeys }))
  return { ...{ context, serverContext, alpn, clients: rule, staple: stapled, keyLog }, others: null, served: null, challenges: null }
}

interface ServerTexts extends Pick<TerminationTexts, 'cert' | 'key' | 'alpn'> {
  readonly minVersion: SecureVersion
  readonly staple: Buffer | null
  readonly ticketKeys: TicketKeys | null
}

/** What Node takes OpenSSL takes, too; should it not, Node answers. */
function makeServerContext({ cert, key, ...others }: ServerTexts): ServerContext | null {
  const openSsl = getOpenSsl()
  if (openSsl === null) return null
  const list = (texts: string | readonly string[]): readonly string[] => (typeof texts === 'string' ? [texts] : texts)
  try {
    return new ServerContext(openSsl, {
      ...{ ...others, certificates: list(cert), keys: list(key) },
      ...{ ciphers: CIPHERS, sessionSeconds: SESSION_S, sessionIdContext: SESSIONS },
    })
  } catch {
    return null
  }
}

/** When it is first wanted: a process that only checks a plan wants none. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** `servername`: in lower case; null: the client names none. */
export function terminationFor(termination: Termination, servername: string | null): Termination {
  return (servername === null ? null : termination.others?.find(servername.toLowerCase())) ?? termination
}
