/** `bodyLimit`: a request with a longer body gets 413. One whose length is not announced is ended when it has come too far. */
import { parseSize } from '../config/units.ts'
import { makeHook } from '../hooks.ts'
import type { PolicyKind } from './policy.ts'
import { refusal } from './refusal.ts'

export const bodyLimit: PolicyKind<string> = {
  isPure: true,
  bind(size) {
    const most = parseSize(size)!
    const refused = refusal('body_too_large', `more than ${size}`)
    return makeHook('bodyLimit', {
      onRequest({ request }) {
        if (request.contentLength > most || request.bodyBytes > most) return refused
        if (request.mostBody > most) request.mostBody = most
        return null
      },
    })
  },
  describe: (size) => `bodies up to ${size}`,
}
