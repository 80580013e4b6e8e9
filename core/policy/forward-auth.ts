/** `forwardAuth`: another server is asked about each request; what it answers decides, and may tell the endpoint who the client is. */
import { toList } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type { ForwardAuthOptions } from '../dsl/access-policies.ts'
import { type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { dropField } from './identity-field.ts'
import type { PolicyKind, Send } from './policy.ts'
import { refusal } from './refusal.ts'

const TOLD = ['authorization', 'cookie']
/** Of its answer, for the client. */
const PASSED_ON = new Set(['www-authenticate', 'location', 'set-cookie', 'content-type', 'cache-control', 'retry-after'])
const MOST_BODY = 65_536
/** Requests that wait for it: more are told that there is no time for them. */
const MOST_AT_ONCE = 1024

export const forwardAuth: PolicyKind<ForwardAuthOptions> = {
  isPure: false,
  bind({ url, requestHeaders = TOLD, responseHeaders = [], timeout = '5s' }, { send }) {
    const to = { url: new URL(url), told: toList(requestHeaders), timeoutMs: parseDuration(timeout)!, send }
    const identity = toList(responseHeaders)
    let underWay = 0
    return makeHook('forwardAuth', {
      onRequest(call) {
        for (const name of identity) dropField(call.request, name)
        if (underWay >= MOST_AT_ONCE) return BUSY
        underWay++
        ask(call, to)
          .then((answer) => judge(answer, call, identity))
          .catch((error: unknown) => refusal('policy_busy', error instanceof Error ? error.message : String(error)))
          .then((verdict) => {
            underWay--
            call.resume(verdict)
          })
        return PENDING
      },
    })
  },
  describe({ url, timeout = '5s' }) {
    const { host, pathname } = new URL(url)
    return `asks ${host}${pathname}, which has ${timeout}`
  },
}

const BUSY = refusal('policy_busy', 'too many requests wait for an answer')

interface Asked {
  readonly url: URL
  readonly told: readonly string[]
  readonly timeoutMs: number
  readonly send: Send
}

async function ask(call: HookCall, { url, told, timeoutMs, send }: Asked): Promise<Awaited<ReturnType<Send>>> {
  const { request, ip } = call
  const fields: [string, string][] = [
    ['X-Forwarded-Method', request.method],
    ['X-Forwarded-Proto', call.scheme ?? 'http'],
    ['X-Forwarded-Host', request.host],
    ['X-Forwarded-Uri', request.path + request.search],
    ['X-Forwarded-For', ip],
  ]
  for (const name of told) {
    const value = request.get(name)
    if (value !== null) fields.push([name, value])
  }
  const abort = new AbortController()
  const late = setTimeout(() => abort.abort(new Error(`${url.host} did not answer within ${timeoutMs} ms`)), timeoutMs)
  // Who asked may be gone before.
  request.whenEnded(() => abort.abort(new Error('the exchange has ended')))
  try {
    return await send({ url, method: 'GET', fields, body: null }, abort.signal)
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error
  } finally {
    clearTimeout(late)
  }
}

function judge({ status, fields, body }: Awaited<ReturnType<Send>>, { request }: HookCall, identity: readonly string[]): Verdict | null {
  if (status >= 200 && status <= 299) {
    request.isPersonal = true
    for (const name of identity)
      for (const [field, value] of fields) if (field.toLowerCase() === name.toLowerCase()) request.append(name, value)
    return null
  }
  if (status < 300 || body.length > MOST_BODY)
    return refusal('policy_busy', `its answer cannot be passed on: ${status}, ${body.length} bytes`)
  const headers: Record<string, string | string[]> = {}
  for (const [field, value] of fields) {
    const name = field.toLowerCase()
    if (!PASSED_ON.has(name)) continue
    const before = headers[name]
    headers[name] = before === undefined ? value : [before, value].flat()
  }
  return { kind: 'respond', status, body: body.toString('utf8'), headers }
}
