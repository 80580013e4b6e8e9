/**
 * The public door `sluice/plugin`: what a plugin imports. Types for the editor; a plugin itself runs in the sandbox, never on the host.
 * What stands here has a version, `apiVersion` in plugin-api.ts: a package that says `"sluice": { "api": 2 }` in its package.json is
 * refused by a sluice that has 1, and one that was built for other versions (`peerDependencies.sluice`) is, too.
 */
/// <reference path="./text-files.d.ts" preserve="true" />

export type Duration = `${bigint}${'ms' | 's' | 'm' | 'h' | 'd'}`
export type Size = `${bigint}${'b' | 'kb' | 'mb' | 'gb'}`

/** What a plugin must be granted by the config: `blockBots(options, { grant: ['credentials'] })`. */
export type Permission =
  /** `fetch` to that host and port. */
  | `net:${string}:${number}`
  /** `host.kv`, shared by the workers. */
  | 'kv'
  | 'request.body'
  | 'response.body'
  /** Messages of WebSockets. */
  | 'stream'
  /** See `authorization`, `proxy-authorization`, `cookie` and `set-cookie`. */
  | 'credentials'

export interface HeadersView {
  /** The value, several lines joined by `, `; null if there is none. Names in any case. */
  get(name: string): string | null
  has(name: string): boolean
}
export interface Headers extends HeadersView {
  /** Replaces every line of that name by one. Framing and hop-by-hop fields are the proxy's alone. */
  set(name: string, value: string): void
  append(name: string, value: string): void
  delete(name: string): void
}
export interface QueryView {
  get(name: string): string | null
  has(name: string): boolean
}
export interface Query extends QueryView {
  set(name: string, value: string): void
  delete(name: string): void
}

/** A request to look at. */
export interface RequestView {
  readonly method: string
  readonly path: string
  /** The query as it was sent, with its question mark; empty if there is none. */
  readonly search: string
  readonly query: QueryView
  readonly headers: HeadersView
  readonly cookies: QueryView
  /** Host, and port if there is one, as the client asked for it. */
  readonly host: string
  readonly ip: string
  /** What the client showed; null: nothing, or it was not asked. */
  readonly clientCertificate: ClientCertificate | null
}
/** Of a client, where the listener's `tls` asks for one. */
export interface ClientCertificate {
  /** As in RFC 4514: `CN=ann,O=Example`. */
  readonly subject: string
  readonly issuer: string
  /** Hexadecimal. */
  readonly serial: string
  /** Its subjectAltName: `DNS:ann.example.com`, `URI:spiffe://example.com/ann`, `email:ann@example.com`. */
  readonly names: readonly string[]
  /** SHA-256, hexadecimal in lower case. */
  readonly fingerprint: string
  /** One of the listener's authorities stands behind it, and it is in date. Always so with `clientCertificate: 'require'`. */
  readonly verified: boolean
}
/** A request on its way to the upstream. Read it while the hook runs: once it has answered, nothing can be read or changed. */
export interface Request {
  method: string
  /** Normalised, without the query. */
  path: string
  /** The query as it stands, with its question mark; empty if there is none. */
  readonly search: string
  readonly query: Query
  readonly headers: Headers
  /** Host, and port if there is one, as the client asked for it. */
  readonly host: string
  /** The client's address by the listener's `trust`. */
  readonly ip: string
  readonly clientCertificate: ClientCertificate | null
}
/** A response on its way to the client. */
export interface Response {
  status: number
  readonly headers: Headers
}
/** A connection to a TCP listener. */
export interface Connection {
  /** The client's address. */
  readonly ip: string
  readonly port: number
  readonly listener: string
  /** For the plugin to keep what it needs: the same object in all hooks of one connection. */
  readonly state: Record<string, unknown>
}
/** What a TLS client says before anything is encrypted (RFC 8446 §4.1.2). */
export interface ClientHello {
  /** In lower case; null: it names none. */
  readonly serverName: string | null
  readonly alpn: readonly string[]
}

export interface Reply {
  readonly status: number
  readonly body?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}
export interface Reroute {
  readonly kind: 'routeTo'
  readonly upstream: string
}
export interface Deny {
  readonly kind: 'deny'
}

// biome-ignore lint/suspicious/noConfusingVoidType: a hook that returns nothing has the type void, and is to be allowed
type Answer<T> = T | void | Promise<T | void>

/** Hooks of a connection, for TCP listeners. */
export interface ConnectionHooks {
  /** When it was accepted, before a route is chosen. `routeTo(…)` chooses the upstream, whatever the routes say. */
  onConnection?(conn: Connection): Answer<Deny | Reroute>
  /** When it begins with TLS, before a route is chosen. */
  onClientHello?(hello: ClientHello, conn: Connection): Answer<Deny | Reroute>
  /**
   * Bytes as they pass, up to 64 KiB however they were cut, decrypted where the listener terminates TLS. What it returns goes on in their
   * place; `deny()` ends the connection. Needs the permission `stream`.
   */
  onData?(data: Uint8Array<ArrayBuffer>, conn: Connection, from: 'client' | 'upstream'): Answer<Uint8Array | string | Deny>
  /**
   * Lines of the access log, a batch at a time, off the way of what they tell of. It may return as many entries: they are written with the text
   * fields as it left them, and null leaves one out. If it fails, these texts are written as `-`; with `onFailure: 'continue'` as they were.
   * In `defineConfig({ use })` it gets those of listeners of every kind, but for a plugin with a `match`, which gets those of requests alone.
   */
  onLog?(entries: readonly LogEntry[]): Answer<readonly (LogEntry | null)[]>
  /**
   * What it returns, as JSON of up to 8 MiB, the next version of this plugin gets from `host.restore()`. It has half a second, two if it awaits; if
   * it fails, that is logged, and the next version begins without.
   */
  onReload?(): unknown
}

/** What a hook of a body or of a WebSocket is told beside the bytes. */
export interface Body {
  /** The body ends with this chunk, which may be empty. Exactly one has it, but where the exchange is broken off. */
  readonly last: boolean
  /** Media type in lower case without parameters, `text/html`; empty if there is none. */
  readonly type: string
  /** For the plugin to keep what it needs from one chunk to the next: the same object for all chunks of one body. */
  readonly state: Record<string, unknown>
}
/**
 * A chunk is up to 64 KiB, without framing and content coding. What it returns goes on in the place of the chunk, text as UTF-8, nothing: the
 * chunk as it is. Of a request, `respond(…)` answers instead of the upstream, as long as no answer has begun; `deny()` breaks the exchange off.
 */
export type RequestBodyHook = (chunk: Uint8Array<ArrayBuffer>, req: RequestView, body: Body) => Answer<Uint8Array | string | Reply | Deny>
export type ResponseBodyHook = (chunk: Uint8Array<ArrayBuffer>, req: RequestView, body: Body) => Answer<Uint8Array | string | Deny>
export interface BodyOptions<F> {
  /** `stream` (the default): chunk by chunk. `buffer`: all of the body in one call. */
  readonly mode?: 'stream' | 'buffer' | undefined
  /** Of a body in `buffer` mode; more is refused: 413 for a request, 502 for a response. Default `1mb`, `4mb` at the most. */
  readonly max?: Size | undefined
  /** Media types it wants, `['text/html', 'text/*']`; other bodies go on untouched. Default: all. */
  readonly types?: readonly string[] | undefined
  readonly handle: F
}
/** What a hook of a WebSocket is told beside the message. */
export interface Tunnel {
  /** For the plugin to keep what it needs from one message to the next: the same object for both directions of one WebSocket. */
  readonly state: Record<string, unknown>
}
/** A line of the access log. Texts that were changed in what `onLog` returns are written so. */
export interface LogEntry {
  /** `exchange`: of HTTP, tunnels by CONNECT too. `tunnel`: a connection to a listener of TCP or SOCKS. `session`: a client of UDP. */
  readonly kind: 'exchange' | 'tunnel' | 'session'
  readonly time: string
  readonly id: string
  readonly listener: string
  readonly route: string | null
  readonly upstream: string | null
  readonly endpoint: string | null
  /** `HTTP/1.1`, `TLS`, `TCP`, `SOCKS5`, `UDP`, `QUIC`. */
  readonly protocol: string
  /** Empty, as host and path are, where there was no request. */
  readonly method: string
  /** 0 where there was no request. */
  readonly status: number
  readonly host: string
  readonly path: string
  /** With its question mark; empty if there is none. */
  readonly query: string
  readonly ip: string
  readonly peer: string
  readonly userAgent: string | null
  readonly referer: string | null
  /** Of the client's certificate, null without one. Written anew or taken out, nothing of the certificate is in the line. */
  readonly clientSubject: string | null
  /** Who the client has proved to be to a policy such as `basicAuth`, or to the forward side; null if nobody asked. */
  readonly user: string | null
  /** What a client asked a forward proxy for, or by SOCKS: `example.com:443`; else null. */
  readonly destination: string | null
  /** The server name by which TLS or QUIC asked, where the proxy looked; else null. */
  readonly sni: string | null
  /** How it fared with the cache on its way: `hit`, `miss` …; null if there is none. */
  readonly cache: string | null
  readonly reason: string | null
  readonly decidedBy: string | null
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of a session; else 0. */
  readonly datagramsIn: number
  readonly datagramsOut: number
  readonly durationMs: number
}

export interface HttpHooks extends ConnectionHooks {
  /** Before the request is sent to its upstream. */
  onRequest?(req: Request): Answer<Reply | Reroute>
  /** Needs the permission `request.body`. */
  onRequestBody?: RequestBodyHook | BodyOptions<RequestBodyHook>
  /** Before the response is sent to the client, answers of the proxy included; not of a 101, which `onUpgrade` has let through. */
  onResponse?(res: Response, req: RequestView): Answer<Reply>
  /** Needs the permission `response.body`. Not for what the proxy itself or a hook answered. */
  onResponseBody?: ResponseBodyHook | BodyOptions<ResponseBodyHook>
  /** Of a request that asks for an upgrade (WebSocket), after every `onRequest`. */
  onUpgrade?(req: Request): Answer<Reply>
  /** Each message of a WebSocket, whole and inflated. What it returns goes on in its place; `deny()` closes it. Needs the permission `stream`. */
  onMessage?(message: string | Uint8Array<ArrayBuffer>, from: 'client' | 'upstream', tunnel: Tunnel): Answer<string | Uint8Array | Deny>
  /** When the proxy is about to answer with an error of its own: what it returns is sent instead. */
  onError?(error: { readonly code: string; readonly status: number; readonly detail: string }, req: RequestView): Answer<Reply>
}

/**
 * One store for all workers, apart for each plugin, which has a share of its own (`kvMemory`): what others keep takes no room from it. Text keys up to
 * 512 characters, text values up to 64 KiB. Gone when the proxy ends.
 */
export interface Kv {
  get(key: string): Promise<string | null>
  /** `ttl`: it is gone after so long; with or without it, when the plugin's share needs room (the entry used longest ago goes first). */
  set(key: string, value: string, options?: { readonly ttl?: Duration | undefined }): Promise<void>
  delete(key: string): Promise<boolean>
  /** Adds to a whole number, which begins at 0; `ttl` counts from the first. Returns the sum. */
  incr(key: string, by?: number, options?: { readonly ttl?: Duration | undefined }): Promise<number>
  /** Sets it if it is what was expected (null: nothing). Returns whether it did. */
  compareAndSet(key: string, expected: string | null, value: string, options?: { readonly ttl?: Duration | undefined }): Promise<boolean>
}

export interface Host {
  /** What `onReload` of the version before returned; undefined at the start. */
  restore<T>(): T | undefined
  /** Needs the permission `kv`. */
  readonly kv: Kv
}

/** The second argument of a plugin in the config. */
export interface UseOptions {
  readonly grant?: readonly Permission[] | undefined
  /**
   * For one turn of a hook: until it returns or awaits. Default `5ms`. An async hook gets up to ten times as much by the clock on the wall, 100 ms more
   * at the most: a turn that awaits cannot be tried again when the machine was busy.
   */
  readonly timeout?: Duration | undefined
  /** For the whole of an async hook. Default `1s`. */
  readonly deadline?: Duration | undefined
  /** From `8mb`; default `64mb`. */
  readonly memory?: Size | undefined
  /**
   * With the grant `kv`: what the plugin may keep there, keys and values and 200 bytes for each, over all workers. When it is spent, what it used
   * longest ago goes. From `256kb`, all plugins together `1gb`; the most that one of its uses is given counts. Default `16mb`.
   */
  readonly kvMemory?: Size | undefined
  /** Default: `worker`, and `process` for a plugin of `node_modules`. */
  readonly isolation?: 'worker' | 'process' | undefined
  /** When the plugin fails: `deny` (the default) answers 500, `continue` goes on without it. */
  readonly onFailure?: 'deny' | 'continue' | undefined
}
export interface PluginUse<L = unknown> {
  readonly kind: 'plugin'
  readonly name: string
  readonly layer: L
}
/** What has no required option fits. */
type NoOptions = Record<never, never>
/** With no required option, the options may be left out: `tag()`. */
export type Plugin<O, L = unknown> = (
  ...args: NoOptions extends O ? [options?: O, use?: UseOptions] : [options: O, use?: UseOptions]
) => PluginUse<L>

/** Any Standard Schema (zod, valibot …): it types the options, run inside the sandbox before `setup`: `I` as the config gives them, `O` as `setup` gets them. */
export interface StandardSchema<O, I = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => unknown
    readonly types?: { readonly input: I; readonly output: O } | undefined
  }
}

/**
 * Decided by the proxy, before anything crosses into the sandbox. All that is given must match; a list matches if one of it does. It is decided once,
 * by the request as it is when the turn of this plugin comes: a route's `rewrite` changes the path later, and its body and answer are for who took it.
 */
export interface Match {
  /** `/admin`, `/admin/*` (which `/admin` matches too), `/users/:id`. */
  readonly path?: string | readonly string[] | undefined
  readonly method?: string | readonly string[] | undefined
  /** `example.com`, `*.example.com`; without the port. */
  readonly host?: string | readonly string[] | undefined
}

export interface NoSuchHook {
  'no such hook': never
}
type Exact<H> = HttpHooks extends H ? H : H & { [K in Exclude<keyof H, keyof HttpHooks>]: NoSuchHook }
/** Known only when the hooks were inferred: with `definePlugin<Options>(…)` TypeScript infers nothing more, so wrong hook names and layers are left to `check`. */
// biome-ignore lint/suspicious/noExplicitAny: fits every layer, which is what "not known" has to do
type Layer<H> = HttpHooks extends H ? any : keyof H extends keyof ConnectionHooks ? 'connection' : 'http'

export interface PluginDefinition<O, H, I = O> {
  readonly name: string
  readonly permissions?: readonly Permission[] | undefined
  readonly options?: StandardSchema<O, I> | undefined
  /** The header fields the plugin reads, of requests and responses. What it does not see costs nothing. Default: all it may see. */
  readonly sees?: readonly string[] | undefined
  readonly match?: Match | undefined
  setup(options: O, host: Host): Exact<H> | Promise<Exact<H>>
}

/**
 * Defines a plugin: the default export of its module. It runs in the sandbox only; a config that imports the module gets a function
 * of the options instead, and never runs it.
 */
export function definePlugin<O = NoOptions, H extends HttpHooks = HttpHooks, I = O>(
  _definition: PluginDefinition<O, H, I>,
): Plugin<I, Layer<H>> {
  throw new Error('definePlugin was called outside the sandbox: a plugin is imported by a config, which runs it apart')
}

/** Answers instead of the upstream. */
export function respond(status: number, body?: string, headers?: Readonly<Record<string, string>>): Reply {
  return { status, body, headers }
}

/** Sends the request to another upstream of the config. */
export function routeTo(upstream: string): Reroute {
  return { kind: 'routeTo', upstream }
}

/** Closes the connection. */
export function deny(): Deny {
  return { kind: 'deny' }
}
