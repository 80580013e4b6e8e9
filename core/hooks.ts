/**
 * Hooks ask: something may change what happens to an exchange. The data path knows only this contract; policies, inline hooks
 * and sandboxed plugins stand behind it. A stage without hooks costs one length check.
 */
import type { StoredAnswer } from './cache/answers.ts'
import type { CacheSide } from './cache/cache-side.ts'
import type { ErrorCode, ProxyError } from './errors.ts'
import type { Logged } from './events.ts'
import type { RequestHead, ResponseHead } from './net/http1/head.ts'
import type { Paces } from './policy/throttle.ts'

/** By name; several values are several lines. */
export type ReplyFields = Readonly<Record<string, string | readonly string[]>>

/** A hook's answer that ends, redirects or changes what was asked about. `null` instead of a verdict: go on, nothing else to do. */
export type Verdict =
  | {
      readonly kind: 'respond'
      readonly status: number
      readonly body: string
      readonly headers: ReplyFields
      /** Of a request that fails by this answer: what the log says why. */
      readonly code?: ErrorCode
    }
  | { readonly kind: 'routeTo'; readonly upstream: string }
  /** Of a request: its connection ends without an answer; over HTTP/2 the stream. */
  | { readonly kind: 'cut'; readonly code: ErrorCode }
  /** `fields`: of the answer that stands for the error. */
  | { readonly kind: 'fail'; readonly error: ProxyError; readonly fields?: Readonly<Record<string, string>> }
  /** Of a body, a message or data: these bytes in the place of those asked about. `isText`: of a message, text in UTF-8. */
  | {
      readonly kind: 'bytes'
      readonly bytes: Buffer
      readonly isText: boolean
      /** Of a response's body: what is kept back may still be refused, so the head waits, too. */
      readonly holdsHead?: true
    }
  /** Of a body, a message or a connection: it ends here, and so does its connection. */
  | { readonly kind: 'deny' }
  /** Of a cache: what it keeps, in the place of what an endpoint said or would say. */
  | StoredAnswer
  /** Of entries of the log: the same number of entries, as they are to be written; null: not at all. */
  | { readonly kind: 'entries'; readonly entries: readonly (LogFields | null)[] }

/** A hook that cannot answer now returns this and calls `resume` exactly once, later (never from inside its own call). */
export const PENDING: unique symbol = Symbol('pending')
export type Answer = Verdict | null | typeof PENDING
export type Ask = (call: HookCall) => Answer

/** One call of a hook: what it may see and change. The exchange implements it for the heads, which are edited in place. */
export interface HookCall {
  readonly request: RequestHead
  /** Only in `onResponse` and `onResponseBody`. */
  readonly response: ResponseHead | null
  /** The client's address by the listener's `trust`. */
  readonly ip: string
  /** Of the exchange, as the log has it; only in calls about its heads. */
  readonly id?: string
  readonly scheme?: 'http' | 'https'
  /** What is asked about, beside the heads; null in `onRequest`, `onResponse` and `onUpgrade`. Of a connection there are no heads. */
  readonly part: CallPart | null
  /** Of an exchange whose answer is an endpoint's, or was once: where it was led. */
  readonly passage?: Passage | null | undefined
  /** Of an exchange: for a cache. */
  readonly cacheSide?: CacheSide | undefined
  /** The same for all exchanges of one connection of a client, and for no others; only in calls about heads. */
  readonly connectionMark?: object
  /** Of an exchange: its bodies, or the tunnel that it becomes, go no faster than these let them. */
  pace?(paces: Paces): void
  /** Of an exchange: what its line in the access log tells. The last choice counts. */
  log?(choice: LogChoice): void
  /** True once nobody waits for the answer: a hook may skip its work. */
  readonly ended: boolean
  /** Answers a call for which the hook returned PENDING. Ignored once the exchange has ended. */
  resume(verdict: Verdict | null): void
}

/** Asked once, when the exchange has ended or has become a tunnel. */
export interface LogChoice {
  of(exchange: LoggedExchange): Logged
}

export interface LoggedExchange {
  readonly request: RequestHead
  /** Null: there was none. */
  readonly response: ResponseHead | null
  readonly ip: string
  readonly status: number
  readonly reason: ErrorCode | null
}

/** What endpoints and clients know a place by. */
export interface Passage {
  /** What of a path is another one for clients and for endpoints: its beginning, without a slash at the end. The same: nothing. */
  readonly outside: string
  readonly inside: string
  /** What endpoints go by: `10.0.0.1:3000`, `app.internal`. In lower case, without the port that goes without saying. */
  readonly hosts: readonly string[]
}

export type CallPart = BodyPart | MessagePart | ConnectionPart | DataPart | ErrorPart | LogPart

/** A piece of a body, without framing and without content coding; or, for a hook that wants it so, all of it. */
export interface BodyPart {
  readonly kind: 'requestBody' | 'responseBody'
  /** Stay as they are until the answer. */
  readonly bytes: Uint8Array
  /** The body ends with it; it may be empty. */
  readonly last: boolean
  /** Media type in lower case without parameters, `text/html`; empty if there is none. */
  readonly type: string
  /** The same for every piece of one body and one hook, and for no other body: what the hook keeps for it goes by this number. */
  readonly state: number
}

/** A message of a WebSocket, put together from its frames and inflated. */
export interface MessagePart {
  readonly kind: 'message'
  readonly bytes: Uint8Array
  /** UTF-8, valid. */
  readonly isText: boolean
  readonly from: 'client' | 'upstream'
  /** The same for every message of one WebSocket and one hook, both ways. */
  readonly state: number
}

/** A connection that a TCP listener accepted. */
export interface ConnectionFacts {
  /** The client's. */
  readonly ip: string
  readonly port: number
  readonly listener: string
}

/** A connection before anything else is known of it; or, with a hello, once the client has begun with TLS. */
export interface ConnectionPart {
  readonly kind: 'connection'
  readonly connection: ConnectionFacts
  readonly hello: { readonly serverName: string | null; readonly alpn: readonly string[] } | null
  /** The same for all that one hook is asked about one connection. */
  readonly state: number
}

/** Bytes of a connection as they pass, however they were cut. */
export interface DataPart {
  readonly kind: 'data'
  readonly connection: ConnectionFacts
  /** Stay as they are until the answer. */
  readonly bytes: Uint8Array
  readonly from: 'client' | 'upstream'
  readonly state: number
}

/** An answer of the proxy's own that stands for an error. */
export interface ErrorPart {
  readonly kind: 'error'
  readonly code: string
  readonly status: number
  readonly detail: string
}

export interface LogPart {
  readonly kind: 'log'
  readonly entries: readonly LogFields[]
}

/** A line of the access log. */
export interface LogFields {
  readonly [field: string]: string | number | boolean | null
}

/** How a hook wants a body. */
export interface BodyHook {
  /** `stream`: piece by piece as it comes. `buffer`: all of it in one call with `last`, up to `maxBytes`; more fails with 413 or 502. */
  readonly mode: 'stream' | 'buffer'
  readonly maxBytes: number
  /** Media types it wants, `text/html`, `text/*`, `*+json`; null: every one, also where there is none. */
  readonly types: readonly string[] | null
  readonly ask: Ask
  /**
   * Of a hook that gives responses a content coding. It needs them neither plain nor whole; it is asked when a head has come, whether its body gets one,
   * and asked about the body after all others. May edit the head; null: it stays as it is.
   */
  readonly encode?: (heads: Pick<HookCall, 'request' | 'response'>, body: EncodableBody) => string | null
  /** Of such a hook: the same as it does to pieces it is asked about, for a body that is kept. */
  readonly begin?: (coding: string) => BodyCoder
}

export interface BodyCoder {
  /** One piece at a time; `done` gets all that has come of it, later. */
  encode(bytes: Uint8Array, last: boolean, done: (error: Error | null, bytes: Buffer) => void): void
  /** Nobody waits for it any more. */
  destroy(): void
}

export interface EncodableBody {
  /** Negative if it is not known. */
  readonly length: number
  /** The client's `Accept-Encoding`, whatever the endpoint was asked for. */
  readonly accepts: string | null
}

export interface Hook {
  /** The plugin's or policy's name: `decidedBy` of the log and of tests. */
  readonly name: string
  readonly onRequest: Ask | null
  readonly onResponse: Ask | null
  /** Of a request that asks for an upgrade, after every `onRequest`. */
  readonly onUpgrade: Ask | null
  /** Of an answer that the proxy itself makes of an error, before `onResponse`. */
  readonly onError: Ask | null
  readonly onRequestBody: BodyHook | null
  readonly onResponseBody: BodyHook | null
  readonly onMessage: Ask | null
  /** Of a connection to a TCP listener: when it was accepted, when TLS begins, of its bytes. `deny` ends it. */
  readonly onConnection: Ask | null
  readonly onClientHello: Ask | null
  readonly onData: Ask | null
  /** Of what goes to the access log; never on the way of an exchange. */
  readonly onLog: Ask | null
  /** Whether it has anything to say to this request; to be asked before a body or a WebSocket is prepared for it. */
  matches(request: RequestHead): boolean
  /** What it keeps for a body, a WebSocket or a connection under this number is not needed any more. Not said after a piece with `last`. */
  forget(state: number): void
  /** For a WebSocket, which outlives its plan: the hook goes on until it is released as often as it was held. */
  hold(): void
  release(): void
}

/** A hook of the given moments alone. */
export function makeHook(name: string, parts: Partial<Omit<Hook, 'name'>>): Hook {
  return {
    name,
    onRequest: null,
    onResponse: null,
    onUpgrade: null,
    onError: null,
    onRequestBody: null,
    onResponseBody: null,
    onMessage: null,
    onConnection: null,
    onClientHello: null,
    onData: null,
    onLog: null,
    matches: () => true,
    forget: nothing,
    hold: nothing,
    release: nothing,
    ...parts,
  }
}

let lastState = 0
/** A number for what a hook keeps of one body or WebSocket. */
export function nextState(): number {
  lastState = lastState >= 0x3fffffff ? 1 : lastState + 1
  return lastState
}

function nothing(): void {}
