/** Which hooks want a body, and what the heads say of one that hooks may have changed. */
import { ProxyError } from '../errors.ts'
import type { BodyHook, Hook, Verdict } from '../hooks.ts'
import type { Head, RequestHead } from '../net/http1/head.ts'
import { mediaTypeOf } from '../net/http1/media-type.ts'

/** In lower case, without parameters; empty if there is none that can be read. */
export function mediaType(head: Head): string {
  return mediaTypeOf(head.get('content-type'))
}

export function wantsType({ types }: BodyHook, type: string): boolean {
  if (types === null) return true
  return types.some((wanted) => {
    if (wanted === type || wanted === '*/*') return true
    return (wanted.endsWith('/*') && type.startsWith(wanted.slice(0, -1))) || (wanted.startsWith('*+') && type.endsWith(wanted.slice(1)))
  })
}

/** It gives a body a coding, whatever it says. */
export function isEncoder({ encode }: BodyHook): boolean {
  return encode !== undefined
}

/** What came to those that may change the answer must be all of it, and plain. */
export function askForPlain(request: RequestHead): void {
  request.set('Accept-Encoding', 'identity')
  request.delete('range')
  request.delete('if-range')
}

/** Which of the hooks have something to do with a response body, its type aside; those asked first are asked last. */
export function responseHooks(asked: readonly Hook[], request: RequestHead): readonly Hook[] | null {
  const hooks = asked.filter((hook) => hook.onResponseBody !== null && hook.matches(request)).reverse()
  return hooks.length === 0 ? null : hooks
}

export function requestHooks(asked: readonly Hook[], request: RequestHead): readonly Hook[] {
  if (!asked.some((hook) => hook.onRequestBody !== null)) return []
  const type = mediaType(request)
  return asked.filter((hook) => hook.onRequestBody !== null && wantsType(hook.onRequestBody, type) && hook.matches(request))
}

/** Whether nothing may go out before all of the body is known. */
export function gathersAll(hooks: readonly Hook[], side: 'onRequestBody' | 'onResponseBody'): boolean {
  return hooks.some((hook) => hook[side]!.mode === 'buffer')
}

const LEAST_TOGETHER = 16 << 20

/** Bytes that hooks may make of a body while all of it is waited for: each may answer every piece with as much as it likes. */
export function mostTogether(hooks: readonly Hook[], side: 'onRequestBody' | 'onResponseBody'): number {
  return Math.max(LEAST_TOGETHER, ...hooks.map((hook) => 4 * hook[side]!.maxBytes))
}

export const tooMuchMade: Verdict = { kind: 'fail', error: new ProxyError('hook_failed', 'hooks made more of a body than is kept') }
