/** The forward listeners of a plan at work: their guards, and their connections, which go on into the next plan if it would open them alike. */

import type { Blocklists } from '../blocking/gather.ts'
import type { UserFile } from '../config/user-file.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Blocks } from '../forward/blocks.ts'
import { isLoopbackAddress, makeGuard } from '../forward/guard.ts'
import { OwnAddresses } from '../forward/own-addresses.ts'
import { type ListenedPlace, OwnListeners } from '../forward/own-listeners.ts'
import type { NamedDestination } from '../net/destination.ts'
import { type ForwardListenerPlan, forwardListenersOf, ownPlacesOf } from '../plan/forward-listeners.ts'
import type { ForwardPlan, InterceptPlan } from '../plan/forward-plan.ts'
import type { Plan } from '../plan/plan.ts'
import { AskedUsers } from '../policy/asked-users.ts'
import { Passwords, rememberedUsers } from '../policy/passwords.ts'
import { type LimitsEnvironment, UserLimits, type UserRates } from '../policy/user-limits.ts'
import { Destinations, type DestinationsOptions } from '../upstream/destinations.ts'
import type { Origination } from '../upstream/dial.ts'
import { ParentHealths } from '../upstream/parent-healths.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import type { Forwarding } from './forwarding.ts'
import type { Interception } from './interception.ts'

interface Environment extends Pick<DestinationsOptions, 'events' | 'environment'>, Pick<LimitsEnvironment, 'counting' | 'clock'> {}

/** What a plan needs besides itself. */
interface Prepared {
  readonly blocklists: Blocklists['of']
  readonly interceptors: ReadonlyMap<InterceptPlan, Interception>
  /** By their whole paths. */
  readonly userFiles: ReadonlyMap<string, UserFile>
}

interface Known {
  /** The plan's `dialKey`. */
  readonly key: string
  readonly destinations: Destinations
  readonly healths: ParentHealths
  readonly users: string
  readonly passwords: Passwords | null
  readonly rates: UserRates | null
}

export class Forwardings {
  readonly #ownAddresses = new OwnAddresses()
  readonly #ownListeners: OwnListeners
  /** By the names of their listeners. */
  #known = new Map<string, Known>()

  /** `opened`: where listeners of the forward side have been opened. */
  constructor(opened: () => Iterable<ListenedPlace> = () => []) {
    this.#ownListeners = new OwnListeners((address) => isLoopbackAddress(address) || this.#ownAddresses.has(address), opened)
  }

  /** Takes a plan into use. */
  use(
    plan: Plan,
    { blocklists, interceptors, userFiles }: Prepared,
    environment: Environment,
  ): ReadonlyMap<ForwardListenerPlan['listener'], Forwarding> {
    const known = new Map<string, Known>()
    const byPlan = new Map<ForwardListenerPlan['listener'], Forwarding>()
    const all = forwardListenersOf(plan.listeners)
    this.#ownListeners.use(ownPlacesOf(plan))
    for (const { listener, forward } of all) {
      const { name } = listener
      const guard = makeGuard({
        opened: forward.opened,
        isOwn: (address) => this.#ownAddresses.has(address),
        listens: (address, port) => this.#ownListeners.has(address, port),
      })
      const before = this.#known.get(name)
      const isSame = before?.key === forward.dialKey
      // In a simulation hosts are stood in for themselves.
      const parents = environment.environment.dial === undefined ? forward.parents : []
      const healths = before?.healths ?? new ParentHealths(name, (change) => environment.events.upstreamChanged(change))
      healths.use(parents)
      const destinations = isSame
        ? before.destinations
        : new Destinations({ name, guard, parents, healths, events: environment.events, environment: environment.environment })
      const file = forward.auth?.file == null ? null : userFiles.get(forward.auth.file)!
      const users = JSON.stringify([forward.auth?.users, file?.digest])
      // A function may know others by now, whatever its text.
      const isSameUsers = before?.users === users && (forward.auth?.check ?? null) === null && !before.passwords?.asksFunction
      const passwords = isSameUsers ? before.passwords : passwordsOf(forward, file, environment.environment.deadlines)
      const { counting, clock } = environment
      const limits = UserLimits.of(forward, name, before?.rates ?? null, { counting, clock, deadlines: environment.environment.deadlines })
      known.set(name, { key: forward.dialKey, destinations, healths, users, passwords, rates: limits?.rates ?? null })
      const list = forward.block === null ? null : blocklists.get(forward.block)!
      const blocks: Blocks | null = list === null ? null : (host) => list.match(host)
      byPlan.set(listener, {
        ...{ plan: forward, guard, passwords, blocks, limits, clock },
        interception: forward.intercept === null ? null : interceptors.get(forward.intercept)!,
        upstreamTo: (destination: NamedDestination, tls: Origination | null) => destinations.to(destination, tls),
        upstreamAsking: (destination: NamedDestination) => destinations.asking(destination),
      })
    }
    for (const [name, { destinations, healths, rates }] of this.#known) {
      if (known.get(name)?.rates !== rates) rates?.close()
      if (known.get(name)?.destinations !== destinations) destinations.retire()
      if (!known.has(name)) healths.use([])
    }
    this.#known = known
    return byPlan
  }

  /** How parents are, by their listeners. */
  get parentStates(): UpstreamState[] {
    return [...this.#known.values()].flatMap(({ healths }) => healths.state ?? [])
  }

  close(): void {
    for (const { destinations } of this.#known.values()) destinations.retire()
  }
}

function passwordsOf({ auth }: ForwardPlan, file: UserFile | null, deadlines: Deadlines): Passwords | null {
  if (auth === null) return null
  const asked = auth.check === null ? null : new AskedUsers(auth.check, 'auth.check', deadlines)
  return new Passwords({ users: auth.users, file, asked, remembered: rememberedUsers(), now: () => deadlines.in(0) })
}
