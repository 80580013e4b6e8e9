/** Upstreams, and what else a route may send to. */
import { parseEndpoint } from '../net/address.ts'
import { formatPath, type Path } from './positions.ts'
import { type Check, duration, isObject, list, object, oneOf, planned, show, text, textThat, whole } from './report.ts'
import type { ConfigScope } from './schema.ts'
import { file } from './schema-tls.ts'

/** An upstream(…), checked once however often it stands in the config. */
export const upstreamGroup: Check<ConfigScope> = (value, path, scope) => {
  if (!isObject(value) || value.kind !== 'upstream') return scope.report.error(path, `expected upstream(…), got ${show(value)}`)
  if (scope.checked.has(value)) return
  scope.checked.add(value)
  text(value.name, [...path, 'name'], scope)
  claimName(String(value.name), value, path, scope)
  upstreamOptions(value.options, [...path, { hidden: 'options' }], scope)
}

/** `'127.0.0.1:3000'`, `'https://example.com'` */
export const upstreamUrl: Check<ConfigScope> = (value, path, scope) => {
  const before = scope.report.findings.length
  endpointAddress(value, path, scope)
  if (scope.report.findings.length === before) claimName(String(value), value, path, scope)
}

/** Two upstreams under one name would be one in logs, metrics and routeTo. */
function claimName(name: string, upstream: unknown, path: Path, { report, upstreams }: ConfigScope): void {
  const other = upstreams.get(name)
  if (other === undefined) upstreams.set(name, { upstream, path })
  else if (other.upstream !== upstream)
    report.error([...path, 'name'], `another upstream is named ${show(name)} already, at ${formatPath(other.path)}`)
}

const endpointAddress = textThat((address) => {
  if (parseEndpoint(address) !== null) return null
  if (parseEndpoint(address.replace(/^(https?:\/\/[^/?#]+).*$/i, '$1')) !== null)
    return `an address has no path or query: ${show(address)}; a path is changed by rewrite`
  return `expected an address such as '127.0.0.1:3000', 'name:3000', 'https://example.com' or 'unix:/run/x.sock', got ${show(address)}`
})

const endpoint: Check<ConfigScope> = (value, path, scope) => {
  if (typeof value === 'string') endpointAddress(value, path, scope)
  else object({ address: endpointAddress, weight: whole(0, 1_000_000) }, ['address'])(value, path, scope)
}

const endpoints: Check<ConfigScope> = (value, path, scope) => {
  const before = scope.report.findings.length
  list(endpoint)(value, path, scope)
  if (scope.report.findings.length > before || !Array.isArray(value)) return
  const addresses = value.flatMap((one: unknown) => (typeof one === 'string' ? [one] : isObject(one) ? [String(one.address)] : []))
  if (addresses.length === 0) scope.report.error(path, 'an upstream needs at least one endpoint')
  if (new Set(addresses.map((address) => parseEndpoint(address)?.tls)).size > 1)
    scope.report.error(path, 'endpoints with https:// and without cannot be mixed in one upstream')
  for (const [i, address] of addresses.entries())
    if (addresses.indexOf(address) < i) scope.report.error(path, `the endpoint ${show(address)} stands twice; give it a weight`)
}

const balancer: Check<ConfigScope> = (value, path, { report }) => {
  if (!isObject(value) || value.kind !== 'balancer') report.error(path, `expected roundRobin(), got ${show(value)}`)
  else if (value.name !== 'roundRobin') report.error(path, `the balancer ${String(value.name)} is not supported yet`)
}

const retryOn: Check = (value, path, scope) => {
  const isPlanned = value === 'reset' || value === 'timeout' || (Number.isInteger(value) && Number(value) >= 400 && Number(value) <= 599)
  if (isPlanned) scope.report.error(path, `to try again on ${show(value)} is not supported yet`)
  else oneOf('connect')(value, path, scope)
}

const tls: Check = (value, path, scope) => {
  if (typeof value !== 'boolean') object({ servername: text, ca: file, cert: file, key: file })(value, path, scope)
}

const ratio: Check = (value, path, { report }) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) report.error(path, `expected a number from 0 to 1, got ${show(value)}`)
}

const isDiscovery: Check = (value, path, { report }) => {
  if (!isObject(value) || value.kind !== 'discovery') report.error(path, `expected a discovery, got ${show(value)}`)
}

const knownOptions = object<ConfigScope>({
  endpoints,
  host: oneOf('preserve', 'endpoint', 'name'),
  tls,
  timeouts: object({ connect: duration, response: duration, idle: duration, keepAlive: duration }),
  idleConnections: whole(0),
  limits: object({ connections: whole(1), pending: planned(whole(0)) }),
  retries: object({ attempts: whole(1, 10), on: list(retryOn), budget: planned(ratio) }),
  balancer,
  discovery: planned(isDiscovery),
  healthCheck: planned(object({ path: text, interval: duration, timeout: duration, unhealthyAfter: whole(1), healthyAfter: whole(1) })),
  outlier: planned(object({ consecutiveFailures: whole(1), ejectFor: duration, maxEjected: ratio })),
  circuitBreaker: planned(object({ failureRatio: ratio, minRequests: whole(1), openFor: duration })),
  proxyProtocol: planned(oneOf(1, 2)),
  sticky: planned(object({ cookie: text }, ['cookie'])),
  slowStart: planned(duration),
  parent: planned(text),
})

const upstreamOptions: Check<ConfigScope> = (value, path, scope) => {
  knownOptions(value, path, scope)
  if (!isObject(value)) return
  if (value.endpoints === undefined && value.discovery === undefined) scope.report.error(path, 'endpoints is missing')
  const { cert, key } = isObject(value.tls) ? value.tls : {}
  if ((cert === undefined) !== (key === undefined)) scope.report.error([...path, 'tls'], 'cert and key are given together or not at all')
  const isSecure =
    Array.isArray(value.endpoints) && value.endpoints.some((one: unknown) => /^https:/i.test(String(isObject(one) ? one.address : one)))
  if (isSecure && value.tls === false) scope.report.error([...path, 'tls'], 'the endpoints begin with https://')
}
