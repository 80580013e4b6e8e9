/** The globals inside the sandbox, and no others: what a plugin is type-checked with. */

declare const console: {
  log(...values: unknown[]): void
  info(...values: unknown[]): void
  warn(...values: unknown[]): void
  error(...values: unknown[]): void
  debug(...values: unknown[]): void
}

declare class URLSearchParams {
  constructor(init?: string | Readonly<Record<string, string>> | Iterable<readonly [string, string]>)
  readonly size: number
  get(name: string): string | null
  getAll(name: string): string[]
  has(name: string, value?: string): boolean
  set(name: string, value: string): void
  append(name: string, value: string): void
  delete(name: string, value?: string): void
  sort(): void
  forEach(visit: (value: string, name: string, params: URLSearchParams) => void): void
  entries(): IterableIterator<[string, string]>
  keys(): IterableIterator<string>
  values(): IterableIterator<string>
  [Symbol.iterator](): IterableIterator<[string, string]>
  toString(): string
}

declare class URL {
  constructor(url: string, base?: string | URL)
  static canParse(url: string, base?: string): boolean
  static parse(url: string, base?: string): URL | null
  href: string
  protocol: string
  username: string
  password: string
  host: string
  hostname: string
  port: string
  pathname: string
  search: string
  hash: string
  readonly origin: string
  readonly searchParams: URLSearchParams
  toString(): string
  toJSON(): string
}

declare class TextEncoder {
  readonly encoding: string
  encode(text?: string): Uint8Array
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean })
  readonly encoding: string
  /** With `stream`, a character that the next piece ends is kept for it. */
  decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string
}

declare function atob(data: string): string
declare function btoa(data: string): string
declare function structuredClone<T>(value: T): T

/** Bytes as they are given: an ArrayBuffer or a view of one. */
type BufferSource = ArrayBuffer | ArrayBufferView

declare class Headers {
  constructor(init?: Headers | Readonly<Record<string, string>> | Iterable<readonly [string, string]>)
  get(name: string): string | null
  has(name: string): boolean
  set(name: string, value: string): void
  append(name: string, value: string): void
  delete(name: string): void
  getSetCookie(): string[]
  forEach(visit: (value: string, name: string, headers: Headers) => void): void
  entries(): IterableIterator<[string, string]>
  keys(): IterableIterator<string>
  values(): IterableIterator<string>
  [Symbol.iterator](): IterableIterator<[string, string]>
}

declare class DOMException extends Error {
  constructor(message?: string, name?: string)
}

type AbortListener = (event: { readonly type: 'abort'; readonly target: AbortSignal }) => void

declare class AbortSignal {
  private constructor()
  static abort(reason?: unknown): AbortSignal
  static timeout(ms: number): AbortSignal
  static any(signals: Iterable<AbortSignal>): AbortSignal
  readonly aborted: boolean
  readonly reason: unknown
  onabort: AbortListener | null
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: AbortListener, options?: { once?: boolean }): void
  removeEventListener(type: 'abort', listener: AbortListener): void
}

declare class AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}

interface RequestInit {
  readonly method?: string | undefined
  readonly headers?: Headers | Readonly<Record<string, string>> | Iterable<readonly [string, string]> | undefined
  /** Up to 1 MiB. */
  readonly body?: string | BufferSource | URLSearchParams | null | undefined
  /** For all of it: `'500ms'`; 5 seconds at the most, and without it. */
  readonly timeout?: `${bigint}${'ms' | 's'}` | undefined
  /** `manual` (the default): a redirect is an answer like another. `follow`: up to five, to places that are granted. */
  readonly redirect?: 'manual' | 'follow' | undefined
  readonly signal?: AbortSignal | null | undefined
}

/** An answer to `fetch`. Its body is there already, up to 1 MiB, and may be read more than once. */
interface Response {
  readonly status: number
  readonly statusText: string
  /** The status is one of 200 to 299. */
  readonly ok: boolean
  /** Of the last redirect that was followed. */
  readonly url: string
  readonly headers: Headers
  text(): Promise<string>
  json<T = unknown>(): Promise<T>
  bytes(): Promise<Uint8Array<ArrayBuffer>>
  arrayBuffer(): Promise<ArrayBuffer>
}

/** To a host and port that the config granted: `net:auth.internal:8080`. */
declare function fetch(url: string | URL, init?: RequestInit): Promise<Response>

type HashName = 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512'
type KeyUsage = 'sign' | 'verify'

/** A name, or an object with a name and what belongs to it. */
type AlgorithmIdentifier =
  | string
  | {
      readonly name: string
      readonly hash?: HashName | { readonly name: string } | undefined
      readonly namedCurve?: 'P-256' | 'P-384' | 'P-521' | undefined
      readonly length?: number | undefined
      readonly saltLength?: number | undefined
    }

interface JsonWebKey {
  readonly kty?: string | undefined
  readonly [member: string]: unknown
}

declare class CryptoKey {
  private constructor()
  readonly type: 'secret' | 'public' | 'private'
  readonly extractable: boolean
  readonly algorithm: { readonly name: string; readonly [member: string]: unknown }
  readonly usages: readonly KeyUsage[]
}

/** HMAC, RSASSA-PKCS1-v1_5, RSA-PSS (up to 4096 bits), ECDSA and Ed25519; data up to 1 MiB. Computed by the proxy. */
interface SubtleCrypto {
  digest(algorithm: HashName | { readonly name: string }, data: BufferSource): Promise<ArrayBuffer>
  importKey(
    format: 'raw' | 'jwk' | 'spki' | 'pkcs8',
    key: BufferSource | JsonWebKey,
    algorithm: AlgorithmIdentifier,
    extractable: boolean,
    usages: readonly KeyUsage[],
  ): Promise<CryptoKey>
  sign(algorithm: AlgorithmIdentifier, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>
  verify(algorithm: AlgorithmIdentifier, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>
}

declare const crypto: {
  getRandomValues<T extends ArrayBufferView>(array: T): T
  randomUUID(): string
  readonly subtle: SubtleCrypto
}
declare function setTimeout(callback: (_: undefined) => void, ms?: number): number
declare function setTimeout<A extends unknown[]>(callback: (...args: A) => void, ms?: number, ...args: A): number
declare function clearTimeout(id: number | undefined): void
