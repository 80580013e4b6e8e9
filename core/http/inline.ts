/** Inline hooks: functions of the config itself. Trusted, run on the host, with the same view of a message as a plugin has. */
import { ProxyError } from '../errors.ts'
import { type Answer, type ErrorPart, type Hook, type HookCall, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { isHostOwned } from '../net/http1/fields.ts'
import type { Head, RequestHead, ResponseHead } from '../net/http1/head.ts'
import type { Headers, HttpHooks, LogEntry, Query, Reply, Request, Reroute, Response } from '../plugin.ts'
import { makeRequestView } from '../request-view.ts'
import { BodyStates, inlineBody } from './inline-body.ts'
import { inlineConnection } from './inline-connection.ts'
import { inlineMessages } from './inline-messages.ts'

/** The hook for an object `{ onRequest, onResponse, … }` of the config. `name`: where it stands, `web/use[0]`. */
export function inlineHook(name: string, hooks: HttpHooks): Hook {
  const { onRequest, onResponse, onUpgrade, onError, onLog } = hooks
  const states = new BodyStates()
  const body = { hooks, states, settle }
  const messages = inlineMessages(hooks)
  return makeHook(name, {
    onRequest: onRequest === undefined ? null : (call) => settle(call, onRequest.call(hooks, editRequest(call)), toVerdict),
    onResponse:
      onResponse === undefined
        ? null
        : (call) => settle(call, onResponse.call(hooks, editResponse(call.response!), makeRequestView(call.request, call.ip)), toVerdict),
    onUpgrade: onUpgrade === undefined ? null : (call) => settle(call, onUpgrade.call(hooks, editRequest(call)), toVerdict),
    onError:
      onError === undefined
        ? null
        : (call) => settle(call, onError.call(hooks, errorView(call), makeRequestView(call.request, call.ip)), toVerdict),
    onRequestBody: inlineBody(hooks.onRequestBody, body),
    onResponseBody: inlineBody(hooks.onResponseBody, body),
    onMessage: messages.onMessage ?? null,
    ...inlineConnection(hooks, (state) => states.kept(state), settle),
    onLog: onLog === undefined ? null : (call) => settle(call, onLog.call(hooks, entriesOf(call)), toEntries),
    forget(state) {
      states.forget(state)
      messages.forget?.(state)
    },
  })
}

// biome-ignore lint/suspicious/noConfusingVoidType: what a hook of the user may return, as its type says
type Returned = Reply | Reroute | undefined | void

function settle<T>(call: HookCall, returned: T | Promise<T>, judge: (value: T) => Verdict | null): Answer {
  if (returned === undefined) return null
  if (!(returned instanceof Promise)) return judge(returned)
  returned.then(
    (value) => call.resume(judge(value)),
    (error: unknown) =>
      call.resume({ kind: 'fail', error: new ProxyError('hook_failed', error instanceof Error ? error.message : String(error), error) }),
  )
  return PENDING
}

function toVerdict(value: Returned): Verdict | null {
  if (value === undefined || value === null) return null
  if ('status' in value) return { kind: 'respond', status: value.status, body: value.body ?? '', headers: value.headers ?? {} }
  const { upstream } = value as Reroute & { readonly upstream?: unknown }
  if (typeof upstream === 'string') return { kind: 'routeTo', upstream }
  return { kind: 'fail', error: new ProxyError('hook_failed', 'a hook returned neither a reply nor routeTo(…)') }
}

/** Frozen: what is changed in place and not returned would be written as it was. */
function entriesOf({ part }: HookCall): readonly LogEntry[] {
  const entries = part?.kind === 'log' ? part.entries : []
  for (const entry of entries) Object.freeze(entry)
  // They have exactly these fields.
  return Object.freeze(entries) as readonly unknown[] as readonly LogEntry[]
}

// biome-ignore lint/suspicious/noConfusingVoidType: what a hook of the user may return, as its type says
function toEntries(value: readonly (LogEntry | null)[] | undefined | void): Verdict | null {
  if (value === undefined || value === null) return null
  if (Array.isArray(value)) return { kind: 'entries', entries: value }
  return { kind: 'fail', error: new ProxyError('hook_failed', 'onLog returned neither nothing nor a list of entries') }
}

function errorView(call: HookCall): { readonly code: string; readonly status: number; readonly detail: string } {
  const { code, status, detail } = call.part as ErrorPart
  return { code, status, detail }
}

function editRequest(call: HookCall): Request {
  const head = call.request
  return {
    get method() {
      return head.method
    },
    set method(value) {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(value)) throw new TypeError(`not a method: ${JSON.stringify(value)}`)
      head.method = value
    },
    get path() {
      return head.path
    },
    set path(value) {
      if (!/^\/[!"$->@-\x7e]*$/.test(value)) throw new TypeError(`not a path: ${JSON.stringify(value)}`)
      head.path = value
    },
    get search() {
      return head.search
    },
    host: head.host,
    query: editQuery(head),
    headers: editHeaders(head),
    ip: call.ip,
    clientCertificate: head.clientCertificate,
  }
}

function editResponse(head: ResponseHead): Response {
  return {
    get status() {
      return head.status
    },
    set status(value) {
      if (!Number.isInteger(value) || value < 200 || value > 599) throw new TypeError(`not a status: ${value}`)
      head.status = value
    },
    headers: editHeaders(head),
  }
}

function editHeaders(head: Head): Headers {
  const owned = (name: string) => {
    if (isHostOwned(name.toLowerCase())) throw new TypeError(`the field ${name} belongs to the proxy`)
  }
  return {
    get: (name) => head.get(name),
    has: (name) => head.has(name),
    set(name, value) {
      owned(name)
      head.set(name, value)
    },
    append(name, value) {
      owned(name)
      head.append(name, value)
    },
    delete(name) {
      owned(name)
      head.delete(name)
    },
  }
}

function editQuery(head: RequestHead): Query {
  const edit = (change: (params: URLSearchParams) => void) => {
    const params = new URLSearchParams(head.search)
    change(params)
    const text = params.toString()
    head.search = text === '' ? '' : `?${text}`
  }
  return {
    get: (name) => new URLSearchParams(head.search).get(name),
    has: (name) => new URLSearchParams(head.search).has(name),
    set: (name, value) => edit((params) => params.set(name, value)),
    delete: (name) => edit((params) => params.delete(name)),
  }
}
