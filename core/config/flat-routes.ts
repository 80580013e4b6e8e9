/** The routes of a listener without their groups, in the order in which they are tried: what the route table is made of. */
import type { Config, HttpRoute, List } from '../index.ts'
import type { Conditions } from '../route/conditions.ts'
import { httpListeners } from './http-listeners.ts'
import { entriesOf } from './lists.ts'
import { compileMatch } from './match.ts'
import type { Path } from './positions.ts'

/** A group around a route, or the route itself. */
export interface RouteLevel {
  /** `web[2]` */
  readonly id: string
  readonly route: HttpRoute
  readonly path: Path
  readonly conditions: Conditions
}

export interface FlatRoute {
  readonly id: string
  /** The outermost group first, the route itself last. */
  readonly levels: readonly RouteLevel[]
}

/** Null if there is no such HTTP listener. For a config that was found valid. */
export function flatRoutes(config: Config, listener: string): readonly FlatRoute[] | null {
  const found = httpListeners(config).find(({ name }) => name === listener)
  if (found === undefined) return null
  return flatten(listener, found.options.routes, { id: listener, path: [...found.path, 'routes'], levels: [] })
}

/** `web/me`, `web[0]`, in a group `web[2][1]`. */
export function routeId(listener: string, parent: string, index: number, route: HttpRoute): string {
  return route.name === undefined ? `${parent}[${index}]` : `${listener}/${route.name}`
}

export function isGroup(route: HttpRoute): route is HttpRoute & { routes: List<HttpRoute> } {
  return Array.isArray(route.routes)
}

interface Around {
  readonly id: string
  /** Of the list. */
  readonly path: Path
  readonly levels: readonly RouteLevel[]
}

function flatten(listener: string, routes: List<HttpRoute>, around: Around): FlatRoute[] {
  return entriesOf<HttpRoute>(routes).flatMap(([i, route]) => {
    const id = routeId(listener, around.id, i, route)
    const path: Path = [...around.path, i]
    const levels = [...around.levels, { id, route, path, conditions: compileMatch(route) }]
    return isGroup(route) ? flatten(listener, route.routes, { id, path: [...path, 'routes'], levels }) : [{ id, levels }]
  })
}
