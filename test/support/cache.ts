/** Proxies with a cache in front of one endpoint, and a clock that the test turns. */

import type { Deadlines } from '../../core/deadlines.ts'
import { type CacheOptions, cache, type HttpUse, http, type List } from '../../core/index.ts'
import type { Client, ClientResponse } from './client.ts'
import { answer, type Origin, type OriginConnection, type OriginRequest, startOrigin } from './origin.ts'
import { type RunningProxy, startProxy } from './proxy.ts'

/** Milliseconds since the epoch, by the second. */
const BEGIN = Date.UTC(2026, 0, 1)

export interface CachedOptions extends CacheOptions {
  /** Before the cache and behind it. */
  readonly outer?: List<HttpUse>
  readonly inner?: List<HttpUse>
  readonly trust?: readonly string[]
  readonly warn?: (text: string) => void
  readonly onInvalidated?: (cache: string, url: string) => void
  /** Another one in front of the same endpoint, by the same clock. */
  readonly beside?: Cached
  /** HTTP/2 without TLS, too. */
  readonly h2c?: boolean
  /** On a clock that the test turns. */
  readonly deadlines?: Deadlines
}

type Said = string | Uint8Array | undefined
type Handler = (request: OriginRequest, connection: OriginConnection) => Said | Promise<Said>

export class Cached implements AsyncDisposable {
  readonly origin: Origin
  readonly proxy: RunningProxy
  readonly client: Client
  readonly clock: { now: number }
  readonly #isFirst: boolean

  constructor(origin: Origin, proxy: RunningProxy, client: Client, clock: { now: number }, isFirst: boolean) {
    this.origin = origin
    this.proxy = proxy
    this.client = client
    this.clock = clock
    this.#isFirst = isFirst
  }

  /** How often the endpoint was asked. */
  get asked(): number {
    return this.origin.requests.length
  }

  get now(): Date {
    return new Date(this.clock.now)
  }

  pass(seconds: number): void {
    this.clock.now += seconds * 1000
  }

  get(path = '/', lines: readonly string[] = [], method = 'GET'): Promise<ClientResponse> {
    this.client.send(requestOf(path, lines, method))
    return this.client.response({ to: method })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy()
    await this.proxy[Symbol.asyncDispose]()
    if (this.#isFirst) await this.origin.close()
  }
}

export function requestOf(path = '/', lines: readonly string[] = [], method = 'GET'): string {
  const host = lines.some((line) => /^host:/i.test(line)) ? [] : ['Host: example.com']
  return [`${method} ${path} HTTP/1.1`, ...host, ...lines, '', ''].join('\r\n')
}

export async function startCached(
  handler: Handler,
  { outer = [], inner = [], trust, h2c = false, beside, warn, onInvalidated, deadlines, ...options }: CachedOptions = {},
): Promise<Cached> {
  const origin = beside?.origin ?? (await startOrigin(handler))
  const clock = beside?.clock ?? { now: BEGIN }
  const use: List<HttpUse> = [...outer, cache(options), ...inner]
  const web = http({ listen: ':8080', h2c, ...(trust === undefined ? {} : { trust }), routes: [{ use, to: origin.address }] })
  const told = {
    ...(warn === undefined ? {} : { warn }),
    ...(onInvalidated === undefined ? {} : { onInvalidated }),
    ...(deadlines === undefined ? {} : { deadlines }),
  }
  const proxy = await startProxy({ config: { listeners: { web } }, clock: () => clock.now, ...told })
  return new Cached(origin, proxy, await proxy.connect(), clock, beside === undefined)
}

/** `200` that says how long it is fresh, and no Date: so the proxy's clock counts. */
export function fresh(text: string, seconds = 60, lines: readonly string[] = []): string {
  return answer(text, 200, [`Cache-Control: max-age=${seconds}`, ...lines])
}
