/**
 * What plugins have done for them in a simulation: `fetch` is answered by the test, and `kv` is a store of the simulation's own, on its
 * clock. Grants and limits are the real ones.
 */
import { createCapabilities } from '../capability/capabilities.ts'
import { type KvUse, kvShares } from '../capability/kv-shares.ts'
import { LocalKvStore } from '../capability/local-kv.ts'
import type { Transport } from '../capability/transport.ts'
import type { Capabilities } from '../sandbox/capabilities.ts'
import type { FetchAnswer, FetchedRequest, KvContents } from './messages.ts'

export interface SimulatedCapabilitiesOptions {
  readonly now: () => number
  /** What is there at first. */
  readonly kv: KvContents
  onFetch(call: number, request: FetchedRequest): void
}

interface Waiting {
  readonly host: string
  readonly resolve: (answer: Awaited<ReturnType<Transport>>) => void
  readonly reject: (error: Error) => void
}

export class SimulatedCapabilities implements Capabilities {
  readonly #store: LocalKvStore
  readonly #capabilities: Capabilities
  readonly #onFetch: SimulatedCapabilitiesOptions['onFetch']
  /** A plugin by itself need not be named: whatever it is called, its space is `''`. */
  readonly #isAlone: boolean
  readonly #waiting = new Map<number, Waiting>()
  #lastCall = 0
  #underWay = 0

  constructor({ now, kv, onFetch }: SimulatedCapabilitiesOptions) {
    this.#onFetch = onFetch
    this.#isAlone = Object.hasOwn(kv, '')
    this.#store = new LocalKvStore({ now })
    for (const [space, entries] of Object.entries(kv)) {
      for (const [key, value] of Object.entries(entries)) this.#store.performAll([{ kind: 'set', space, key, value, ttlMs: 0 }])
    }
    this.#capabilities = createCapabilities({ kv: this.#store, transport: this.send })
  }

  async perform(wish: Parameters<Capabilities['perform']>[0]): Promise<string> {
    this.#underWay++
    try {
      return await this.#capabilities.perform(this.#isAlone ? { ...wish, plugin: '' } : wish)
    } finally {
      this.#underWay--
    }
  }

  /** Nothing is being done for a plugin. */
  get isIdle(): boolean {
    return this.#underWay === 0
  }

  /** What plugins may keep by a plan that is taken into use. */
  allot(uses: readonly KvUse[]): void {
    this.#store.allot(kvShares(this.#isAlone ? uses.map((use) => ({ ...use, name: '' })) : uses))
  }

  /** What the test's stub said. */
  answer(call: number, answer: FetchAnswer): void {
    const waiting = this.#waiting.get(call)
    this.#waiting.delete(call)
    if (answer.kind === 'failed') waiting?.reject(new Error(`fetch to ${waiting.host}: ${answer.why}`))
    else waiting?.resolve({ status: answer.status, statusText: answer.reason, fields: answer.fields, body: Buffer.from(answer.body) })
  }

  /** By plugin. */
  contents(): KvContents {
    return Object.fromEntries(this.#store.spaces().map((space) => [space, this.#store.contents(space)]))
  }

  /** What is sent over the network by plugins, and by policies: the test answers. */
  readonly send: Transport = ({ url, method, fields, body }, signal) => {
    const call = ++this.#lastCall
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<Transport>>>()
    this.#waiting.set(call, { host: url.host, resolve, reject })
    signal.addEventListener('abort', () => this.#waiting.delete(call), { once: true })
    this.#onFetch(call, { method, url: url.href, fields, body: body ?? new Uint8Array() })
    return promise
  }
}
