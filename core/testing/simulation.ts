/**
 * A simulation as a test sees it: a process that answers questions by their id. Every question settles, also if the process dies or
 * stands still; and it keeps nobody waiting: an idle one does not hold up the end of the process that started it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { entryFile } from '../entry-files.ts'
import type { Duration } from '../plugin.ts'
import { findModuleCache } from '../process/module-cache.ts'
import { isolateFlags } from '../sandbox/engine/isolate-flags.ts'
import { type ConnectInit, SimulatedConnection, toConnectRequest } from './connection.ts'
import { askFetchStub, type FetchStub } from './fetch-stub.ts'
import type {
  AllStubKinds,
  ClientRequest,
  Connected,
  FromSimulation,
  KvContents,
  LogLine,
  Outcome,
  Source,
  StubKinds,
  ToSimulation,
} from './messages.ts'
import { type SimulatedInit, toClientRequest } from './request.ts'
import { SimulatedResponse } from './response.ts'
import { askStub, kindOf, type Stub } from './stub.ts'
import { askTcpStub, type TcpStub } from './tcp-stub.ts'

export interface SimulationOptions {
  readonly upstreams: Readonly<Record<string, Stub>>
  readonly tcp: Readonly<Record<string, TcpStub>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly onLog: ((line: LogLine) => void) | undefined
  readonly fetch: FetchStub | undefined
  readonly kv: KvContents
}

/** As workers have them: without the second a looping plugin outgrows its memory. */
const FLAGS = [...isolateFlags, '--no-concurrent-osr', '--disable-warning=ExperimentalWarning']
const PING_MS = 1_000
/** So many turns of the event loop a stub has that is about to answer. */
const STUB_TURNS = 20
/** Pings without an answer, after which the process is given up. */
const MOST_SILENT = 15
const CLOSE_MS = 2_000

type Answer = { readonly isOk: true; readonly value: unknown } | { readonly isOk: false; readonly message: string }

interface Question {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

export class Simulation implements AsyncDisposable {
  /** What plugins have printed so far. */
  readonly logs: LogLine[] = []
  readonly #child: ChildProcess
  readonly #stubs: Map<string, Stub>
  readonly #tcpStubs: ReadonlyMap<string, TcpStub>
  readonly #onLog: ((line: LogLine) => void) | undefined
  readonly #fetch: FetchStub | undefined
  /** A plugin by itself: it needs no name. */
  readonly #isAlone: boolean
  readonly #questions = new Map<number, Question>()
  readonly #ended: Promise<void>
  #source: Source
  #nextId = 1
  /** Stubs that were asked; those that answered. */
  #asked = 0
  #answered = 0
  /** Requests that are about to be sent. */
  readonly #preparing = new Set<Promise<unknown>>()
  #silent = 0
  #ping: NodeJS.Timeout | null = null
  #over: string | null = null

  static async start(source: Source, options: SimulationOptions): Promise<Simulation> {
    const simulation = new Simulation(source, options)
    try {
      await simulation.#ask((id) => ({ kind: 'begin', id, source, stubs: simulation.#kinds(), kv: options.kv }))
      return simulation
    } catch (error) {
      await simulation.close()
      throw error
    }
  }

  private constructor(source: Source, { upstreams, tcp, env, onLog, fetch }: SimulationOptions) {
    this.#source = source
    this.#isAlone = source.kind === 'plugin'
    this.#stubs = new Map(Object.entries(upstreams))
    this.#tcpStubs = new Map(Object.entries(tcp))
    this.#onLog = onLog
    this.#fetch = fetch
    // What is for the test runner alone would make another one of it.
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
    const cache = findModuleCache()
    this.#child = fork(entryFile('testing/simulation-process'), [], {
      execArgv: FLAGS,
      env: { ...inherited, ...(cache === null ? {} : { NODE_COMPILE_CACHE: cache }), ...env },
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ended = promise
    this.#child.on('message', (message: FromSimulation) => this.#receive(message))
    this.#child.once('exit', (code, signal) => this.#end(`the simulation has ended (${signal ?? `exit code ${code}`})`, resolve))
    this.#child.once('error', (error) => this.#end(`the simulation could not be started: ${error.message}`, resolve))
    alive.add(this.#child)
    this.#holdOn(false)
  }

  /** Sends a request and resolves with the response, once it is complete. */
  async fetch(url: string | URL, init: SimulatedInit = {}): Promise<SimulatedResponse> {
    const { signal } = init
    signal?.throwIfAborted()
    const prepared = toClientRequest(url, init)
    this.#preparing.add(prepared)
    let request: ClientRequest
    try {
      request = await prepared
    } finally {
      // And sent before anybody else who waited for it goes on.
      this.#preparing.delete(prepared)
    }
    const id = this.#nextId
    const onAbort = (): void => {
      this.#send({ kind: 'abort', fetch: id })
      this.#questions.get(id)?.reject(signal!.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const outcome = (await this.#ask((fetch) => ({ kind: 'fetch', id: fetch, request }))) as Outcome
      if (outcome.broken !== null) throw new Error(outcome.broken)
      return new SimulatedResponse(outcome, request.url)
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Opens a connection of TCP, and resolves once it is over. */
  async connect(listener: string | null, init: ConnectInit): Promise<SimulatedConnection> {
    const request = toConnectRequest(listener, init)
    return new SimulatedConnection((await this.#ask((id) => ({ kind: 'connect', id, request }))) as Connected)
  }

  /** Another stub for an upstream, from the next request on. */
  async stub(upstream: string, stub: Stub): Promise<void> {
    const before = this.#stubs.get(upstream)
    this.#stubs.set(upstream, stub)
    try {
      await this.#ask((id) => ({ kind: 'stubs', id, stubs: this.#kinds() }))
    } catch (error) {
      if (before === undefined) this.#stubs.delete(upstream)
      else this.#stubs.set(upstream, before)
      throw error
    }
  }

  /**
   * Puts the clock of all timeouts forward, without waiting: first all that is under way comes to rest, then each deadline that falls
   * into that time comes due, in order.
   */
  async advance(duration: Duration | number): Promise<void> {
    // Stubs that are about to answer are let finish, for in real time they would.
    for (let answered = -1; answered !== this.#answered; ) {
      answered = this.#answered
      await Promise.allSettled(this.#preparing)
      await this.#ask((id) => ({ kind: 'settle', id }))
      for (let turn = 0; turn === 0 || (turn < STUB_TURNS && this.#asked > this.#answered); turn++)
        await new Promise((resolve) => setImmediate(resolve))
    }
    await this.#ask((id) => ({ kind: 'advance', id, duration }))
  }

  /** Takes the config into use again, or another: as a reload does. Rejects, and changes nothing, if it is not valid. */
  async reload(file: string | null): Promise<void> {
    const source: Source = file === null ? this.#source : { kind: 'config', file }
    await this.#ask((id) => ({ kind: 'reload', id, source }))
    this.#source = source
  }

  /** What a plugin has stored; without its name: what the one plugin has stored that did. */
  async kv(plugin: string | undefined): Promise<Record<string, string>> {
    const contents = (await this.#ask((id) => ({ kind: 'kv', id }))) as KvContents
    const spaces = Object.keys(contents)
    if (plugin === undefined && spaces.length > 1) throw new Error(`several plugins have stored something: name one, kv('${spaces[0]}')`)
    return { ...contents[this.#isAlone ? '' : (plugin ?? spaces[0] ?? '')] }
  }

  async close(): Promise<void> {
    this.#over ??= 'the simulation is closed'
    this.#child.ref()
    if (this.#child.connected) this.#child.disconnect()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_MS)
    await this.#ended
    clearTimeout(timer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #receive(message: FromSimulation): void {
    this.#silent = 0
    switch (message.kind) {
      case 'done':
        return this.#take(message.id)?.resolve({ isOk: true, value: message.value })
      case 'failed':
        return this.#take(message.id)?.resolve({ isOk: false, message: message.message })
      case 'log':
        this.logs.push(message.line)
        return this.#onLog?.(message.line)
      case 'call':
        return void this.#callStub(message)
      case 'call-raw':
        return void this.#callTcpStub(message)
      case 'fetching':
        return void this.#callFetch(message)
      case 'alive':
        return
      default:
        message satisfies never
    }
  }

  async #callStub({ call, key, request }: FromSimulation & { kind: 'call' }): Promise<void> {
    this.#asked++
    const answer = await askStub(this.#stubs.get(key), request)
    this.#answered++
    this.#send({ kind: 'stubbed', call, answer })
  }

  async #callTcpStub({ call, key, piece }: FromSimulation & { kind: 'call-raw' }): Promise<void> {
    this.#asked++
    const answer = await askTcpStub(this.#tcpStubs.get(key), piece)
    this.#answered++
    this.#send({ kind: 'stubbed-raw', call, answer })
  }

  async #callFetch({ call, request }: FromSimulation & { kind: 'fetching' }): Promise<void> {
    this.#asked++
    const answer = await askFetchStub(this.#fetch, request)
    this.#answered++
    this.#send({ kind: 'fetched', call, answer })
  }

  async #ask(question: (id: number) => ToSimulation): Promise<unknown> {
    if (this.#over !== null) throw new Error(this.#over)
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    this.#questions.set(id, { resolve, reject })
    this.#holdOn(true)
    try {
      this.#send(question(id))
      const answer = await promise
      // Made here, its stack leads to the line of the test that asked.
      if (!answer.isOk) throw new Error(answer.message)
      return answer.value
    } finally {
      this.#take(id)
    }
  }

  #take(id: number): Question | undefined {
    const question = this.#questions.get(id)
    this.#questions.delete(id)
    if (this.#questions.size === 0) this.#holdOn(false)
    return question
  }

  #kinds(): AllStubKinds {
    const kindsOf = (stubs: ReadonlyMap<string, Stub | TcpStub>): StubKinds =>
      Object.fromEntries([...stubs].map(([key, stub]) => [key, kindOf(stub)]))
    return { http: kindsOf(this.#stubs), tcp: kindsOf(this.#tcpStubs) }
  }

  #send(message: ToSimulation): void {
    // An error here means that the process is going; its exit is what settles the questions.
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  /** While a question is open the process of the test stays, and asks now and then whether there is somebody to answer. */
  #holdOn(isWaiting: boolean): void {
    if (isWaiting) {
      this.#child.ref()
      this.#child.channel?.ref()
      this.#silent = 0
      this.#ping ??= setInterval(() => this.#checkAlive(), PING_MS)
      return
    }
    this.#child.unref()
    this.#child.channel?.unref()
    if (this.#ping !== null) clearInterval(this.#ping)
    this.#ping = null
  }

  #checkAlive(): void {
    if (this.#silent++ < MOST_SILENT) return this.#send({ kind: 'ping' })
    this.#over = `the simulation has stood still for ${(MOST_SILENT * PING_MS) / 1000} s: does a function of the config loop?`
    this.#child.kill('SIGKILL')
  }

  #end(why: string, resolve: () => void): void {
    alive.delete(this.#child)
    this.#over ??= why
    for (const question of this.#questions.values()) question.resolve({ isOk: false, message: this.#over })
    this.#questions.clear()
    this.#holdOn(false)
    resolve()
  }
}

/** A process that ends takes its simulations along, also one that loops and cannot see it. */
const alive = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})
