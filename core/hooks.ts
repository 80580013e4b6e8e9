/**
 * Hooks ask: something may change what happens to an exchange. The data path knows only this contract; policies, inline hooks
 * and sandboxed plugins stand behind it. A stage without hooks costs one length check.
 */
import type { ProxyError } from './errors.ts'
import type { RequestHead, ResponseHead } from './net/http1/head.ts'

/** A hook's answer that ends or redirects the exchange. `null` instead of a verdict: go on. */
export type Verdict =
  | { readonly kind: 'respond'; readonly status: number; readonly body: string; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'routeTo'; readonly upstream: string }
  | { readonly kind: 'fail'; readonly error: ProxyError }

/** A hook that cannot answer now returns this and calls `resume` exactly once, later (never from inside its own call). */
export const PENDING: unique symbol = Symbol('pending')
export type Answer = Verdict | null | typeof PENDING

/** One call of a hook: what it may see and change. The exchange implements it; heads are edited in place. */
export interface HookCall {
  readonly request: RequestHead
  /** Only in `onResponse`. */
  readonly response: ResponseHead | null
  /** The client's address by the listener's `trust`. */
  readonly ip: string
  /** True once nobody waits for the answer: a hook may skip its work. */
  readonly ended: boolean
  /** Answers a call for which the hook returned PENDING. Ignored once the exchange has ended. */
  resume(verdict: Verdict | null): void
}

export interface Hook {
  /** The plugin's or policy's name: `decidedBy` of the log and of tests. */
  readonly name: string
  readonly onRequest: ((call: HookCall) => Answer) | null
  readonly onResponse: ((call: HookCall) => Answer) | null
}
