/** `accessLog`: which exchanges of a route have a line in the access log, and what it tells. It looks at them when they have ended. */
import { toList } from '../config/lists.ts'
import type { AccessLogOptions } from '../dsl/log-policy.ts'
import type { Logged } from '../events.ts'
import { type LogChoice, type LoggedExchange, makeHook } from '../hooks.ts'
import type { Head } from '../net/http1/head.ts'
import { makeRequestView } from '../request-view.ts'
import type { PolicyKind } from './policy.ts'

const REDACTED = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie']
const MASK = '***'
/** Of one added text. */
const MOST_TEXT = 256
/** Of all that is added: a line stays whole on a pipe. */
const MOST_MEMBERS = 24
const MOST_CHARACTERS = 2_000

export const accessLog: PolicyKind<AccessLogOptions | false> = {
  isPure: true,
  bind(options) {
    const choice: LogChoice = options === false ? SILENT : new Choice(options)
    return makeHook('accessLog', {
      onRequest(call) {
        call.log?.(choice)
        return null
      },
    })
  },
  describe(options) {
    if (options === false) return 'no line in the access log'
    const { statuses, sample, remove, requestHeaders, responseHeaders, fields } = options
    const parts = [
      statuses === undefined ? '' : `of ${toList(statuses).join(', ')}`,
      sample === undefined || sample === 1 ? '' : `${sample * 100}% of what went well`,
      remove === undefined ? '' : `without ${toList(remove).join(', ')}`,
      requestHeaders === undefined ? '' : `with ${toList(requestHeaders).join(', ')} of the request`,
      responseHeaders === undefined ? '' : `with ${toList(responseHeaders).join(', ')} of the response`,
      fields === undefined ? '' : 'with fields of your own',
    ]
    return `lines ${parts.filter((part) => part !== '').join(', ') || 'as ever'}`
  },
}

/** What lines say by themselves. */
const TAKEN: ReadonlySet<string> = new Set([
  ...['time', 'id', 'listener', 'route', 'upstream', 'endpoint', 'ms', 'upstreamMs', 'in', 'out', 'status', 'protocol', 'ip', 'userAgent'],
  ...['method', 'host', 'path', 'reason', 'detail', 'decidedBy', 'attempts', 'moved', 'tunnel', 'peer', 'cache', 'user', 'referer'],
  ...['clientCertificate', 'requestHeaders', 'responseHeaders'],
])
const NOTHING: ReadonlySet<string> = new Set()
const NO_LINE: Logged = { isWritten: false, without: NOTHING, more: null }
const SILENT: LogChoice = { of: () => NO_LINE }

class Choice implements LogChoice {
  readonly #options: AccessLogOptions
  readonly #without: ReadonlySet<string>
  readonly #plain: Logged
  readonly #statuses: ReadonlySet<number | string> | null
  readonly #requestHeaders: readonly string[]
  readonly #responseHeaders: readonly string[]
  readonly #redacted: ReadonlySet<string>
  readonly #sample: number
  /** What is owed to the sample: a line when it has come to one. */
  #owed = 0

  constructor(options: AccessLogOptions) {
    const { statuses, sample = 1, remove, requestHeaders, responseHeaders, redact } = options
    const names = (list: AccessLogOptions['redact']): string[] => (list === undefined ? [] : toList(list).map((name) => name.toLowerCase()))
    this.#options = options
    this.#statuses = statuses === undefined ? null : new Set(toList(statuses))
    this.#sample = sample
    this.#without = remove === undefined ? NOTHING : new Set(toList(remove))
    this.#plain = { isWritten: true, without: this.#without, more: null }
    this.#requestHeaders = names(requestHeaders)
    this.#responseHeaders = names(responseHeaders)
    this.#redacted = new Set([...REDACTED, ...names(redact)])
  }

  of(exchange: LoggedExchange): Logged {
    if (!this.#isWritten(exchange)) return NO_LINE
    const { fields } = this.#options
    if (fields === undefined && this.#requestHeaders.length + this.#responseHeaders.length === 0) return this.#plain
    return { ...this.#plain, more: this.#more(exchange) }
  }

  #isWritten({ status, reason }: LoggedExchange): boolean {
    const statuses = this.#statuses
    if (statuses !== null && !statuses.has(status) && !statuses.has(`${Math.floor(status / 100)}xx`)) return false
    if (this.#sample === 1 || status >= 500 || reason !== null) return true
    this.#owed += this.#sample
    if (this.#owed < 1) return false
    this.#owed -= 1
    return true
  }

  #more({ request, response, ip, status }: LoggedExchange): Logged['more'] {
    const room = { members: MOST_MEMBERS, characters: MOST_CHARACTERS }
    const more: Record<string, unknown> = {}
    const ofRequest = this.#headersOf(request, this.#requestHeaders, room)
    if (ofRequest !== null) more.requestHeaders = ofRequest
    const ofResponse = response === null ? null : this.#headersOf(response, this.#responseHeaders, room)
    if (ofResponse !== null) more.responseHeaders = ofResponse
    const { fields } = this.#options
    if (fields === undefined) return more
    try {
      const headers = { get: (name: string) => response?.get(name) ?? null, has: (name: string) => response?.has(name) === true }
      const own: unknown = fields(makeRequestView(request, ip), { status, headers })
      if (typeof own !== 'object' || own === null) throw new TypeError(`fields returned no object: ${typeof own}`)
      for (const [name, value] of Object.entries(own)) {
        if (TAKEN.has(name)) throw new TypeError(`fields returned ${name}, which lines have already`)
        put(more, name, value, room)
      }
    } catch (error) {
      put(more, 'logError', error instanceof Error ? error.message : String(error), { members: 1, characters: MOST_TEXT })
    }
    return more
  }

  #headersOf(head: Head, names: readonly string[], room: Room): Record<string, unknown> | null {
    let found: Record<string, unknown> | null = null
    for (const name of names) {
      const value = head.get(name)
      if (value === null) continue
      found ??= {}
      put(found, name, this.#redacted.has(name) ? MASK : value, room)
    }
    return found
  }
}

interface Room {
  members: number
  characters: number
}

/** If there is room for it, a long text cut. Texts may have any character: each is counted as if it had to be escaped. */
function put(into: Record<string, unknown>, name: string, value: unknown, room: Room): void {
  const text =
    typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' || value === null ? '' : String(value)
  const kept = text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}...` : text
  const size = written(name) + written(kept) + 32
  if (room.members === 0 || size > room.characters || name in into) return
  room.members--
  room.characters -= size
  // A slice would keep alive all that was read with it, as long as the line waits.
  into[name] = typeof value === 'number' || typeof value === 'boolean' || value === null ? value : Buffer.from(kept).toString()
}

function written(text: string): number {
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, '______').length
}
