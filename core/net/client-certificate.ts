/** The certificate of a client as the rest of the proxy sees it: its facts, read once a connection, and the fields of RFC 9440. */
import type { X509Certificate } from 'node:crypto'

/** More names than this are left out: of the facts, not of the certificate that endpoints get. */
const MOST_NAMES = 20
const MOST_TEXT = 300

export class ClientCertificate {
  /** RFC 4514: `CN=ann,O=Example`. */
  readonly subject: string
  readonly issuer: string
  /** Hexadecimal. */
  readonly serial: string
  /** `DNS:ann.example.com`, `URI:spiffe://example.com/ann`. */
  readonly names: readonly string[]
  /** SHA-256 of the certificate, hexadecimal in lower case. */
  readonly fingerprint: string
  /** One of the listener's authorities stands behind it. */
  readonly verified: boolean

  constructor(certificate: X509Certificate, verified: boolean) {
    this.subject = nameOf(certificate.subject)
    this.issuer = nameOf(certificate.issuer)
    this.serial = certificate.serialNumber.slice(0, MOST_TEXT)
    this.names = Object.freeze(alternativeNames(certificate.subjectAltName ?? ''))
    this.fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase()
    this.verified = verified
    Object.freeze(this)
  }
}

const jsons = new WeakMap<ClientCertificate, string>()

/** Made once a certificate. */
export function certificateJson(certificate: ClientCertificate): string {
  const known = jsons.get(certificate)
  if (known !== undefined) return known
  const json = JSON.stringify(certificate)
  jsons.set(certificate, json)
  return json
}

/** `Client-Cert` and `Client-Cert-Chain` (RFC 9440 §2): the chain is what leads to the authority, without the root, which whoever reads it has. */
export function certificateLines(certificate: X509Certificate): string {
  const chain: string[] = []
  const seen = new Set([certificate.fingerprint256])
  for (let issuer = certificate.issuerCertificate; issuer !== undefined; issuer = issuer.issuerCertificate) {
    if (seen.has(issuer.fingerprint256) || issuer.subject === issuer.issuer) break
    seen.add(issuer.fingerprint256)
    chain.push(byteSequence(issuer.raw))
  }
  const own = `Client-Cert: ${byteSequence(certificate.raw)}\r\n`
  return chain.length === 0 ? own : `${own}Client-Cert-Chain: ${chain.join(', ')}\r\n`
}

/** RFC 8941 §3.3.5. */
function byteSequence(bytes: Buffer): string {
  return `:${bytes.toString('base64')}:`
}

/** node:crypto gives one attribute a line, the first of the sequence first, escaped as in RFC 4514. */
function nameOf(lines: string | undefined): string {
  return (lines ?? '').split('\n').reverse().join(',').slice(0, MOST_TEXT)
}

/** A name that holds what could be taken for a separator is a JSON string behind its type. */
function alternativeNames(text: string): string[] {
  const names = text.match(/[^:,]+:(?:"(?:\\.|[^"\\])*"|[^,]*)/g) ?? []
  return names.slice(0, MOST_NAMES).map((name) =>
    name
      .trim()
      .replace(/^IP Address:/, 'IP:')
      .slice(0, MOST_TEXT),
  )
}
