/** An exchange and the cache on its way: what the cache is told of it, and how what it answers gets to the client. */
import type { StoredAnswer } from '../cache/answers.ts'
import type { CacheSide, Caching } from '../cache/cache-side.ts'
import { cacheName } from '../cache/cache-status.ts'
import type { Passage } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { passageOf } from './passage.ts'
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
    return this.match!.route.cacheSpace
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
    if (this.bodyHooks !== null) return true
    const { hooks } = this.service.listener
    for (let i = 0; i < this.listenerAsked; i++) if (hooks[i]!.onResponseBody !== null && hooks[i]!.matches(this.request)) return true
    const route = this.match!.route.hooks
    for (let i = 0; i < this.routeAsked; i++) if (route[i]!.onResponseBody !== null && route[i]!.matches(this.request)) return true
    return false
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
    const isInflow = inflow !== null && inflow.source === answer.body
    // One without a body is over in the same read: its connection is good for the next request.
    if (!isInflow && this.connection !== null && this.length !== 0) this.giveUp()
    if (this.connection === null) this.complete = true
    this.response = answer.head
    this.length = answer.to < 0 ? -1 : answer.to - answer.from
    this.localBody = null
    this.isUnframed = true
    this.stored = new StoredBody(this, answer, isInflow ? inflow : null, this.complete)
    this.detour = this.stored
  }

  sendStored(bytes: Buffer, from: number, to: number): boolean {
    this.bytesOut += to - from
    if (this.bytesOut > this.response!.mostBody) {
      this.overrun()
      return false
    }
    return this.downstream.sendBody('', bytes, from, to)
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

let lastVia = ''
let lastName = ''
function nameOf(via: string): string {
  if (via === lastVia) return lastName
  lastVia = via
  lastName = cacheName(via)
  return lastName
}
