/** Asks hooks about one message of a WebSocket, one after the other; each is asked about what the one before made of it. */
import { isUtf8 } from 'node:buffer'
import { type ErrorCode, ProxyError } from '../errors.ts'
import { type Answer, type Hook, type HookCall, type MessagePart, PENDING, type Verdict } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'

/** A hook of one WebSocket, with the number of what it keeps for it. */
export interface MessageHook {
  readonly hook: Hook
  readonly state: number
}

/** Of one WebSocket. */
export interface MessageOwner {
  readonly request: RequestHead
  readonly ip: string
  /** Nobody waits for answers any more. */
  readonly isOver: boolean
}

export interface Outcome {
  /** Goes on; null: it ends here. */
  readonly message: { readonly bytes: Buffer; readonly isText: boolean; readonly isChanged: boolean } | null
  /** Null: it was denied. */
  readonly code: ErrorCode | null
  readonly detail: string
  readonly decidedBy: string
}

export class MessageCall implements HookCall {
  readonly response = null
  part: MessagePart
  readonly #owner: MessageOwner
  readonly #hooks: readonly MessageHook[]
  readonly #done: (outcome: Outcome) => void
  #next = 0
  #isPending = false
  #isChanged = false

  /** `hooks`: in the order of asking. `done` is called only of what was not answered at once. */
  constructor(owner: MessageOwner, hooks: readonly MessageHook[], part: Omit<MessagePart, 'state'>, done: (outcome: Outcome) => void) {
    this.#owner = owner
    this.#hooks = hooks
    this.part = { ...part, state: 0 }
    this.#done = done
  }

  get request(): RequestHead {
    return this.#owner.request
  }
  get ip(): string {
    return this.#owner.ip
  }
  get ended(): boolean {
    return this.#owner.isOver
  }

  /** Null: a hook answers later. */
  ask(): Outcome | null {
    while (this.#next < this.#hooks.length) {
      const { hook, state } = this.#hooks[this.#next++]!
      this.part = { ...this.part, state }
      const answer = attempt(hook, this)
      if (answer === PENDING) {
        this.#isPending = true
        return null
      }
      const end = this.#apply(answer)
      if (end !== null) return end
    }
    const { bytes, isText } = this.part
    return { message: { bytes: bytes as Buffer, isText, isChanged: this.#isChanged }, code: null, detail: '', decidedBy: '' }
  }

  resume(verdict: Verdict | null): void {
    if (!this.#isPending || this.#owner.isOver) return
    this.#isPending = false
    const outcome = this.#apply(verdict) ?? this.ask()
    if (outcome !== null) this.#done(outcome)
  }

  /** Null: the next hook is to be asked. */
  #apply(verdict: Verdict | null): Outcome | null {
    if (verdict === null) return null
    if (verdict.kind === 'deny') return this.#end(null, 'a message was denied')
    if (verdict.kind === 'fail') return this.#end(verdict.error.code, verdict.error.message)
    if (verdict.kind !== 'bytes') return this.#end('hook_failed', `an answer of the wrong kind: ${verdict.kind}`)
    if (verdict.isText && !isUtf8(verdict.bytes)) return this.#end('hook_failed', 'a text in the place of a message is not UTF-8')
    this.part = { ...this.part, bytes: verdict.bytes, isText: verdict.isText }
    this.#isChanged = true
    return null
  }

  #end(code: ErrorCode | null, detail: string): Outcome {
    return { message: null, code, detail, decidedBy: this.#hooks[this.#next - 1]!.hook.name }
  }
}

/** A hook of the user's that throws ends this WebSocket alone. */
function attempt(hook: Hook, call: HookCall): Answer {
  try {
    return hook.onMessage!(call)
  } catch (error) {
    if (error instanceof ProxyError) return { kind: 'fail', error }
    return { kind: 'fail', error: new ProxyError('hook_failed', error instanceof Error ? error.message : String(error), error) }
  }
}
