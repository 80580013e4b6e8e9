/** What is known of one exchange, whatever becomes of it: what hooks are asked about, and what is told of it when it ends. */
import { monotonicMs, toEpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndedExchange } from '../events.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { RouteMatch } from '../route/table.ts'
import type { Endpoint, Upstream } from '../upstream/upstream.ts'
import type { Downstream } from './downstream.ts'
import { clientAddress } from './identity.ts'
import type { Service } from './service.ts'

/** Where the exchange is: what a hook's late answer goes on with. `filtering`: a body hook has its body, and the head waits for it. */
export type Stage =
  | 'listenerHooks'
  | 'routeHooks'
  | 'upgradeHooks'
  | 'upstream'
  | 'errorHooks'
  | 'responseHooks'
  | 'filtering'
  | 'replying'
  | 'ended'

export abstract class ExchangeFacts implements EndedExchange {
  readonly request: RequestHead
  response: ResponseHead | null = null
  readonly ip: string
  status = 0
  reason: ErrorCode | null = null
  detail: string | null = null
  decidedBy: string | null = null
  bytesIn = 0
  bytesOut = 0
  durationMs = 0
  upstreamMs = Number.NaN
  attempts = 0
  tunnel = false
  readonly serial: number
  /** The connection that asked. */
  readonly downstream: Downstream

  protected readonly service: Service
  protected readonly started: number
  protected stage: Stage = 'listenerHooks'
  protected match: RouteMatch | null = null
  /** Where it is sent. */
  protected target: Upstream | null = null
  /** The endpoint tried last. */
  protected chosen: Endpoint | null = null

  constructor(service: Service, downstream: Downstream, request: RequestHead, serial: number) {
    this.service = service
    this.downstream = downstream
    this.serial = serial
    this.request = request
    this.ip = clientAddress(request, downstream.peer, service.listener.trust)
    this.started = monotonicMs()
    service.tally.open++
  }

  get ended(): boolean {
    return this.stage === 'ended'
  }
  /** Whether the response has begun: too late for another. */
  get replying(): boolean {
    return this.stage === 'replying'
  }
  get startedAt(): number {
    return toEpochMs(this.started)
  }
  get listener(): string {
    return this.service.listener.name
  }
  get route(): string | null {
    return this.match?.route.id ?? null
  }
  get upstream(): string | null {
    return this.target?.plan.name ?? null
  }
  get endpoint(): string | null {
    return this.chosen?.plan.address ?? null
  }
  get id(): string {
    return this.service.requestId(this.serial)
  }
  get generation(): number {
    return this.service.generation
  }
  get scheme(): 'http' | 'https' {
    return this.downstream.scheme
  }
  get received(): string {
    return this.request.received
  }
  get protocol(): EndedExchange['protocol'] {
    return this.request.minor === 0 ? 'HTTP/1.0' : this.downstream.protocol
  }
  get method(): string {
    return this.request.method
  }
  get host(): string {
    return this.request.host
  }
  get path(): string {
    return this.request.path
  }
  get search(): string {
    return this.request.search
  }
  get userAgent(): string | null {
    return this.request.userAgent
  }
  get referer(): string | null {
    return this.request.referer
  }
  get peer(): string {
    return this.downstream.peer
  }
}
