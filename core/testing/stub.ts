/** What stands in for an upstream in a test: a function of the request that its endpoint got, or a way to fail. */
import type { QueryView, RequestView } from '../plugin.ts'
import type { SentRequest, StubAnswer, StubKind } from './messages.ts'

/** Answers for every endpoint of an upstream. What it throws becomes a connection that is reset. */
export type StubFunction = (request: StubRequest) => StubReply | Promise<StubReply>
export type StubReply = Response | Failure<'reset' | 'hangs'>
export type Stub = StubFunction | Failure

/** How an endpoint fails; made by `refused()`, `unreachable()`, `reset()`, `hangs()`. */
export interface Failure<K extends FailureKind = FailureKind> {
  readonly failure: K
}
export type FailureKind = Exclude<StubKind, 'call'>

/** Nobody listens there: the connection is refused at once. */
export function refused(): Failure<'refused'> {
  return { failure: 'refused' }
}

/** Nothing comes back: the connection is never opened, until the upstream's `timeouts.connect` is over (see `advance`). */
export function unreachable(): Failure<'unreachable'> {
  return { failure: 'unreachable' }
}

/** The connection is opened, the request is read, and the connection is reset. A stub may return it for some requests only. */
export function reset(): Failure<'reset'> {
  return { failure: 'reset' }
}

/** The request is read and never answered, until `timeouts.response` is over (see `advance`). A stub may return it, too. */
export function hangs(): Failure<'hangs'> {
  return { failure: 'hangs' }
}

/** A request as an endpoint got it: after all hooks and rewrites, with what the proxy adds. */
export class StubRequest implements RequestView {
  readonly method: string
  readonly path: string
  /** `?a=1`, or empty. */
  readonly search: string
  /** As the endpoint would read it: the Host that was sent, the path and the query. */
  readonly url: string
  readonly query: URLSearchParams
  readonly headers: Headers
  /** Of two cookies with one name, the first. */
  readonly cookies: QueryView
  /** The Host that was sent. */
  readonly host: string
  /** The client's address, by the listener's `trust`. */
  readonly ip: string
  /** No client of a simulation shows one. */
  readonly clientCertificate = null
  /** Name of the upstream, or its URL as the config has it. */
  readonly upstream: string
  /** Address of the endpoint that was chosen. */
  readonly endpoint: string
  readonly #body: Uint8Array

  constructor({ method, target, fields, body, ip, upstream, endpoint, scheme }: SentRequest) {
    const mark = target.indexOf('?')
    this.method = method
    this.path = mark < 0 ? target : target.slice(0, mark)
    this.search = mark < 0 ? '' : target.slice(mark)
    this.query = new URLSearchParams(this.search)
    this.headers = new Headers(fields.map(([name, value]): [string, string] => [name, value]))
    this.cookies = cookiesOf(this.headers.get('cookie') ?? '')
    this.host = this.headers.get('host') ?? ''
    this.url = `${scheme}://${this.host === '' ? upstream : this.host}${target}`
    this.ip = ip
    this.upstream = upstream
    this.endpoint = endpoint
    this.#body = body
  }

  /** The whole body; it has arrived before the stub is asked. Can be read more than once. */
  get body(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#body)
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.body
  }

  async text(): Promise<string> {
    return new TextDecoder().decode(this.#body)
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text())
  }
}

export function kindOf(stub: Failure | ((...asked: never[]) => unknown)): StubKind {
  return typeof stub === 'function' ? 'call' : stub.failure
}

/** What the stub says, as the simulation takes it. */
export async function askStub(stub: Stub | undefined, request: SentRequest): Promise<StubAnswer> {
  if (typeof stub !== 'function') return { kind: 'reset', why: '' }
  try {
    const reply = await stub(new StubRequest(request))
    if (reply instanceof Response) return toAnswer(reply)
    if (reply?.failure === 'hangs') return { kind: 'hangs' }
    if (reply?.failure === 'reset') return { kind: 'reset', why: '' }
    return { kind: 'reset', why: `it returned neither a Response nor reset() nor hangs(), but ${String(reply)}` }
  } catch (error) {
    return { kind: 'reset', why: error instanceof Error ? String(error.stack) : String(error) }
  }
}

async function toAnswer(reply: Response): Promise<StubAnswer> {
  const body = new Uint8Array(await reply.arrayBuffer())
  return { kind: 'response', status: reply.status, reason: reply.statusText, fields: [...reply.headers], body }
}

/** RFC 6265 §4.2. */
function cookiesOf(text: string): QueryView {
  const cookies = new Map<string, string>()
  for (const pair of text.split(/; */)) {
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals).trim()
    if (equals > 0 && !cookies.has(name)) cookies.set(name, pair.slice(equals + 1).trim())
  }
  return { get: (name) => cookies.get(name) ?? null, has: (name) => cookies.has(name) }
}
