/** What a test gets for a request: the response as the client would have read it, and how it came about. */
import type { ErrorCode } from '../errors.ts'
import type { Change, LogLine, Outcome } from './messages.ts'
import { StubRequest } from './stub.ts'

/** The body is as it was sent: whole, and not decompressed. Redirects are not followed. */
export class SimulatedResponse extends Response {
  /** Name of the listener that took the request. */
  readonly listener: string
  /** `web/me`, or `web[0]` for a route without a name; null: none matched. */
  readonly route: string | null
  /** The plugin that answered, failed or re-routed, or the place of the inline hook (`web/use[0]`); null: none did. */
  readonly decidedBy: string | null
  /** Name of the upstream that was chosen, or its URL; null: the request went to none. */
  readonly upstream: string | null
  /** Address of the endpoint that was tried last. */
  readonly endpoint: string | null
  /** Why the proxy itself answered, as in the access log: `no_route`, `connect_refused`, `plugin_failed` …; null: it did not. */
  readonly reason: ErrorCode | null
  /** More about it, for people. */
  readonly detail: string | null
  /** Tries at endpoints. */
  readonly attempts: number
  /** The request's id. */
  readonly id: string
  readonly durationMs: number
  /** The request as an endpoint got it, the last time if it was tried again; null: none got it. */
  readonly sent: StubRequest | null
  /** Every change on the way, in order: of the request to its endpoint, then of the response to the client. */
  readonly changes: readonly Change[]
  /** What plugins printed meanwhile. */
  readonly logs: readonly LogLine[]

  constructor(outcome: Outcome, url: string) {
    const { status, statusText, fields, body, exchange } = outcome
    const isBodyless = status === 204 || status === 205 || status === 304
    const headers = fields.map(([name, value]): [string, string] => [name, value])
    super(isBodyless ? null : new Uint8Array(body), { status, statusText, headers })
    this.listener = exchange.listener
    this.route = exchange.route
    this.decidedBy = exchange.decidedBy
    this.upstream = exchange.upstream
    this.endpoint = exchange.endpoint
    this.reason = exchange.reason
    this.detail = exchange.detail
    this.attempts = exchange.attempts
    this.id = exchange.id
    this.durationMs = exchange.durationMs
    this.sent = outcome.sent === null ? null : new StubRequest(outcome.sent)
    this.changes = outcome.changes
    this.logs = outcome.logs
    // A response that was made and not received has none, and its accessor cannot be overridden in TypeScript.
    Object.defineProperty(this, 'url', { value: url, enumerable: true })
  }

  /** What a failed assertion and console.log show. */
  [Symbol.for('nodejs.util.inspect.custom')](): unknown {
    const { status, statusText, listener, route, decidedBy, upstream, endpoint, reason, detail, attempts } = this
    const changes = this.changes.map(({ by, what }) => `${by}: ${what}`)
    const headers = Object.fromEntries(this.headers)
    return { status, statusText, headers, listener, route, decidedBy, upstream, endpoint, reason, detail, attempts, changes }
  }
}
