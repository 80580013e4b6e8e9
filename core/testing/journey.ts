/** One request on its way through a simulation: what is known of it, gathered where it passes, told when it is over. */

import type { EndedExchange } from '../events.ts'
import type { Verdict } from '../hooks.ts'
import type { Exchange } from '../http/exchange.ts'
import { type Maker, ofMessage, ofRequest, ofResponse, proxyItself, type Snapshot, Trail } from './changes.ts'
import type { Message } from './message-reader.ts'
import type { Change, Facts, LogLine, SentRequest } from './messages.ts'

export class Journey {
  sent: SentRequest | null = null
  facts: Facts | null = null
  /** What the simulation itself has to say: a stub that is missing, or threw. */
  note: string | null = null
  readonly logs: LogLine[] = []
  readonly #startLine: string
  readonly #request = new Trail()
  readonly #response = new Trail()
  #isResponseSeen = false

  constructor(received: Pick<Message, 'startLine' | 'fields'>) {
    this.#startLine = received.startLine
    this.#request.start(ofMessage(received))
  }

  get changes(): readonly Change[] {
    return [...this.#request.changes, ...this.#response.changes]
  }

  /** A hook is about to see the request, or the response. */
  beforeHook(exchange: Exchange, hook: 'onRequest' | 'onResponse'): void {
    if (hook === 'onRequest') return this.#request.step(proxyItself, ofRequest(exchange.request))
    this.#seeResponse(exchange)
    this.#response.step(proxyItself, ofResponse(exchange.response!))
  }

  afterHook(exchange: Exchange, maker: Maker, verdict: Verdict | null): void {
    const isRequest = maker.hook === 'onRequest'
    const trail = isRequest ? this.#request : this.#response
    if (isRequest) trail.step(maker, ofRequest(exchange.request))
    else trail.step(maker, ofResponse(exchange.response!))
    if (verdict === null) return
    trail.add(maker, decision(verdict))
    if (!isRequest) trail.start(null)
  }

  sentTo(sent: SentRequest, message: Message): void {
    this.sent = sent
    this.#request.step(proxyItself, ofMessage(message))
  }

  answered(response: Pick<Message, 'startLine' | 'fields'>): void {
    this.#response.start(ofMessage(response))
  }

  /** Its exchange is over when the tunnel begins, and what is told in the end are facts alone. */
  isTunnelTo(host: string): boolean {
    return this.facts === null && this.#startLine.startsWith(`CONNECT ${host} `)
  }

  ended(exchange: EndedExchange): void {
    const { listener, route, upstream, endpoint, id, reason, detail, decidedBy, attempts, durationMs } = exchange
    this.facts = { listener, route, upstream, endpoint, id, reason, detail, decidedBy, attempts, durationMs }
    this.#seeResponse(exchange)
  }

  received(response: Message): void {
    const now = ofMessage(response)
    this.#response.step(proxyItself, this.#response.has('date') ? now : withoutDate(now))
  }

  /** An answer of the proxy's own, or of a hook, has nothing in common with what an endpoint sent. */
  #seeResponse({ upstreamMs, reason }: EndedExchange): void {
    if (!this.#isResponseSeen && (Number.isNaN(upstreamMs) || reason !== null)) this.#response.start(null)
    this.#isResponseSeen = true
  }
}

function decision(verdict: Verdict): Omit<Change, 'by' | 'hook'> {
  switch (verdict.kind) {
    case 'respond':
      return { field: ':status', from: null, to: String(verdict.status), what: `answer ${verdict.status}` }
    case 'routeTo':
      return { field: ':upstream', from: null, to: verdict.upstream, what: `route to ${verdict.upstream}` }
    case 'fail':
      return { field: ':status', from: null, to: String(verdict.error.status), what: `fail: ${verdict.error.message}` }
    default:
      return { field: ':status', from: null, to: '', what: verdict.kind }
  }
}

function withoutDate(snapshot: Snapshot): Snapshot {
  return new Map([...snapshot].filter(([field]) => field !== 'date'))
}
