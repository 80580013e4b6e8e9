/** What stands in for the places that plugins `fetch` from: a function in the test's process. */
import type { FetchAnswer, FetchedRequest } from './messages.ts'

/** A request of a plugin's `fetch`, to a place that it was granted. */
export interface FetchRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
}

/** What it throws, the plugin's `fetch` rejects with. */
export type FetchStub = (request: FetchRequest) => Response | Promise<Response>

export async function askFetchStub(stub: FetchStub | undefined, request: FetchedRequest): Promise<FetchAnswer> {
  if (stub === undefined) return { kind: 'failed', why: 'no stub for fetch: { fetch: (request) => new Response(…) } gives one' }
  try {
    const headers = new Headers(request.fields.map(([name, value]): [string, string] => [name, value]))
    const reply = await stub({ method: request.method, url: request.url, headers, body: new Uint8Array(request.body) })
    if (!(reply instanceof Response))
      return { kind: 'failed', why: `the stub for fetch returned no Response, but ${String(reply)}; one that throws lets fetch fail` }
    const body = new Uint8Array(await reply.arrayBuffer())
    return { kind: 'response', status: reply.status, reason: reply.statusText, fields: [...reply.headers], body }
  } catch (error) {
    return { kind: 'failed', why: error instanceof Error ? error.message : String(error) }
  }
}
