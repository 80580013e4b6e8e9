/** How policies say no: an error of the table, made once and not for each request that it stands for, with fields of its own. */
import { type ErrorCode, ProxyError } from '../errors.ts'
import type { Verdict } from '../hooks.ts'

export type Fields = Readonly<Record<string, string>>

/** `detail`: for the log alone. */
export function refusal(code: ErrorCode, detail: string, fields: Fields = {}): Verdict & { readonly kind: 'fail' } {
  return { kind: 'fail', error: new ProxyError(code, detail), fields }
}
