/** One use of a plugin in the config, as a hook of the data path: what does not match or has no hook costs no crossing. */
import { ProxyError } from '../errors.ts'
import { type Ask, type BodyHook, type BodyPart, type Hook, type HookCall, PENDING, type Verdict } from '../hooks.ts'
import { type Head, noRequest, type RequestHead } from '../net/http1/head.ts'
import type { CallShape } from './batch.ts'
import type { Matcher } from './match.ts'
import type { RunningPlugin } from './running.ts'
import type { PluginSource } from './source.ts'
import {
  type BodySetUp,
  type Definition,
  type HookName,
  KIND_CLIENT_HELLO,
  KIND_CONNECTION,
  KIND_DATA,
  KIND_ERROR,
  KIND_FORGET,
  KIND_HEAD,
  KIND_LOG,
  KIND_MESSAGE,
  KIND_REQUEST_BODY,
  KIND_RESPONSE_BODY,
  KIND_UPGRADE,
  OP_APPEND,
  OP_DELETE,
  type SetUp,
} from './wire.ts'

/** A plugin in a `use` list, all limits filled in. */
export interface PluginUse {
  readonly source: PluginSource
  /** Unique among the uses of a plan, and the same for the same place in the next plan. */
  readonly key: string
  readonly options: unknown
  readonly grant: readonly string[]
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly memoryMb: number
  /** What the plugin may keep in kv; null: it is not granted. The process that holds the store sees to it, so it is no part of the identity. */
  readonly kvBytes: number | null
  readonly isolation: 'worker' | 'process'
  readonly onFailure: 'deny' | 'continue'
}

export class LoadedUse implements Hook, CallShape {
  readonly name: string
  readonly index: number
  readonly sees: readonly string[] | null
  readonly credentials: boolean
  readonly needs: readonly number[]
  readonly responseNeeds: number
  readonly viewNeeds: number
  readonly grant: readonly string[]
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly key: string
  /** Source, place, options, grants and limits as text: the same text, the same use. */
  readonly identity: string
  readonly plugin: RunningPlugin
  /** What the plugin says of itself. */
  readonly definition: Definition
  readonly onRequest: Ask | null
  readonly onResponse: Ask | null
  readonly onUpgrade: Ask | null
  readonly onError: Ask | null
  readonly onRequestBody: BodyHook | null
  readonly onResponseBody: BodyHook | null
  readonly onMessage: Ask | null
  readonly onConnection: Ask | null
  readonly onClientHello: Ask | null
  readonly onData: Ask | null
  readonly onLog: Ask | null
  readonly hasReload: boolean
  /** Plans that hold it. */
  holders = 1
  readonly #deny: boolean
  readonly #matcher: Matcher | null
  readonly #setUp: SetUp
  readonly #release: (use: LoadedUse) => void

  constructor(
    plugin: RunningPlugin,
    use: PluginUse,
    parts: { index: number; setUp: SetUp; definition: Definition; matcher: Matcher | null; release: (use: LoadedUse) => void },
  ) {
    this.plugin = plugin
    this.name = plugin.name
    this.index = parts.index
    this.definition = parts.definition
    this.sees = parts.definition.sees
    this.credentials = use.grant.includes('credentials')
    const { setUp } = parts
    this.#setUp = setUp
    this.#release = parts.release
    this.needs = setUp.needs
    this.responseNeeds = setUp.responseNeeds
    this.viewNeeds = setUp.viewNeeds
    this.grant = use.grant
    this.hasReload = setUp.hooks.includes('onReload')
    this.timeoutMs = use.timeoutMs
    this.deadlineMs = use.deadlineMs
    this.key = use.key
    this.identity = identityOf(use)
    this.#deny = use.onFailure === 'deny'
    this.#matcher = parts.matcher
    this.onRequest = this.#constant(setUp.requestEdits) ?? this.#ask('onRequest', KIND_HEAD) ?? this.#decide()
    this.onResponse = this.#constant(setUp.responseEdits) ?? this.#ask('onResponse', KIND_HEAD)
    this.onUpgrade = this.#ask('onUpgrade', KIND_UPGRADE)
    this.onError = this.#ask('onError', KIND_ERROR)
    this.onRequestBody = bodyHook(setUp.requestBody, this.#send('onRequestBody', KIND_REQUEST_BODY))
    this.onResponseBody = bodyHook(setUp.responseBody, this.#send('onResponseBody', KIND_RESPONSE_BODY))
    this.onMessage = this.#send('onMessage', KIND_MESSAGE)
    this.onConnection = this.#send('onConnection', KIND_CONNECTION)
    this.onClientHello = this.#send('onClientHello', KIND_CLIENT_HELLO)
    this.onData = this.#send('onData', KIND_DATA)
    this.onLog = this.#send('onLog', KIND_LOG)
  }

  /** As it was when this hook's turn came: a route's `rewrite`, or a hook, changes the path before the body and the answer come. */
  matches(request: RequestHead): boolean {
    return this.#matcher === null || this.#isFor(request, this.#matcher)
  }

  #isFor(request: RequestHead, matcher: Matcher): boolean {
    const known = request.decisions
    if (known !== null) for (let i = 0; i < known.length; i++) if (known[i]! >> 1 === this.index) return (known[i]! & 1) === 1
    const isFor = matcher(request)
    const decision = (this.index << 1) | (isFor ? 1 : 0)
    if (known === null) request.decisions = [decision]
    else known.push(decision)
    return isFor
  }

  /** Its turn is when requests are asked about, also if it has nothing to say to them. */
  #decide(): Ask | null {
    if (this.#matcher === null) return null
    return (call) => {
      this.matches(call.request)
      return null
    }
  }

  /** Whether something is kept in the sandbox from one piece of a body to the next. */
  keepsState(kind: number): boolean {
    if (kind === KIND_REQUEST_BODY) return this.#setUp.requestBody?.keepsState === true
    return kind === KIND_RESPONSE_BODY && this.#setUp.responseBody?.keepsState === true
  }

  forget(state: number): void {
    this.plugin.forget(state)
    this.plugin.accept(new Forgotten(state), this, KIND_FORGET)
  }

  hold(): void {
    this.holders++
  }

  release(): void {
    this.#release(this)
  }

  #ask(name: HookName, kind: number): Ask | null {
    if (!this.#setUp.hooks.includes(name)) return null
    const { plugin } = this
    return (call) => {
      if (!this.matches(call.request)) return null
      return plugin.accept(call, this, kind) ? PENDING : this.onUnavailable()
    }
  }

  /** A hook that does the same whatever it is given: nothing crosses. */
  #constant(edits: SetUp['requestEdits']): Ask | null {
    if (edits === null) return null
    const { plugin } = this
    const apply = compileEdits(edits)
    return (call) => {
      if (!this.matches(call.request)) return null
      apply(call.response ?? call.request)
      plugin.countUncrossed()
      return null
    }
  }

  /** What is asked only of whom it concerns: the match was decided before. */
  #send(name: HookName, kind: number): Ask | null {
    if (!this.#setUp.hooks.includes(name)) return null
    return (call) => (this.plugin.accept(call, this, kind) ? PENDING : this.onUnavailable())
  }

  /** The verdict on a call for which the plugin failed. */
  onFailed(detail: string): Verdict | null {
    return this.#deny ? { kind: 'fail', error: new ProxyError('plugin_failed', detail) } : null
  }

  onUnavailable(): Verdict | null {
    return this.#deny ? { kind: 'fail', error: new ProxyError('plugin_unavailable', `${this.name} is parked`) } : null
  }
}

export function identityOf(use: PluginUse): string {
  const { source, key, options, grant, timeoutMs, deadlineMs, memoryMb, isolation, onFailure } = use
  return JSON.stringify([source.id, key, options ?? {}, grant, timeoutMs, deadlineMs, memoryMb, isolation, onFailure])
}

function compileEdits(edits: readonly (string | number)[]): (head: Head) => void {
  const gone: string[] = []
  let lines = ''
  for (let i = 0; i < edits.length; i += 3) {
    const [operation, name, value] = edits.slice(i, i + 3) as [number, string, string]
    const lower = name.toLowerCase()
    if (operation !== OP_APPEND) {
      // It takes away what those before it have set, too.
      lines = lines.replaceAll(new RegExp(`^${RegExp.escape(name)}: .*\\r\\n`, 'gim'), '')
      if (!gone.includes(lower)) gone.push(lower)
    }
    if (operation !== OP_DELETE) lines += `${name}: ${value}\r\n`
  }
  return (head) => {
    for (let i = 0; i < gone.length; i++) head.delete(gone[i]!)
    if (lines !== '') head.addLines(lines)
  }
}

function bodyHook(setUp: BodySetUp | null, ask: Ask | null): BodyHook | null {
  if (setUp === null || ask === null) return null
  const { mode, maxBytes, types } = setUp
  return { mode, maxBytes, types, ask }
}

const noBytes = new Uint8Array(0)

/** Nobody waits for an answer. */
class Forgotten implements HookCall {
  readonly request = noRequest
  readonly response = null
  readonly ip = ''
  readonly part: BodyPart
  readonly ended = false

  constructor(state: number) {
    this.part = { kind: 'requestBody', bytes: noBytes, last: true, type: '', state }
  }

  resume(): void {}
}
