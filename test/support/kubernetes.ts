/**
 * The part of Kubernetes' API server that speaks of EndpointSlices, as it behaves: lists with a version, watches from a version on, the
 * history that is kept, bookmarks, tokens.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Slice } from '../../core/upstream/discovery/kubernetes.ts'
import type { Pair } from './certificates.ts'
import { Waiting } from './deadline.ts'

interface Happened {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: object
  readonly version: number
}

export class FakeKubernetes implements AsyncDisposable {
  readonly url: string
  /** Null: everybody is let in. */
  token: string | null = null
  /** Slices a page; 0: all at once. */
  page = 0
  /** Of each request: `list`, or `watch 5`. */
  readonly asked: string[] = []
  #version = 100
  /** What was before is not known any more. */
  #oldest = 0
  readonly #slices = new Map<string, Slice>()
  #history: Happened[] = []
  readonly #watches = new Set<ServerResponse>()
  readonly #server: Server
  readonly #waiting = new Waiting()

  static async start(tls?: Pair): Promise<FakeKubernetes> {
    const server = tls === undefined ? createServer() : createSecureServer({ cert: tls.cert, key: tls.key })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FakeKubernetes(server as Server, tls !== undefined)
  }

  private constructor(server: Server, isSecure: boolean) {
    this.#server = server
    this.url = `${isSecure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response))
  }

  put(name: string, slice: Omit<Slice, 'metadata'>): void {
    const type = this.#slices.has(name) ? 'MODIFIED' : 'ADDED'
    const whole = this.#stamped(name, slice)
    this.#slices.set(name, whole)
    this.#happens(type, whole)
  }

  delete(name: string): void {
    const slice = this.#slices.get(name)!
    this.#slices.delete(name)
    this.#happens('DELETED', this.#stamped(name, slice))
  }

  /** Something else in the cluster has changed: only the version goes on. */
  bookmark(): void {
    this.#version++
    this.#happens('BOOKMARK', { kind: 'EndpointSlice', metadata: { resourceVersion: String(this.#version), creationTimestamp: null } })
  }

  /** What happened so far is not kept any more. */
  compact(): void {
    this.#oldest = this.#version
    this.#history = []
  }

  /** Each watch is told that what it waits for is gone. */
  expire(): void {
    const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }
    for (const watch of this.#taken()) watch.end(`${JSON.stringify({ type: 'ERROR', object: status })}\n`)
  }

  /** As at the end of its time. `abruptly`: in the midst of a line. */
  endWatches(abruptly = false): void {
    for (const watch of this.#taken()) {
      // What was written before is to arrive.
      if (abruptly) watch.write('{"type":"ADDED","obj', () => watch.destroy())
      else watch.end()
    }
  }

  /** They get nothing more. */
  #taken(): readonly ServerResponse[] {
    const all = [...this.#watches]
    this.#watches.clear()
    return all
  }

  until(asked: string): Promise<true> {
    return this.#waiting.until(
      () => (this.asked.includes(asked) ? true : undefined),
      () => `no ${asked}, but ${this.asked.join(', ')}`,
    )
  }

  get version(): number {
    return this.#version
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #stamped(name: string, slice: Omit<Slice, 'metadata'>): Slice {
    this.#version++
    return { ...slice, metadata: { name, resourceVersion: String(this.#version) } }
  }

  #happens(type: Happened['type'], object: object): void {
    const event = { type, object, version: this.#version }
    this.#history.push(event)
    for (const watch of this.#watches) watch.write(lineOf(event))
  }

  #answer({ url, headers, method }: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(url!, 'http://x')
    const fail = (code: number, message: string): void =>
      void response.writeHead(code).end(JSON.stringify({ kind: 'Status', code, message }))
    const isWatch = searchParams.get('watch') === '1'
    const from = Number(searchParams.get('resourceVersion') ?? 0)
    if (this.token !== null && headers.authorization !== `Bearer ${this.token}`) {
      this.asked.push('unauthorized')
      fail(401, 'Unauthorized')
    } else if (method !== 'GET' || pathname !== '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices') fail(404, 'not found')
    else if (searchParams.get('labelSelector') !== 'kubernetes.io/service-name=api') fail(403, 'endpointslices is forbidden')
    else if (!isWatch) {
      this.asked.push('list')
      const all = [...this.#slices.values()]
      const at = Number(searchParams.get('continue') ?? 0)
      const end = this.page === 0 ? all.length : at + this.page
      const more = end < all.length ? { continue: String(end) } : {}
      response.end(JSON.stringify({ metadata: { resourceVersion: String(this.#version), ...more }, items: all.slice(at, end) }))
    } else {
      this.asked.push(`watch ${from}`)
      if (from < this.#oldest) fail(410, 'too old resource version')
      else this.#watch(response, from)
    }
    this.#waiting.poke()
  }

  #watch(response: ServerResponse, from: number): void {
    response.flushHeaders()
    for (const event of this.#history) if (event.version > from) response.write(lineOf(event))
    this.#watches.add(response)
    response.on('close', () => this.#watches.delete(response))
  }
}

function lineOf({ type, object }: Happened): string {
  return `${JSON.stringify({ type, object })}\n`
}
