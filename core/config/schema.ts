/**
 * What a valid config is: its shape, and what must hold between its parts. All problems are found, not the first: the passes over the
 * parts step over what is not in shape. What only the types know yet is refused. Loads zod.
 */
import { checkDiscoveryPlaces } from './discovery-places.ts'
import { isObject, ownMember, type Plain, type Report, show } from './report.ts'
import { checkAddresses } from './schema-addresses.ts'
import { checkBlocklists } from './schema-blocklists.ts'
import { checkCaches } from './schema-cache.ts'
import { checkCertificates } from './schema-certificates.ts'
import { checkFiles } from './schema-files.ts'
import { findingsOf } from './schema-findings.ts'
import { checkForward, forwardOptions, socksOptions } from './schema-forward.ts'
import { checkGateways } from './schema-gateway.ts'
import { checkInterception } from './schema-intercept.ts'
import { type Parts, partsOf } from './schema-parts.ts'
import { checkPolicyPairs } from './schema-policy-pairs.ts'
import { checkProxyProtocol } from './schema-proxy-protocol.ts'
import { network, routeList } from './schema-route.ts'
import { checkRouting } from './schema-routing.ts'
import { checkStores, storesIn } from './schema-stores.ts'
import { checkTcp, tcpListener } from './schema-tcp.ts'
import { tlsTerminations } from './schema-tls.ts'
import { checkTransparent, transparent } from './schema-transparent.ts'
import { checkUdp, udpListener } from './schema-udp.ts'
import { upstreamGroup } from './schema-upstream.ts'
import { checkUpstreams } from './schema-upstreams.ts'
import { useList } from './schema-use.ts'
import { checkUsers } from './schema-users.ts'
import {
  anything,
  chosen,
  duration,
  type Fields,
  flag,
  list,
  made,
  object,
  oneOf,
  oneOrMany,
  record,
  refused,
  type Schema,
  size,
  sizeFrom,
  someTime,
  text,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'

export interface CheckOptions {
  readonly report: Report
  /** The folder of the config's file. */
  readonly folder: string
  /** Gets the files that the config's values name. */
  readonly named?: Set<string>
  readonly now?: number
}

/** The parts of the config, to be looked at further; null for what is no config at all. */
export function checkShape(config: unknown, { report, folder, named = new Set(), now = Date.now() }: CheckOptions): Parts | null {
  if (!isObject(config)) {
    report.error([], `a config is an object or a function that returns one, not ${show(config)}`)
    return null
  }
  const parts = partsOf(config)
  for (const path of parts.circles) report.error(path, 'the routes hold themselves: this list stands in itself')
  // Following the shape of a circle would have no end.
  if (parts.circles.length === 0) report.findings.push(...findingsOf(wholeConfig, config, []))
  checkPresence(config, report)
  checkAddresses(parts.listens, report)
  checkUpstreams(parts.upstreams, report)
  checkCaches(config, { ...parts, folder }, report)
  checkProxyProtocol(parts.listeners, report)
  checkForward(parts, report, checkUsers(parts, report, { folder, named }))
  checkRouting(parts, report)
  checkFiles(parts, report, folder)
  checkDiscoveryPlaces(parts, report, folder)
  checkPolicyPairs(config, parts, report)
  checkTcp(parts, report)
  checkUdp(parts, report)
  checkTransparent(parts, report)
  checkGateways(parts, report)
  const stores = storesIn(config, parts)
  checkStores(stores, report)
  checkCertificates(parts, report, { folder, named, now, stores })
  checkBlocklists(parts.listeners, report, { folder, named })
  checkInterception(parts.listeners, report, { folder, named, now })
  return parts
}

function checkPresence({ listeners }: Plain, report: Report): void {
  if (!isObject(listeners)) return
  if (Object.keys(listeners).length === 0) report.error(['listeners'], 'there is no listener', 'key')
}

/** Whether each is an address is looked at together with the others: schema-addresses.ts. */
const listen = chosen((value) => (value === undefined ? text : Array.isArray(value) ? oneOrMany(anything) : anything))

const viaName = textThat((name) => {
  const wrongOne = /[^!#$%&'*+\-.^_`|~0-9A-Za-z:[\]]/.exec(name)?.[0]
  if (wrongOne !== undefined) return `the name in Via holds no ${show(wrongOne)}`
  return name === '' ? 'the name in Via is not empty; false sends none' : null
})

const httpBounds: Fields = {
  limits: object({
    head: sizeFrom('32b', 'no head is shorter; left out, it is 32kb'),
    requestLine: sizeFrom('16b', 'no line is shorter; left out, it is 8kb'),
    fields: whole(1),
    connections: whole(1),
    requestsPerConnection: whole(1),
    body: size,
  }),
  timeouts: object({
    requestHead: someTime('it is 10s'),
    requestBodyIdle: someTime('it is 30s'),
    keepAlive: duration,
    sendIdle: someTime('it is 60s'),
    tunnelIdle: someTime('it is 1h'),
    halfClosed: duration,
  }),
}

const httpFields: Fields = {
  use: useList,
  trust: oneOrMany(network),
  via: chosen((value) => (value === false ? anything : viaName)),
  forwarded: flag,
  encodedSlashes: flag,
  h2c: flag,
  ...httpBounds,
  proxyProtocol: oneOf('require'),
  routes: routeList,
}

const httpOptions = object({ tls: tlsTerminations, transparent, ...httpFields, listen }, ['listen', 'routes'])

/** In a route of a TCP listener. */
const insideOptions = object(
  {
    ...httpFields,
    tls: refused('TLS ends at the route of the TCP listener: write tls beside to'),
    proxyProtocol: refused('the header comes before all else: write proxyProtocol and trust beside the listen of the TCP listener'),
    listen: refused('HTTP in a route of a TCP listener gets its connections from that: leave listen out'),
  },
  ['routes'],
)

/** What a helper of this kind returned. */
function wrapped(kind: string, options: Schema): Schema {
  const right = made({ options })
  return chosen((value) => (isObject(value) && value.kind === kind ? right : wrong(`${kind}({ … })`)))
}

const listeners: Readonly<Record<string, Schema>> = {
  http: wrapped('http', httpOptions),
  forward: wrapped('forward', forwardOptions(listen, httpBounds)),
  socks: wrapped('socks', socksOptions(listen)),
  tcp: wrapped('tcp', tcpListener(listen, insideOptions)),
  udp: wrapped('udp', udpListener(listen)),
}
const noListener = wrong('http({ … }), tcp({ … }), udp({ … }), forward({ … }) or socks({ … })')
const listener = chosen((value) => (isObject(value) && typeof value.kind === 'string' && ownMember(listeners, value.kind)) || noListener)

const listenerName = textThat((name) => (/^[\w-]+$/.test(name) ? null : 'the name of a listener is made of letters, digits, - and _'))

const wholeConfig = object(
  {
    listeners: record(listener, listenerName),
    use: useList,
    upstreams: list(upstreamGroup),
    admin: object({ listen }, ['listen']),
    log: object({
      access: flag,
      level: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
      format: oneOf('json', 'combined', 'pretty'),
    }),
  },
  ['listeners'],
)
