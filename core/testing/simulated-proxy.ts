/**
 * The real proxy between simulated clients and simulated endpoints: nothing listens and nothing is dialled, and all between is what
 * carries traffic elsewhere. Lives in a process of its own.
 */
import type { Bundle } from '../config/bundle.ts'
import { parseDuration } from '../config/units.ts'
import type { EndedExchange, Observer } from '../events.ts'
import { type Answer, type Ask, type BodyHook, type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import { Exchange } from '../http/exchange.ts'
import { type NamedDestination, parseDestination } from '../net/destination.ts'
import { writeProxyHeader } from '../net/proxy-protocol.ts'
import { LogQueue } from '../observe/log-queue.ts'
import { httpListenersOf } from '../plan/http-listeners.ts'
import type { ListenerPlan, Plan } from '../plan/plan.ts'
import { createProxy, type Proxy as WorkerProxy } from '../proxy.ts'
import { SimulatedClient } from './client.ts'
import { writeHello } from './hello.ts'
import { Journey } from './journey.ts'
import { chooseListener, chooseTcpListener } from './listeners.ts'
import { MemoryNetwork } from './memory-wire.ts'
import type {
  AllStubKinds,
  ClientRequest,
  Connected,
  ConnectRequest,
  Facts,
  FetchAnswer,
  KvContents,
  LogLine,
  Outcome,
  RawAnswer,
  StubAnswer,
} from './messages.ts'
import { RawClient } from './raw-ends.ts'
import { SimulatedCapabilities, type SimulatedCapabilitiesOptions } from './simulated-capabilities.ts'
import { SimulatedUpstreams, type StubCalls } from './simulated-upstreams.ts'
import { SimulationClock } from './simulation-clock.ts'
import { Visit } from './visit.ts'
import { WatchedCall } from './watched-call.ts'

/** Turns of the event loop without anything on its way, after which nothing more is expected. */
const QUIET_TURNS = 4
const SETTLE_MS = 5_000

export interface SimulatedProxyOptions
  extends Pick<SimulatedCapabilitiesOptions, 'kv' | 'onFetch'>,
    Pick<StubCalls, 'onCall' | 'onRawCall'> {
  onLog(line: LogLine): void
}

export class SimulatedProxy {
  readonly #clock = new SimulationClock()
  readonly #network = new MemoryNetwork()
  readonly #upstreams: SimulatedUpstreams
  readonly #capabilities: SimulatedCapabilities
  readonly #proxy: WorkerProxy
  readonly #onLog: (line: LogLine) => void
  /** Hooks of the access log are asked, though nothing is written. */
  readonly #accessLog: LogQueue
  readonly #journeys = new WeakMap<object, Journey>()
  readonly #underWay = new Set<Journey>()
  readonly #clients = new Map<number, SimulatedClient>()
  #plan: Plan | null = null
  #generation = 0
  /** Hooks that owe an answer. */
  #asking = 0
  /** The connection of TCP that is open. */
  #visit: Visit | null = null
  #connected: Promise<unknown> = Promise.resolve()

  constructor({ onLog, onCall, onRawCall, onFetch, kv }: SimulatedProxyOptions) {
    this.#onLog = onLog
    this.#accessLog = new LogQueue({
      write() {},
      count() {},
      warn: (plugin, text) => this.#log({ plugin, level: 'warn', text }),
      deadlines: this.#clock.deadlines,
    })
    this.#upstreams = new SimulatedUpstreams(this.#network, { onCall, onRawCall, journeyOf: (exchange) => this.#journeyOf(exchange) })
    this.#capabilities = new SimulatedCapabilities({ now: () => this.#clock.now, kv, onFetch })
    this.#proxy = createProxy({
      capabilities: this.#capabilities,
      observer: this.#observer(),
      maxConnections: Number.POSITIVE_INFINITY,
      send: this.#capabilities.send,
      simulated: { deadlines: this.#clock.deadlines, dial: this.#upstreams.dial, skipsTls: true, wrapHook: (hook) => this.#wrap(hook) },
    })
    this.#clock.plugins = this.#proxy.pluginClock
  }

  /** Takes a config into use, the first or another. Throws, and changes nothing, if it cannot. */
  async use(bundle: Bundle): Promise<void> {
    const prepared = await this.#proxy.prepare(bundle, this.#generation + 1)
    try {
      this.#upstreams.check(prepared.plan)
    } catch (error) {
      prepared.discard()
      throw error
    }
    this.#generation++
    this.#plan = prepared.plan
    this.#upstreams.use(prepared.plan)
    this.#capabilities.allot(prepared.plugins)
    this.#proxy.commit(prepared)
  }

  stub(kinds: AllStubKinds): void {
    this.#upstreams.stub(kinds, this.#plan)
  }

  answerCall(call: number, answer: StubAnswer): void {
    this.#upstreams.answerCall(call, answer)
  }

  answerRawCall(call: number, answer: RawAnswer): void {
    this.#upstreams.answerRawCall(call, answer)
  }

  answerFetch(call: number, answer: FetchAnswer): void {
    this.#capabilities.answer(call, answer)
  }

  /** What plugins have stored. */
  kv(): KvContents {
    return this.#capabilities.contents()
  }

  async fetch(id: number, request: ClientRequest): Promise<Outcome> {
    const listener = chooseListener(httpListenersOf(this.#plan!.listeners), request)
    const { near, far } = this.#network.connect(request.from)
    const inside = tunnelOf(listener, request)
    const isAdmitted =
      inside === null
        ? this.#proxy.admit(listener.name, near, listener.tls === null ? 'http' : 'https')
        : this.#proxy.admitInside(listener.name, near, inside)
    if (isAdmitted === null) throw new Error(`tunnels to ${inside!.host} pass unread by ${listener.name}: nobody sees what is asked there`)
    if (!isAdmitted) throw new Error(`the listener ${listener.name} has as many connections as it takes`)
    const { method, http, fields } = request
    const target = listener.forward === null || inside !== null ? request.target : namingTarget(request)
    const journey = new Journey({ startLine: `${method} ${target} HTTP/${http}`, fields })
    this.#journeys.set(near.owner, journey)
    this.#underWay.add(journey)
    const client = new SimulatedClient(far, { ...request, target })
    this.#clients.set(id, client)
    try {
      const response = await client.response
      await this.#turns(2)
      // A tunnel is over when both of its sides are.
      if (method === 'CONNECT') await this.settle()
      return outcome(journey, response)
    } finally {
      this.#underWay.delete(journey)
      this.#clients.delete(id)
    }
  }

  /** One after the other: what is told of a connection does not say which it was. */
  connect(request: ConnectRequest): Promise<Connected> {
    const connected = this.#connected.then(() => this.#connect(request))
    this.#connected = connected.catch(() => {})
    return connected
  }

  async #connect({ listener: name, hello, from, data }: ConnectRequest): Promise<Connected> {
    const listener = chooseTcpListener(this.#plan!.listeners, name)
    const visit = new Visit(listener.name)
    const { near, far } = this.#network.connect(listener.requiresProxyHeader ? '' : from)
    this.#visit = visit
    this.#upstreams.rawSent = []
    this.#upstreams.rawNote = null
    try {
      if (!this.#proxy.connect(listener.name, near)) throw new Error(`the listener ${listener.name} has as many connections as it takes`)
      const client = new RawClient(far)
      const first = [
        ...(listener.requiresProxyHeader ? [headerOf(from, near.remotePort)] : []),
        ...(hello === null ? [] : [writeHello(hello)]),
      ]
      for (const piece of [...first, ...data]) {
        await this.#rest()
        client.send(Buffer.from(piece))
      }
      await this.#rest()
      client.end()
      await this.#rest()
      client.destroy()
      await this.#rest()
      const sent = new Uint8Array(Buffer.concat(this.#upstreams.rawSent))
      return {
        ...visit.told(this.#upstreams.rawNote),
        sent,
        received: new Uint8Array(Buffer.concat(client.received)),
        isReset: client.isReset,
      }
    } finally {
      this.#visit = null
    }
  }

  /** Resolves when nothing moves any more, and the test owes no answer. */
  async #rest(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; ) {
      await this.#turns(1)
      quiet = this.#network.isQuiet && this.#asking === 0 && !this.#upstreams.isAsking ? quiet + 1 : 0
    }
  }

  abort(id: number): void {
    this.#clients.get(id)?.abort()
  }

  /** Resolves when nothing moves any more: whatever is under way waits for an answer, a deadline or the test. */
  async settle(): Promise<void> {
    const end = performance.now() + SETTLE_MS
    for (let quiet = 0; quiet < QUIET_TURNS && performance.now() < end; ) {
      await this.#turns(1)
      quiet = this.#network.isQuiet && this.#isAnswered ? quiet + 1 : 0
    }
  }

  /** Hooks owe nothing but what the clock will bring. */
  get #isAnswered(): boolean {
    return this.#asking === 0 || (this.#capabilities.isIdle && this.#asking <= this.#proxy.pluginClock.sleeping)
  }

  async advance(duration: string | number): Promise<void> {
    const ms = typeof duration === 'number' ? duration : parseDuration(duration)
    if (ms === null || !(ms >= 0)) throw new Error(`not a duration: ${duration} (like '30s')`)
    await this.#clock.advance(ms, () => this.settle())
  }

  async #turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  }

  #journeyOf(exchange: unknown): Journey | null {
    return exchange instanceof Exchange ? (this.#journeys.get(exchange.client) ?? null) : null
  }

  #wrap(hook: Hook): Hook {
    const { name, onRequest, onResponse } = hook
    return {
      ...hook,
      name,
      matches: (request) => hook.matches(request),
      forget: (state) => hook.forget(state),
      hold: () => hook.hold(),
      release: () => hook.release(),
      onRequest: onRequest === null ? null : (call) => this.#watch(call, { by: name, hook: 'onRequest', ask: onRequest }),
      onResponse: onResponse === null ? null : (call) => this.#watch(call, { by: name, hook: 'onResponse', ask: onResponse }),
      onUpgrade: this.#counted(hook.onUpgrade),
      onError: this.#counted(hook.onError),
      onMessage: this.#counted(hook.onMessage),
      onConnection: this.#counted(hook.onConnection),
      onClientHello: this.#counted(hook.onClientHello),
      onData: this.#counted(hook.onData),
      onLog: this.#counted(hook.onLog),
      onRequestBody: this.#countedBody(hook.onRequestBody),
      onResponseBody: this.#countedBody(hook.onResponseBody),
    }
  }

  #counted(ask: Ask | null): Ask | null {
    return ask === null ? null : (call) => this.#awaited(call, ask)
  }

  #countedBody(body: BodyHook | null): BodyHook | null {
    return body === null ? null : { ...body, ask: (call) => this.#awaited(call, body.ask) }
  }

  /** Nothing is quiet until it is answered. */
  #awaited(call: HookCall, ask: Ask): Answer {
    const answer = ask(
      new WatchedCall(call, (verdict) => {
        this.#asking--
        call.resume(verdict)
      }),
    )
    if (answer === PENDING) this.#asking++
    return answer
  }

  #watch(call: HookCall, step: Step): Answer {
    const journey = this.#journeyOf(call)
    if (journey === null || !(call instanceof Exchange)) return step.ask(call)
    journey.beforeHook(call, step.hook)
    const after = (verdict: Verdict | null): void => {
      if (!call.ended) journey.afterHook(call, { by: step.by, hook: step.hook }, verdict)
    }
    const answer = step.ask(
      new WatchedCall(call, (verdict) => {
        this.#asking--
        after(verdict)
        call.resume(verdict)
      }),
    )
    if (answer === PENDING) this.#asking++
    else after(answer)
    return answer
  }

  #observer(): Observer {
    return {
      connectionOpened() {},
      connectionClosed() {},
      handshakeFailed() {},
      tunnelEnded: (tunnel) => {
        this.#visit?.ended(tunnel)
        if (tunnel.logHooks !== null) this.#accessLog.addTunnel(tunnel, tunnel.logHooks)
      },
      datagramDropped() {},
      exchangeEnded: (exchange: EndedExchange) => {
        if (exchange instanceof Exchange) this.#journeyOf(exchange)?.ended(exchange)
        else for (const journey of this.#underWay) if (journey.isTunnelTo(exchange.host)) journey.ended(exchange)
        this.#visit?.asked(exchange)
        if (exchange.logHooks !== null) this.#accessLog.add(exchange, exchange.logHooks)
      },
      dialled() {},
      upstreamClosed() {},
      queued() {},
      upstreamChanged() {},
      retryRefused() {},
      mirrored() {},
      buffered() {},
      hedged() {},
      limitMoved() {},
      pluginCalled() {},
      pluginFailed: (plugin, why, detail) => {
        if (detail !== null) this.#log({ plugin, level: 'error', text: `failed (${why}): ${detail}` })
      },
      pluginLogged: (plugin, level, text, at) =>
        this.#log({ plugin, level, text, ...(at === null || at.line === 0 ? {} : { at: `${at.file}:${at.line}` }) }),
    }
  }

  #log(line: LogLine): void {
    for (const journey of this.#underWay) journey.logs.push(line)
    this.#visit?.logs.push(line)
    this.#onLog(line)
  }
}

interface Step {
  readonly by: string
  readonly hook: 'onRequest' | 'onResponse'
  readonly ask: (call: HookCall) => Answer
}

function headerOf(ip: string, port: number): Buffer {
  return writeProxyHeader(2, { source: { ip, port }, destination: { ip: ip.includes(':') ? '::1' : '127.0.0.1', port: 1 }, tls: null })
}

/** Where the tunnel leads that a client would ask for first, of a listener that reads what is inside; null: it needs none, or it is not read. */
function tunnelOf({ forward }: ListenerPlan, { method, url }: ClientRequest): NamedDestination | null {
  if (!forward?.intercept || method === 'CONNECT' || !url.startsWith('https:')) return null
  return parseDestination(new URL(url).host, 443)
}

/** As a forward proxy is asked: a whole URL, or the place that a tunnel leads to. */
function namingTarget({ method, url, target }: ClientRequest): string {
  const { host, port, origin } = new URL(url)
  if (method === 'CONNECT') return port === '' ? `${host}:80` : host
  return target.startsWith('/') ? origin + target : target
}

const nothing: Facts = {
  ...{ listener: '', route: null, upstream: null, endpoint: null, id: '', reason: null, detail: null, decidedBy: null },
  ...{ attempts: 0, durationMs: 0 },
}

function outcome(journey: Journey, response: Outcome['broken'] | Awaited<SimulatedClient['response']>): Outcome {
  const exchange = journey.facts ?? nothing
  const { note, sent, logs } = journey
  const facts = { ...exchange, detail: note ?? exchange.detail }
  if (response === null || typeof response === 'string') {
    const why = [exchange.reason, facts.detail].filter((part) => part !== null).join(': ')
    const broken = `the proxy closed the connection before the response was complete${why === '' ? '' : ` (${why})`}`
    return { status: 0, statusText: '', fields: [], body: new Uint8Array(), exchange: facts, sent, changes: journey.changes, logs, broken }
  }
  journey.received(response)
  const [, status = '', ...words] = response.startLine.split(' ')
  const { fields, body } = response
  return {
    status: Number(status),
    statusText: words.join(' '),
    fields,
    body,
    exchange: facts,
    sent,
    changes: journey.changes,
    logs,
    broken: null,
  }
}
