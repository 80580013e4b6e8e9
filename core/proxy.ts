/**
 * The composition root of a worker: the only place that sees the data path, the plugins and the observers together. A bundle is
 * prepared (evaluated, its plugins loaded, its plan compiled, its files read) and then taken into use, which cannot fail.
 */
import { dirname } from 'node:path'
import { gatherBlocklists } from './blocking/gather.ts'
import type { Caches } from './cache/caches.ts'
import { createTransport, type Transport } from './capability/transport.ts'
import { evaluateChecked } from './config/agreement.ts'
import type { Bundle } from './config/bundle.ts'
import type { Deadlines } from './deadlines.ts'
import type { Source } from './doors.ts'
import type { Observer } from './events.ts'
import type { Hook } from './hooks.ts'
import { inlineHook } from './http/inline.ts'
import type { Tally } from './http/tally.ts'
import { type Challenge, Challenges, type RecordChange } from './listener/challenges.ts'
import type { AuthorityCounts } from './listener/leaves.ts'
import { gatherMaterials, type Materials } from './materials.ts'
import type { NamedDestination } from './net/destination.ts'
import type { TicketKeys } from './net/ticket-keys.ts'
import type { AcceptedWire, Wire } from './net/wire.ts'
import { compilePlan } from './plan/compile.ts'
import { compareParts, type Difference } from './plan/difference.ts'
import { blocklistsOf } from './plan/forward-listeners.ts'
import { type Parts, partsOf } from './plan/parts.ts'
import type { Plan } from './plan/plan.ts'
import { isPlugin, isPolicy, type PluginUseConfig, pluginUses } from './plan/uses.ts'
import type { Counting } from './policy/counting.ts'
import { Policies, type PolicySet } from './policy/policies.ts'
import { Runtime } from './runtime.ts'
import type { Capabilities } from './sandbox/capabilities.ts'
import type { PluginProfile } from './sandbox/profiling.ts'
import { LoadedUse, type PluginState, type PluginUse, Sandbox, summarizeUse, type UseSummary } from './sandbox/sandbox.ts'
import type { StoreEvents } from './store/store.ts'
import { Stores } from './store/stores.ts'
import type { Dial } from './upstream/dial.ts'
import type { EndpointChange } from './upstream/endpoint-changes.ts'
import type { HealthBoard } from './upstream/health-board.ts'
import type { UpstreamState } from './upstream/upstream-state.ts'

export interface Prepared {
  readonly plan: Plan
  /** From the plan in use; null if there is none yet. */
  readonly difference: Difference | null
  /** Every use of a plugin in it. */
  readonly plugins: readonly UseSummary[]
  /** Gives back what it took: for a plan that is not taken into use, or no longer. */
  discard(): void
}

export interface Proxy {
  /** Nothing is live yet. Rejects with an Error that a user understands. */
  prepare(bundle: Bundle, generation: number): Promise<Prepared>
  /** Takes a plan into use. Cannot fail. Returns how many connections are told to end, for their listener is gone. */
  commit(prepared: Prepared): number
  /** Takes over a listening server, or a UDP socket, for the listener of that name in the plan in use. `key`: of its address (plan/addresses.ts). */
  accept(listener: string, source: Source, key?: string): void
  /** Takes over a connection that is past its handshake. False: there is no such listener, or it is full. */
  admit(listener: string, wire: Wire, scheme: 'http' | 'https'): boolean
  /** The same of what would come by a tunnel to there, which ends here. Null: such tunnels pass unread. */
  admitInside(listener: string, wire: Wire, destination: NamedDestination): boolean | null
  /** The same for a TCP listener, from its first byte on. */
  connect(listener: string, wire: AcceptedWire): boolean
  /** Closes its copies of the listening sockets. */
  stopAccepting(): void
  /** Resolves when no connection is left; at the deadline the rest is cut, and counted. */
  drain(deadlineMs: number): Promise<number>
  readonly connections: number
  /** How its plugins fare. */
  readonly plugins: readonly PluginState[]
  /** How its upstreams fare. */
  readonly upstreams: readonly UpstreamState[]
  /** What was changed at run time about endpoints, all of it: it counts under the next plans too. */
  changeEndpoints(changes: readonly EndpointChange[]): void
  /** Off until it is told to check. */
  readonly health: HealthBoard
  /** Of the authorities of its interception, each once, by their files. */
  readonly authorities: readonly (readonly [file: string, counts: AuthorityCounts])[]
  /** What its policies keep of answers. */
  readonly caches: Caches
  /** The plugin of that source runs in a process of its own from now on. */
  moveToProcess(sourceId: string): void
  /** What authorities are shown from now on, while they look whether names are ours. Throws if a certificate cannot be used. */
  showChallenges(challenges: readonly Challenge[]): void
  changeRecord(certificate: string, change: RecordChange): Promise<void>
  /** The clock of plugins, where it is simulated. */
  readonly pluginClock: PluginClock
  /** What the plugin of that name spends the processor on, for so long. Rejects with a sentence. */
  profilePlugin(name: string, ms: number): Promise<PluginProfile>
  /** Open descriptors near their limit (true), or far enough from it again (false). */
  onPressure: ((pressed: boolean) => void) | null
  close(): void
}

/** So long, at most, the plugins of a plan outlive it: then exchanges that began with it go on without them. */
const RETIRE_MS = 30_000
/** Descriptors open again at this share of the limit. */
const RELIEF = 0.9

export interface ProxyOptions {
  readonly observer: Observer
  readonly maxConnections: number
  /** What plugins may have done for them; default: nothing. */
  readonly capabilities?: Capabilities
  /** Of all workers; default: each certificate has keys of its own. */
  readonly ticketKeys?: TicketKeys
  /** In what policies count; default: in this process alone. */
  readonly counting?: Counting
  /** Of all workers, to sign cookies with; default: one of this process. */
  readonly secret?: Uint8Array
  /** Told of what policies can do less well than they might; default: nobody. */
  readonly warn?: (text: string) => void
  /** Told what requests have put out of a cache, for the other workers; default: nobody. */
  readonly onInvalidated?: (cache: string, url: string) => void
  /** How policies ask others; default: over the network. */
  readonly send?: Transport
  /** Who is told of stores; default: nobody. */
  readonly storeEvents?: StoreEvents
  /** What a simulation puts in the place of the machine's. */
  readonly simulated?: Simulated
}

/** What a simulation may do with the time of plugins. */
export type PluginClock = Pick<Sandbox, 'shiftClock' | 'shiftDeadlines' | 'dueMs' | 'sleeping'>

export interface Simulated {
  readonly deadlines: Deadlines
  readonly dial: Dial
  readonly skipsTls: boolean
  /** Stands between the data path and a hook of the config. */
  wrapHook(hook: Hook): Hook
}

export function createProxy(options: ProxyOptions): Proxy {
  return new WorkerProxy(options)
}

class WorkerProxy implements Proxy {
  onPressure: ((pressed: boolean) => void) | null = null
  readonly #runtime: Runtime
  readonly #sandbox: Sandbox
  readonly #policies: Policies
  readonly #simulated: Simulated | null
  readonly #ticketKeys: TicketKeys | null
  readonly #challenges = new Challenges()
  #current: Candidate | null = null
  #pressed = false

  constructor(options: ProxyOptions) {
    const { observer, maxConnections, simulated, capabilities, ticketKeys, counting, secret, send, storeEvents, warn, onInvalidated } =
      options
    this.#simulated = simulated ?? null
    this.#ticketKeys = ticketKeys ?? null
    this.#sandbox = new Sandbox({ observer, capabilities, ...(simulated === undefined ? {} : { engine: 'worker' }) })
    this.#runtime = new Runtime({
      observer,
      onDescriptors: (open) => this.#descriptors(open, maxConnections),
      isShort: () => this.#pressed,
      ...(secret === undefined ? {} : { secret }),
      ...(counting === undefined ? {} : { counting }),
      ...simulated,
    })
    const { deadlines } = this.#runtime
    this.#policies = new Policies(deadlines, {
      send: send ?? createTransport(),
      ...(counting === undefined ? {} : { counting }),
      ...(warn === undefined ? {} : { warn }),
      ...(onInvalidated === undefined ? {} : { onInvalidated }),
      isSimulated: simulated !== undefined,
      clock: simulated === undefined ? Date.now : dateOf(deadlines),
      stores: simulated === undefined ? new Stores({ deadlines, events: storeEvents ?? UNHEARD, random: Math.random }) : null,
    })
  }

  async prepare(bundle: Bundle, generation: number): Promise<Candidate> {
    const config = await evaluateChecked(bundle)
    await turn()
    const before = this.#current
    const uses = pluginUses(config).map((use) => withSource(use, bundle))
    const hooks = await this.#sandbox.load(uses, before?.hooks)
    const folder = dirname(bundle.file)
    const policies = this.#policies.open(folder)
    const release = () => {
      this.#sandbox.release(hooks)
      policies.release()
    }
    try {
      await turn()
      const byKey = new Map(uses.map((use, i) => [use.key, hooks[i]!]))
      const plan = compilePlan(config, {
        generation,
        folder,
        challengeHook: this.#challenges.hook,
        bindUse: (use, key): Hook => {
          const hook = isPlugin(use) ? byKey.get(key)! : isPolicy(use) ? policies.hookOf(use) : inlineHook(key, use)
          return this.#simulated === null ? hook : this.#simulated.wrapHook(hook)
        },
      })
      await turn()
      const blocklists = await gatherBlocklists(blocklistsOf(plan.listeners), { before: before?.materials.blocklists ?? null, pause: turn })
      const materials = gatherMaterials(plan, {
        before: before?.materials ?? null,
        ticketKeys: this.#ticketKeys,
        challenges: this.#challenges,
        blocklists,
      })
      await Promise.all([this.#runtime.prepare(plan), this.#policies.storesSettled()])
      const users = new Map([...materials.userFiles, ...policies.userFiles])
      const parts = partsOf(config, { code: bundle.code, certificates: materials.certificates, lists: blocklists.files, users })
      const difference = before === null ? null : compareParts(before.parts, parts)
      const plugins = uses.flatMap((use, i) => {
        const hook = hooks[i]
        return hook instanceof LoadedUse ? [summarizeUse(use, hook)] : []
      })
      return new Candidate({ plan, materials, hooks, parts, difference, plugins, policies, release })
    } catch (error) {
      release()
      throw error
    }
  }

  commit(prepared: Prepared): number {
    if (!(prepared instanceof Candidate)) throw new TypeError('only what prepare() made can be taken into use')
    const before = this.#current
    this.#current = prepared
    const swap = this.#runtime.use(prepared.plan, prepared.materials)
    prepared.policies.take()
    if (before !== null) retire(before, swap.before)
    return swap.touched
  }

  accept(listener: string, source: Source, key?: string): void {
    this.#runtime.accept(listener, source, key)
  }

  admit(listener: string, wire: Wire, scheme: 'http' | 'https'): boolean {
    return this.#runtime.listener(listener)?.admit(wire, scheme) ?? false
  }

  admitInside(listener: string, wire: Wire, destination: NamedDestination): boolean | null {
    return this.#runtime.listener(listener)?.admitInside(wire, destination) ?? null
  }

  connect(listener: string, wire: AcceptedWire): boolean {
    return this.#runtime.connect(listener, wire)
  }

  stopAccepting(): void {
    this.#runtime.stopAccepting()
  }

  drain(deadlineMs: number): Promise<number> {
    return this.#runtime.drain(deadlineMs)
  }

  get connections(): number {
    return this.#runtime.connections
  }

  get plugins(): readonly PluginState[] {
    return this.#sandbox.states
  }

  get upstreams(): readonly UpstreamState[] {
    return this.#runtime.upstreamStates
  }

  changeEndpoints(changes: readonly EndpointChange[]): void {
    this.#runtime.changeEndpoints(changes)
  }

  get health(): HealthBoard {
    return this.#runtime.health
  }

  get authorities(): readonly (readonly [file: string, counts: AuthorityCounts])[] {
    const all = this.#current?.materials.interceptors.values() ?? []
    // Listeners may share one.
    return [...new Map(Array.from(all, ({ counts }) => [counts[1], counts])).values()]
  }

  get caches(): Caches {
    return this.#policies.caches
  }

  moveToProcess(sourceId: string): void {
    this.#sandbox.moveToProcess(sourceId)
  }

  showChallenges(challenges: readonly Challenge[]): void {
    this.#challenges.replace(challenges)
  }

  /** `certificate`: the file that it is kept in. Rejects with the words of the config's function. */
  async changeRecord(certificate: string, { act, name, value }: RecordChange): Promise<void> {
    const zone = this.#current?.plan.dnsZones.get(certificate)
    if (zone === undefined) throw new Error('the config has no such certificate any more')
    try {
      await zone[act](Object.freeze({ name, value }))
    } catch (error) {
      throw new Error(`dns.${act} failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  get pluginClock(): PluginClock {
    return this.#sandbox
  }

  profilePlugin(name: string, ms: number): Promise<PluginProfile> {
    return this.#sandbox.profile(name, ms)
  }

  close(): void {
    this.#runtime.close()
    this.#sandbox.close()
    this.#policies.close()
  }

  #descriptors(open: number, limit: number): void {
    const pressed = this.#pressed ? open > limit * RELIEF : open >= limit
    if (pressed === this.#pressed) return
    this.#pressed = pressed
    this.onPressure?.(pressed)
  }
}

const UNHEARD: StoreEvents = { changed: () => {}, refused: () => {}, failed: () => {} }

interface CandidateParts {
  readonly plan: Plan
  readonly materials: Materials
  readonly hooks: readonly Hook[]
  readonly parts: Parts
  readonly difference: Difference | null
  readonly plugins: readonly UseSummary[]
  readonly policies: PolicySet
  readonly release: () => void
}

class Candidate implements Prepared {
  readonly plan: Plan
  readonly materials: Materials
  readonly hooks: readonly Hook[]
  readonly parts: Parts
  readonly difference: Difference | null
  readonly plugins: readonly UseSummary[]
  readonly policies: PolicySet
  #release: (() => void) | null

  constructor({ plan, materials, hooks, parts, difference, plugins, policies, release }: CandidateParts) {
    this.plan = plan
    this.materials = materials
    this.hooks = hooks
    this.parts = parts
    this.difference = difference
    this.plugins = plugins
    this.policies = policies
    this.#release = release
  }

  discard(): void {
    const release = this.#release
    this.#release = null
    release?.()
  }
}

/** Ten thousand routes take their time: between two steps whoever waits for an answer gets it. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Exchanges under way still ask its plugins: they go with the last of them. */
function retire(candidate: Candidate, tally: Tally | null): void {
  const late = setTimeout(() => candidate.discard(), RETIRE_MS).unref()
  tally?.retire(() => {
    clearTimeout(late)
    candidate.discard()
  })
}

function withSource(use: PluginUseConfig, bundle: Bundle): PluginUse {
  const source = bundle.plugins.find((plugin) => plugin.id === use.plugin)
  if (source === undefined) throw new Error(`the plugin ${use.name} is not part of the bundle`)
  return { ...use, source, isolation: use.isolation ?? source.isolation }
}

/** The time of day on a clock that is put forward. */
function dateOf(deadlines: Deadlines): () => number {
  const base = Date.now() - deadlines.in(0)
  return () => base + deadlines.in(0)
}
