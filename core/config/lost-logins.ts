/** Warns of logins that browsers do not come back to: an earlier route takes the path that the provider sends them to. */
import type { Config, OidcOptions } from '../index.ts'
import type { Conditions } from '../route/conditions.ts'
import { compilePath } from '../route/pattern.ts'
import { findUnreachable } from '../route/shadow.ts'
import { type FlatRoute, flatRoutes } from './flat-routes.ts'
import { httpListeners } from './http-listeners.ts'
import { entriesOf } from './lists.ts'
import type { Path } from './positions.ts'
import { isObject, type Report } from './report.ts'

/** A path that means itself as a pattern. */
const PLAIN = /^[\w\-./~]+$/

interface Login {
  readonly options: OidcOptions
  readonly path: Path
}

/** For a config that was found valid. On a listener the policy is asked before any route. */
export function warnOfLostLogins(config: Config, report: Report): void {
  for (const { name } of httpListeners(config)) {
    const routes = flatRoutes(config, name) ?? []
    const told = new Set<OidcOptions>()
    for (const [i, route] of routes.entries())
      for (const login of loginsOf(route)) {
        if (told.has(login.options)) continue
        const takers = takersOf(callbackOf(login.options), i, routes)
        // Whoever has the same login answers there as well.
        if (takers.length === 0 || takers.every((taker) => loginsOf(taker).some(({ options }) => isSame(options, login.options)))) continue
        told.add(login.options)
        warn(login, takers, report)
      }
  }
}

function warn({ options, path }: Login, takers: readonly FlatRoute[], report: Report): void {
  report.warn(path, (placeOf) => {
    const shown = takers.slice(0, 3).map(({ id, levels }) => `${id} (${placeOf(levels.at(-1)!.path)})`)
    const verb = takers.length === 1 ? 'takes' : 'take'
    const advice = 'put oidc() on the listener, or its route first'
    return `browsers come back to ${callbackOf(options).pathname}, which ${shown.join(' and ')} ${verb}: ${advice}`
  })
}

/** The earlier routes that take all browsers that come back to the route at `index`; none if they get there, or are told of elsewhere. */
function takersOf(
  { pathname, host }: { readonly pathname: string; readonly host: string | null },
  index: number,
  routes: readonly FlatRoute[],
) {
  if (!PLAIN.test(pathname)) return []
  const back: Conditions = {
    ...{ hosts: host === null ? null : [host], paths: compilePath(pathname), methods: ['GET'] },
    ...{ headers: [], query: [], cookies: [], from: null, when: null },
  }
  const conditionsOf = ({ levels }: FlatRoute): Conditions[] => levels.map(({ conditions }) => conditions)
  const rules = [...routes.slice(0, index).map(conditionsOf), [...conditionsOf(routes[index]!), back]]
  const found = findUnreachable(rules).find(({ rule }) => rule === index)
  return found === undefined || found.impossible !== null ? [] : found.by.map((rule) => routes[rule]!)
}

function loginsOf({ levels }: FlatRoute): Login[] {
  return levels.flatMap(({ route, path }) =>
    entriesOf<unknown>(route.use ?? []).flatMap(([i, one]) =>
      isObject(one) && one.kind === 'policy' && one.name === 'oidc'
        ? [{ options: one.options as OidcOptions, path: [...path, 'use', i] }]
        : [],
    ),
  )
}

function callbackOf({ callback = '/oauth2/callback' }: OidcOptions): { readonly pathname: string; readonly host: string | null } {
  if (!callback.includes('://')) return { pathname: callback, host: null }
  const { pathname, hostname } = new URL(callback)
  return { pathname, host: hostname }
}

/** One reads what the other has written. */
function isSame(one: OidcOptions, other: OidcOptions): boolean {
  const keyOf = ({ issuer, clientId, secret, cookie = '' }: OidcOptions): string => JSON.stringify([issuer, clientId, secret, cookie])
  return one === other || (keyOf(one) === keyOf(other) && callbackOf(one).pathname === callbackOf(other).pathname)
}
