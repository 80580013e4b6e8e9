/**
 * The alert that Node cannot have OpenSSL send: of a client certificate it learns what is wrong when the handshake is done. One record of TLS 1.3
 * (RFC 8446 §5.2, §6.2), sealed with the key that the server writes with from then on.
 */
import { createCipheriv, createHmac } from 'node:crypto'

/** How the server's side of one connection goes on after its handshake. */
export interface SealingKeys {
  /** As OpenSSL and IANA call it: `TLS_AES_128_GCM_SHA256`. */
  readonly cipher: string
  /** `server_application_traffic_secret_0` (RFC 8446 §7.1). */
  readonly secret: Buffer
  /** Records that the server has written with them. */
  readonly sequence: number
}

const [APPLICATION_DATA, ALERT, FATAL] = [23, 21, 2]
const TAG_BYTES = 16
const NONCE_BYTES = 12

const CIPHERS: ReadonlyMap<string, readonly [name: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305', keyBytes: number, hash: string]> =
  new Map([
    ['TLS_AES_128_GCM_SHA256', ['aes-128-gcm', 16, 'sha256']],
    ['TLS_AES_256_GCM_SHA384', ['aes-256-gcm', 32, 'sha384']],
    ['TLS_CHACHA20_POLY1305_SHA256', ['chacha20-poly1305', 32, 'sha256']],
  ])

const UNKNOWN_CA = 48
const CERTIFICATE_UNKNOWN = 46
/** As OpenSSL does it itself (ssl_x509err2alert of ssl/statem/statem_lib.c), for what it finds at clients. */
const ALERTS: ReadonlyMap<string, number> = new Map([
  ...['DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'].map(
    (code) => [code, UNKNOWN_CA] as const,
  ),
  ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'CERT_CHAIN_TOO_LONG', 'PATH_LENGTH_EXCEEDED', 'INVALID_CA'].map(
    (code) => [code, UNKNOWN_CA] as const,
  ),
  ...['CERT_NOT_YET_VALID', 'CERT_REJECTED', 'CERT_UNTRUSTED'].map((code) => [code, 42] as const),
  ['INVALID_PURPOSE', 43],
  ['CERT_REVOKED', 44],
  ['CERT_HAS_EXPIRED', 45],
  ['CERT_SIGNATURE_FAILURE', 51],
])

/** `code`: what OpenSSL has against a certificate. */
export function alertOf(code: string): number {
  return ALERTS.get(code) ?? CERTIFICATE_UNKNOWN
}

/** The secret in a line of a key log, if it is that of the server's records. */
export function secretIn(line: Buffer): Buffer | null {
  const found = /^SERVER_TRAFFIC_SECRET_0 [0-9a-f]+ ([0-9a-f]+)\s*$/i.exec(line.toString('latin1'))
  return found === null ? null : Buffer.from(found[1]!, 'hex')
}

/** Null: a cipher of which nothing is known here. */
export function sealAlert(alert: number, { cipher, secret, sequence }: SealingKeys): Buffer | null {
  const known = CIPHERS.get(cipher)
  if (known === undefined) return null
  const [name, keyBytes, hash] = known
  const nonce = expandLabel(hash, secret, 'iv', NONCE_BYTES)
  nonce.writeUInt32BE((nonce.readUInt32BE(NONCE_BYTES - 4) ^ sequence) >>> 0, NONCE_BYTES - 4)
  const content = Buffer.of(FATAL, alert, ALERT)
  const head = Buffer.of(APPLICATION_DATA, 3, 3, 0, content.length + TAG_BYTES)
  const sealing = createCipheriv(name as 'aes-128-gcm', expandLabel(hash, secret, 'key', keyBytes), nonce, { authTagLength: TAG_BYTES })
  sealing.setAAD(head)
  return Buffer.concat([head, sealing.update(content), sealing.final(), sealing.getAuthTag()])
}

/** HKDF-Expand-Label (RFC 8446 §7.1) with an empty context, from HKDF-Expand (RFC 5869 §2.3) of one block: all that is asked for fits into it. */
function expandLabel(hash: string, secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`, 'latin1')
  const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)])
  return createHmac(hash, secret).update(info).digest().subarray(0, length)
}
