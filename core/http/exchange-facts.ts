/**
 * All that one exchange remembers, and what is told of it. Its fields stand together, in one object of one shape, made at once: what
 * works on them (sending.ts, attempt.ts, answering.ts, responding.ts, passing.ts, exchange.ts) adds none, for that would cost every request.
 * Their own methods are `private` to the compiler alone: each class with one `#method` would mark every exchange that is made.
 */
import type { CacheOutcome, Caching } from '../cache/cache-side.ts'
import { monotonicMs, toEpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { EndedExchange, Logged } from '../events.ts'
import type { CallPart, Hook, LogChoice, Verdict } from '../hooks.ts'
import type { ClientCertificate } from '../net/client-certificate.ts'
import { formatDestination } from '../net/destination.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { RequestView } from '../plugin.ts'
import type { Meter } from '../policy/quota.ts'
import { makeRequestView } from '../request-view.ts'
import type { RouteMatch } from '../route/table.ts'
import type { AdaptiveLimit } from '../upstream/adaptive-limit.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { Endpoint } from '../upstream/endpoint.ts'
import type { Asked } from '../upstream/request-key.ts'
import type { Moved } from '../upstream/stickiness.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { BodySupply } from './body-supply.ts'
import type { Detour } from './detour.ts'
import type { Downstream } from './downstream.ts'
import type { Hedge } from './hedge.ts'
import { clientAddress } from './identity.ts'
import type { LargeBody } from './large-body.ts'
import type { MessageHooks } from './message-hooks.ts'
import type { MirrorBody } from './mirrors.ts'
import type { PacedDownstream } from './paced-downstream.ts'
import type { PiecedBody } from './pieced-body.ts'
import type { RequestFilter } from './request-filter.ts'
import type { Service } from './service.ts'
import type { SpooledAnswer } from './spooled-answer.ts'
import type { SpooledRequest } from './spooled-request.ts'
import type { StoredBody } from './stored-body.ts'
import type { TryClock } from './try-clock.ts'

/** Where the exchange is: what a hook's late answer goes on with. `file`: one is looked for. `filtering`: a body hook has its body, and the head waits for it. */
export type Stage =
  | 'listenerHooks'
  | 'routeHooks'
  | 'upgradeHooks'
  | 'upstream'
  | 'file'
  | 'errorHooks'
  | 'responseHooks'
  | 'filtering'
  | 'replying'
  | 'ended'

export abstract class ExchangeFacts implements EndedExchange, Asked {
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
  moved: Moved | null = null
  tunnel = false
  readonly serial: number
  /** The connection that asked. */
  downstream: Downstream
  /** The same, if bodies go no faster than they may. */
  protected paced: PacedDownstream | null = null

  protected readonly service: Service
  protected readonly started: number
  protected stage: Stage = 'listenerHooks'
  protected match: RouteMatch | null = null
  /** The path before the rewrite of its route; null: there was none. */
  protected writtenPath: string | null = null
  /** Where it is sent. */
  protected target: Upstream | null = null
  /** What it takes of a quota; null: there is none. */
  protected meter: Meter | null = null
  /** CONNECT on the forward side: the client wants a tunnel, not an answer. */
  protected connects = false
  /** The endpoint tried last. */
  protected chosen: Endpoint | null = null
  /** The endpoint that counts it as under way. */
  protected counting: Endpoint | null = null

  // ── the attempt ──────────────────────────────────────────────────────────────────────────────────────────────────

  protected connection: UpstreamConnection | null = null
  /** What the answer's body comes from where it is not the connection itself. */
  protected supply: BodySupply | null = null
  /** The same, if the endpoint's answer goes in there; null: it passes as it comes. */
  protected spooled: SpooledAnswer | null = null
  /** When the request was sent, or began. */
  protected sentAt: number
  /** Something came between the request's head and its sending. */
  protected waited = false
  /** What of the request body came with its head, framed for HTTP/1.1. */
  protected firstBody = ''
  /** The same, after it: much of it, as bytes of its own. */
  protected firstBytes: Buffer | null = null
  /** There is no more to send of the request body. */
  protected sendsNoMore = true
  /** The hooks of the request body; null: it passes untouched. */
  protected requestFilter: RequestFilter | null = null
  /** More of the body went out than `firstBody`: it cannot be sent again. */
  protected bodyStreamed = false
  /** Its body is gathered, or comes out of what was; null: it passes as it comes. */
  protected spooledRequest: SpooledRequest | null = null
  protected tried: Endpoint[] | null = null
  protected cancelDial: (() => void) | null = null
  protected staleRetried = false
  /** Null: no time but those of connections. */
  protected tryClock: TryClock | null = null
  /** What it was let pass with, and owes the circuit breaker an outcome for; 0: nothing. */
  protected ticket = 0
  /** The second try beside the first; null: there is none. */
  protected hedge: Hedge | null = null
  /** What of its upstream counts it as under way, until there is an answer. */
  protected place: AdaptiveLimit | null = null
  /** If the rest of the answer comes, the endpoint has done well, and somebody wants to know. */
  protected isGood = false

  /** Its body goes there, too, for a copy of the request. */
  protected mirroring: MirrorBody | null = null

  // ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────────

  part: CallPart | null = null
  /** How many hooks of the listener and of the route were asked: their response hooks run, in reverse. */
  protected listenerAsked = 0
  protected routeAsked = 0
  protected asking: Hook | null = null
  /** The verdict that ended it. */
  protected refusal: (Verdict & { readonly kind: 'fail' }) | null = null
  /** A hook owes an answer. */
  protected isAsking = false
  /** Hooks still to be asked about an upgrade or an error, the next one last. */
  protected toAsk: Hook[] | null = null
  /** Those of the matched route that have a say in the line of the access log. */
  protected routeLogHooks: readonly Hook[] | null = null
  /** What a hook says of that line; null: none has anything to say. */
  protected logChoice: LogChoice | null = null
  private chosenLine: Logged | null = null
  /** Of a WebSocket that hooks have a say in. */
  protected messages: MessageHooks | null = null
  /** What a cache keeps of it; null: none is on its way, or it was answered from there at once. */
  caching: Caching | null = null
  cacheOutcome: CacheOutcome | null = null
  /** It began without a client. */
  protected isBeside = false
  /** Of such a one: so many of the hooks stand between the cache and clients, and are not asked. */
  protected outside = 0
  /** All that were asked about the request, if one of them may want the response's body. */
  protected askedAll: readonly Hook[] | null = null

  /** When the response's head came; 0 once that read is over. */
  protected answeredAt = 0
  /** Bytes of the response body as `onHead` told them. */
  protected length = 0
  protected localBody: string | null = null
  /** The response's body while its hooks are asked. */
  protected held: string[] | null = null
  /** Its body's way, if that is not straight. */
  protected detour: Detour | null = null
  /** The same, if it is out of a cache, or into one. */
  protected stored: StoredBody | PiecedBody | LargeBody | null = null

  // ── the response ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The client asked with HEAD, whatever a hook has made of it. */
  protected readonly askedHead: boolean
  /** What the endpoint sends as a body is not for the client: HEAD, 204, 304. */
  protected isBodyless = false
  protected complete = false
  protected trailers = ''
  /** Hooks that want the response's body if it is of their types, the first to be asked first. */
  protected bodyHooks: readonly Hook[] | null = null
  /** What the client said before the endpoint was asked for a plain body; null: it was not. */
  protected acceptEncoding: string | null = null
  /** The endpoint's framing was taken off. */
  protected isUnframed = false
  /** Which connection the response came by. */
  protected source: UpstreamConnection | null = null

  constructor(service: Service, downstream: Downstream, request: RequestHead, serial: number) {
    this.service = service
    this.downstream = downstream
    this.serial = serial
    this.request = request
    this.ip = clientAddress(request, downstream.peer, service.listener.trust)
    this.started = monotonicMs()
    this.sentAt = this.started
    this.askedHead = request.method === 'HEAD'
    service.tally.open++
  }

  /** Whatever stands in front of it. */
  get client(): Downstream {
    return this.paced === null ? this.downstream : this.paced.to
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
    // Without a name it is a destination of the client's own.
    return this.target?.plan.name || null
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
  get destination(): string | null {
    const { destination } = this.request
    return destination === null ? null : formatDestination(destination)
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
  get clientCertificate(): ClientCertificate | null {
    return this.request.clientCertificate
  }
  get cache(): string | null {
    return this.isBeside ? 'beside' : this.cacheOutcome
  }
  get user(): string | null {
    return this.request.user
  }
  get peer(): string {
    return this.downstream.peer
  }
  /** For a balancer that is a function of the config. */
  view(): RequestView {
    return makeRequestView(this.request, this.ip)
  }
  get logged(): Logged | null {
    if (this.logChoice === null) return null
    this.chosenLine ??= this.logChoice.of(this)
    return this.chosenLine
  }
  get logHooks(): readonly Hook[] | null {
    const { logHooks } = this.service
    if (logHooks === null || this.match !== null) return this.routeLogHooks
    return logHooks.of(null, this.request)
  }
}
