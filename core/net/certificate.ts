/**
 * Makes X.509 certificates (RFC 5280) with ECDSA P-256: an authority, and what it signs. Written by hand, for the libraries that do
 * it bring 20 packages and 5 MB for what are two functions here.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { ECDSA_SHA256, type Issued, readIssuer, type Signer } from './certificate-issuer.ts'
import { bitString, boolean, integer, objectId, octetString, sequence, set, tagged, time, utf8String } from './der.ts'

export interface IssueOptions {
  /** Common name. */
  readonly name: string
  readonly from: Date
  readonly to: Date
}

export interface AuthorityOptions extends IssueOptions {
  /** Domains, themselves and all under them, that it may sign for; null: for everything. */
  readonly permitted?: readonly string[] | null
}

export interface LeafOptions extends IssueOptions {
  readonly issuer: Issued
  readonly use: keyof typeof EXTENDED_USE
  /** Hosts, `*.example.com`, IP addresses, and URIs (`spiffe://example.com/shop`). */
  readonly hosts: readonly string[]
}

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const
const SERVER_USE = objectId('1.3.6.1.5.5.7.3.1')
const CLIENT_USE = objectId('1.3.6.1.5.5.7.3.2')
const EXTENDED_USE = { server: [SERVER_USE], client: [CLIENT_USE], both: [SERVER_USE, CLIENT_USE] } as const
/** Bits from the left: digitalSignature is the first, keyCertSign the sixth, cRLSign the seventh. */
const SIGNS_DATA = bitString(Buffer.from([0x80]), 7)
const SIGNS_CERTIFICATES = bitString(Buffer.from([0x06]), 1)

/** May sign certificates, but no further authorities. */
export function makeAuthority({ name, from, to, permitted = null }: AuthorityOptions): Issued {
  const keys = makeKeys()
  const subject = nameOf(name)
  const id = keyId(keys.spki)
  const extensions = [
    extension(OID.basicConstraints, sequence(boolean(true), integer(Buffer.from([0]))), true),
    extension(OID.keyUsage, SIGNS_CERTIFICATES, true),
    extension(OID.subjectKeyIdentifier, octetString(id)),
    ...(permitted === null ? [] : [extension(OID.nameConstraints, constraints(permitted), true)]),
  ]
  const signer: Signer = { subject, keyId: id, key: keys.privateKey, algorithm: ECDSA_SHA256 }
  return { cert: pemOf(seal({ subject, spki: keys.spki, from, to, extensions, signer })), key: keyPem(keys) }
}

export function issueCertificate({ issuer, ...leaf }: LeafOptions): Issued {
  const keys = makeKeys()
  return { cert: pemOf(issueFor(keys.spki, leaf, readIssuer(issuer))), key: keyPem(keys) }
}

/** DER, for a key that is there already. */
export function issueFor(spki: Buffer, { name, from, to, use, hosts }: Omit<LeafOptions, 'issuer'>, signer: Signer): Buffer {
  // RFC 5280 §4.2.1.6: who has no other name has to be known by this one. A common name has 64 characters at the most.
  const isNamed = name.length <= 64
  const alternative = hosts.length === 0 ? [] : [extension(OID.subjectAltName, sequence(...hosts.map(generalName)), !isNamed)]
  const extensions = [
    extension(OID.basicConstraints, sequence(), true),
    extension(OID.keyUsage, SIGNS_DATA, true),
    extension(OID.extendedKeyUsage, sequence(...EXTENDED_USE[use])),
    extension(OID.subjectKeyIdentifier, octetString(keyId(spki))),
    ...(signer.keyId === null ? [] : [extension(OID.authorityKeyIdentifier, sequence(tagged(0x80, signer.keyId)))]),
    ...alternative,
  ]
  return seal({ subject: isNamed ? nameOf(name) : sequence(), spki, from, to, extensions, signer })
}

export function pemOf(der: Buffer): string {
  const lines = der.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

export interface Keys {
  readonly privateKey: KeyObject
  readonly spki: Buffer
}

export function makeKeys(): Keys {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) }
}

export function keyPem({ privateKey }: Keys): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' })
}

interface Parts {
  readonly subject: Buffer
  readonly spki: Buffer
  readonly from: Date
  readonly to: Date
  readonly extensions: readonly Buffer[]
  readonly signer: Signer
}

function seal({ subject, spki, from, to, extensions, signer }: Parts): Buffer {
  const serial = randomBytes(16)
  // Not zero, and not longer for its sign.
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const version3 = tagged(0xa0, integer(Buffer.from([2])))
  const validity = sequence(time(from), time(to))
  const signed = sequence(
    ...[version3, integer(serial), signer.algorithm, signer.subject, validity, subject, spki],
    tagged(0xa3, sequence(...extensions)),
  )
  return sequence(signed, signer.algorithm, bitString(sign('sha256', signed, signer.key)))
}

/** RFC 5280 §4.2.1.10. Where only names are permitted, addresses would be free: so none is. */
function constraints(permitted: readonly string[]): Buffer {
  const subtrees = permitted.map((domain) => sequence(tagged(0x82, Buffer.from(domain, 'latin1'))))
  const everyAddress = [Buffer.alloc(8), Buffer.alloc(32)].map((bytes) => sequence(tagged(0x87, bytes)))
  return sequence(tagged(0xa0, ...subtrees), tagged(0xa1, ...everyAddress))
}

function nameOf(commonName: string): Buffer {
  return sequence(set(sequence(objectId(OID.commonName), utf8String(commonName))))
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  return sequence(objectId(id), ...(isCritical ? [boolean(true)] : []), octetString(value))
}

/** RFC 5280 §4.2.1.2, of the key inside: the structure around it is 26 bytes for P-256. */
function keyId(spki: Buffer): Buffer {
  return createHash('sha1').update(spki.subarray(26)).digest()
}

function generalName(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return tagged(0x87, Buffer.from(host.split('.').map(Number)))
    case 6:
      return tagged(0x87, addressBytes(host))
    default:
      return tagged(host.includes('://') ? 0x86 : 0x82, Buffer.from(host, 'latin1'))
  }
}

/** The sixteen bytes of an IPv6 address, which URL brings to groups of hexadecimal digits with one gap. */
function addressBytes(address: string): Buffer {
  const [front = '', back] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined): string[] => (text === undefined || text === '' ? [] : text.split(':'))
  const zeros = Array<string>(back === undefined ? 0 : 8 - groups(front).length - groups(back).length).fill('0')
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...groups(front), ...zeros, ...groups(back)].entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2)
  return bytes
}
