/**
 * A worker for tests of the supervisor: the real worker's side with a proxy of a few lines behind it, which answers by the path. Its
 * "bundle" is the plan's data. `/pid` tells who answered, `/hang` stops the event loop, `/crash` throws, `/wait` answers when drained,
 * `/ticket-key` tells what seals TLS tickets; its cache keeps two answers, `http://x/a` and what `/invalidate` puts out, `http://x/b`; `/perform/TIMES/METHOD/ARGS` asks what a plugin may ask, so many times at once.
 */

import { existsSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import type { SecureContext } from 'node:tls'
import { Caches } from '../../core/cache/caches.ts'
import { Deadlines } from '../../core/deadlines.ts'
import type { ConnectionSource } from '../../core/doors.ts'
import type { Observer } from '../../core/events.ts'
import type { Plan } from '../../core/plan/plan.ts'
import { type Prepared, type ProxyParts, serveAsWorker, type WorkerProxy } from '../../core/process/worker-side.ts'
import type { Capabilities } from '../../core/sandbox/capabilities.ts'
import type { EndpointChange } from '../../core/upstream/endpoint-changes.ts'
import type { UpstreamState } from '../../core/upstream/upstream-state.ts'
import { anExchange } from './exchange.ts'
import { storedResponse } from './stored.ts'

/** What the tests put in place of a bundle. */
export interface FakeBundle {
  readonly plan: Pick<Plan, 'listeners' | 'log' | 'admin'>
  /** How preparing goes. */
  readonly prepare: 'ok' | 'throw' | 'loop' | 'differ' | 'once'
  /** For `once`: a file that the first ones leave, at which the later ones end. */
  readonly marker: string
}

/** `api`, with the endpoints that came at run time. */
function anUpstreamState(changes: readonly EndpointChange[]): UpstreamState {
  return {
    ...{
      name: 'api',
      isPanicking: false,
      waiting: 0,
      circuit: null,
      isSticky: false,
      isDiscovered: false,
      undiscovered: '',
      leftOut: '',
      limit: null,
      removed: [],
    },
    endpoints: changes.map(({ address, drain }) => ({
      ...{ address, weight: 1, drain, isEjected: false, isHealthy: null, why: '', connections: 0, inFlight: 0 },
      ...{ isAdded: true, until: null },
    })),
  }
}

class FakeProxy implements WorkerProxy<Prepared> {
  onPressure: ((pressed: boolean) => void) | null = null
  readonly plugins = []
  upstreams: readonly UpstreamState[] = [anUpstreamState([])]
  readonly health = { isOn: false, onVerdicts: null, apply() {} }
  readonly authorities = []
  readonly caches: Caches
  readonly #observer: Observer
  readonly #capabilities: Capabilities
  /** What node:tls has beneath a context: it asks for the key that seals. */
  readonly #tls: {
    onticketkeycallback?: (name: Buffer, iv: Buffer, seals: boolean) => readonly Buffer[]
    enableTicketKeyCallback(): void
  } = {
    enableTicketKeyCallback() {},
  }
  readonly #sources = new Set<ConnectionSource>()
  readonly #sockets = new Set<net.Socket>()
  readonly #waiting = new Set<net.Socket>()
  #draining = false
  #marker = ''

  constructor({ observer, capabilities, ticketKeys, onInvalidated }: ProxyParts) {
    this.caches = new Caches(new Deadlines(), { onInvalidated })
    this.#observer = observer
    ticketKeys.applyTo({ context: this.#tls } as unknown as SecureContext)
    this.#capabilities = capabilities
    const { cache, wanted } = this.caches.open().hold('default', {})
    cache.use(wanted)
    cache.keep(storedResponse('a', 100))
    cache.keep(storedResponse('b', 100))
  }

  get connections(): number {
    return this.#sockets.size
  }

  async changeRecord(): Promise<void> {}
  showChallenges(): void {}
  changeEndpoints(changes: readonly EndpointChange[]): void {
    this.upstreams = [anUpstreamState(changes)]
  }

  async prepare(bundle: unknown): Promise<Prepared> {
    const { plan, prepare, marker } = bundle as FakeBundle
    if (prepare === 'once' && existsSync(marker)) process.exit(9)
    this.#marker = marker
    if (prepare === 'throw') throw new Error('the plugin tag threw while it was set up')
    while (prepare === 'loop') {}
    const log = prepare === 'differ' ? { ...plan.log, level: process.pid % 2 === 0 ? 'info' : 'debug' } : plan.log
    return { plan: { ...plan, log } as Plan, difference: null, plugins: [], discard: () => {} }
  }

  commit(): number {
    if (this.#marker !== '') writeFileSync(this.#marker, '')
    return 0
  }

  moveToProcess(): void {}

  async profilePlugin(): Promise<never> {
    throw new Error('there are no plugins')
  }

  accept(listener: string, source: ConnectionSource): void {
    this.#sources.add(source)
    const take = (socket: net.Socket): void => {
      this.#sockets.add(socket)
      this.#observer.connectionOpened(listener)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        this.#observer.connectionClosed(listener)
      })
      socket.on('data', (data) => this.#answer(socket, data.toString('latin1')))
    }
    if (source instanceof net.Server) source.on('connection', take)
    else source.accepted = (bare) => take(new net.Socket({ handle: bare.toHandle() } as unknown as net.SocketConstructorOpts).resume())
  }

  stopAccepting(): void {
    for (const source of this.#sources) source.close()
    this.#sources.clear()
  }

  async drain(deadlineMs: number): Promise<number> {
    this.#draining = true
    for (const socket of this.#waiting) this.#reply(socket, 'waited')
    for (const socket of this.#sockets) socket.end()
    const deadline = Date.now() + deadlineMs
    while (this.#sockets.size > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
    return this.#sockets.size
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #answer(socket: net.Socket, text: string): void {
    const path = text.split(' ')[1] ?? '/'
    if (path === '/hang') for (;;) {}
    if (path === '/crash') throw new Error('a mistake of the proxy')
    if (path === '/stay') return
    if (path === '/invalidate') for (const cache of this.caches.of(null)) cache.invalidate('http://x/b')
    if (path === '/wait') this.#wait(socket)
    else if (path === '/ticket-key') this.#reply(socket, `${process.pid} ${this.#sealingKey()}`)
    else if (path === '/press') this.#press(socket)
    else if (path.startsWith('/perform/')) void this.#perform(socket, path.split('/').slice(2))
    else if (path.startsWith('/log/')) this.#log(socket, Number(path.slice(5)))
    else this.#reply(socket, String(process.pid))
  }

  #reply(socket: net.Socket, body: string): void {
    this.#observer.exchangeEnded(anExchange())
    const close = this.#draining ? 'Connection: close\r\n' : ''
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${close}\r\n${body}`)
  }

  /** Tells that the request has arrived. */
  #wait(socket: net.Socket): void {
    this.#waiting.add(socket)
    socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  #sealingKey(): string {
    const none = Buffer.alloc(16)
    return this.#tls.onticketkeycallback!(none, none, true)[3]!.toString('hex')
  }

  #press(socket: net.Socket): void {
    this.onPressure?.(true)
    this.#reply(socket, 'pressed')
    setTimeout(() => this.onPressure?.(false), 50)
  }

  async #perform(socket: net.Socket, [times, method = '', args = '']: readonly string[]): Promise<void> {
    const wish = { plugin: 'tried', method, args: decodeURIComponent(args), grant: ['kv'] }
    const answers = await Promise.all(Array.from({ length: Number(times) }, () => this.#capabilities.perform(wish)))
    this.#reply(socket, `[${answers}]`)
  }

  /** Writes many lines, each of another length. */
  #log(socket: net.Socket, lines: number): void {
    for (let i = 0; i < lines; i++) this.#observer.exchangeEnded(anExchange({ path: `/${process.pid}/${i}/${'x'.repeat((i * 37) % 900)}` }))
    this.#reply(socket, 'logged')
  }
}

serveAsWorker((parts) => new FakeProxy(parts))
