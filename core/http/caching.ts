/** An exchange and the cache on its way: what the cache is told of it, and how what it answers gets to the client. */
import type { StoredAnswer } from '../cache/answers.ts'
import type { CacheSide, Caching, Inflow } from '../cache/cache-side.ts'
import { cacheName } from '../cache/cache-status.ts'
import type { Hook, Passage } from '../hooks.ts'
import { formatDestination } from '../net/destination.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { isEncoder } from './body-hooks.ts'
import { LargeBody } from './large-body.ts'
import { passageOf } from './passage.ts'
import { PiecedBody } from './pieced-body.ts'
import { Responding } from './responding.ts'
import { StoredBody, type StoredTaker } from './stored-body.ts'

export abstract class CachingExchange extends Responding implements StoredTaker {
  abstract fetchBeside(request: RequestHead, caching: Caching): void

  get cacheSide(): CacheSide {
    return this
  }
  get cacheName(): string {
    const { via } = this.service.listener
    return via === null ? 'sluice' : nameOf(via)
  }
  get cacheSpace(): string {
    const { cacheSpace, destination } = this.match!.route
    // Where a client says that it wants to go, which need not be what it says that it wants there: at another port, or address, somebody else answers.
    const place =
      destination.kind === 'named' ? this.request.destination : destination.kind === 'original' ? this.downstream.original : null
    return place === null ? cacheSpace : `${cacheSpace} ${formatDestination(place)} `
  }
  get isFromProxy(): boolean {
    return this.service.listener.trust?.has(this.downstream.peer) === true
  }
  get passage(): Passage | null {
    const { match, request, target, writtenPath, localBody } = this
    if (localBody !== null || this.service.forward !== null) return null
    const isRouted = match !== null && (target === null || writtenPath !== null)
    return passageOf({
      ...{ path: writtenPath ?? request.path, params: match?.params ?? null, destination: isRouted ? match.route.destination : null },
      ...{ target: target?.plan ?? null, endpoint: this.endpoint },
    })
  }
  get isLocal(): boolean {
    return this.localBody !== null
  }

  get hasBodyHooks(): boolean {
    if (this.bodyHooks !== null) return this.bodyHooks.some(changesBody)
    const { request } = this
    const { hooks } = this.service.listener
    for (let i = 0; i < this.listenerAsked; i++) if (changesBody(hooks[i]!) && hooks[i]!.matches(request)) return true
    const route = this.match!.route.hooks
    for (let i = 0; i < this.routeAsked; i++) if (changesBody(route[i]!) && route[i]!.matches(request)) return true
    return false
  }

  /** Whichever side of the cache it stands on: what is kept has no coding of its own. */
  get encoder(): Hook | null {
    return encoderIn(this.match!.route.hooks, this.request) ?? encoderIn(this.service.listener.hooks, this.request)
  }

  get accepts(): string | null {
    return this.acceptEncoding ?? this.request.get('accept-encoding')
  }

  /** No endpoint is asked. */
  protected answerStored(answer: StoredAnswer): void {
    this.stage = 'responseHooks'
    this.complete = true
    this.useStored(answer)
    this.askResponse()
  }

  /** In the place of what the endpoint said, or as the cache has made of it. */
  protected useStored(answer: StoredAnswer): void {
    const inflow = this.caching?.inflow ?? null
    const isInflow = inflow !== null && inflow.source === answer.madeOf
    // One without a body is over in the same read: its connection is good for the next request.
    if (!isInflow && this.feed !== null && this.length !== 0) this.giveUp()
    if (this.feed === null) this.complete = true
    this.response = answer.head
    this.length = answer.to < 0 ? -1 : answer.to - answer.from
    this.localBody = null
    this.isUnframed = true
    this.stored = this.wayOf(answer, isInflow ? inflow : null)
    this.detour = this.stored
  }

  private wayOf(answer: StoredAnswer, inflow: Inflow | null): StoredBody | PiecedBody | LargeBody {
    const { pieces, large } = answer
    if (large !== null) return new LargeBody(this, answer, { file: large, inflow, isHeard: this.complete })
    return pieces === null ? new StoredBody(this, answer, inflow, this.complete) : new PiecedBody(this, answer, pieces, this.complete)
  }

  sendStored(bytes: Buffer, from: number, to: number): boolean {
    this.bytesOut += to - from
    if (this.bytesOut > this.response!.mostBody) {
      this.overrun()
      return false
    }
    return this.downstream.sendBody('', bytes, from, to)
  }

  sendStoredText(text: string): boolean {
    this.bytesOut += text.length
    if (this.bytesOut > this.response!.mostBody) {
      this.overrun()
      return false
    }
    this.downstream.sendText(text)
    return true
  }

  flushStored(): boolean {
    return this.downstream.flush()
  }

  endStored(): void {
    this.downstream.endBody(this.trailers)
    this.downstream.flush()
    this.end()
  }

  breakStored(): void {
    this.breakOff('response_incomplete', 'the answer that it shared')
  }
}

function changesBody({ onResponseBody }: Hook): boolean {
  return onResponseBody !== null && !isEncoder(onResponseBody)
}

/** Of several the one that is asked first about the answer. */
function encoderIn(hooks: readonly Hook[], request: RequestHead): Hook | null {
  for (let i = hooks.length - 1; i >= 0; i--) {
    const hook = hooks[i]!
    if (hook.onResponseBody !== null && isEncoder(hook.onResponseBody) && hook.matches(request)) return hook
  }
  return null
}

let lastVia = ''
let lastName = ''
function nameOf(via: string): string {
  if (via === lastVia) return lastName
  lastVia = via
  lastName = cacheName(via)
  return lastName
}
