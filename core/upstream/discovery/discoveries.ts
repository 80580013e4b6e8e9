/**
 * What the upstreams of a worker discover. Each worker asks for itself: no message has to come through for a request to find its endpoint,
 * and a worker that is born later is not behind.
 */
import type { Deadlines } from '../../deadlines.ts'
import type { Plan } from '../../plan/plan.ts'
import type { DiscoveryPlan, EndpointPlan, UpstreamPlan } from '../../plan/upstream-plan.ts'
import type { AvailabilityEvents } from '../availability.ts'
import type { DnsCache } from '../dns.ts'
import { ApiClient } from './api-client.ts'
import { Discovery } from './discovery.ts'
import { dnsSource, srvSource } from './dns.ts'
import { EtcdSet } from './etcd.ts'
import { fileSource } from './file.ts'
import { followedSource } from './follow.ts'
import { KubernetesSet } from './kubernetes.ts'
import { pollSource } from './poll.ts'
import type { Source } from './source.ts'

/** So long at most a plan waits for the first answers. */
const FIRST_MS = 2000
/** Of added and removed ones; the rest is counted. */
const NAMED = 5

export interface DiscoveriesEnvironment {
  readonly dns: DnsCache
  readonly deadlines: Deadlines
  readonly events: AvailabilityEvents
  /** Upstreams of the plan in use have other endpoints. */
  changed(): void
}

interface Known {
  /** Of the source. */
  readonly name: string
  readonly plan: DiscoveryPlan
  readonly discovery: Discovery
}

export class Discoveries {
  readonly #environment: DiscoveriesEnvironment
  #running = new Map<string, Known>()
  /** For plans that are not in use yet. */
  #prepared = new Map<string, Known>()

  constructor(environment: DiscoveriesEnvironment) {
    this.#environment = environment
  }

  /** Asks once for what is new in a plan. A source that fails or takes its time keeps no plan from coming into use. */
  async prepare(plan: Plan): Promise<void> {
    this.#prepared = new Map()
    const first: Promise<void>[] = []
    for (const { name, discovery } of plan.upstreams.values()) {
      if (discovery === null || isSame(this.#running.get(name)?.plan, discovery)) continue
      const known = this.#make(name, discovery)
      this.#prepared.set(name, known)
      first.push(new Promise((resolve) => known.discovery.ask(resolve)))
    }
    if (first.length === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const late = setTimeout(resolve, FIRST_MS)
    await Promise.race([Promise.all(first), promise])
    clearTimeout(late)
  }

  /** Those of the plan in use; the others end. */
  use(plan: Plan): void {
    const before = this.#running
    this.#running = new Map()
    for (const { name, discovery } of plan.upstreams.values()) {
      if (discovery === null) continue
      const one = [before.get(name), this.#prepared.get(name)].find((known) => isSame(known?.plan, discovery))
      const known = one ?? this.#make(name, discovery)
      this.#running.set(name, known)
      if (before.get(name) !== known) before.get(name)?.discovery.stop()
      known.discovery.start()
    }
    for (const [name, { discovery }] of before) if (!this.#running.has(name)) discovery.stop()
    this.#prepared = new Map()
  }

  /** The plan with what was found; of a name that nobody has looked up yet, the name itself is the endpoint. */
  withEndpoints(plan: UpstreamPlan): UpstreamPlan {
    if (plan.discovery === null) return plan
    const endpoints = this.#running.get(plan.name)?.discovery.endpoints ?? null
    if (endpoints !== null) return { ...plan, endpoints }
    return plan.discovery.kind === 'dns' ? plan : { ...plan, endpoints: [] }
  }

  /** Of an upstream; each '' if all is well, or it discovers nothing. */
  troubleOf(name: string): DiscoveryTrouble {
    const known = this.#running.get(name)
    const told = (what = ''): string => (what === '' ? '' : `${known!.name}: ${what}`)
    return { undiscovered: told(known?.discovery.failure), leftOut: told(known?.discovery.leftOut) }
  }

  close(): void {
    for (const { discovery } of this.#running.values()) discovery.stop()
    this.#running.clear()
  }

  #make(name: string, plan: DiscoveryPlan): Known {
    const { deadlines, events } = this.#environment
    const source = sourceOf(plan, this.#environment.dns)
    const tell = (state: 'discovered' | 'undiscovered' | 'incomplete', why: string): void =>
      events.upstreamChanged({ upstream: name, endpoint: null, state, why, isShared: false })
    const discovery: Discovery = new Discovery(source, {
      deadlines,
      before: this.#running.get(name)?.discovery.endpoints ?? null,
      events: {
        changed: (endpoints, before) => {
          tell('discovered', difference(before, endpoints))
          if (this.#running.get(name)?.discovery === discovery) this.#environment.changed()
        },
        failed: (why) => {
          // A name that nobody has looked up yet is an endpoint.
          const isNone = (discovery.endpoints?.length ?? (plan.kind === 'dns' ? 1 : 0)) === 0
          const has = isNone ? 'has no endpoints' : 'goes on with the endpoints it has'
          tell('undiscovered', `${has}: ${source.name}: ${why}`)
        },
        recovered: () => tell('discovered', `the endpoints it had: ${source.name} answers again`),
        leftOut: (what) => tell('incomplete', `${source.name}: ${what}`),
      },
    })
    return { name: source.name, plan, discovery }
  }
}

export interface DiscoveryTrouble {
  /** Why its source fails. */
  readonly undiscovered: string
  /** What of it makes no sense. */
  readonly leftOut: string
}

function sourceOf(plan: DiscoveryPlan, dns: DnsCache): Source {
  switch (plan.kind) {
    case 'dns':
      return dnsSource(plan, dns)
    case 'srv':
      return srvSource(plan, dns)
    case 'file':
      return fileSource(plan)
    case 'etcd':
      return followedSource(`etcd ${plan.prefix}`, () => new EtcdSet(plan, new ApiClient(dns)))
    case 'kubernetes':
      return followedSource(`Kubernetes ${plan.service}`, () => new KubernetesSet(plan, new ApiClient(dns)))
    case 'poll':
      return pollSource(plan)
  }
}

/** A function is the same only if it is itself. */
function isSame(one: DiscoveryPlan | undefined, other: DiscoveryPlan): boolean {
  if (one === undefined || JSON.stringify(one) !== JSON.stringify(other)) return false
  return (one.kind === 'poll' ? one.find : null) === (other.kind === 'poll' ? other.find : null)
}

/** `3 endpoints: + 10.0.0.3:80 - 10.0.0.1:80` */
function difference(before: readonly EndpointPlan[], after: readonly EndpointPlan[]): string {
  const [old, now] = [new Set(before.map(({ address }) => address)), new Set(after.map(({ address }) => address))]
  const named = (sign: string, list: readonly string[]): string =>
    list.length === 0 ? '' : ` ${sign} ${list.slice(0, NAMED).join(', ')}${list.length > NAMED ? ` and ${list.length - NAMED} more` : ''}`
  const added = named(
    '+',
    [...now].filter((address) => !old.has(address)),
  )
  const removed = named(
    '-',
    [...old].filter((address) => !now.has(address)),
  )
  const changes = added + removed
  return `${after.length} endpoint${after.length === 1 ? '' : 's'}${changes === '' ? ', with other weights or priorities' : `:${changes}`}`
}
