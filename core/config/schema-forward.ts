/** Listeners of the forward side: their shape, and that no one is open to other machines unless it says so. */
import { wrongException } from '../forward/pac.ts'
import { parseParent } from '../forward/parent.ts'
import { formatListen, parseListen } from '../net/address.ts'
import { parseDestination } from '../net/destination.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show } from './report.ts'
import { isLoopback } from './schema-addresses.ts'
import { blocklistOptions } from './schema-blocklists.ts'
import { interceptOptions } from './schema-intercept.ts'
import type { ListenerPart, Parts } from './schema-parts.ts'
import { hostPattern, network } from './schema-route.ts'
import { checkTimes, timesOption } from './schema-times.ts'
import { transparent } from './schema-transparent.ts'
import { useList } from './schema-use.ts'
import { checkUserLimits, quotaOptions, userBandwidthOptions } from './schema-user-limits.ts'
import { type UsersOf, usersOptions } from './schema-users.ts'
import {
  anything,
  chosen,
  type Fields,
  flag,
  list,
  made,
  object,
  oneOf,
  oneOrMany,
  type Schema,
  someTime,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'

function helped(kind: string, options: Schema): Schema {
  const right = made({ options })
  return chosen((value) => (isObject(value) && value.kind === kind ? right : wrong(`${kind}({ … })`)))
}

const parent = textThat((written) => {
  if (written === 'direct') return "'direct' stands alone, as via: 'direct' of a rule with hosts"
  const parsed = parseParent(written)
  return typeof parsed === 'string' ? parsed : null
})
const placePattern = chosen((written) => (typeof written === 'string' && written.includes('/') ? network : hostPattern))
const via = oneOrMany(parent)
const nobody = wrong("'direct', a parent such as 'http://10.0.0.1:3128', or a list of parents")
const isParentless = (written: unknown): boolean =>
  Array.isArray(written) ? written.length === 0 : typeof written === 'string' && !written.includes(':')
const parentRule = object(
  {
    hosts: oneOrMany(placePattern),
    ports: list(whole(1, 65535)),
    via: chosen((written) => (written === 'direct' ? anything : isParentless(written) ? nobody : via)),
  },
  ['hosts', 'via'],
)
const parents = oneOrMany(chosen((one) => (isObject(one) ? parentRule : parent)))

const fields: Fields = {
  auth: usersOptions(),
  allow: object({
    ports: list(whole(1, 65535)),
    hosts: oneOrMany(hostPattern),
    networks: oneOrMany(network),
    clients: oneOrMany(network),
    times: timesOption,
  }),
  open: oneOf(true),
  quota: quotaOptions,
  bandwidth: userBandwidthOptions,
  parent: chosen((written) => (Array.isArray(written) ? parents : parent)),
  trust: oneOrMany(network),
  proxyProtocol: oneOf('require'),
}

const block = helped('blocklist', blocklistOptions)

const pacOptions = object({
  except: oneOrMany(textThat(wrongException)),
  wpad: flag,
  proxy: textThat((written) =>
    parseDestination(written, null) === null ? `expected a host and a port such as 'proxy.example.com:3128', got ${show(written)}` : null,
  ),
})

/** Options of `forward({ … })`. `bounds`: limits and timeouts, those of any listener of HTTP. */
export function forwardOptions(listen: Schema, bounds: Fields): Schema {
  const own = {
    ...bounds,
    transparent,
    anonymity: oneOf('none', 'anonymous', 'high'),
    use: useList,
    socks: flag,
    pac: helped('pac', pacOptions),
    block,
    intercept: helped('intercept', interceptOptions),
  }
  return object({ listen, ...fields, ...own }, ['listen'])
}

/** Of `socks({ … })`. */
export function socksOptions(listen: Schema): Schema {
  const timeouts = object({ handshake: someTime('it is 10s'), tunnelIdle: someTime('it is 1h'), udpIdle: someTime('it is 2m') })
  return object({ listen, ...fields, block, udp: flag, timeouts, limits: object({ connections: whole(1) }) }, ['listen'])
}

export function checkForward({ listeners }: Parts, report: Report, usersOf: UsersOf): void {
  for (const part of listeners) {
    if (part.kind !== 'forward' && part.kind !== 'socks') continue
    refuseOpen(part, report)
    checkUserLimits(part, report, usersOf)
    checkTimes(part, report, usersOf)
    refuseLostRules(part, report)
    const { options, path } = part
    if (part.kind === 'socks' && options.udp === true && options.parent !== undefined)
      report.error([...path, 'udp'], 'no datagram goes by way of a parent: leave udp or parent out', 'key')
  }
}

/** Rules behind one for everything. */
function refuseLostRules({ options, path }: ListenerPart, report: Report): void {
  if (!Array.isArray(options.parent)) return
  let before: number | null = null
  for (const [i, rule] of options.parent.entries()) {
    if (before !== null && !(typeof rule === 'string' && typeof options.parent[before] === 'string'))
      report.error([...path, 'parent', i], `never asked: parent[${before}] is for everything; put it before that one`)
    else if (before === null && isForAll(rule)) before = i
  }
}

function isForAll(rule: unknown): boolean {
  if (!isObject(rule)) return typeof rule === 'string'
  return rule.ports === undefined && (rule.hosts === '*' || (Array.isArray(rule.hosts) && rule.hosts.includes('*')))
}

/** A proxy that anybody may use is found within hours, and used. */
function refuseOpen({ options, path, name }: ListenerPart, report: Report): void {
  const clients = isObject(options.allow) ? options.allow.clients : undefined
  if (options.open === true || options.auth !== undefined || clients !== undefined) return
  const listens = Array.isArray(options.listen) ? options.listen.map((one, i) => [one, i] as const) : [[options.listen, null] as const]
  for (const [written, i] of listens) {
    const address = typeof written === 'string' || typeof written === 'number' ? parseListen(written) : null
    if (address === null || isLoopback(address)) continue
    const at: Path = [...path, 'listen', ...(i === null ? [] : [i])]
    report.error(
      at,
      `${name} on ${formatListen(address)} can be reached from other machines, and whoever reaches it may use it: say who may with auth: { users } or allow: { clients }, listen on 127.0.0.1, or write open: true`,
    )
  }
}
