/** `requestId`: the id of the access log, for the endpoint and the client; or that of a client which is trusted with it. */
import type { RequestIdOptions } from '../dsl/message-policies.ts'
import { makeHook } from '../hooks.ts'
import type { PolicyKind } from './policy.ts'

const ID = /^[\w.:/+=-]{1,128}$/

export const requestId: PolicyKind<RequestIdOptions> = {
  isPure: true,
  bind({ header = 'X-Request-Id', trust = false }) {
    return makeHook('requestId', {
      onRequest({ request, id = '' }) {
        if (!trust || !ID.test(request.get(header) ?? '')) request.set(header, id)
        return null
      },
      onResponse({ request, response }) {
        response!.set(header, request.get(header) ?? '')
        return null
      },
    })
  },
  describe: ({ header = 'X-Request-Id', trust = false }) => `${header}${trust ? ', or that of the client' : ''}`,
}
