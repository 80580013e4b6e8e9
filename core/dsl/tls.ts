/** How TLS ends at a listener. */

export interface TlsTermination {
  /** A file, from the config's folder, or PEM text. */
  readonly cert: string
  readonly key: string
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
