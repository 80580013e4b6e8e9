/**
 * What a valid config is: its shape, and what must hold between its parts. All problems are found, not the first; what only the
 * types know yet is refused. The values behind `options` are what helpers wrapped; no user writes that word.
 */
import { formatListen, parseListen } from '../net/address.ts'
import { formatPath, type Path } from './positions.ts'
import {
  type Check,
  duration,
  flag,
  isObject,
  list,
  object,
  oneOf,
  oneOrMany,
  planned,
  record,
  type Scope,
  show,
  size,
  text,
  textThat,
  whole,
} from './report.ts'
import { checkRoutes, network } from './schema-route.ts'
import { tlsTermination } from './schema-tls.ts'
import { upstreamGroup } from './schema-upstream.ts'
import { checkUse } from './schema-use.ts'

/** What is known of the parts seen so far. */
export interface ConfigScope extends Scope {
  /** Where each address is listened on. */
  readonly listens: Map<string, Path>
  /** Each upstream by its name, and where it was first met. */
  readonly upstreams: Map<string, { readonly upstream: unknown; readonly path: Path }>
  /** Upstreams already checked: one object stands in many routes. */
  readonly checked: Set<unknown>
}

export function checkShape(config: unknown, scope: Scope): void {
  const whole: ConfigScope = { ...scope, listens: new Map(), upstreams: new Map(), checked: new Set() }
  if (!isObject(config)) {
    scope.report.error([], `a config is an object or a function that returns one, not ${show(config)}`)
    return
  }
  checkConfig(config, [], whole)
  if (isObject(config.listeners) && Object.keys(config.listeners).length === 0)
    scope.report.error(['listeners'], 'there is no listener', 'key')
}

const address: Check<ConfigScope> = (value, path, { report, listens }) => {
  const parsed = typeof value === 'string' || typeof value === 'number' ? parseListen(value) : null
  if (parsed === null)
    return report.error(
      path,
      `expected an address such as ':8080', '127.0.0.1:8080', '[::1]:8080', 'unix:/run/x.sock' or a port, got ${show(value)}`,
    )
  const name = formatListen(parsed)
  const other = listens.get(name)
  if (other === undefined) listens.set(name, path)
  else if (parsed.kind === 'unix' || parsed.port !== 0) report.error(path, `${name} is listened on already, by ${formatPath(other)}`)
}

const listen = oneOrMany(address)

/** Where `helper` wraps its options: the path goes on without a step that the user wrote. */
function wrapped(kind: string, check: Check<ConfigScope>): Check<ConfigScope> {
  return (value, path, scope) => {
    if (isObject(value) && value.kind === kind) check(value.options, [...path, { hidden: 'options' }], scope)
    else scope.report.error(path, `expected ${kind}({ … }), got ${show(value)}`)
  }
}

const use: Check<ConfigScope> = list<ConfigScope>(checkUse)

const viaName = textThat((name) =>
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z:[\]]+$/.test(name)
    ? null
    : `the name in Via holds no ${show(/[^!#$%&'*+\-.^_`|~0-9A-Za-z:[\]]/.exec(name)?.[0] ?? '')}`,
)
const via: Check = (value, path, scope) => {
  if (value !== false) viaName(value, path, scope)
}

const httpFields = {
  tls: tlsTermination,
  use,
  trust: oneOrMany(network),
  via,
  forwarded: flag,
  encodedSlashes: flag,
  limits: object({ head: size, requestLine: size, fields: whole(1), connections: whole(1), requestsPerConnection: whole(1), body: size }),
  timeouts: object({
    requestHead: duration,
    requestBodyIdle: duration,
    keepAlive: duration,
    sendIdle: duration,
    tunnelIdle: duration,
    halfClosed: duration,
  }),
  proxyProtocol: planned(oneOf('require')),
}

const httpListener: Check<ConfigScope> = (options, path, scope) => {
  const name = String(path.at(-2))
  object<ConfigScope>({ ...httpFields, listen, routes: (routes, at, inner) => checkRoutes(routes, at, inner, name) }, ['listen', 'routes'])(
    options,
    path,
    scope,
  )
}

const anything: Check = () => {}
const forwardFields = {
  listen,
  auth: object({ users: record(text) }, ['users']),
  allow: object({ ports: list(whole(1, 65535)), hosts: oneOrMany(text), networks: oneOrMany(network), clients: oneOrMany(network) }),
  block: wrapped('blocklist', object({ files: list(text), hosts: list(text) })),
  parent: text,
  open: oneOf(true),
  proxyProtocol: oneOf('require'),
}

/** Kinds that are types only. Their shape is checked so far as it is flat. */
const plannedListeners: Readonly<Record<string, Check<ConfigScope>>> = {
  tcp: object<ConfigScope>(
    {
      listen,
      use: anything,
      routes: list(
        object(
          { name: text, sni: oneOrMany(text), alpn: oneOrMany(text), from: oneOrMany(network), tls: anything, use: anything, to: anything },
          ['to'],
        ),
      ),
      proxyProtocol: oneOf('require'),
    },
    ['listen', 'routes'],
  ),
  forward: object<ConfigScope>({ ...forwardFields, intercept: anything, anonymity: oneOf('none', 'anonymous', 'high'), use }, ['listen']),
  socks: object<ConfigScope>({ ...forwardFields, udp: flag }, ['listen']),
}

const listener: Check<ConfigScope> = (value, path, scope) => {
  const kind = isObject(value) ? value.kind : undefined
  if (kind === 'http') return wrapped('http', httpListener)(value, path, scope)
  const check = typeof kind === 'string' ? plannedListeners[kind] : undefined
  if (check === undefined) return scope.report.error(path, `expected http({ … }), got ${show(value)}`)
  planned(wrapped(String(kind), check), `a listener of the kind ${String(kind)}`)(value, path, scope)
}

const listenerName: Check<ConfigScope> = (value, path, scope) => {
  const name = String(path.at(-1))
  if (!/^[\w-]+$/.test(name)) scope.report.error(path, `the name of a listener is made of letters, digits, - and _`, 'key')
  listener(value, path, scope)
}

const checkConfig = object<ConfigScope>(
  {
    listeners: record(listenerName),
    use,
    upstreams: list(upstreamGroup),
    admin: object<ConfigScope>({ listen }, ['listen']),
    log: object({
      access: flag,
      level: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
      format: oneOf('json', 'combined', 'pretty'),
    }),
  },
  ['listeners'],
)
