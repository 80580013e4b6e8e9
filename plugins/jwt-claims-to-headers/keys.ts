/** The keys that tokens are verified with: given in the options, or a set fetched from its URL and kept, fetched anew when it is due or lacks a key. */
import { createLocalJWKSet, errors, importJWK, importSPKI, type JWTVerifyGetKey } from 'jose'

const CACHE_MS = 10 * 60_000
/** After it, a set that could not be fetched anew counts no longer: a key that was withdrawn is not to live for ever. */
const STALE_MS = 24 * 60 * 60_000
/** Between two tries, whatever tokens ask for: a client that makes up key ids is not to flood the issuer. */
const COOLDOWN_MS = 30_000

type KeySet = ReturnType<typeof createLocalJWKSet>
type Jwks = Parameters<typeof createLocalJWKSet>[0]

/** The set cannot be had: it is not the client's fault. */
export class KeysUnavailable extends Error {}

export interface RemoteKeysOptions {
  readonly url: string
  /** Fetches a text, or rejects. */
  readonly load: (url: string) => Promise<unknown>
  readonly now: () => number
}

export class RemoteKeys {
  readonly #options: RemoteKeysOptions
  #set: KeySet | null = null
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #underway: Promise<void> | null = null

  constructor(options: RemoteKeysOptions) {
    this.#options = options
  }

  readonly key: JWTVerifyGetKey = async (header, token) => {
    const now = this.#options.now()
    const age = now - this.#fetchedAt
    if (this.#set === null || age > STALE_MS) await this.refresh()
    // One that is due is fetched beside: this token is verified with what there is.
    else if (age > CACHE_MS) void this.refresh().catch(() => undefined)
    const set = this.#set
    if (set === null || now - this.#fetchedAt > STALE_MS) throw new KeysUnavailable('there are no keys')
    try {
      return await set(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      // An issuer that is away makes no token right, and none that names no key of it a failure of ours.
      await this.refresh().catch(() => undefined)
      if (this.#set === set || this.#set === null) throw error
      return await this.#set(header, token)
    }
  }

  /** Fetches the set, unless that was tried a moment ago; all who ask meanwhile wait for the same answer. Rejects with why it failed. */
  refresh(): Promise<void> {
    if (this.#underway !== null) return this.#underway
    const now = this.#options.now()
    if (now - this.#triedAt < COOLDOWN_MS) return Promise.resolve()
    this.#triedAt = now
    this.#underway = this.#fetch(now).finally(() => {
      this.#underway = null
    })
    return this.#underway
  }

  async #fetch(now: number): Promise<void> {
    try {
      this.#set = createLocalJWKSet((await this.#options.load(this.#options.url)) as Jwks)
      this.#fetchedAt = now
    } catch (error) {
      throw new KeysUnavailable(error instanceof Error ? error.message : String(error))
    }
  }
}

export type JsonKey = Readonly<Record<string, unknown>>

/** One key, of whichever kind the options hold it. */
export async function readKey(
  { secret, publicKey, jwk }: { secret?: string | undefined; publicKey?: string | undefined; jwk?: JsonKey | undefined },
  algorithm: string,
) {
  if (secret !== undefined) {
    const bytes = new TextEncoder().encode(secret)
    if (bytes.length < 32) throw new Error('secret has at least 32 bytes, as many as its hash (RFC 7518 §3.2)')
    return bytes
  }
  if (publicKey !== undefined) return importSPKI(publicKey.trim(), algorithm)
  if ('d' in jwk! || jwk!.kty === 'oct') throw new Error('jwk is a public key; a secret goes into the option secret')
  return importJWK(jwk as Parameters<typeof importJWK>[0], algorithm)
}
