/**
 * A JWK Set that is fetched: when it is first needed, each ten minutes while it is, and when a key is asked for that it has not, at most each 30 s. What
 * was fetched last counts as long as nothing newer can be had.
 */
import type * as jose from 'jose'
import type { Kept, Send } from './policy.ts'

type FindKey = jose.JWTVerifyGetKey

const DEADLINE_MS = 5_000
const COOLDOWN_MS = 30_000
const REFRESH_MS = 600_000

export interface RemoteKeysOptions {
  readonly url: string
  readonly send: Send
  readonly now: () => number
  readonly makeSet: typeof jose.createLocalJWKSet
}

/** Keys cannot be had at all: no fault of the token. */
export class KeysUnavailable extends Error {}

export class RemoteKeys implements Kept {
  readonly #options: RemoteKeysOptions
  readonly #abort = new AbortController()
  #set: FindKey | null = null
  #fetching: Promise<void> | null = null
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #why = ''

  constructor(options: RemoteKeysOptions) {
    this.#options = options
  }

  readonly find: FindKey = async (header, token) => {
    if (this.#set === null) await this.#fetch()
    else if (this.#options.now() - this.#fetchedAt > REFRESH_MS) void this.#fetch()
    if (this.#set === null) throw new KeysUnavailable(this.#why)
    const before = this.#set
    try {
      return await before(header, token)
    } catch (error) {
      if (!(error instanceof Error) || (error as { code?: unknown }).code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error
      await this.#fetch()
      if (this.#set === before) throw error
      return await this.#set(header, token)
    }
  }

  close(): void {
    this.#abort.abort(new Error('it is not used any more'))
  }

  /** Once at a time, and not again at once. Never rejects. */
  #fetch(): Promise<void> {
    if (this.#fetching !== null) return this.#fetching
    if (this.#options.now() - this.#triedAt < COOLDOWN_MS) return Promise.resolve()
    this.#triedAt = this.#options.now()
    this.#fetching = this.#load()
      .catch((error: unknown) => {
        this.#why = error instanceof Error ? error.message : String(error)
      })
      .finally(() => {
        this.#fetching = null
      })
    return this.#fetching
  }

  async #load(): Promise<void> {
    const { url, send, makeSet, now } = this.#options
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DEADLINE_MS)])
    const fields = [['Accept', 'application/jwk-set+json, application/json']] as const
    const { status, body } = await send({ url: new URL(url), method: 'GET', fields, body: null }, signal)
    if (status !== 200) throw new Error(`${new URL(url).host} answered ${status}`)
    this.#set = makeSet(JSON.parse(body.toString('utf8')) as jose.JSONWebKeySet)
    this.#fetchedAt = now()
  }
}
