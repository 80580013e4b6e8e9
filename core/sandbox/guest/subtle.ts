/** `crypto.subtle` of the sandbox: keys stay here as data, and go along with each question; the host computes. */
import { ask } from './asks.ts'
import { bytesOf, decodeBase64, encodeBase64 } from './bytes.ts'
import { Failure, isArray } from './primordials.ts'

interface KeyData {
  readonly format: unknown
  readonly key: unknown
  readonly algorithm: AlgorithmData
  readonly extractable: boolean
  readonly usages: readonly unknown[]
}

interface AlgorithmData {
  readonly name: unknown
  readonly hash?: unknown
  readonly namedCurve?: unknown
  readonly length?: unknown
  readonly saltLength?: unknown
}

interface KeyFacts {
  readonly type: 'secret' | 'public' | 'private'
  readonly algorithm: { readonly name: string; readonly publicExponent?: string }
}

const datas = new WeakMap<object, KeyData>()

/** Of its own making: a plugin gets them of `importKey`. */
export class CryptoKey {
  readonly type: string
  readonly extractable: boolean
  readonly algorithm: object
  readonly usages: readonly unknown[]

  constructor(facts: KeyFacts, data: KeyData, token?: unknown) {
    if (token !== datas) throw new Failure('a CryptoKey is made by crypto.subtle.importKey')
    const { publicExponent, ...algorithm } = facts.algorithm
    this.type = facts.type
    this.extractable = data.extractable
    this.algorithm = Object.freeze(
      publicExponent === undefined ? algorithm : { ...algorithm, publicExponent: decodeBase64(publicExponent) },
    )
    this.usages = Object.freeze([...data.usages])
    datas.set(this, data)
  }

  get [Symbol.toStringTag](): string {
    return 'CryptoKey'
  }
}

export const subtle = Object.freeze({
  async digest(algorithm: unknown, data: unknown): Promise<ArrayBuffer> {
    const { name } = algorithmOf(algorithm)
    const hash = typeof name === 'string' ? name.toUpperCase() : name
    return answered(ask('subtle.digest', { hash, data: encodeBase64(bytesOf(data, 'digest')) }))
  },

  async importKey(format: unknown, key: unknown, algorithm: unknown, extractable: unknown, usages: unknown): Promise<CryptoKey> {
    if (!isArray(usages)) throw new Failure('importKey takes a list of usages')
    const data: KeyData = {
      format,
      // A copy: what becomes of the plugin's object is no matter of the key.
      key: format === 'jwk' ? { ...(key as object) } : encodeBase64(bytesOf(key, 'importKey')),
      algorithm: algorithmOf(algorithm),
      extractable: extractable === true,
      usages: [...usages],
    }
    return new CryptoKey((await ask('subtle.importKey', { key: data })) as KeyFacts, data, datas)
  },

  async sign(algorithm: unknown, key: unknown, data: unknown): Promise<ArrayBuffer> {
    const bytes = encodeBase64(bytesOf(data, 'sign'))
    return answered(ask('subtle.sign', { key: dataOf(key), algorithm: algorithmOf(algorithm), data: bytes }))
  },

  async verify(algorithm: unknown, key: unknown, signature: unknown, data: unknown): Promise<boolean> {
    const [signed, bytes] = [encodeBase64(bytesOf(signature, 'verify')), encodeBase64(bytesOf(data, 'verify'))]
    const args = { key: dataOf(key), algorithm: algorithmOf(algorithm), signature: signed, data: bytes }
    return (await ask('subtle.verify', args)) as boolean
  },
})

async function answered(base64: Promise<unknown>): Promise<ArrayBuffer> {
  return decodeBase64((await base64) as string).buffer
}

function dataOf(key: unknown): KeyData {
  const data = typeof key === 'object' && key !== null ? datas.get(key) : undefined
  if (data === undefined) throw new Failure('the key is no CryptoKey of crypto.subtle.importKey')
  return data
}

/** `'SHA-256'` is `{ name: 'SHA-256' }`, also for the hash of another one. */
function algorithmOf(algorithm: unknown): AlgorithmData {
  if (typeof algorithm === 'string') return { name: algorithm }
  if (typeof algorithm !== 'object' || algorithm === null) throw new Failure('an algorithm is a name, or an object with one')
  const { name, hash, namedCurve, length, saltLength } = algorithm as AlgorithmData
  return { name, hash, namedCurve, length, saltLength }
}
