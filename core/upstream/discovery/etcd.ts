/**
 * Endpoints by etcd: each key under a prefix is one, as long as it is there (a lease that ends takes it away). Read and followed over
 * etcd's JSON gateway (`/v3/kv/range`, `/v3/watch`), from the revision that was read.
 */
import { discoveredEndpoints } from '../../plan/endpoints.ts'
import type { DiscoveryPlan } from '../../plan/upstream-plan.ts'
import type { ApiAnswer, ApiClient } from './api-client.ts'
import type { Followed, Found, Watcher } from './follow.ts'

type EtcdPlan = Extract<DiscoveryPlan, { kind: 'etcd' }>

/** As discoveredEndpoints has it. */
const MOST_KEYS = 10_000
/** etcd tells that it is there each ten minutes, if nothing else. */
const SILENT_MS = 11 * 60_000

export class EtcdSet implements Followed {
  readonly #plan: EtcdPlan
  readonly #client: ApiClient
  /** Keys without the prefix → what they hold. */
  readonly #values = new Map<string, string>()
  #revision = 0n
  /** Of whom the revision is. */
  #cluster = ''
  #url = 0
  #token: string | null = null

  constructor(plan: EtcdPlan, client: ApiClient) {
    this.#plan = plan
    this.#client = client
  }

  found(): Found {
    const found: unknown[] = []
    let odd: string | null = null
    for (const [key, value] of [...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))) {
      try {
        const written = endpointOf(key, value)
        discoveredEndpoints([written], this.#plan.zone)
        found.push(written)
      } catch (error) {
        odd ??= `the key ${this.#plan.prefix}${key} is left out: ${(error as Error).message}`
      }
    }
    return { endpoints: discoveredEndpoints(found, this.#plan.zone), odd }
  }

  async read(signal: AbortSignal): Promise<void> {
    const answer = await this.#ask('/v3/kv/range', { ...this.#range(), limit: String(MOST_KEYS + 1) }, signal)
    const { header, kvs = [] } = JSON.parse(answer.text) as { header?: Header; kvs?: readonly KeyValue[] }
    if (kvs.length > MOST_KEYS) throw new Error(`there are more than ${MOST_KEYS} keys under ${this.#plan.prefix}`)
    this.#values.clear()
    for (const { key, value } of kvs) this.#values.set(this.#name(key), text(value))
    this.#revision = BigInt(header?.revision ?? 0)
    this.#cluster = header?.cluster_id ?? ''
  }

  async watch(signal: AbortSignal, { opened, changed }: Watcher): Promise<'ended' | 'gone'> {
    const create_request = { ...this.#range(), start_revision: String(this.#revision + 1n), progress_notify: true }
    const over = new AbortController()
    let isGone = false
    const onValue = (value: unknown): void => {
      const { result, error } = value as { result?: Result; error?: { message?: string } }
      if (error !== undefined) throw new Error(error.message ?? 'it ended the watch')
      if (result === undefined) return
      if (result.canceled === true) {
        // What is wanted was compacted away.
        isGone = result.compact_revision !== undefined
        if (!isGone) throw new Error(result.cancel_reason ?? 'it ended the watch')
        over.abort(new Error('compacted'))
        return
      }
      const { events = [], header } = result
      for (const { type, kv } of events) {
        if (type === 'DELETE') this.#values.delete(this.#name(kv.key))
        else if (this.#values.size < MOST_KEYS || this.#values.has(this.#name(kv.key))) this.#values.set(this.#name(kv.key), text(kv.value))
      }
      const revision = BigInt(header?.revision ?? 0)
      if (result.created === true) {
        // Another cluster, or one that was set up anew: what comes there is not what comes next.
        isGone = header?.cluster_id !== this.#cluster || revision < this.#revision
        if (isGone) over.abort(new Error('another cluster'))
        else opened()
        // It tells the newest revision, not one whose events have come.
        return
      }
      if (revision > this.#revision) this.#revision = revision
      if (events.length > 0) changed()
    }
    try {
      await this.#with(signal, (request) =>
        this.#client.stream(
          { ...request('/v3/watch', { create_request }), signal: AbortSignal.any([signal, over.signal]) },
          { silentMs: SILENT_MS, onValue },
        ),
      )
    } catch (error) {
      if (!isGone) throw error
    }
    return isGone ? 'gone' : 'ended'
  }

  #ask(path: string, body: object, signal: AbortSignal): Promise<ApiAnswer> {
    return this.#with(signal, (request) => this.#client.ask(request(path, body)))
  }

  /** Of several members the next one is asked after one has failed; a token that is not good any more is exchanged, once. */
  async #with(signal: AbortSignal, run: (request: MakeRequest) => Promise<ApiAnswer>): Promise<ApiAnswer> {
    try {
      if (this.#token === null && this.#plan.user !== null) this.#token = await this.#authenticate(signal)
      const answer = await run((path, body) => this.#request(path, body, signal))
      if (answer.status === 200) return answer
      const { message = `status ${answer.status}` } = parsed(answer.text)
      const hadToken = this.#token !== null
      if (this.#plan.user !== null && (answer.status === 401 || /invalid auth token/.test(message))) this.#token = null
      throw new Error(hadToken && this.#token === null ? `${message}; another token is asked for` : message)
    } catch (error) {
      if (!signal.aborted) this.#url = (this.#url + 1) % this.#plan.urls.length
      throw error
    }
  }

  async #authenticate(signal: AbortSignal): Promise<string> {
    const { user } = this.#plan
    const answer = await this.#client.ask(this.#request('/v3/auth/authenticate', { name: user!.name, password: user!.password }, signal))
    const { token, message } = parsed(answer.text)
    if (answer.status !== 200 || token === undefined) throw new Error(message ?? `it lets nobody in: status ${answer.status}`)
    return token
  }

  #request(path: string, body: object, signal: AbortSignal) {
    const { urls, tls, token: given } = this.#plan
    const token = this.#token ?? given
    const fields = { 'content-type': 'application/json', ...(token === null ? {} : { authorization: token }) }
    return { url: new URL(path, urls[this.#url]), method: 'POST' as const, fields, body: JSON.stringify(body), tls, signal }
  }

  #range() {
    const key = Buffer.from(this.#plan.prefix)
    return { key: key.toString('base64'), range_end: rangeEnd(key).toString('base64') }
  }

  #name(key: string): string {
    return text(key).slice(this.#plan.prefix.length)
  }
}

type MakeRequest = (path: string, body: object) => Parameters<ApiClient['ask']>[0]

interface Header {
  readonly cluster_id?: string
  readonly revision?: string
}

/** Both in base64. */
interface KeyValue {
  readonly key: string
  readonly value?: string
}

interface Result {
  readonly header?: Header
  readonly created?: boolean
  readonly canceled?: boolean
  readonly compact_revision?: string
  readonly cancel_reason?: string
  /** A put has no type. */
  readonly events?: readonly { readonly type?: 'DELETE'; readonly kv: KeyValue }[]
}

/** `10.0.0.1:80`, JSON of an endpoint as in a config, what etcd's own resolver for gRPC writes (`Addr`); or, of an empty value, the rest of the key. */
function endpointOf(key: string, value: string): unknown {
  const written = value.trim()
  if (written === '') return key
  if (!/^[{"]/.test(written)) return written
  const json: unknown = JSON.parse(written)
  if (typeof json !== 'object' || json === null || !('Addr' in json)) return json
  return json.Addr
}

/** The first key behind all that begin so. */
function rangeEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i]! === 0xff) continue
    end[i]!++
    return end.subarray(0, i + 1)
  }
  return Buffer.from([0])
}

function text(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString('utf8')
}

function parsed(json: string): { readonly message?: string; readonly token?: string } {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
