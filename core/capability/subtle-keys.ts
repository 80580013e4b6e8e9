/** Keys of `crypto.subtle` as a guest sends them: read, bounded, imported, and remembered by a hash of all that makes them. */
import { createHash, type webcrypto } from 'node:crypto'
import { type Arguments, isRecord } from './arguments.ts'

export const hashes = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'] as const
const names = ['HMAC', 'RSASSA-PKCS1-v1_5', 'RSA-PSS', 'ECDSA', 'Ed25519'] as const
const curves = ['P-256', 'P-384', 'P-521'] as const
const formats = ['raw', 'jwk', 'spki', 'pkcs8'] as const
const usages = ['sign', 'verify'] as const
type Usage = (typeof usages)[number]

const MOST_KEY = 16 * 1024
const MOST_MODULUS = 4096
const MOST_SALT = 512
const MOST_REMEMBERED = 256

export interface Algorithm {
  readonly name: (typeof names)[number]
  readonly hash?: (typeof hashes)[number]
  readonly namedCurve?: (typeof curves)[number]
  readonly length?: number
  readonly saltLength?: number
}

export interface KeyData {
  readonly format: (typeof formats)[number]
  readonly key: Buffer<ArrayBuffer> | webcrypto.JsonWebKey
  readonly algorithm: Algorithm
  readonly extractable: boolean
  readonly usages: readonly Usage[]
}

/** What a CryptoKey tells of itself. */
export interface KeyFacts {
  readonly type: 'secret' | 'public' | 'private'
  readonly algorithm: {
    readonly name: string
    readonly hash?: { readonly name: string }
    readonly namedCurve?: string
    readonly length?: number
    readonly modulusLength?: number
    /** Base64. */
    readonly publicExponent?: string
  }
}

export class Keys {
  /** By hash, the one used longest ago first. */
  readonly #known = new Map<string, webcrypto.CryptoKey>()

  read(args: Arguments): KeyData {
    const format = args.one('format', formats)
    return {
      format,
      key: format === 'jwk' ? readJwk(args.part('key')) : args.bytes('key', MOST_KEY),
      algorithm: readAlgorithm(args.part('algorithm')),
      extractable: args.get('extractable') === true,
      usages: args.list('usages', usages.length).map((usage) => {
        const known = usages.find((one) => one === usage)
        if (known === undefined) throw args.wrong('usages', `are ${usages.join(' and ')}, no others`)
        return known
      }),
    }
  }

  async describe(data: KeyData): Promise<KeyFacts> {
    const { type, algorithm } = await importKey(data, data.usages)
    // The types know every kind of key there is; which one it is, the data say.
    const { name, hash, namedCurve, length, modulusLength, publicExponent } = algorithm as Partial<
      webcrypto.RsaHashedKeyAlgorithm & webcrypto.EcKeyAlgorithm & webcrypto.HmacKeyAlgorithm
    >
    return {
      type,
      algorithm: {
        name: name ?? data.algorithm.name,
        ...(hash === undefined ? {} : { hash: { name: hash.name } }),
        ...(namedCurve === undefined ? {} : { namedCurve }),
        ...(length === undefined ? {} : { length }),
        ...(modulusLength === undefined ? {} : { modulusLength }),
        ...(publicExponent === undefined ? {} : { publicExponent: Buffer.from(publicExponent).toString('base64') }),
      },
    }
  }

  /** For that use, which must be one of its own. */
  async get(data: KeyData, usage: Usage): Promise<webcrypto.CryptoKey> {
    if (!data.usages.includes(usage)) throw new Error(`subtle.${usage}: the key's usages do not have ${usage}`)
    const { format, key, algorithm } = data
    const text = JSON.stringify([format, Buffer.isBuffer(key) ? key.toString('base64') : key, algorithm, usage])
    const id = createHash('sha256').update(text).digest('base64')
    const known = this.#known.get(id) ?? (await importKey({ ...data, extractable: false }, [usage]))
    this.#known.delete(id)
    this.#known.set(id, known)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MOST_REMEMBERED) this.#known.delete(oldest!)
    return known
  }
}

/** `{ name: 'ECDSA', hash: 'SHA-256' }`; names in any case, a hash also as `{ name }`. */
export function readAlgorithm(args: Arguments): Algorithm {
  const bounded = (name: string, most: number): number => {
    const value = args.whole(name)
    if (value < 0 || value > most) throw args.wrong(name, `is from 0 to ${most}`)
    return value
  }
  return {
    name: named(args, 'name', names),
    ...(args.has('hash') ? { hash: named(args, 'hash', hashes) } : {}),
    ...(args.has('namedCurve') ? { namedCurve: args.one('namedCurve', curves) } : {}),
    ...(args.has('length') ? { length: bounded('length', MOST_KEY * 8) } : {}),
    ...(args.has('saltLength') ? { saltLength: bounded('saltLength', MOST_SALT) } : {}),
  }
}

function named<T extends string>(args: Arguments, name: string, of: readonly T[]): T {
  const given = args.get(name)
  const value = isRecord(given) ? given.name : given
  const found = typeof value === 'string' ? of.find((one) => one.toLowerCase() === value.toLowerCase()) : undefined
  if (found === undefined) throw args.wrong(name, `is one of ${of.join(', ')}`)
  return found
}

async function importKey({ format, key, algorithm, extractable }: KeyData, uses: readonly Usage[]): Promise<webcrypto.CryptoKey> {
  const imported = await (Buffer.isBuffer(key)
    ? crypto.subtle.importKey(format as Exclude<KeyData['format'], 'jwk'>, key, algorithm, extractable, [...uses])
    : crypto.subtle.importKey('jwk', key, algorithm, extractable, [...uses]))
  const { modulusLength = 0 } = imported.algorithm as Partial<webcrypto.RsaKeyAlgorithm>
  if (modulusLength > MOST_MODULUS) throw new Error(`keys of RSA have up to ${MOST_MODULUS} bits here, this one has ${modulusLength}`)
  return imported
}

const jwkTexts = ['kty', 'k', 'n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi', 'crv', 'x', 'y', 'alg', 'use'] as const

function readJwk(args: Arguments): webcrypto.JsonWebKey {
  const jwk: webcrypto.JsonWebKey = {}
  for (const name of jwkTexts) if (args.has(name)) jwk[name] = args.text(name, MOST_KEY)
  if (typeof args.get('ext') === 'boolean') jwk.ext = args.get('ext') === true
  if (args.has('key_ops')) {
    jwk.key_ops = args.list('key_ops', 16).map((operation) => {
      if (typeof operation !== 'string') throw args.wrong('key_ops', 'takes strings')
      return operation
    })
  }
  return jwk
}
