/** What stands behind the proxy in a simulation: answers a dial from memory, and asks the test for what an endpoint says. */
import { nearest } from '../config/nearest.ts'
import { Exchange } from '../http/exchange.ts'
import type { EndpointPlan, Plan } from '../plan/plan.ts'
import { UpstreamConnection } from '../upstream/connection.ts'
import type { Dial, Dialled } from '../upstream/dial.ts'
import { type EndpointHome, SimulatedEndpoint } from './endpoint.ts'
import type { Journey } from './journey.ts'
import type { MemoryNetwork } from './memory-wire.ts'
import type { Message } from './message-reader.ts'
import type { SentRequest, StubAnswer, StubKind, StubKinds } from './messages.ts'

export interface StubCalls {
  /** The test is to answer, by `answerCall`. */
  readonly onCall: (call: number, key: string, request: SentRequest) => void
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
  readonly #endpoints = new Set<SimulatedEndpoint>()
  readonly #exchanges = new WeakMap<SimulatedEndpoint, Exchange>()
  #stubs: StubKinds = {}
  #plan: Plan | null = null
  #nextCall = 1

  constructor(network: MemoryNetwork, calls: StubCalls) {
    this.#network = network
    this.#calls = calls
  }

  /** Throws if a stub is for nothing that the plan has, or the plan in use before. */
  check(plan: Plan, kinds: StubKinds = this.#stubs): void {
    const known = [
      '*',
      ...[...plan.upstreams.values()].flatMap(({ name, endpoints }) => [name, ...endpoints.map(({ address }) => address)]),
    ]
    const wrong = Object.keys(kinds).find((key) => !known.includes(key) && this.#plan?.upstreams.has(key) !== true)
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
  stub(kinds: StubKinds, plan: Plan | null): void {
    if (plan !== null) this.check(plan, kinds)
    this.#stubs = kinds
    for (const endpoint of this.#endpoints) endpoint.closeIdle()
  }

  answerCall(call: number, answer: StubAnswer): void {
    this.#waiting.get(call)?.(answer)
    this.#waiting.delete(call)
  }

  readonly dial: Dial = ({ target }, done) => {
    let isOver = false
    const kinds = this.#stubsFor(target).map((stub) => stub?.kind)
    const areAll = (kind: StubKind): boolean => kinds.length > 0 && kinds.every((one) => one === kind)
    if (!areAll('unreachable')) {
      this.#network.later(() => {
        if (isOver) return
        isOver = true
        if (areAll('refused')) done(null, 'connect_refused', 'refused by its stub')
        else this.#connect(done)
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
    journey?.sentTo(request, message)
    const stub = this.#find(request.upstream, request.endpoint)
    const note = (text: string): string => {
      if (journey !== null) journey.note = text
      return text
    }
    if (stub === null) return plain(502, note(missing(request.upstream)))
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

  #connect(done: Dialled): void {
    const ends = this.#network.connect('127.0.0.1')
    this.#endpoints.add(new SimulatedEndpoint(ends, this))
    done(ends.near, null, null)
  }

  /** Several upstreams may share an endpoint, and so its connections. */
  #stubsFor(target: EndpointPlan['target']): (Stub | null)[] {
    const text = JSON.stringify(target)
    return [...(this.#plan?.upstreams.values() ?? [])].flatMap(({ name, endpoints }) =>
      endpoints.filter((endpoint) => JSON.stringify(endpoint.target) === text).map(({ address }) => this.#find(name, address)),
    )
  }

  #find(upstream: string, address: string): Stub | null {
    const key = [upstream, address, '*'].find((name) => Object.hasOwn(this.#stubs, name))
    return key === undefined ? null : { key, kind: this.#stubs[key]! }
  }
}

/** The exchange that has the connection now. */
function exchangeOn({ near }: SimulatedEndpoint): Exchange | null {
  const { owner } = near
  return owner instanceof UpstreamConnection && owner.sink instanceof Exchange ? owner.sink : null
}

function sentRequest({ startLine, fields, body }: Message, exchange: Exchange): SentRequest {
  const [method = '', target = ''] = startLine.split(' ')
  const { upstream, endpoint, ip, downstream } = exchange
  return { method, target, fields, body, upstream: upstream ?? '', endpoint: endpoint ?? '', ip, scheme: downstream.scheme }
}

function missing(upstream: string): string {
  const key = /^[A-Za-z_$][\w$]*$/.test(upstream) ? upstream : `'${upstream}'`
  return `no stub for the upstream ${upstream}: give simulate(config, { upstreams: { ${key}: (req) => new Response('…') } })`
}

function plain(status: number, text: string): StubAnswer {
  const fields = [['Content-Type', 'text/plain; charset=utf-8']] as const
  return { kind: 'response', status, reason: '', fields, body: Buffer.from(`${text}\n`) }
}
