/** TCP listeners: their shape, and that a route and what it goes to fit together. */

import { isHostName, isIp } from '../net/address.ts'
import type { Path } from './positions.ts'
import { isObject, type Report, show, wordOf } from './report.ts'
import { gateway } from './schema-gateway.ts'
import type { Parts, TcpRoutePart } from './schema-parts.ts'
import { network } from './schema-route.ts'
import { tlsTerminationOfRoute } from './schema-tls.ts'
import { originalTarget, transparent } from './schema-transparent.ts'
import { speaksTls, splitTarget, tcpAddress, upstreamGroup } from './schema-upstream.ts'
import { connectionUseList } from './schema-use.ts'
import {
  chosen,
  duration,
  list,
  made,
  object,
  oneOf,
  oneOrMany,
  type Schema,
  someTime,
  text,
  textThat,
  whole,
  wrong,
} from './schema-values.ts'

export const serverName = textThat((written) => {
  const name = written.startsWith('*.') ? written.slice(2) : written
  if (written === '*') return 'leave sni out to take every TLS client'
  if (isHostName(name)) return null
  if (/:\d+$/.test(name)) return `a server name has no port: ${show(written)}`
  if (isIp(name.replace(/^\[|\]$/g, ''))) return `an address is no server name, clients send none for it: ${show(written)}`
  if (name.includes('*')) return `a * stands as the first label: '*.example.com', not ${show(written)}`
  return URL.canParse(`http://${name}`) && /[^\x00-\x7f]/.test(name) && !/[/?#@:]/.test(name) ? null : `not a server name: ${show(written)}`
})

export const routeName = textThat((name) =>
  /^[\w.-]+$/.test(name) ? null : `the name of a route is made of letters, digits, - _ and ., got ${show(name)}`,
)

const notATarget = wrong('an upstream, an address, split(…), original() or http({ routes })')

/** `inside`: the options of http({ … }) without `listen`. */
export function tcpListener(listen: Schema, inside: Schema): Schema {
  const http = made({ options: inside })
  const target = chosen((value) => {
    if (typeof value === 'string') return tcpAddress
    if (!isObject(value)) return notATarget
    if (value.kind === 'upstream') return upstreamGroup
    if (value.kind === 'split') return splitTarget
    if (value.kind === 'original') return originalTarget
    return value.kind === 'http' ? http : notATarget
  })
  const route = object(
    {
      name: routeName,
      sni: oneOrMany(serverName),
      alpn: oneOrMany(text),
      from: oneOrMany(network),
      tls: tlsTerminationOfRoute,
      use: connectionUseList,
      to: target,
    },
    ['to'],
  )
  return object(
    {
      listen,
      routes: list(route),
      limits: object({ connections: whole(1) }),
      timeouts: object({ detect: duration, tunnelIdle: someTime('it is 1h') }),
      trust: oneOrMany(network),
      proxyProtocol: oneOf('require'),
      gateway,
      transparent,
      use: connectionUseList,
    },
    ['listen', 'routes'],
  )
}

export function checkTcp({ tcpRoutes }: Parts, report: Report): void {
  for (const part of tcpRoutes) {
    checkTls(part, report)
    checkChoice(part, report)
    checkUse(part, report)
  }
  checkNames(tcpRoutes, report)
}

/** Of routes without groups. */
export function checkNames(routes: readonly TcpRoutePart[], report: Report): void {
  const names = new Map<string, Path>()
  for (const { route, path, listener } of routes) {
    if (typeof route.name !== 'string') continue
    const key = `${listener}/${route.name}`
    const other = names.get(key)
    if (other === undefined) names.set(key, [...path, 'name'])
    else
      report.error([...path, 'name'], (placeOf) => `another route of ${listener} is named ${show(route.name)} already (${placeOf(other)})`)
  }
}

function checkTls({ route, path }: TcpRoutePart, report: Report): void {
  const { sni, alpn, tls, to } = route
  const isHttp = isObject(to) && to.kind === 'http'
  const asksTls = sni !== undefined || alpn !== undefined
  if (asksTls && tls === undefined && isHttp && !(isObject(to.options) && to.options.tls !== undefined))
    report.error([...path, 'to'], 'HTTP here would get TLS as it is: end it with tls: terminate({ cert, key })', 'key')
  if (asksTls && tls === undefined && speaksTls(to))
    report.warn(
      [...path, 'to'],
      'TLS is passed on as it is, and this upstream puts it into TLS of its own: take tls from the upstream, or end it here with tls: terminate({ cert, key })',
      'key',
    )
  if (!isHttp || !isObject(tls) || !Array.isArray(tls.alpn)) return
  for (const [i, name] of (tls.alpn as unknown[]).entries())
    if (typeof name === 'string' && name !== 'h2' && name !== 'http/1.1')
      report.error([...path, 'tls', 'alpn', i], `HTTP speaks h2 or http/1.1, not ${show(name)}`)
}

/** A connection of TCP, or a session of UDP, has a client with an address, and no request. */
export function checkChoice({ route, path }: TcpRoutePart, report: Report): void {
  const { to } = route
  const by = isObject(to) && to.kind === 'split' && isObject(to.options) ? to.options.by : undefined
  if (by !== undefined && by !== 'ip') report.error([...path, 'to'], 'this split goes by what a request of HTTP says', 'key')
  const parts =
    isObject(to) && to.kind === 'split' && Array.isArray(to.parts) ? to.parts.map((part: unknown) => (part as unknown[])?.[0]) : [to]
  for (const upstream of parts) {
    if (!isObject(upstream) || upstream.kind !== 'upstream' || !isObject(upstream.options)) continue
    const { balancer, sticky, hedging, limits } = upstream.options
    const options = isObject(balancer) && isObject(balancer.options) ? balancer.options : {}
    if (sticky !== undefined)
      report.error([...path, 'to'], `${wordOf(upstream.name)} is sticky by a cookie, and there is none outside of HTTP`, 'key')
    for (const [name, isThere] of [
      ['hedging', hedging !== undefined],
      ['limits.adaptive', isObject(limits) && limits.adaptive !== undefined],
    ] as const)
      if (isThere) report.warn([...path, 'to'], `${name} of ${wordOf(upstream.name)} is for requests of HTTP, and does nothing here`, 'key')
    const isByRequest = typeof balancer === 'function' || (options.key !== undefined && options.key !== 'ip')
    if (isByRequest) report.error([...path, 'to'], `the balancer of ${wordOf(upstream.name)} chooses by what a request of HTTP says`, 'key')
  }
}

/** Of plugins the same is said where they are set up: check/plugins.ts. */
function checkUse({ route: { use, to }, path }: TcpRoutePart, report: Report): void {
  if (!isObject(to) || to.kind !== 'http' || !Array.isArray(use)) return
  for (const [i, hooks] of (use as unknown[]).entries())
    if (isObject(hooks) && hooks.onData !== undefined)
      report.error(
        [...path, 'use', i, 'onData'],
        'onData is not asked where the route goes to HTTP: its bodies and messages have hooks of their own, in the use of http({ … })',
        'key',
      )
}
