/**
 * What was changed about endpoints while the proxy runs: for all workers, those to come too, and through reloads, until the proxy ends.
 * One question after the other; each is answered when all workers act on it.
 */
import { nearest } from '../config/nearest.ts'
import { type EndpointAsk, EndpointError } from '../upstream/endpoint-asks.ts'
import type { EndpointChange } from '../upstream/endpoint-changes.ts'
import type { EndpointState, UpstreamState } from '../upstream/upstream-state.ts'

export interface EndpointBoardParts {
  /** How upstreams are, by each worker that answers. */
  states(): Promise<readonly (readonly UpstreamState[])[]>
  /** Resolves when they count everywhere. */
  apply(changes: readonly EndpointChange[]): Promise<void>
  log(text: string, fields: Readonly<Record<string, string>>): void
  /** Milliseconds since the epoch. Default: the machine's. */
  readonly now?: () => number
}

type Change = Exclude<EndpointAsk, { kind: 'list' }>

/** More changes than this are a matter for the config, or for a discovery. */
const MOST_CHANGES = 10_000
const NOTHING = { added: null, isRemoved: false, drain: null, until: null } as const

export class EndpointBoard {
  readonly #parts: EndpointBoardParts
  readonly #now: () => number
  readonly #changes = new Map<string, EndpointChange>()
  /** Of those whose clients are let go later: one a change. */
  readonly #timers = new Map<string, NodeJS.Timeout>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: EndpointBoardParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
  }

  get changes(): readonly EndpointChange[] {
    return [...this.#changes.values()]
  }

  /** Resolves with a sentence that says what was done. Rejects with EndpointError, and then nothing has changed. */
  change(ask: Change): Promise<string> {
    return this.#inTurn(() => this.#carryOut(ask))
  }

  /** That there is such an upstream; null: any. */
  async mustKnow(upstream: string | null): Promise<null> {
    if (upstream !== null) await this.#find(upstream)
    return null
  }

  /** Another plan is in use: what says nothing under it is forgotten. */
  reloaded(): Promise<void> {
    return this.#inTurn(() => this.#forget())
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#last.then(run)
    this.#last = done.catch(() => {})
    return done
  }

  async #carryOut(ask: Change): Promise<string> {
    const { upstream, address } = ask
    const found = await this.#find(upstream)
    const key = keyOf(ask)
    const before = this.#changes.get(key) ?? { upstream, address, ...NOTHING }
    const { change, did } = this.#next(ask, before, found)
    if (this.#changes.size >= MOST_CHANGES && !this.#changes.has(key))
      throw new EndpointError('conflict', `${MOST_CHANGES} endpoints were changed already: the rest is a matter for the config`)
    this.#set(key, change)
    await this.#parts.apply(this.changes).catch((error: unknown) => this.#takeBack(key, before, error))
    const text = `endpoint ${address} of ${upstream} ${did}`
    this.#parts.log(text, { upstream, endpoint: address })
    const left = found.endpoints
      .values()
      .filter((one) => one.address !== address && takesNew(one))
      .some(() => true)
    const isOut = ask.kind === 'drain' || ask.kind === 'remove'
    return isOut && !left ? `${text}; no endpoint of ${upstream} takes new requests now` : text
  }

  #next(ask: Change, before: EndpointChange, found: Found): { readonly change: EndpointChange; readonly did: string } {
    const { upstream, address } = ask
    const state = found.endpoints.get(address)
    if (ask.kind === 'add') {
      if (state !== undefined) {
        const hint = state.drain === null ? '' : `; it drains: sluice endpoints undrain ${upstream} ${address}`
        throw new EndpointError('conflict', `${address} is an endpoint of ${upstream} already${hint}`)
      }
      if (before.isRemoved) return { change: { ...before, isRemoved: false }, did: 'is back, as the config has it' }
      const { weight, priority, zone } = ask
      return { change: { ...before, added: { weight, priority, zone } }, did: 'is added' }
    }
    if (state === undefined) throw new EndpointError('unknown', unknownEndpoint(ask, found))
    switch (ask.kind) {
      case 'drain': {
        const stays = found.isSticky && ask.stickyMs > 0
        const change = { ...before, drain: stays ? 'sticky' : 'all', until: stays ? this.#now() + ask.stickyMs : null } as const
        return {
          change,
          did: stays
            ? `drains: until ${timeOf(change.until!)} it gets requests of clients that stay with it, and no others`
            : 'drains: it gets no more requests',
        }
      }
      case 'undrain':
        if (state.drain !== null && before.drain === null)
          throw new EndpointError('conflict', `${address} of ${upstream} drains by what its discovery says`)
        if (state.drain === null) throw new EndpointError('conflict', `${address} of ${upstream} does not drain`)
        return { change: { ...before, drain: null, until: null }, did: 'takes requests again' }
      case 'remove':
        return { change: { ...before, added: null, isRemoved: before.added === null, drain: null, until: null }, did: 'is removed' }
    }
  }

  /** Some may act on it already. */
  async #takeBack(key: string, before: EndpointChange, error: unknown): Promise<never> {
    this.#set(key, before)
    await this.#parts.apply(this.changes).catch(() => {})
    throw error
  }

  #set(key: string, change: EndpointChange): void {
    clearTimeout(this.#timers.get(key))
    this.#timers.delete(key)
    const { added, isRemoved, drain, until } = change
    if (added === null && !isRemoved && drain === null) this.#changes.delete(key)
    else this.#changes.set(key, change)
    if (until === null) return
    const timer = setTimeout(() => void this.#inTurn(() => this.#letGo(key)), until - this.#now())
    this.#timers.set(key, timer.unref())
  }

  /** Clients that stayed have had their time. */
  async #letGo(key: string): Promise<void> {
    const change = this.#changes.get(key)
    if (change?.drain !== 'sticky') return
    this.#set(key, { ...change, drain: 'all', until: null })
    await this.#parts.apply(this.changes)
    const { upstream, address } = change
    this.#parts.log(`endpoint ${address} of ${upstream} gets no more requests`, { upstream, endpoint: address })
  }

  async #forget(): Promise<void> {
    if (this.#changes.size === 0) return
    const all = merge(await this.#parts.states())
    if (all.size === 0) return
    let hasChanged = false
    for (const [key, change] of [...this.#changes]) {
      const next = stillSaid(change, all.get(change.upstream))
      if (next === change) continue
      hasChanged = true
      this.#set(key, next)
      const { upstream, address } = change
      const why = all.has(upstream) ? 'the config says otherwise by now' : 'its upstream is gone from the config'
      this.#parts.log(`what was changed about endpoint ${address} of ${upstream} is forgotten: ${why}`, { upstream, endpoint: address })
    }
    if (hasChanged) await this.#parts.apply(this.changes)
  }

  async #find(name: string): Promise<Found> {
    const all = merge(await this.#parts.states())
    const found = all.get(name)
    if (found !== undefined) return found
    if (all.size === 0) throw new EndpointError('busy', 'no worker answers at the moment: ask again')
    const near = nearest(name, [...all.keys()])
    const some = [...all.keys()].slice(0, 10).join(', ')
    throw new EndpointError('unknown', `there is no upstream ${name}; ${near === null ? `there is ${some}` : `did you mean ${near}?`}`)
  }
}

interface Found {
  readonly isSticky: boolean
  readonly isDiscovered: boolean
  /** By address. */
  readonly endpoints: ReadonlyMap<string, EndpointState>
  readonly removed: ReadonlySet<string>
}

function merge(states: readonly (readonly UpstreamState[])[]): Map<string, Found> {
  const all = new Map<string, Found>()
  for (const { name, isSticky, isDiscovered, endpoints, removed } of states.flat()) {
    const before = all.get(name)
    all.set(name, {
      ...{ isSticky, isDiscovered, removed: new Set([...(before?.removed ?? []), ...removed]) },
      endpoints: new Map([...(before?.endpoints ?? []), ...endpoints.map((one) => [one.address, one] as const)]),
    })
  }
  return all
}

/** The change as far as it still says something; the same object if it does as a whole. */
function stillSaid(change: EndpointChange, found: Found | undefined): EndpointChange {
  if (found === undefined) return { ...change, ...NOTHING }
  const { address, added, isRemoved, drain } = change
  const state = found.endpoints.get(address)
  const isNamedNow = added !== null && state?.isAdded === false && !found.isDiscovered
  const isGone = !found.isDiscovered && state === undefined && (isRemoved ? !found.removed.has(address) : added === null)
  if (isGone) return { ...change, ...NOTHING }
  return isNamedNow ? { ...change, added: null, drain } : change
}

function takesNew({ weight, drain }: EndpointState): boolean {
  return weight > 0 && drain === null
}

function unknownEndpoint({ upstream, address }: Change, { endpoints, removed }: Found): string {
  if (removed.has(address)) return `${address} of ${upstream} is removed: sluice endpoints add ${upstream} ${address} brings it back`
  const near = nearest(address, [...endpoints.keys()])
  const some = [...endpoints.keys()].slice(0, 10).join(', ')
  const hint = near !== null ? `did you mean ${near}?` : some === '' ? 'it has none' : `there is ${some}`
  return `there is no endpoint ${address} of ${upstream}; ${hint}`
}

function keyOf({ upstream, address }: { readonly upstream: string; readonly address: string }): string {
  return `${upstream}\0${address}`
}

/** `14:03:11` */
function timeOf(epochMs: number): string {
  return new Date(epochMs).toTimeString().slice(0, 8)
}
