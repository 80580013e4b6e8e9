/** The series of listeners, routes, upstreams and plugins in a worker's counters: found again by name, and made where there are none yet. */
import type { EndedExchange, EndedTunnel, Observer } from '../events.ts'
import type { Counters } from './counters.ts'

/** Routes that get labels of their own; more than that are counted together as `other`. */
const maxPlaces = 2_000

export class TrafficSeries {
  readonly #counters: Counters
  readonly #listeners = new Map<string, ListenerSlots>()
  readonly #routes = new Map<string, RouteSlots>()
  /** Of listeners of TCP and UDP. */
  readonly #tunnels = new Map<string, TunnelSlots>()
  readonly #upstreams = new Map<string, UpstreamSlots>()
  readonly #plugins = new Map<string, PluginSlots>()
  #lastRoute: RouteSlots | null = null

  constructor(counters: Counters) {
    this.#counters = counters
  }

  listener(name: string): ListenerSlots {
    let slots = this.#listeners.get(name)
    if (slots === undefined) {
      slots = { accepted: this.#counters.add('connections_total', name), open: this.#counters.add('connections', name) }
      this.#listeners.set(name, slots)
    }
    return slots
  }

  /** The names of a plan are the same strings for each exchange, so the one before is found by comparing pointers. */
  route(x: EndedExchange): RouteSlots {
    const last = this.#lastRoute
    if (last !== null && last.route === x.route && last.listener === x.listener) return last
    const key = x.route ?? `${x.listener} `
    let slots = this.#routes.get(key)
    if (slots === undefined) {
      const crowded = this.#routes.size >= maxPlaces
      slots = crowded ? this.#otherRoute(x) : routeSlots(this.#counters, x.listener, x.route, x.route ?? '')
      if (!crowded) this.#routes.set(key, slots)
    }
    this.#lastRoute = slots
    return slots
  }

  #otherRoute(x: EndedExchange): RouteSlots {
    const key = `${x.listener} other`
    let slots = this.#routes.get(key)
    if (slots === undefined) {
      slots = routeSlots(this.#counters, x.listener, key, 'other')
      this.#routes.set(key, slots)
    }
    return slots
  }

  tunnel({ listener, route }: EndedTunnel): TunnelSlots {
    const key = route ?? `${listener} `
    let slots = this.#tunnels.get(key)
    if (slots === undefined) {
      const label = this.#tunnels.size < maxPlaces ? (route ?? '') : 'other'
      slots = tunnelSlots(this.#counters, listener, label)
      this.#tunnels.set(key, slots)
    }
    return slots
  }

  upstream(name: string): UpstreamSlots {
    let slots = this.#upstreams.get(name)
    if (slots === undefined) {
      slots = {
        name,
        response: this.#counters.add('upstream_response_seconds', name),
        retries: this.#counters.add('upstream_retries_total', name),
        refused: this.#counters.add('upstream_retries_refused_total', name),
        waiting: this.#counters.add('upstream_waiting', name),
        buffered: this.#counters.add('upstream_buffered_bytes', name),
        hedges: {},
        limit: undefined,
      }
      this.#upstreams.set(name, slots)
    }
    return slots
  }

  plugin(name: string): PluginSlots {
    let slots = this.#plugins.get(name)
    if (slots === undefined) {
      const counters = this.#counters
      const failure = (why: PluginFailure): number => counters.add('plugin_failures_total', name, why)
      slots = {
        calls: counters.add('plugin_calls_total', name),
        crossings: counters.add('plugin_crossings_total', name),
        seconds: counters.add('plugin_seconds_total', name),
        failures: {
          threw: failure('threw'),
          timeout: failure('timeout'),
          memory: failure('memory'),
          crashed: failure('crashed'),
          parked: failure('parked'),
        },
      }
      this.#plugins.set(name, slots)
    }
    return slots
  }
}

interface ListenerSlots {
  readonly accepted: number
  readonly open: number
}

export interface RouteSlots extends TunnelSlots {
  readonly listener: string
  readonly route: string | null
  /** Six in a row: no status, 1xx … 5xx. */
  readonly statuses: number
  readonly duration: number
  /** By outcome: there are a handful. */
  readonly cache: Map<string, number>
}

interface TunnelSlots {
  readonly received: number
  readonly sent: number
  readonly tunnels: number
  readonly label: string
  /** Of UDP; undefined until the first session has ended. */
  datagrams: { readonly received: number; readonly sent: number } | undefined
}

interface UpstreamSlots {
  readonly name: string
  readonly response: number
  readonly retries: number
  readonly refused: number
  readonly waiting: number
  readonly buffered: number
  readonly hedges: { won?: number; lost?: number; failed?: number }
  limit: number | undefined
}

export type PluginFailure = Parameters<Observer['pluginFailed']>[1]

interface PluginSlots {
  readonly calls: number
  readonly crossings: number
  readonly seconds: number
  readonly failures: Readonly<Record<PluginFailure, number>>
}

const statusClasses = ['0xx', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

function routeSlots(counters: Counters, listener: string, route: string | null, label: string): RouteSlots {
  const statuses = statusClasses.map((status) => counters.add('requests_total', listener, label, status))
  return {
    listener,
    route,
    cache: new Map(),
    statuses: statuses[0]!,
    duration: counters.add('request_duration_seconds', listener, label),
    ...tunnelSlots(counters, listener, label),
  }
}

function tunnelSlots(counters: Counters, listener: string, label: string): TunnelSlots {
  return {
    received: counters.add('received_bytes_total', listener, label),
    sent: counters.add('sent_bytes_total', listener, label),
    tunnels: counters.add('tunnels_total', listener, label),
    label,
    datagrams: undefined,
  }
}
