/** `cors`: which scripts of other origins may ask, and read the answer (Fetch standard §3.2). What the endpoint says about that is replaced. */
import { toList } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type { CorsOptions } from '../dsl/message-policies.ts'
import { type HookCall, makeHook, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { PolicyKind } from './policy.ts'
import { addVary } from './vary.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
const OWNED = ['allow-origin', 'allow-credentials', 'expose-headers', 'allow-methods', 'allow-headers', 'max-age'].map(
  (name) => `access-control-${name}`,
)

export const cors: PolicyKind<CorsOptions> = {
  isPure: true,
  bind(options) {
    const rules = new Rules(options)
    return makeHook('cors', {
      onRequest: ({ request }) => (isPreflight(request) ? rules.preflight(request) : null),
      onResponse(call) {
        if (!isPreflight(call.request)) rules.tell(call)
        return null
      },
    })
  },
  describe({ origins, credentials = false }) {
    return `scripts of ${toList(origins).join(', ')}${credentials ? ', with credentials' : ''}`
  },
}

class Rules {
  readonly #any: boolean
  readonly #origins: ReadonlySet<string>
  readonly #patterns: readonly RegExp[]
  readonly #methods: string
  readonly #headers: string | null
  readonly #expose: string | null
  readonly #credentials: boolean
  readonly #maxAge: string | null

  constructor({ origins, methods = METHODS, headers, expose, credentials = false, maxAge }: CorsOptions) {
    const all = toList(origins)
    this.#any = all.includes('*')
    this.#origins = new Set(all.filter((origin) => typeof origin === 'string').map((origin) => origin.toLowerCase()))
    this.#patterns = all.filter((origin) => origin instanceof RegExp)
    this.#methods = toList(methods).join(', ')
    this.#headers = headers === undefined ? null : toList(headers).join(', ')
    this.#expose = expose === undefined ? null : toList(expose).join(', ')
    this.#credentials = credentials
    this.#maxAge = maxAge === undefined ? null : String(Math.floor(parseDuration(maxAge)! / 1000))
  }

  /** Whoever is not let in learns it by what is not there. */
  preflight(request: RequestHead): Verdict {
    const fields: Record<string, string> = {
      Vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    }
    const origin = this.#allowed(request)
    if (origin !== null) {
      fields['Access-Control-Allow-Origin'] = origin
      fields['Access-Control-Allow-Methods'] = this.#methods
      const headers = this.#headers ?? request.get('access-control-request-headers')
      if (headers !== null) fields['Access-Control-Allow-Headers'] = headers
      if (this.#credentials) fields['Access-Control-Allow-Credentials'] = 'true'
      if (this.#maxAge !== null) fields['Access-Control-Max-Age'] = this.#maxAge
    }
    return { kind: 'respond', status: 204, body: '', headers: fields }
  }

  tell({ request, response }: HookCall): void {
    const head = response!
    for (const name of OWNED) head.delete(name)
    if (!this.#any) addVary(head, 'Origin')
    const origin = this.#allowed(request)
    if (origin === null) return
    head.set('Access-Control-Allow-Origin', origin)
    if (this.#credentials) head.set('Access-Control-Allow-Credentials', 'true')
    if (this.#expose !== null) head.set('Access-Control-Expose-Headers', this.#expose)
  }

  /** What the browser is told; null: it asks for nobody that is let in. */
  #allowed(request: RequestHead): string | null {
    const origin = request.get('origin')
    if (origin === null) return null
    if (this.#any) return '*'
    if (this.#origins.has(origin.toLowerCase())) return origin
    return this.#patterns.some((pattern) => isWhole(pattern, origin)) ? origin : null
  }
}

function isPreflight(request: RequestHead): boolean {
  return request.method === 'OPTIONS' && request.has('origin') && request.has('access-control-request-method')
}

/** `/example\.com/` does not let `example.com.evil.test` in. */
function isWhole(pattern: RegExp, origin: string): boolean {
  pattern.lastIndex = 0
  return pattern.exec(origin)?.[0] === origin
}
