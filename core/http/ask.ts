/** Asks a hook. One of the user's that throws is an error of its exchange alone. */
import { ProxyError } from '../errors.ts'
import type { Answer, Ask, HookCall } from '../hooks.ts'

export function ask(hook: Ask, call: HookCall): Answer {
  try {
    return hook(call)
  } catch (error) {
    return { kind: 'fail', error: error instanceof ProxyError ? error : new ProxyError('hook_failed', errorText(error), error) }
  }
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
