/** Options of the built-in policies, each of which is written with the helper of its name. */
import { isNetwork } from '../net/cidr.ts'
import { isToken } from '../net/http1/fields.ts'
import { isObject, type Plain, show, wordOf } from './report.ts'
import { accessLogOptions } from './schema-access-log.ts'
import { cacheUse } from './schema-cache.ts'
import { contentFilterOptions } from './schema-content-filter.ts'
import { faultsOptions } from './schema-faults.ts'
import {
  compressOptions,
  corsOptions,
  fieldName,
  fieldToken,
  headersOptions,
  hideServersOptions,
  requestIdOptions,
} from './schema-field-policies.ts'
import { oidcOptions } from './schema-oidc.ts'
import { storeOption } from './schema-stores.ts'
import { forwardAuthOptions, jwtOptions } from './schema-token-policies.ts'
import { userName, usersOptions } from './schema-users.ts'
import {
  anything,
  chosen,
  duration,
  flag,
  made,
  object,
  oneOf,
  oneOrMany,
  record,
  refused,
  ruled,
  type Schema,
  size,
  speed,
  text,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'
import { parseDuration } from './units.ts'

/** The schema of one entry of a `use` list that is a policy. */
export function policyUse({ name, layer, options }: Plain, where: 'http' | 'connection'): Schema {
  const known = typeof name === 'string' ? policies.get(name) : undefined
  if (known === undefined) return refused(`there is no policy ${wordOf(name)}`)
  if (where === 'connection' && name === 'rateLimit' && isObject(options) && options.key !== 'ip')
    return refused("rateLimit on a listener of TCP counts connections: its key is 'ip'")
  if (layer === 'any' || layer === where) return known
  return refused(where === 'http' ? `${wordOf(name)} is for a listener of TCP` : `${wordOf(name)} is for HTTP; this is a listener of TCP`)
}

const network = textThat((written) =>
  isNetwork(written) ? null : `expected an address or a network such as '10.0.0.0/8', got ${show(written)}`,
)
const networks = oneOrMany(network)

const rateName = textThat((name) => (/^[\w.-]+$/.test(name) ? null : 'the name of a limit is made of letters, digits, - _ and .'))
const realm = textThat((written) => (/^[\x20-\x7e]*$/.test(written) ? null : 'a realm is printable ASCII'))

const notAKey = wrong("'ip', { header: 'x-key' }, { cookie: 'sid' } or a function")
const headerKey = object({ header: fieldToken }, ['header'])
const cookieKey = object({ cookie: textThat((name) => (isToken(name) ? null : `not the name of a cookie: ${show(name)}`)) }, ['cookie'])
const requestKey = chosen((value) => {
  if (value === 'ip' || typeof value === 'function') return anything
  if (!isObject(value)) return notAKey
  return 'cookie' in value && !('header' in value) ? cookieKey : headerKey
})

const rateFields = object(
  {
    ...{ key: requestKey, limit: whole(1), window: duration, burst: whole(1), fields: flag, name: rateName },
    ...{ store: storeOption, ifStoreFails: oneOf('local', 'refuse') },
  },
  ['key', 'limit', 'window'],
)
const rateLimitOptions = chosen((value) => {
  const { limit, window, burst = limit } = isObject(value) ? value : {}
  const ms = typeof window === 'string' ? parseDuration(window) : null
  if (ms === null || !isCount(limit) || !isCount(burst)) return rateFields
  if (ms === 0) return refused('the window is empty')
  if (limit > ms * 1000) return refused(`a limit is at most one in a microsecond: ${limit} in ${show(window)} is more`)
  if ((ms * burst) / limit > LONGEST_MS) return refused('who has used all of it would be free again only after more than 30 days')
  return rateFields
})
const LONGEST_MS = 30 * 86_400_000

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1
}

const notAShare = wrong("'connection', 'ip', { header: 'x-key' }, { cookie: 'sid' } or a function")
const bandwidthFields = {
  request: speed,
  response: speed,
  key: chosen((value) => (value === 'connection' ? anything : typeof value === 'string' && value !== 'ip' ? notAShare : requestKey)),
  burst: size,
}
const bandwidthOptions = ruled(bandwidthFields, ({ request, response }) =>
  request === undefined && response === undefined
    ? "expected request, response or both: { response: '1mb' } lets a megabyte a second through"
    : null,
)

const keyText = textThat((key) => (key.length < 8 ? 'a key of less than 8 characters is guessed' : null))
const apiKeyOptions = ruled(
  { header: fieldName, query: text, keys: record(keyText, userName), passOn: flag, userHeader: fieldName },
  ({ header, query, keys }) => {
    if (header === undefined && query === undefined) return 'expected header, query or both: where the key is'
    return isObject(keys) && Object.keys(keys).length === 0 ? 'without keys nobody gets in' : null
  },
  ['keys'],
)

const ipAccessOptions = ruled({ allow: networks, deny: networks }, ({ allow, deny }) =>
  allow === undefined && deny === undefined ? 'expected allow, deny or both' : null,
)

const policies: ReadonlyMap<string, Schema> = new Map<string, Schema>(
  Object.entries({
    basicAuth: usersOptions({ realm, passOn: flag, userHeader: fieldName }),
    ipAccess: ipAccessOptions,
    rateLimit: rateLimitOptions,
    concurrency: object({ key: requestKey, limit: whole(1) }, ['key', 'limit']),
    accessLog: accessLogOptions,
    bandwidth: bandwidthOptions,
    bodyLimit: size,
    apiKey: apiKeyOptions,
    headers: headersOptions,
    hideServers: hideServersOptions,
    requestId: requestIdOptions,
    cors: corsOptions,
    compress: compressOptions,
    contentFilter: contentFilterOptions,
    jwt: jwtOptions,
    oidc: oidcOptions,
    forwardAuth: forwardAuthOptions,
    faults: faultsOptions,
  }).map(([name, options]) => [name, made({ options })] as const),
).set('cache', cacheUse)
