/** An authority, read out of its certificate and key: as much as is needed to sign in its name, and for whom it may. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { objectId, sequence, tagged } from './der.ts'
import { type DerValue, readValues } from './der-reader.ts'

export interface Issued {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

/** Who signs: what certificates say of it, and its key. */
export interface Signer {
  /** Its name, as it stands in its own certificate (DER): whoever compares, compares bytes. */
  readonly subject: Buffer
  /** Null: its certificate tells none. */
  readonly keyId: Buffer | null
  readonly key: KeyObject
  /** AlgorithmIdentifier of its signatures, which are over SHA-256. */
  readonly algorithm: Buffer
}

export interface Issuer extends Signer {
  readonly certificate: X509Certificate
  /** Its own name constraints (RFC 5280 §4.2.1.10) let it sign for this host. */
  maySignFor(host: string): boolean
}

export const ECDSA_SHA256: Buffer = sequence(objectId('1.2.840.10045.4.3.2'))
const RSA_SHA256 = sequence(objectId('1.2.840.113549.1.1.11'), tagged(0x05))
const IDS = {
  keyIdentifier: objectId('2.5.29.14'),
  keyUsage: objectId('2.5.29.15'),
  nameConstraints: objectId('2.5.29.30'),
} as const
const SIGNS_CERTIFICATES = 0x04
const [DOMAIN, ADDRESS] = [0x82, 0x87]

/** Throws, with a sentence, if they are no authority that can sign. */
export function readIssuer({ cert, key: pem }: Issued): Issuer {
  const certificate = read('certificate', () => new X509Certificate(cert))
  const key = read('key', () => createPrivateKey(pem))
  if (!certificate.ca) throw new Error('its certificate is not that of an authority (basicConstraints CA:TRUE)')
  if (!certificate.checkPrivateKey(key)) throw new Error('its key is not that of its certificate')
  const { subject, extensions } = partsOf(certificate.raw)
  const usage = extensions.get(IDS.keyUsage.toString('hex'))
  if (usage !== undefined && !signsCertificates(usage)) throw new Error('its certificate may not sign others (keyUsage has no keyCertSign)')
  const keyId = extensions.get(IDS.keyIdentifier.toString('hex'))
  const limits = extensions.get(IDS.nameConstraints.toString('hex'))
  return {
    ...{ certificate, subject, key, algorithm: algorithmOf(key) },
    keyId: keyId === undefined ? null : (readValues(keyId)?.[0]?.content ?? null),
    maySignFor: limits === undefined ? () => true : constraintsOf(limits),
  }
}

function read<T>(what: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new Error(`its ${what} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** A bit string: how many bits do not count, then the bits. */
function signsCertificates(usage: Buffer): boolean {
  return ((readValues(usage)?.[0]?.content[1] ?? 0) & SIGNS_CERTIFICATES) !== 0
}

function algorithmOf({ asymmetricKeyType }: KeyObject): Buffer {
  if (asymmetricKeyType === 'ec') return ECDSA_SHA256
  if (asymmetricKeyType === 'rsa') return RSA_SHA256
  throw new Error(`its key is of the kind ${asymmetricKeyType}: ECDSA and RSA are understood`)
}

/** RFC 5280 §4.1. Node has read it, so it is well-formed. */
function partsOf(der: Buffer): { readonly subject: Buffer; readonly extensions: ReadonlyMap<string, Buffer> } {
  const signed = inside(inside(values(der)[0])[0])
  // Without a version it is of the first one, which has no extensions.
  const from = signed[0]?.tag === 0xa0 ? 1 : 0
  const list = signed.find(({ tag }) => tag === 0xa3)
  const extensions = new Map<string, Buffer>()
  for (const extension of inside(inside(list)[0])) {
    const fields = inside(extension)
    extensions.set(fields[0]!.whole.toString('hex'), fields.at(-1)!.content)
  }
  return { subject: signed[from + 4]!.whole, extensions }
}

function constraintsOf(bytes: Buffer): (host: string) => boolean {
  const lists = inside(values(bytes)[0])
  const subtrees = (tag: number): DerValue[] =>
    lists.filter((list) => list.tag === tag).flatMap((list) => inside(list).flatMap((subtree) => inside(subtree)[0] ?? []))
  const [permitted, excluded] = [subtrees(0xa0), subtrees(0xa1)]
  return (host) => {
    const kind = isIP(host) === 0 ? DOMAIN : ADDRESS
    // Networks are compared by nobody here: with one that is named, no address is taken.
    const covers = ({ content }: DerValue): boolean =>
      kind === ADDRESS || isUnder(host.toLowerCase(), content.toString('latin1').toLowerCase())
    const of = (list: readonly DerValue[]): DerValue[] => list.filter(({ tag }) => tag === kind)
    if (of(excluded).some(covers)) return false
    const allowed = of(permitted)
    return allowed.length === 0 || (kind === DOMAIN && allowed.some(covers))
  }
}

function isUnder(host: string, domain: string): boolean {
  const bare = domain.replace(/^\./, '')
  return bare === '' || host === bare || host.endsWith(`.${bare}`)
}

function values(bytes: Buffer): readonly DerValue[] {
  return readValues(bytes) ?? []
}

function inside(value: DerValue | undefined): readonly DerValue[] {
  return value === undefined ? [] : values(value.content)
}
