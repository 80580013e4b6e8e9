/** `fetch` of the sandbox: the host sends the request and decides about all of it; what comes back is whole. */
import type { AbortSignal } from './abort.ts'
import { ask } from './asks.ts'
import { bytesOf, decodeBase64, encodeBase64 } from './bytes.ts'
import { Headers } from './headers.ts'
import { Bytes, NativePromise, onSettled, parse } from './primordials.ts'
import { URLSearchParams } from './search-params.ts'
import { decodeUtf8, encodeUtf8 } from './utf8.ts'

interface Init {
  readonly method?: unknown
  readonly headers?: ConstructorParameters<typeof Headers>[0]
  readonly body?: unknown
  readonly timeout?: unknown
  readonly redirect?: unknown
  readonly signal?: AbortSignal | null
}

interface Answer {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: readonly (readonly [string, string])[]
  readonly body: { readonly text: string } | { readonly base64: string }
}

export async function fetch(input: unknown, init: Init = {}): Promise<Response> {
  const headers = new Headers(init.headers)
  const body = bodyOf(init.body, headers)
  const { method, timeout, redirect } = init
  const answer = ask('fetch', { url: `${input}`, method, headers: [...headers], body, timeout, redirect })
  return new Response((await unlessAborted(answer, init.signal ?? null)) as Answer)
}

/** An answer to `fetch`. Its body is there already, and may be read more than once. */
class Response {
  readonly status: number
  readonly statusText: string
  readonly ok: boolean
  readonly url: string
  readonly headers: Headers
  readonly #body: Answer['body']

  constructor({ status, statusText, url, headers, body }: Answer) {
    this.status = status
    this.statusText = statusText
    this.ok = status >= 200 && status < 300
    this.url = url
    this.headers = new Headers(headers)
    this.#body = body
  }

  async text(): Promise<string> {
    const text = 'text' in this.#body ? this.#body.text : decodeUtf8(decodeBase64(this.#body.base64))
    return text[0] === '\ufeff' ? text.slice(1) : text
  }
  async json(): Promise<unknown> {
    return parse(await this.text())
  }
  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return 'text' in this.#body ? new Bytes(encodeUtf8(this.#body.text)) : decodeBase64(this.#body.base64)
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer
  }
  get [Symbol.toStringTag](): string {
    return 'Response'
  }
}

/** Fetch §5.2: text and forms say what they are. */
function bodyOf(body: unknown, headers: Headers): { text: string } | { base64: string } | null {
  if (body === undefined || body === null) return null
  const named = (type: string): void => {
    if (!headers.has('content-type')) headers.set('content-type', type)
  }
  if (body instanceof URLSearchParams) {
    named('application/x-www-form-urlencoded;charset=UTF-8')
    return { text: `${body}` }
  }
  if (typeof body !== 'string') return { base64: encodeBase64(bytesOf(body, 'body of fetch')) }
  named('text/plain;charset=UTF-8')
  return { text: body }
}

/** The plugin waits no longer; the request itself ends at its timeout. */
function unlessAborted(answer: Promise<unknown>, signal: AbortSignal | null): Promise<unknown> {
  if (signal === null) return answer
  return new NativePromise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    void onSettled(
      answer,
      (value) => {
        signal.removeEventListener('abort', onAbort)
        resolve(value)
      },
      (error) => {
        signal.removeEventListener('abort', onAbort)
        reject(error)
      },
    )
  })
}
