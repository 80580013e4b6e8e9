/** What stands behind the proxy in a simulation: answers a dial from memory, and asks the test for what an endpoint says. */
import { nearest } from '../config/nearest.ts'
import { Exchange } from '../http/exchange.ts'
import { formatDestination, parseDestination } from '../net/destination.ts'
import { forwardListenersOf } from '../plan/forward-listeners.ts'
import type { Plan } from '../plan/plan.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import { UpstreamConnection } from '../upstream/connection.ts'
import type { Dial, Dialled } from '../upstream/dial.ts'
import { type EndpointHome, SimulatedEndpoint } from './endpoint.ts'
import type { Journey } from './journey.ts'
import type { MemoryNetwork } from './memory-wire.ts'
import type { Message } from './message-reader.ts'
import type { AllStubKinds, RawAnswer, RawPiece, SentRequest, StubAnswer, StubKind } from './messages.ts'
import { RawEndpoint } from './raw-ends.ts'

export interface StubCalls {
  /** The test is to answer, by `answerCall`. */
  readonly onCall: (call: number, key: string, request: SentRequest) => void
  /** The same for an endpoint of TCP, by `answerRawCall`. */
  readonly onRawCall: (call: number, key: string, piece: RawPiece) => void
  readonly journeyOf: (exchange: Exchange) => Journey | null
}

interface Stub {
  readonly key: string
  readonly kind: StubKind
}

export class SimulatedUpstreams implements EndpointHome {
  readonly #network: MemoryNetwork
  readonly #calls: StubCalls
  readonly #waiting = new Map<number, (answer: StubAnswer) => void>()
  readonly #rawWaiting = new Map<number, (answer: RawAnswer) => void>()
  readonly #endpoints = new Set<SimulatedEndpoint>()
  readonly #exchanges = new WeakMap<SimulatedEndpoint, Exchange>()
  /** What endpoints of TCP got since this was set. */
  rawSent: Uint8Array[] = []
  /** What the simulation itself has to say of a connection of TCP: a stub that is missing, or threw. */
  rawNote: string | null = null
  #stubs: AllStubKinds = { http: {}, tcp: {} }
  #plan: Plan | null = null
  #nextCall = 1

  constructor(network: MemoryNetwork, calls: StubCalls) {
    this.#network = network
    this.#calls = calls
  }

  /** Throws if a stub is for nothing that the plan has, or the plan in use before. */
  check(plan: Plan, kinds: AllStubKinds = this.#stubs): void {
    const known = [
      '*',
      ...[...plan.upstreams.values()].flatMap(({ name, endpoints }) => [name, ...endpoints.map(({ address }) => address)]),
    ]
    const isNamed = forwardListenersOf(plan.listeners).length > 0
    const isPlace = (key: string): boolean => isNamed && parseDestination(key, 80) !== null
    const wrong = [...Object.keys(kinds.http), ...Object.keys(kinds.tcp)].find(
      (key) => !known.includes(key) && this.#plan?.upstreams.has(key) !== true && !isPlace(key),
    )
    if (wrong === undefined) return
    const near = nearest(wrong, known)
    const names = [...plan.upstreams.keys()].join(', ')
    throw new Error(
      `there is no upstream ${wrong} to stub${near === null ? '' : `; did you mean ${near}?`} (the config has ${names || 'none'})`,
    )
  }

  use(plan: Plan): void {
    this.#plan = plan
  }

  /** Idle connections go: the next request meets the new stubs, from the dial on. */
  stub(kinds: AllStubKinds, plan: Plan | null): void {
    if (plan !== null) this.check(plan, kinds)
    this.#stubs = kinds
    for (const endpoint of this.#endpoints) endpoint.closeIdle()
  }

  answerCall(call: number, answer: StubAnswer): void {
    this.#waiting.get(call)?.(answer)
    this.#waiting.delete(call)
  }

  answerRawCall(call: number, answer: RawAnswer): void {
    this.#rawWaiting.get(call)?.(answer)
    this.#rawWaiting.delete(call)
  }

  /** The test owes an answer. */
  get isAsking(): boolean {
    return this.#waiting.size + this.#rawWaiting.size > 0
  }

  readonly dial: Dial = ({ target }, done) => {
    let isOver = false
    const places = this.#placesFor(target)
    const kinds = places.map(
      ({ upstream, endpoint }) => (this.#find('http', upstream, endpoint) ?? this.#find('tcp', upstream, endpoint))?.kind,
    )
    const areAll = (kind: StubKind): boolean => kinds.length > 0 && kinds.every((one) => one === kind)
    if (!areAll('unreachable')) {
      this.#network.later(() => {
        if (isOver) return
        isOver = true
        if (areAll('refused')) done(null, 'connect_refused', 'refused by its stub')
        else this.#connect(done, places[0] ?? { upstream: '', endpoint: '' })
      })
    }
    return () => {
      isOver = true
    }
  }

  async answer(message: Message, endpoint: SimulatedEndpoint): Promise<StubAnswer> {
    const exchange = exchangeOn(endpoint)
    if (exchange === null) return { kind: 'hangs' }
    this.#exchanges.set(endpoint, exchange)
    const request = sentRequest(message, exchange)
    const journey = this.#calls.journeyOf(exchange)
    const stub = this.#find('http', request.upstream, request.endpoint)
    if (stub?.kind === 'refused') {
      refuse(endpoint, exchange)
      return { kind: 'hangs' }
    }
    journey?.sentTo(request, message)
    const note = (text: string): string => {
      if (journey !== null) journey.note = text
      return text
    }
    if (stub === null) return plain(502, note(missing(request)))
    if (message.fields.some(([name]) => name.toLowerCase() === 'upgrade')) {
      return plain(501, note('a simulation carries no upgraded protocol: the request came this far, and would have switched here'))
    }
    if (stub.kind === 'hangs') return { kind: 'hangs' }
    if (stub.kind !== 'call') return { kind: 'reset', why: stub.kind }
    const answer = await this.#call(stub.key, request)
    if (answer.kind === 'reset' && answer.why !== '') note(`the stub ${stub.key} threw: ${answer.why}`)
    return answer
  }

  responded(endpoint: SimulatedEndpoint, response: Pick<Message, 'startLine' | 'fields'>): void {
    const exchange = this.#exchanges.get(endpoint)
    if (exchange !== undefined) this.#calls.journeyOf(exchange)?.answered(response)
  }

  closed(endpoint: SimulatedEndpoint): void {
    this.#endpoints.delete(endpoint)
  }

  #call(key: string, request: SentRequest): Promise<StubAnswer> {
    const call = this.#nextCall++
    const { promise, resolve } = Promise.withResolvers<StubAnswer>()
    this.#waiting.set(call, resolve)
    this.#calls.onCall(call, key, request)
    return promise
  }

  #connect(done: Dialled, place: Place): void {
    const { near, far } = this.#network.connect('127.0.0.1')
    done(near, null, null)
    // Whoever has it now: an exchange, or a tunnel.
    if (near.owner instanceof UpstreamConnection) this.#endpoints.add(new SimulatedEndpoint({ near, far }, this))
    else new RawEndpoint(far, { answerRaw: (data) => this.#answerRaw({ data, ...place }) })
  }

  async #answerRaw(piece: RawPiece): Promise<RawAnswer> {
    const { upstream, endpoint, data } = piece
    if (data.length > 0) this.rawSent.push(data)
    const stub = this.#find('tcp', upstream, endpoint)
    if (stub === null) {
      this.rawNote = missing(piece, 'tcp', "() => '…'")
      return { kind: 'reset', why: '' }
    }
    if (stub.kind !== 'call') return { kind: 'reset', why: '' }
    const call = this.#nextCall++
    const { promise, resolve } = Promise.withResolvers<RawAnswer>()
    this.#rawWaiting.set(call, resolve)
    this.#calls.onRawCall(call, stub.key, piece)
    const answer = await promise
    if (answer.kind === 'reset' && answer.why !== '') this.rawNote = `the stub ${stub.key} threw: ${answer.why}`
    return answer
  }

  /** Several upstreams may share an endpoint, and so its connections. */
  #placesFor(target: EndpointPlan['target']): Place[] {
    const text = JSON.stringify(target)
    const places = [...(this.#plan?.upstreams.values() ?? [])].flatMap(({ name, endpoints }) =>
      endpoints
        .filter((endpoint) => JSON.stringify(endpoint.target) === text)
        .map(({ address }) => ({ upstream: name, endpoint: address })),
    )
    if (places.length > 0 || target.kind === 'unix') return places
    return [{ upstream: '', endpoint: formatDestination(target) }]
  }

  #find(layer: 'http' | 'tcp', upstream: string, address: string): Stub | null {
    const kinds = this.#stubs[layer]
    const host = upstream === '' ? [address.replace(/:\d+$/, '')] : []
    const key = [upstream, address, ...host, '*'].find((name) => Object.hasOwn(kinds, name))
    return key === undefined ? null : { key, kind: kinds[key]! }
  }
}

interface Place {
  readonly upstream: string
  readonly endpoint: string
}

/** The exchange that has the connection now. */
function exchangeOn({ near }: SimulatedEndpoint): Exchange | null {
  const { owner } = near
  return owner instanceof UpstreamConnection && owner.sink instanceof Exchange ? owner.sink : null
}

/** As if it had not been connected: upstreams with other stubs have the same address, and that is all that a dial knows. */
function refuse({ near }: SimulatedEndpoint, exchange: Exchange): void {
  if (near.owner instanceof UpstreamConnection) near.owner.abort()
  exchange.onFailed('connect_refused', 'refused by its stub')
}

function sentRequest({ startLine, fields, body }: Message, exchange: Exchange): SentRequest {
  const [method = '', target = ''] = startLine.split(' ')
  const { upstream, endpoint, ip, downstream } = exchange
  return { method, target, fields, body, upstream: upstream ?? '', endpoint: endpoint ?? '', ip, scheme: downstream.scheme }
}

function missing(
  { upstream, endpoint }: Pick<SentRequest, 'upstream' | 'endpoint'>,
  option = 'upstreams',
  stub = "(req) => new Response('…')",
): string {
  const name = upstream === '' ? endpoint.replace(/:80$/, '') : upstream
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : `'${name}'`
  return `no stub for ${upstream === '' ? name : `the upstream ${upstream}`}: give simulate(config, { ${option}: { ${key}: ${stub} } })`
}

function plain(status: number, text: string): StubAnswer {
  const fields = [['Content-Type', 'text/plain; charset=utf-8']] as const
  return { kind: 'response', status, reason: '', fields, body: Buffer.from(`${text}\n`) }
}
