/** Inline hooks of bodies: what they get is theirs to keep, and what they return is looked at before it goes on. */
import { parseSize } from '../config/units.ts'
import { ProxyError } from '../errors.ts'
import type { Answer, BodyHook, BodyPart, HookCall, Verdict } from '../hooks.ts'
import type { Body, BodyOptions, Deny, Reply, RequestBodyHook, RequestView, ResponseBodyHook } from '../plugin.ts'
import { makeRequestView } from '../request-view.ts'

// biome-ignore lint/suspicious/noConfusingVoidType: what a hook of the user may return, as its type says
export type ReturnedOfBody = Uint8Array | string | Reply | Deny | undefined | void
type Handle = (chunk: Uint8Array, req: RequestView, body: Body) => ReturnedOfBody | Promise<ReturnedOfBody>
type Written = RequestBodyHook | ResponseBodyHook | BodyOptions<RequestBodyHook | ResponseBodyHook>

const DEFAULT_MAX = '1mb'

/** What hooks keep from one piece of a body to the next, by the number of the body. */
export class BodyStates {
  readonly #kept = new Map<number, Record<string, unknown>>()

  of({ state, last }: BodyPart): Record<string, unknown> {
    const kept = this.#kept.get(state) ?? {}
    if (last) this.#kept.delete(state)
    else this.#kept.set(state, kept)
    return kept
  }

  /** Of what has no last piece. */
  kept(state: number): Record<string, unknown> {
    const kept = this.#kept.get(state) ?? {}
    this.#kept.set(state, kept)
    return kept
  }

  forget(state: number): void {
    this.#kept.delete(state)
  }

  /** Bodies under way. */
  get size(): number {
    return this.#kept.size
  }
}

export interface InlineBody {
  /** The object that the hook was written in. */
  readonly hooks: object
  readonly states: BodyStates
  readonly settle: (
    call: HookCall,
    returned: ReturnedOfBody | Promise<ReturnedOfBody>,
    judge: (value: ReturnedOfBody) => Verdict | null,
  ) => Answer
}

export function inlineBody(written: Written | undefined, { hooks, states, settle }: InlineBody): BodyHook | null {
  if (written === undefined) return null
  const options: BodyOptions<unknown> = typeof written === 'function' ? { handle: written } : written
  const { mode = 'stream', max = DEFAULT_MAX, types = null } = options
  const handle = options.handle as Handle
  const owner = typeof written === 'function' ? hooks : written
  return {
    mode,
    maxBytes: parseSize(max)!,
    types: types === null ? null : types.map((type) => type.toLowerCase()),
    ask(call) {
      const part = call.part as BodyPart
      const body: Body = { last: part.last, type: part.type, state: states.of(part) }
      // It may keep a part of it for the next one; the buffer it was read into is read into again.
      const { buffer, byteOffset, byteLength } = part.bytes
      const own = mode === 'stream' ? new Uint8Array(part.bytes) : new Uint8Array(buffer, byteOffset, byteLength)
      return settle(call, handle.call(owner, own, makeRequestView(call.request, call.ip), body), toVerdict)
    },
  }
}

function toVerdict(value: ReturnedOfBody): Verdict | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return { kind: 'bytes', bytes: Buffer.from(value, 'utf8'), isText: false }
  if (value instanceof Uint8Array)
    return { kind: 'bytes', bytes: Buffer.from(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength), isText: false }
  if ('status' in value) return { kind: 'respond', status: value.status, body: value.body ?? '', headers: value.headers ?? {} }
  if (value.kind === 'deny') return { kind: 'deny' }
  return { kind: 'fail', error: new ProxyError('hook_failed', 'a hook of a body returned neither bytes nor text, respond(…) or deny()') }
}
