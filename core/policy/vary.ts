/** `Vary`: by which fields of requests a response differs (RFC 9110 §12.5.5). */
import type { ResponseHead } from '../net/http1/head.ts'

/** By that one, too. */
export function addVary(head: ResponseHead, name: string): void {
  const before = head.get('vary')
  if (before === null || before === '') head.set('Vary', name)
  else if (!before.split(',').some((one) => one.trim() === '*' || one.trim().toLowerCase() === name.toLowerCase()))
    head.set('Vary', `${before}, ${name}`)
}
