/**
 * The HTTP listeners of a config by their names: those that listen themselves, forward proxies among them, and those that stand in routes of TCP listeners
 * (`edge[1]/web`). For a config that was found valid.
 */
import type { Config, HttpOptions, TcpRoute } from '../index.ts'
import { entriesOf } from './lists.ts'
import type { Path } from './positions.ts'

export interface HttpPart {
  readonly name: string
  readonly options: HttpOptions
  /** Of the options. */
  readonly path: Path
}

export function httpListeners({ listeners }: Pick<Config, 'listeners'>): HttpPart[] {
  return Object.entries(listeners).flatMap(([name, listener]): HttpPart[] => {
    const path: Path = ['listeners', name, { hidden: 'options' }]
    if (listener.kind === 'http') return [{ name, options: listener.options, path }]
    // It has no routes: requests name where they go.
    if (listener.kind === 'forward') return [{ name, options: { use: listener.options.use, routes: [] }, path }]
    return listener.kind === 'tcp' ? listenersInside(name, listener.options.routes as readonly TcpRoute[], path) : []
  })
}

function listenersInside(listener: string, routes: readonly TcpRoute[], path: Path): HttpPart[] {
  return entriesOf<TcpRoute>(routes).flatMap(([i, { name, to }]): HttpPart[] => {
    if (typeof to === 'string' || to.kind !== 'http') return []
    const at: Path = [...path, 'routes', i, 'to', { hidden: 'options' }]
    return [{ name: insideName(tcpRouteId(listener, i, name)), options: to.options, path: at }]
  })
}

/** `edge/bank`, `edge[0]` */
export function tcpRouteId(listener: string, index: number, name: string | undefined): string {
  return name === undefined ? `${listener}[${index}]` : `${listener}/${name}`
}

/** Of the HTTP listener in a route of TCP. */
export function insideName(routeId: string): string {
  return `${routeId}/web`
}
