/** Warns of routes that can never match: earlier ones take every request they would, or their own fields contradict each other. */
import type { Config, List, TcpRoute } from '../index.ts'
import { findUnreachable, type Unreachable } from '../route/shadow.ts'
import { findTcpShadows } from '../route/tcp-shadow.ts'
import { type FlatRoute, flatRoutes } from './flat-routes.ts'
import { httpListeners, tcpRouteId } from './http-listeners.ts'
import { entriesOf } from './lists.ts'
import { compileTcpMatch } from './match.ts'
import type { Path } from './positions.ts'
import type { Report } from './report.ts'

/** Of one listener; a loop that generates routes may be wrong ten thousand times. */
const MOST_WARNINGS = 20

/** Of TCP or UDP. */
type Shadowed = Pick<TcpRoute, 'name' | 'sni' | 'alpn' | 'from' | 'tls'>

/** For a config that was found valid. */
export function warnOfUnreachable(config: Config, report: Report): void {
  for (const [name, listener] of Object.entries(config.listeners))
    if (listener.kind === 'tcp' || listener.kind === 'udp') warnOfShadows(name, listener.options.routes as List<Shadowed>, report)
  for (const { name } of httpListeners(config)) {
    const routes = flatRoutes(config, name) ?? []
    const found = findUnreachable(routes.map(({ levels }) => levels.map(({ conditions }) => conditions)))
    for (const one of found.slice(0, MOST_WARNINGS)) warn(one, routes, report)
    const more = found.length - MOST_WARNINGS
    if (more > 0) report.warn(pathOf(routes, found[MOST_WARNINGS]!.rule), `this route can never match, nor can ${more - 1} more of ${name}`)
  }
}

function warnOfShadows(listener: string, routes: List<Shadowed>, report: Report): void {
  const entries = entriesOf<Shadowed>(routes)
  const path = (rule: number): Path => ['listeners', listener, { hidden: 'options' }, 'routes', entries[rule]![0]]
  const idOf = (rule: number): string => tcpRouteId(listener, entries[rule]![0], entries[rule]![1].name)
  for (const { rule, by } of findTcpShadows(entries.map(([, route]) => compileTcpMatch(route))).slice(0, MOST_WARNINGS))
    report.warn(path(rule), (placeOf) => {
      const shown = by.map((other) => `${idOf(other)} (${placeOf(path(other))})`)
      return `this route can never match: ${shown.join(' and ')} ${by.length === 1 ? 'takes' : 'take'} every client it would`
    })
}

function warn({ rule, by, impossible }: Unreachable, routes: readonly FlatRoute[], report: Report): void {
  const path = pathOf(routes, rule)
  if (impossible !== null) {
    const isGrouped = routes[rule]!.levels.length > 1
    const against = isGrouped ? 'it and the groups around it ask for different ones' : 'what it asks for contradicts itself'
    report.warn(path, `this route can never match: no request fits its ${impossible}; ${against}`)
    return
  }
  report.warn(path, (placeOf) => {
    const shown = by.slice(0, 3).map((other) => `${routes[other]!.id} (${placeOf(pathOf(routes, other))})`)
    if (by.length > shown.length) shown.push(`${by.length - shown.length} more`)
    return shown.length === 1
      ? `this route can never match: ${shown[0]} takes every request it would`
      : `this route can never match: ${shown.slice(0, -1).join(', ')} and ${shown.at(-1)} take every request it would`
  })
}

function pathOf(routes: readonly FlatRoute[], rule: number): Path {
  return routes[rule]!.levels.at(-1)!.path
}
