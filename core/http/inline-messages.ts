/** `onMessage` of an inline hook: trusted, run on the host, with a string for a text and bytes of its own for what is none. */
import { ProxyError } from '../errors.ts'
import { type Answer, type Hook, type MessagePart, PENDING, type Verdict } from '../hooks.ts'
import type { Deny, HttpHooks } from '../plugin.ts'

/** What `makeHook` needs for it; nothing, if the object has no `onMessage`. */
export function inlineMessages(hooks: HttpHooks): Partial<Pick<Hook, 'onMessage' | 'forget'>> {
  const { onMessage } = hooks
  if (onMessage === undefined) return {}
  /** What the hook keeps of each WebSocket that is open. */
  const states = new Map<number, Record<string, unknown>>()
  const stateOf = (number: number) => {
    const known = states.get(number)
    if (known !== undefined) return known
    const made = {}
    states.set(number, made)
    return made
  }
  return {
    onMessage(call): Answer {
      const { bytes, isText, from, state } = call.part as MessagePart
      const message = isText ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : new Uint8Array(bytes)
      const returned = onMessage.call(hooks, message, from, { state: stateOf(state) })
      if (!(returned instanceof Promise)) return toVerdict(returned)
      returned.then(
        (value) => call.resume(toVerdict(value)),
        (error: unknown) => call.resume(failed(error instanceof Error ? error.message : String(error), error)),
      )
      return PENDING
    },
    forget(state) {
      states.delete(state)
    },
  }
}

// biome-ignore lint/suspicious/noConfusingVoidType: what a hook of the user may return, as its type says
function toVerdict(value: string | Uint8Array | Deny | undefined | void): Verdict | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return { kind: 'bytes', bytes: Buffer.from(value), isText: true }
  // A copy: the user's function may go on writing to it.
  if (value instanceof Uint8Array) return { kind: 'bytes', bytes: Buffer.from(value), isText: false }
  if (value.kind === 'deny') return { kind: 'deny' }
  return failed('onMessage returned neither text nor bytes nor deny()')
}

function failed(detail: string, cause?: unknown): Verdict {
  return { kind: 'fail', error: new ProxyError('hook_failed', detail, cause) }
}
