/** Options of the policy `accessLog`. */
import type { LogFieldName } from '../dsl/log-policy.ts'
import { fieldToken } from './schema-field-policies.ts'
import { anything, between, callable, chosen, object, oneOf, oneOrMany, refused, whole } from './schema-values.ts'

const LOG_FIELDS = [
  ...(['listener', 'route', 'upstream', 'endpoint', 'upstreamMs', 'protocol', 'ip', 'peer', 'userAgent', 'referer', 'method'] as const),
  ...(['host', 'path', 'destination', 'query', 'user', 'cache', 'detail', 'decidedBy', 'attempts', 'moved', 'clientCertificate'] as const),
] satisfies readonly LogFieldName[]

const statusOrClass = chosen((value) => (typeof value === 'number' ? whole(100, 599) : oneOf('1xx', '2xx', '3xx', '4xx', '5xx')))
const lines = object({
  statuses: oneOrMany(statusOrClass),
  sample: between(0, 1),
  remove: oneOrMany(oneOf(...LOG_FIELDS)),
  requestHeaders: oneOrMany(fieldToken),
  responseHeaders: oneOrMany(fieldToken),
  redact: oneOrMany(fieldToken),
  fields: callable,
})
export const accessLogOptions = chosen((value) => {
  if (value === false) return anything
  return value === true ? refused('lines are written anyway: false turns them off') : lines
})
