/**
 * Copies of requests for another upstream: what becomes of them is counted, and nobody waits for it. At most MOST_UNDER_WAY at a time, a worker, bodies
 * that are still to come included; where there are so many, or a body is too long, there is no copy.
 */
import { copyRequest } from '../cache/copied-request.ts'
import type { RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { MirrorPlan } from '../plan/plan.ts'
import type { Upstream } from '../upstream/upstream.ts'
import { Absent } from './absent.ts'
import type { Downstream } from './downstream.ts'
import { Exchange } from './exchange.ts'
import type { Service } from './service.ts'

const MOST_UNDER_WAY = 256
/** Of an answer; then its connection is closed. */
const MOST_READ = 1 << 20

/** Where the body of a request goes beside its endpoint. */
export interface MirrorBody {
  push(prefix: string, bytes: Buffer, from: number, to: number): void
  /** It is complete. */
  end(text: string): void
}

export interface Mirroring {
  /** `body`: what of it has come, framed for HTTP/1.1; null: there is no copy, or it is sent already. */
  begin(original: Original, plan: MirrorPlan, body: { readonly text: string; readonly isAll: boolean }): MirrorBody | null
}

/** As it is sent on, before anybody has edited it for its endpoint. */
export interface Original {
  readonly service: Service
  readonly downstream: Downstream
  readonly request: RequestHead
}

export class Mirrors implements Mirroring {
  readonly #random: () => number
  #underWay = 0

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  begin(original: Original, plan: MirrorPlan, { text, isAll }: { text: string; isAll: boolean }): MirrorBody | null {
    if (plan.share < 1 && this.#random() >= plan.share) return null
    const { service, downstream, request } = original
    const { name } = plan.upstream
    if (this.#underWay >= MOST_UNDER_WAY) {
      service.observer.mirrored(name, 'busy')
      return null
    }
    if (text.length > plan.maxBytes || request.contentLength > plan.maxBytes) {
      service.observer.mirrored(name, 'too_large')
      return null
    }
    this.#underWay++
    const free = (): void => {
      this.#underWay--
    }
    const copy = new MirrorExchange(service, new Absent(downstream), copyOf(request), service.nextSerial())
    if (!isAll) return new Gathering(copy, { text, maxBytes: plan.maxBytes, upstream: plan, original: request, free })
    copy.go(service.upstreamFor(plan.upstream), text, free)
    return null
  }
}

function copyOf(request: RequestHead): RequestHead {
  const copy = copyRequest(request)
  copy.contentLength = request.contentLength
  copy.acceptsTrailers = request.acceptsTrailers
  // Its body comes with it.
  copy.delete('expect')
  copy.set('X-Mirrored', '1')
  return copy
}

interface Gathered {
  readonly text: string
  readonly maxBytes: number
  readonly upstream: MirrorPlan
  readonly original: RequestHead
  readonly free: () => void
}

/** A body that still comes, as latin1; the copy goes when it is complete. */
class Gathering implements MirrorBody {
  readonly #copy: MirrorExchange
  readonly #parts: Gathered
  #text: string
  #isOver = false

  constructor(copy: MirrorExchange, parts: Gathered) {
    this.#copy = copy
    this.#parts = parts
    this.#text = parts.text
    parts.original.whenEnded(() => this.#drop('incomplete'))
  }

  push(prefix: string, bytes: Buffer, from: number, to: number): void {
    if (this.#isOver) return
    if (this.#text.length + prefix.length + to - from > this.#parts.maxBytes) this.#drop('too_large')
    else this.#text += prefix + bytes.latin1Slice(from, to)
  }

  end(text: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#copy.go(this.#copy.upstreamOf(this.#parts.upstream), this.#text + text, this.#parts.free)
    this.#text = ''
  }

  #drop(why: 'too_large' | 'incomplete'): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#text = ''
    this.#copy.skip(this.#parts.upstream.upstream.name, why)
    this.#parts.free()
  }
}

/** One copy on its way. No hook is asked about it, and it has no line in the access log. */
class MirrorExchange extends Exchange {
  #free: () => void = () => {}
  #read = 0
  #skipped = false

  upstreamOf({ upstream }: MirrorPlan): Upstream {
    return this.service.upstreamFor(upstream)
  }

  go(upstream: Upstream, body: string, free: () => void): void {
    this.#free = free
    this.firstBody = body
    this.sendsNoMore = true
    this.sendTo(upstream)
  }

  /** It is never sent. */
  skip(upstream: string, why: 'too_large' | 'incomplete'): void {
    this.#skipped = true
    this.service.observer.mirrored(upstream, why)
    this.abandon('client_gone', null)
  }

  override onInformational(_: ResponseHead): void {}

  override onBody(_: string, __: Buffer, from: number, to: number): void {
    this.#count(to - from)
  }

  override onBodyText(text: string): void {
    this.#count(text.length)
  }

  #count(bytes: number): void {
    this.#read += bytes
    if (this.#read > MOST_READ) this.abandon('client_gone', null)
  }

  protected override report(): void {
    if (this.#skipped) return
    this.#free()
    this.service.observer.mirrored(
      this.upstream ?? '',
      this.response === null || this.localBody !== null ? 'failed' : classOf(this.response.status),
    )
  }
}

function classOf(status: number): '2xx' | '3xx' | '4xx' | '5xx' {
  return status < 300 ? '2xx' : status < 400 ? '3xx' : status < 500 ? '4xx' : '5xx'
}
