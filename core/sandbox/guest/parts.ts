/** Calls that are about more than a head: what a hook is given of a body, a message, a connection, an error or the log, and how its answer is read. */
import {
  BODY_LAST,
  KIND_CLIENT_HELLO,
  KIND_CONNECTION,
  KIND_DATA,
  KIND_ERROR,
  KIND_FORGET,
  KIND_LOG,
  KIND_MESSAGE,
  KIND_REQUEST_BODY,
  KIND_RESPONSE_BODY,
  KIND_UPGRADE,
  MESSAGE_FROM_UPSTREAM,
  MESSAGE_IS_TEXT,
} from '../wire.ts'
import { Bytes, parse, setBytes } from './primordials.ts'
import { type PartReply, readBodyReply, readConnectionReply, readEntries, readReply } from './reply.ts'
import type { UseHooks } from './set-up.ts'
import { type Call, Request, RequestView } from './views.ts'

/** What a plugin keeps for a body or a WebSocket, by the host's number. Without a prototype: no plugin has a hand in the look-up. */
type States = Record<number, Record<string, unknown> | undefined>

export class Parts {
  readonly #states: States = Object.create(null)
  #shared: SharedArrayBuffer | null = null

  attach(shared: SharedArrayBuffer): void {
    this.#shared = shared
  }

  run(call: Call, use: UseHooks): unknown {
    switch (call.kind) {
      case KIND_UPGRADE:
        return use.onUpgrade!(new Request(call))
      case KIND_ERROR:
        return use.onError!(parse(call.partText), new RequestView(call))
      case KIND_REQUEST_BODY:
        return use.onRequestBody!(this.#bytes(call), new RequestView(call), new Body(call, this.#states))
      case KIND_RESPONSE_BODY:
        return use.onResponseBody!(this.#bytes(call), new RequestView(call), new Body(call, this.#states))
      case KIND_MESSAGE: {
        const message = (call.number & MESSAGE_IS_TEXT) === 0 ? this.#bytes(call) : call.partText
        const from = (call.number & MESSAGE_FROM_UPSTREAM) === 0 ? 'client' : 'upstream'
        return use.onMessage!(message, from, new Tunnel(call, this.#states))
      }
      case KIND_CONNECTION:
        return use.onConnection!(new Connection(call, this.#states))
      case KIND_CLIENT_HELLO: {
        const connection = new Connection(call, this.#states)
        return use.onClientHello!(connection.hello, connection)
      }
      case KIND_DATA: {
        const from = (call.number & MESSAGE_FROM_UPSTREAM) === 0 ? 'client' : 'upstream'
        return use.onData!(this.#bytes(call), new Connection(call, this.#states), from)
      }
      case KIND_LOG:
        return use.onLog!(parse(call.partText))
      case KIND_FORGET:
        delete this.#states[call.part(2)]
        return undefined
      default:
        throw new TypeError('a call of an unknown kind')
    }
  }

  /** Null: nothing is to be changed. */
  read(call: Call, value: unknown): PartReply | null {
    if (value === undefined || call.kind === KIND_FORGET) return null
    if (call.kind === KIND_ERROR) return readReply(value)
    if (call.kind === KIND_CONNECTION || call.kind === KIND_CLIENT_HELLO) return readConnectionReply(value)
    if (call.kind === KIND_LOG) return readEntries(value, (parse(call.partText) as unknown[]).length)
    return readBodyReply(value, call.kind === KIND_REQUEST_BODY)
  }

  /** The call is answered. */
  ended(call: Call): void {
    const isBody = call.kind === KIND_REQUEST_BODY || call.kind === KIND_RESPONSE_BODY
    if (isBody && (call.number & BODY_LAST) !== 0) delete this.#states[call.part(2)]
  }

  /** A copy: the plugin may keep it, and never sees the memory that is shared. */
  #bytes(call: Call): Uint8Array {
    const length = call.part(1)
    const copy = new Bytes(length > 0 ? length : 0)
    if (length > 0) setBytes(copy, new Bytes(this.#shared!, call.part(0), length))
    return copy
  }
}

class Body {
  readonly #call: Call
  readonly #states: States
  constructor(call: Call, states: States) {
    this.#call = call
    this.#states = states
  }
  get last(): boolean {
    return (this.#call.number & BODY_LAST) !== 0
  }
  get type(): string {
    return this.#call.partText
  }
  get state(): Record<string, unknown> {
    return stateOf(this.#call, this.#states)
  }
}

class Tunnel {
  readonly #call: Call
  readonly #states: States
  constructor(call: Call, states: States) {
    this.#call = call
    this.#states = states
  }
  get state(): Record<string, unknown> {
    return stateOf(this.#call, this.#states)
  }
}

interface ToldConnection {
  readonly ip: string
  readonly port: number
  readonly listener: string
  readonly hello?: object
}

class Connection {
  readonly #call: Call
  readonly #states: States
  #told: ToldConnection | null = null
  constructor(call: Call, states: States) {
    this.#call = call
    this.#states = states
  }
  get ip(): string {
    return this.#read().ip
  }
  get port(): number {
    return this.#read().port
  }
  get listener(): string {
    return this.#read().listener
  }
  get state(): Record<string, unknown> {
    return stateOf(this.#call, this.#states)
  }
  /** Not told to plugins by this name. */
  get hello(): unknown {
    return this.#read().hello
  }
  #read(): ToldConnection {
    this.#told ??= parse(this.#call.partText) as ToldConnection
    return this.#told
  }
}

function stateOf(call: Call, states: States): Record<string, unknown> {
  const number = call.part(2)
  let state = states[number]
  if (state === undefined) {
    state = {}
    states[number] = state
  }
  return state
}
