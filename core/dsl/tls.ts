/** How TLS ends at a listener. */
import type { Duration } from '../plugin.ts'
import type { OneOrMany } from './lists.ts'

export type TlsTermination = TlsOfFiles | TlsOfAcme

export interface TlsOfFiles extends TlsOptions {
  /** A file, from the config's folder, or PEM text. */
  readonly cert: string
  readonly key: string
  readonly acme?: undefined
}

export interface TlsOfAcme extends TlsOptions {
  /** Get the certificate from an authority, and renew it. */
  readonly acme: AcmeOptions
  readonly cert?: undefined
  readonly key?: undefined
}

/** A certificate by ACME (RFC 8555). Until there is one, the listener serves a certificate of its own that nobody trusts. */
export interface AcmeOptions {
  /** The names that the certificate is for. */
  readonly names: OneOrMany<string>
  /** You have read the terms of the authority. Without it, it takes no orders. */
  readonly agreeToTerms: true
  /** Where the authority writes to, of certificates that are about to expire, say. Default: nowhere. */
  readonly email?: string | undefined
  /** The authority's directory. Default Let's Encrypt, `'https://acme-v02.api.letsencrypt.org/directory'`. */
  readonly directory?: string | undefined
  /** Whom to trust for the directory's own TLS: a file, from the config's folder, or PEM text. Default: the authorities that Node trusts. */
  readonly directoryCa?: string | undefined
  /**
   * How control of the names is shown: `'tls-alpn-01'` (RFC 8737) on the listener itself, which the authority reaches on port 443, or
   * `'http-01'` (RFC 8555 §8.3) on the listeners of plain HTTP, one of which it reaches on port 80, or `'dns-01'` (RFC 8555 §8.4) by records of
   * your zone, which names with `*` take. Default `'tls-alpn-01'`.
   */
  readonly challenge?: 'tls-alpn-01' | 'http-01' | 'dns-01' | undefined
  /** For `'dns-01'`: how to change your zone. Its functions run in one of the workers, and have a minute each. */
  readonly dns?: DnsZone | undefined
  /** Binds the account to one that you have with the authority already (RFC 8555 §7.3.4). */
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string } | undefined
  /** Where the account's key and the certificates are kept, from the config's folder. Default `'.sluice/acme'`. */
  readonly storage?: string | undefined
}

/** How records of a zone are changed: by your provider's API, say. */
export interface DnsZone {
  /** Adds a record of the type TXT; there may be others of that name, which stay. To settle when name servers have it. */
  readonly set: (record: TxtRecord) => void | Promise<void>
  /** Takes that one out. */
  readonly remove: (record: TxtRecord) => void | Promise<void>
  /** From then on until the authority is told to look: for what your name servers do among themselves. Default `'10s'`. */
  readonly wait?: Duration | undefined
}

export interface TxtRecord {
  /** `_acme-challenge.example.com`, without the dot of the root; for `*.example.com`, too. */
  readonly name: string
  readonly value: string
}

interface TlsOptions {
  /** What is offered, the preferred first (RFC 7301). Default `['h2', 'http/1.1']` before HTTP, nothing before other endpoints. */
  readonly alpn?: readonly string[] | undefined
  /** Ask clients for a certificate; `'require'`: without a right one there is no connection. Needs `ca`. Default: do not ask. */
  readonly clientCertificate?: 'require' | 'request' | undefined
  /** The authorities of client certificates: a file, from the config's folder, or PEM text. */
  readonly ca?: string | undefined
  /** Tell endpoints of a client's verified certificate in `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Default false. */
  readonly forwardClientCertificate?: boolean | undefined
  /** The oldest version that is spoken. Default `'TLSv1.2'`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** An OCSP response in DER for clients that ask for one, renewed by whoever renews the certificate. */
  readonly ocsp?: string | undefined
  /** For debugging: a file that gets the keys of every connection, as Wireshark reads them. Whoever has it can read all traffic. */
  readonly keyLog?: string | undefined
}
/** The same as the plain object. */
export function terminate(options: TlsTermination): TlsTermination {
  return options
}
