/** Upstreams of a config → UpstreamPlans: one `upstream()` is one plan wherever it stands, and so is one URL. */
import { resolve } from 'node:path'
import { entriesOf } from '../config/lists.ts'
import { parseDuration } from '../config/units.ts'
import type {
  DiscoveredUpstreamOptions,
  EndpointOptions,
  OriginationOptions,
  Retries,
  Timeouts,
  Upstream,
  UpstreamOptions,
} from '../index.ts'
import { parseEndpoint } from '../net/address.ts'
import type { EndpointPlan, UpstreamPlan, UpstreamTimeouts } from './plan.ts'

export class UpstreamCompiler {
  readonly byName = new Map<string, UpstreamPlan>()
  readonly #folder: string
  readonly #seen = new Map<Upstream | string, UpstreamPlan>()

  constructor(folder: string) {
    this.#folder = folder
  }

  compile(target: Upstream | string): UpstreamPlan {
    const known = this.#seen.get(target)
    if (known !== undefined) return known
    const plan = typeof target === 'string' ? this.#compileUrl(target) : this.#compileGroup(target)
    // Loading the config has refused this already: two groups under one name would be one in logs and metrics.
    if (this.byName.has(plan.name)) throw new Error(`two upstreams are named ${plan.name}`)
    this.#seen.set(target, plan)
    this.byName.set(plan.name, plan)
    return plan
  }

  /** `to: 'https://example.com'` sends that name in Host and SNI. */
  #compileUrl(url: string): UpstreamPlan {
    const { tls, authority } = parseEndpoint(url)!
    return this.#finish(url, { endpoints: [url], host: 'name', tls }, authority)
  }

  #compileGroup({ name, options }: Upstream): UpstreamPlan {
    return this.#finish(name, options, name)
  }

  #finish(name: string, options: UpstreamOptions | DiscoveredUpstreamOptions, hostName: string): UpstreamPlan {
    const endpoints = entriesOf<string | EndpointOptions>(options.endpoints).map(([, endpoint]) => compileEndpoint(endpoint))
    const isSecure = entriesOf<string | EndpointOptions>(options.endpoints).some(([, endpoint]) => parseEndpoint(addressOf(endpoint))!.tls)
    const tls = options.tls ?? isSecure
    return Object.freeze({
      name,
      endpoints: Object.freeze(endpoints),
      host: options.host ?? 'preserve',
      hostName,
      tls: tls === false ? null : this.#origination(tls === true ? {} : tls),
      timeouts: compileTimeouts(options.timeouts ?? {}),
      idleConnections: options.idleConnections ?? 256,
      attempts: countAttempts(options.retries ?? {}),
      proxyProtocol: options.proxyProtocol ?? null,
      connections: options.limits?.connections ?? Number.POSITIVE_INFINITY,
    })
  }

  #origination({ servername, ca, cert, key }: OriginationOptions): NonNullable<UpstreamPlan['tls']> {
    const file = (text: string | undefined): string | null => (text === undefined ? null : resolveFile(this.#folder, text))
    return Object.freeze({ servername: servername ?? null, ca: file(ca), cert: file(cert), key: file(key) })
  }
}

/** PEM text stays as it is; a file is looked for in the config's folder. */
export function resolveFile(folder: string, pathOrPem: string): string {
  return pathOrPem.includes('-----BEGIN') ? pathOrPem : resolve(folder, pathOrPem)
}

function compileEndpoint(endpoint: string | EndpointOptions): EndpointPlan {
  const address = addressOf(endpoint)
  const weight = typeof endpoint === 'string' ? 1 : (endpoint.weight ?? 1)
  return Object.freeze({
    address: address.replace(/^(?:https?|tcp):\/\//i, ''),
    target: Object.freeze(parseEndpoint(address)!.target),
    weight,
  })
}

function addressOf(endpoint: string | EndpointOptions): string {
  return typeof endpoint === 'string' ? endpoint : endpoint.address
}

function countAttempts({ attempts = 1, on = ['connect'] }: Retries): number {
  return on.includes('connect') ? attempts : 1
}

function compileTimeouts({ connect = '5s', response = '60s', idle = '60s', keepAlive = '60s' }: Timeouts): UpstreamTimeouts {
  const ms = (text: string): number => parseDuration(text)!
  return Object.freeze({ connect: ms(connect), response: ms(response), idle: ms(idle), keepAlive: ms(keepAlive) })
}
