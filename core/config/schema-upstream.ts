/** The shape of upstreams, and of what else a route may send to. */
import * as z from 'zod/mini'
import { isHostName, parseEndpoint } from '../net/address.ts'
import { isObject, ownMember, show, wordOf } from './report.ts'
import { tlsOrigination } from './schema-tls.ts'
import {
  anything,
  between,
  callable,
  chosen,
  duration,
  type Fields,
  flag,
  list,
  made,
  madeOf,
  noneRefused,
  object,
  oneOf,
  oneOrMany,
  planned,
  refused,
  ruled,
  type Schema,
  size,
  sizeFrom,
  someTime,
  text,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'

/** `'127.0.0.1:3000'`, `'https://example.com'` */
export const endpointAddress: Schema = textThat(wrongEndpoint)

function wrongEndpoint(address: string): string | null {
  if (/^tcp:\/\//i.test(address)) return `tcp:// stands only in a route of tcp({ … }): ${show(address.slice(6))}`
  return wrongAddress(address)
}

/** Where a route may send to: an upstream stands there as such. */
export const targetAddress: Schema = textThat((address) => {
  const why = wrongEndpoint(address)
  if (why === null || !/^(?!localhost$)[A-Za-z_$][\w$-]*$/.test(address)) return why
  return `${why}; an upstream of this config stands here without quotes`
})

/** In a route of a TCP listener. */
export const tcpAddress: Schema = textThat(wrongAddress)

function wrongAddress(address: string): string | null {
  if (parseEndpoint(address) !== null) return null
  if (/^https?:\/\/[^/?#@]*@/i.test(address)) return `an address has no user and no password: ${show(address)}`
  if (parseEndpoint(address.replace(/^(https?:\/\/[^/?#]+).*$/i, '$1')) !== null)
    return `an address has no path or query: ${show(address)}; a path is changed by rewrite`
  return `expected an address such as '127.0.0.1:3000', 'name:3000', 'https://example.com' or 'unix:/run/x.sock', got ${show(address)}`
}

/** Whatever upstream(…) returned: one stands in many routes, so what it holds is checked apart, once. */
export const upstreamGroup: Schema = chosen((value) => (isObject(value) && value.kind === 'upstream' ? anything : notAnUpstream))
const notAnUpstream = wrong('upstream(…)')

const endpoint = chosen((value) => (typeof value === 'string' ? endpointAddress : weighted))
const weighted = object({ address: endpointAddress, weight: whole(0, 1_000_000), priority: whole(0, 100), zone: text }, ['address'])

const fieldName = textThat((name) =>
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) ? null : `not the name of a field or cookie: ${show(name)}`,
)
const hashKey = chosen((value) => {
  if (!isObject(value)) return typeof value === 'string' ? oneOf('ip', 'path') : notAKey
  if ('cookie' in value) return object({ cookie: fieldName }, ['cookie'])
  return 'header' in value ? object({ header: fieldName }, ['header']) : notAKey
})
const notAKey = wrong("'ip', 'path', { header } or { cookie }")
const hashed = made({ options: chosen((value) => (isObject(value) ? object({ key: hashKey }, ['key']) : noKey)) })
const noKey = refused("what it goes by is missing: { key: 'ip' }")
const counted = made({ options: object({ choices: whole(1, 100) }) })
const BALANCERS: Readonly<Record<string, Schema>> = {
  ...{ roundRobin: anything, random: anything, leastTime: anything, firstAvailable: anything },
  ...{ leastRequest: counted, ringHash: hashed, maglev: hashed },
}

const balancer = chosen((value) => {
  if (typeof value === 'function') {
    const meant = Object.keys(BALANCERS).find((name) => name === value.name)
    return meant === undefined ? anything : refused(`${meant} is called: ${meant}()`)
  }
  const schema = isObject(value) && value.kind === 'balancer' ? ownMember(BALANCERS, wordOf(value.name)) : undefined
  return schema ?? notABalancer
})
const notABalancer = wrong('a balancer such as leastRequest(), or a function')

const signingSecret = textThat((secret) => (secret.length >= 16 ? null : 'a secret of at least 16 characters is needed'))
const cookiePath = textThat((path) =>
  /^\/[!-+\--:<-~]*$/.test(path) ? null : `a path of cookies begins with / and has no ; and no space, got ${show(path)}`,
)
const sameSite = oneOf('lax', 'strict', 'none')
const cookieAge = noneRefused((none) => `browsers drop a cookie of ${none} at once; left out, it is kept until they end`)
const sticky = object({ cookie: fieldName, secret: signingSecret, maxAge: cookieAge, path: cookiePath, secure: flag, sameSite }, ['cookie'])

const dnsName = chosen((value) => {
  if (!isObject(value)) return anything
  return madeOf({ name: value.srv === true ? textThat(wrongService) : textThat(wrongName), srv: flag }, ['srv'])
})

function wrongName(name: string): string | null {
  const parsed = parseEndpoint(name)
  if (parsed !== null && parsed.target.kind === 'name' && !name.includes('://')) return null
  return `expected a name and a port such as 'api.internal:3000', got ${show(name)}`
}

function wrongService(name: string): string | null {
  return isHostName(name) ? null : `expected the name of SRV records such as '_http._tcp.api.internal', got ${show(name)}`
}

const registryUrl = textThat((written) => {
  const url = URL.parse(written)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return `expected a URL such as 'https://10.0.0.1:2379', got ${show(written)}`
  if (url.username !== '' || url.password !== '')
    return 'the URL has no user and no password: user, password and token are options of their own'
  return url.search === '' && url.hash === '' && url.pathname === '/' ? null : `the URL has no path and no query: ${url.origin}`
})
const registryTls: Fields = { ca: text, cert: text, key: text, servername: text }
const etcdOptions = object({ url: oneOrMany(registryUrl), prefix: text, user: text, password: text, token: text, ...registryTls }, [
  'url',
  'prefix',
])
const label = textThat((name) => (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) ? null : `not a name of Kubernetes: ${show(name)}`))
const kubernetesOptions = object(
  {
    ...{ service: label, namespace: label, server: registryUrl, token: text, tokenFile: text, ...registryTls },
    port: chosen((value) => (typeof value === 'number' ? whole(1, 65_535) : label)),
  },
  ['service'],
)

const DISCOVERIES: Readonly<Record<string, Schema>> = {
  dns: made({ options: dnsName }),
  file: made({ options: made({ path: text }) }),
  etcd: made({ options: etcdOptions }),
  kubernetes: made({ options: kubernetesOptions }),
  poll: made({ options: madeOf({ find: callable, interval: duration }, ['interval']) }),
}
const discovery = chosen((value) => {
  const schema = isObject(value) && value.kind === 'discovery' ? ownMember(DISCOVERIES, wordOf(value.name)) : undefined
  return schema ?? notADiscovery
})
const notADiscovery = wrong("dns('name:port'), etcd({ … }), kubernetes({ … }), file('./endpoints.json') or poll(async () => […])")

const retryOn = chosen((value) => (typeof value === 'number' ? whole(400, 599) : oneOf('connect', 'reset', 'timeout')))

/** Both are sent as they are written. */
const checkedPath = textThat((path) =>
  /^\/[\x21-\x7e]*$/.test(path) && !path.includes('#') ? null : `expected a path such as '/healthz', got ${show(path)}`,
)
const checkedHost = textThat((host) => (/^[\w.:[\]-]+$/.test(host) ? null : `expected a name such as 'example.com', got ${show(host)}`))

const checkedService = textThat((name) =>
  /^[\w.-]{1,100}$/.test(name) ? null : `expected the name of a service such as 'shop.Orders', got ${show(name)}`,
)

const ratio = between(0, 1)
/** Of 0 everything would be too much. */
const share = between(0.01, 1)

const adaptive = object({ min: whole(1), max: whole(1), start: whole(1), tolerance: between(1.05, 10) })
const hedgeAfter = chosen((value) => (typeof value === 'string' && /^p/i.test(value) ? hedgeQuantile : duration))
const hedgeQuantile = textThat((written) =>
  /^p(?:[5-9]\d|99\.\d{1,2})$/.test(written) ? null : `expected a time such as '80ms', or from 'p50' to 'p99.99', got ${show(written)}`,
)
const bufferMemory = sizeFrom('1kb', 'a body has to pass also where the disk is full; to buffer nothing, leave buffer out')
const buffer = ruled({ request: flag, response: flag, memory: bufferMemory, disk: size }, ({ request, response }) =>
  request === true || response === true ? null : 'expected request: true, response: true or both',
)

const options = object({
  endpoints: list(endpoint),
  host: oneOf('preserve', 'endpoint', 'name'),
  tls: tlsOrigination,
  timeouts: object({
    ...{ connect: someTime('it is 5s'), response: someTime('it is 60s'), idle: someTime('it is 60s') },
    ...{ keepAlive: duration, total: someTime('there is no limit') },
  }),
  idleConnections: whole(0),
  limits: object({
    connections: whole(1),
    pending: whole(0, 1_000_000),
    maxWait: noneRefused((none) => `nobody waits for ${none}: pending: 0 says so`),
    adaptive,
  }),
  hedging: object({ after: hedgeAfter }),
  retries: object({ attempts: whole(1, 10), on: list(retryOn), budget: ratio, perTry: someTime('there is no limit') }),
  healthCheck: object({
    ...{
      type: oneOf('http', 'tcp', 'tls', 'grpc'),
      path: checkedPath,
      service: checkedService,
      host: checkedHost,
      status: oneOrMany(whole(200, 599)),
    },
    ...{ interval: someTime('it is 5s'), timeout: someTime('it is 1s'), unhealthyAfter: whole(1), healthyAfter: whole(1) },
  }),
  circuitBreaker: object({ failureRatio: share, minRequests: whole(1), window: someTime('it is 10s'), openFor: duration }),
  outlier: object({
    ...{ consecutiveFailures: whole(1), failureRatio: share, minRequests: whole(1) },
    latency: noneRefused((none) => `every answer takes longer than ${none}; left out, it is not looked at`),
    window: someTime('it is 10s'),
    ejectFor: noneRefused((none) => `for ${none} nothing is ejected: maxEjected: 0 says so, or leave outlier out`),
    maxEjected: ratio,
  }),
  panic: ratio,
  buffer,
  balancer,
  sticky,
  slowStart: duration,
  zone: text,
  proxyProtocol: oneOf(1, 2),
  discovery,
  ...planned({
    parent: text,
  }),
})

/** What upstream(…) returned, in full. */
export const wholeUpstream: Schema = made({ name: text, options })

const weight = between(0, Number.MAX_VALUE, 'a weight of 0 or more')
const splitPart = z.tuple([chosen((value) => (typeof value === 'string' ? endpointAddress : upstreamGroup)), weight])
const splitParts = z.array(chosen((part) => (Array.isArray(part) && part.length === 2 ? splitPart : notAPart)))
const notAPart = wrong('[upstream, weight]')

/** What split(…) returned. */
export const splitTarget: Schema = made({
  options: object({ by: hashKey }),
  parts: chosen((parts) => {
    if (!Array.isArray(parts) || parts.length === 0) return refused('split takes a list of [upstream, weight]')
    if (parts.every((part: unknown) => Array.isArray(part) && part[1] === 0)) return goesNowhere
    return splitParts
  }),
})
const goesNowhere = refused('a split in which every weight is 0 goes nowhere')

/** What is sent there is put into TLS. */
export function speaksTls(to: unknown): boolean {
  if (typeof to === 'string') return /^https:/i.test(to)
  if (!isObject(to) || to.kind !== 'upstream' || !isObject(to.options)) return false
  const { tls, endpoints } = to.options
  if (tls !== undefined) return tls !== false
  return Array.isArray(endpoints) && endpoints.some((one: unknown) => speaksTls(isObject(one) ? one.address : one))
}
