/** UDP listeners: their shape, and that what a route goes to can be spoken to by datagrams. */
import { parseEndpoint } from '../net/address.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import type { Parts } from './schema-parts.ts'
import { network } from './schema-route.ts'
import { checkChoice, checkNames, routeName, serverName } from './schema-tcp.ts'
import { splitTarget, upstreamGroup } from './schema-upstream.ts'
import { chosen, list, object, oneOrMany, type Schema, someTime, text, textThat, whole, wrong } from './schema-values.ts'

/** What an upstream may have for an address and datagrams cannot: checkTarget. */
const address = textThat((written) => {
  if (parseEndpoint(written) !== null) return null
  return `expected an address such as '10.0.0.5:53' or 'name:53', got ${show(written)}`
})

const target = chosen((value) => {
  if (typeof value === 'string') return address
  if (isObject(value) && value.kind === 'split') return splitTarget
  return isObject(value) && value.kind === 'upstream' ? upstreamGroup : wrong('an upstream, an address or split(…)')
})

const route = object(
  {
    name: routeName,
    sni: oneOrMany(serverName),
    alpn: oneOrMany(text),
    from: oneOrMany(network),
    replies: whole(1, 1_000),
    to: target,
  },
  ['to'],
)

export function udpListener(listen: Schema): Schema {
  const limits = object({ sessions: whole(1, 1_000_000) })
  return object({ listen, routes: list(route), limits, timeouts: object({ idle: someTime('it is 60s') }) }, ['listen', 'routes'])
}

export function checkUdp({ udpRoutes }: Parts, report: Report): void {
  checkNames(udpRoutes, report)
  for (const part of udpRoutes) {
    const { route, path } = part
    checkChoice(part, report)
    const { to } = route
    const parts = isObject(to) && to.kind === 'split' && Array.isArray(to.parts) ? to.parts : [[to]]
    for (const one of parts) if (Array.isArray(one)) checkTarget(one[0], [...path, 'to'], report)
  }
}

function checkTarget(to: unknown, path: Path, report: Report): void {
  if (typeof to === 'string') return checkAddress(to, path, report)
  if (!isObject(to) || to.kind !== 'upstream' || !isObject(to.options)) return
  const { tls, proxyProtocol, endpoints, discovery } = to.options as Plain
  const name = show(to.name)
  if (tls !== undefined && tls !== false) report.error(path, `datagrams are passed on as they are: tls of the upstream ${name} is for TCP`)
  if (proxyProtocol !== undefined) report.error(path, `proxyProtocol of the upstream ${name} is for TCP: datagrams go without a header`)
  if (discovery !== undefined) report.error(path, `discovery of the upstream ${name} is not for UDP yet`)
  if (!Array.isArray(endpoints)) return
  for (const one of endpoints as unknown[]) {
    const address = isObject(one) ? one.address : one
    if (typeof address === 'string') checkAddress(address, path, report)
  }
}

function checkAddress(address: string, path: Path, report: Report): void {
  const parsed = parseEndpoint(address)
  if (parsed === null) return
  if (parsed.target.kind === 'unix') report.error(path, `UDP goes to an address and a port, not to ${show(address)}`)
  else if (/^[a-z]+:\/\//i.test(address))
    report.error(path, `UDP goes to an address and a port, without ${/^[a-z]+:\/\//i.exec(address)![0]}: ${show(address)}`)
}
