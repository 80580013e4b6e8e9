/**
 * The control socket of a running proxy, for `sluice status`, `reload`, `stop`, `explain`, `cache`, `endpoints` and `plugin profile`: a unix socket that only its owner can
 * open. A proxy runs without it where it cannot be had, and whatever arrives on it is answered, if only with an error.
 */
import { lstatSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import type { CacheAsk, CacheTold } from '../cache/asks.ts'
import type { EndpointAsk } from '../upstream/endpoint-asks.ts'
import {
  configPlace,
  controlFolders,
  descriptionOf,
  findRunning,
  isAnswered,
  isTooLong,
  type ProxyDescription,
  prepareFolder,
  socketName,
} from './control-folder.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  type EndpointsTold,
  encodeLine,
  maxRequestBytes,
  parseRequest,
  type ReloadResult,
} from './control-protocol.ts'

export type { ReloadResult } from './control-protocol.ts'

/** What the proxy offers. Each may fail: the sentence of the error is the answer. */
export interface ControlSource {
  /** Anything that JSON can say. */
  status(): unknown
  reload(): Promise<ReloadResult>
  /** Begins at once; resolves when nothing is left. `now`: what is under way is cut. */
  stop(options: { readonly now: boolean }): Promise<void>
  /** What is known of a request; null if nothing is. */
  recall(requestId: string): Promise<unknown>
  /** Of all workers. */
  cache(ask: CacheAsk): Promise<CacheTold>
  endpoints(ask: EndpointAsk): Promise<EndpointsTold>
  profile(options: { readonly plugin: string; readonly seconds: number }): Promise<{ readonly calls: number; readonly profile: unknown }>
}

export interface ControlOptions {
  /** The config, or the URL that stands for it. */
  readonly config: string
  readonly version: string
  readonly source: ControlSource
  /** A path for the socket, `off`, or null for the usual place. */
  readonly at?: string | null
  /** For the request to arrive, and for the answer to be taken. */
  readonly deadlineMs?: number
  readonly folders?: readonly string[]
}

export interface Control {
  /** null: there is none. */
  readonly path: string | null
  /** Why there is none though it was wanted: a sentence. */
  readonly problem: string | null
  /** Removes the socket; connections that wait for the end stay open until the process ends. */
  close(): void
}

const maxConnections = 32
const defaultDeadlineMs = 10_000

/** Never fails: a proxy that cannot be spoken to still carries traffic. */
export async function startControl(options: ControlOptions): Promise<Control> {
  if (options.at === 'off') return without(null)
  try {
    const config = /^https?:\/\//i.test(options.config) ? options.config : configPlace(options.config)
    const place = await choosePlace(options, config)
    if (typeof place !== 'string') return without(place.problem)
    const server = await listen(place, options)
    const description: ProxyDescription = {
      ...{ pid: process.pid, config, startedAt: new Date().toISOString() },
      version: options.version,
    }
    return open(server, place, options.at == null ? description : null)
  } catch (error) {
    return without(error instanceof Error ? error.message : String(error))
  }
}

function without(problem: string | null): Control {
  const hint = '--control PATH puts it elsewhere, --control off does without'
  return { path: null, problem: problem === null ? null : `${problem}; ${hint}`, close: () => {} }
}

/** The path to listen on, free of what a dead process left there; or why there is none. */
async function choosePlace({ at, folders = controlFolders() }: ControlOptions, config: string): Promise<string | { problem: string }> {
  if (at != null) return clear(path.resolve(at))
  let problem = 'this system has no place for it'
  for (const folder of folders) {
    const unsafe = prepareFolder(folder)
    const name = path.join(folder, socketName(config, process.pid))
    if (unsafe !== null) problem = unsafe
    else if (isTooLong(`${name}-0.sock`)) problem = `the path of ${folder} is too long for a socket`
    else {
      await findRunning([folder])
      // Another namespace may have a process of the same number and share the folder.
      for (const place of [`${name}.sock`, `${name}-1.sock`, `${name}-2.sock`]) {
        const cleared = await clear(place)
        if (typeof cleared === 'string') return cleared
        problem = cleared.problem
      }
    }
  }
  return { problem }
}

async function clear(place: string): Promise<string | { problem: string }> {
  if (isTooLong(place)) return { problem: `${place} is too long for a socket` }
  const stat = lstatSync(place, { throwIfNoEntry: false })
  if (stat === undefined) return place
  if (!stat.isSocket()) return { problem: `${place} is there already, and is not a socket` }
  if (await isAnswered(place)) return { problem: `another program listens on ${place}` }
  rmSync(place, { force: true })
  return place
}

async function listen(place: string, options: ControlOptions): Promise<net.Server> {
  // A client may close its side when it has asked, as `nc -N` does.
  const server = net.createServer({ allowHalfOpen: true }, (socket) => new ControlConnection(socket, options))
  server.maxConnections = maxConnections
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', (error) => reject(new Error(`${place} cannot be listened on: ${error.message}`)))
  // The socket is made here and now: it is nobody else's for not even a moment, and no name is looked up again that others could change.
  const before = process.umask(0o177)
  try {
    server.listen(place, resolve)
  } finally {
    process.umask(before)
  }
  await promise
  server.on('error', () => {})
  return server.unref()
}

function open(server: net.Server, place: string, description: ProxyDescription | null): Control {
  const beside = descriptionOf(place)
  if (description !== null) writeFileSync(beside, `${JSON.stringify(description)}\n`, { mode: 0o600 })
  const remove = (): void => {
    rmSync(place, { force: true })
    if (description !== null) rmSync(beside, { force: true })
  }
  const close = (): void => {
    process.off('exit', remove)
    remove()
    server.close()
  }
  process.once('exit', remove)
  return { path: place, problem: null, close }
}

/** One request, its answers, the end. */
class ControlConnection {
  readonly #socket: net.Socket
  readonly #source: ControlSource
  readonly #deadlineMs: number
  #received = Buffer.alloc(0)
  #isAsked = false
  #timer: NodeJS.Timeout | undefined

  constructor(socket: net.Socket, { source, deadlineMs = defaultDeadlineMs }: ControlOptions) {
    this.#socket = socket
    this.#source = source
    this.#deadlineMs = deadlineMs
    socket.on('error', () => socket.destroy())
    socket.on('close', () => clearTimeout(this.#timer))
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('end', () => this.#isAsked || this.#refuse('the request ended before its line did'))
    this.#limit()
  }

  /** It is closed after that time, whatever the other side does or leaves undone. */
  #limit(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#socket.destroy(), this.#deadlineMs).unref()
  }

  #read(bytes: Buffer): void {
    // Nothing is said after the request.
    if (this.#isAsked) return
    this.#received = Buffer.concat([this.#received, bytes])
    const end = this.#received.indexOf(10)
    if (end < 0 && this.#received.length <= maxRequestBytes) return
    if (end < 0 || end > maxRequestBytes) return this.#refuse('the request is too long')
    const request = parseRequest(this.#received.toString('utf8', 0, end))
    if (typeof request === 'string') return this.#refuse(request)
    this.#isAsked = true
    clearTimeout(this.#timer)
    void this.#carryOut(request)
  }

  #refuse(message: string): void {
    this.#isAsked = true
    this.#end({ kind: 'error', message })
  }

  async #carryOut(request: ControlRequest): Promise<void> {
    try {
      if (request.do === 'stop') return await this.#stop(request.now)
      this.#end(await this.#answer(request))
    } catch (error) {
      this.#end({ kind: 'error', message: error instanceof Error ? error.message : String(error) })
    }
  }

  async #answer(request: Exclude<ControlRequest, { do: 'stop' }>): Promise<ControlAnswer> {
    switch (request.do) {
      case 'status':
        return { kind: 'status', status: await this.#source.status() }
      case 'reload':
        return { kind: 'reload', result: await this.#source.reload() }
      case 'recall':
        return { kind: 'recalled', found: (await this.#source.recall(request.id)) ?? null }
      case 'cache':
        return { kind: 'cache', told: await this.#source.cache(request.ask) }
      case 'endpoints':
        return { kind: 'endpoints', told: await this.#source.endpoints(request.ask) }
      case 'profile': {
        const profiled = this.#source.profile(request)
        // A refusal comes at once. Whoever waits is told that it is worth it.
        const accepted = setImmediate(() => this.#socket.write(encodeLine({ kind: 'profiling' })))
        try {
          const { calls, profile } = await profiled
          return { kind: 'profiled', calls, profile }
        } finally {
          clearImmediate(accepted)
        }
      }
    }
  }

  /** The connection's end is then the process's end, which no answer could tell. */
  async #stop(now: boolean): Promise<void> {
    const stopped = this.#source.stop({ now })
    this.#socket.write(encodeLine({ kind: 'draining' }))
    await stopped
    this.#socket.write(encodeLine({ kind: 'drained' }))
  }

  #end(answer: ControlAnswer): void {
    if (this.#socket.destroyed) return
    this.#limit()
    this.#socket.end(encodeLine(answer))
  }
}
