/** What becomes of endpoints and upstreams, as counters and as lines of the log: each change is one line that says why. */
import { PARENTS_OF, type UpstreamChange } from '../events.ts'
import type { UpstreamState } from '../upstream/upstream-state.ts'
import { type Counters, type Family, families } from './counters.ts'

export interface ChangeLine {
  readonly level: 'info' | 'warn'
  readonly text: string
  readonly fields: Readonly<Record<string, string>>
}

/** Endpoints that get labels of their own; more than that are counted together as `other`. */
const MAX_PLACES = 2_000

export class UpstreamChanges {
  readonly #counters: Counters
  readonly #slots = new Map<string, Slot>()
  /** Places whose endpoint is gone. */
  readonly #free = new Map<Family, Slot[]>()

  constructor(counters: Counters) {
    this.#counters = counters
  }

  count({ upstream, endpoint, state }: UpstreamChange): void {
    switch (state) {
      case 'ejected':
        this.#add('upstream_ejections_total', 1, upstream, endpoint!)
        return this.#add('upstream_unavailable', 1, upstream, endpoint!, 'ejected')
      case 'available':
        return this.#add('upstream_unavailable', -1, upstream, endpoint!, 'ejected')
      case 'unhealthy':
        return this.#add('upstream_unavailable', 1, upstream, endpoint!, 'unhealthy')
      case 'healthy':
        return this.#add('upstream_unavailable', -1, upstream, endpoint!, 'unhealthy')
      case 'open':
        this.#add('upstream_circuit_openings_total', 1, upstream)
        return this.#set('upstream_circuit_open', 1, upstream)
      case 'half-open':
      case 'incomplete':
      case 'limited':
      case 'unlimited':
        return
      case 'discovered':
        return this.#set('upstream_undiscovered', 0, upstream)
      case 'undiscovered':
        return this.#set('upstream_undiscovered', 1, upstream)
      case 'closed':
        return this.#set('upstream_circuit_open', 0, upstream)
      case 'panic':
        return this.#add('upstream_panic', 1, upstream)
      case 'calm':
        return this.#add('upstream_panic', -1, upstream)
    }
  }

  #set(family: 'upstream_circuit_open' | 'upstream_undiscovered', value: 0 | 1, upstream: string): void {
    const { slot } = this.#slot(family, [upstream])
    this.#counters.values[slot] = value
  }

  #add(family: Family, change: 1 | -1, upstream: string, ...more: string[]): void {
    let labels = [upstream, ...more]
    if (this.#slots.size >= MAX_PLACES && more.length > 0 && !this.#slots.has(keyOf(family, labels)))
      labels = [upstream, OTHER, ...more.slice(1)]
    // Apart, for a new slot may be one in another array.
    const { slot } = this.#slot(family, labels)
    this.#counters.values[slot]! += change
  }

  #slot(family: Family, labels: readonly string[]): Slot {
    const key = keyOf(family, labels)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#again(family, labels) ?? { series: this.#counters.series, slot: this.#counters.add(family, ...labels), family, labels }
      this.#slots.set(key, slot)
    }
    return slot
  }

  /** The place of an endpoint that is gone. */
  #again(family: Family, labels: readonly string[]): Slot | null {
    const free = this.#free.get(family)?.pop()
    if (free === undefined) return null
    this.#counters.rename(free.series, family, ...labels)
    return { ...free, labels }
  }

  /** Of endpoints that are gone what was counted is added to `other`; an upstream that is gone is in no state. */
  keepOnly(states: readonly UpstreamState[]): void {
    this.#keepStates(states)
    const there = new Map(states.map(({ name, endpoints }) => [name, new Set(endpoints.map(({ address }) => address))]))
    for (const [key, gone] of this.#slots) {
      const { slot, family, labels } = gone
      const [upstream = '', endpoint = OTHER, ...more] = labels
      const isGone = endpoint !== OTHER && there.get(upstream)?.has(endpoint) === false
      if (!isGone || (families[family].kind === 'gauge' && this.#counters.values[slot] !== 0)) continue
      this.#slots.delete(key)
      const others = [upstream, OTHER, ...more]
      const other = this.#slot(family, others)
      const { values } = this.#counters
      values[other.slot]! += values[slot]!
      values[slot] = 0
      this.#counters.rename(gone.series, family, ...others)
      this.#free.set(family, [...(this.#free.get(family) ?? []), gone])
    }
  }

  /** What began before the latest plan may have ended with the one before, and nobody tells. */
  #keepStates(states: readonly UpstreamState[]): void {
    const there = new Map(states.map((state) => [state.name, state]))
    for (const { family, labels, slot } of this.#slots.values()) {
      const state = there.get(labels[0]!)
      const { values } = this.#counters
      if (family === 'upstream_undiscovered') values[slot] = state === undefined || state.undiscovered === '' ? 0 : 1
      else if (family === 'upstream_circuit_open')
        values[slot] = state === undefined || state.circuit === null || state.circuit === 'closed' ? 0 : 1
    }
  }
}

const OTHER = 'other'

interface Slot {
  readonly slot: number
  readonly series: number
  readonly family: Family
  readonly labels: readonly string[]
}

export function changeLine({ upstream, endpoint, state, why }: UpstreamChange): ChangeLine {
  const fields = { upstream, ...(endpoint === null ? {} : { endpoint }), state }
  const isParent = upstream.startsWith(PARENTS_OF)
  const whose = isParent ? `parent ${endpoint} of ${upstream.slice(PARENTS_OF.length)}` : `endpoint ${endpoint} of ${upstream}`
  const who = endpoint === null ? `upstream ${upstream}` : whose
  return { ...wordsOf(state, who, why), fields }
}

function wordsOf(state: UpstreamChange['state'], who: string, why: string): { level: 'info' | 'warn'; text: string } {
  switch (state) {
    case 'ejected':
      return { level: 'warn', text: `${who} is ejected ${why}` }
    case 'available':
      return { level: 'info', text: `${who} is not ejected any more: ${why}` }
    case 'unhealthy':
      return { level: 'warn', text: `${who} is unhealthy: ${why}` }
    case 'healthy':
      return { level: 'info', text: `${who} is healthy: ${why}` }
    case 'discovered':
      return { level: 'info', text: `${who} has ${why}` }
    case 'undiscovered':
      return { level: 'warn', text: `${who} ${why}` }
    case 'incomplete':
      return { level: 'warn', text: `${who} does not use all that it discovers: ${why}` }
    case 'open':
      return { level: 'warn', text: `${who} gets no requests ${why}` }
    case 'limited':
      return { level: 'warn', text: `${who} gets no more requests than it answers in good time: ${why}` }
    case 'unlimited':
      return { level: 'info', text: `${who} gets all requests again: ${why}` }
    case 'half-open':
      return { level: 'info', text: `${who} is tried again: ${why}` }
    case 'closed':
      return { level: 'info', text: `${who} gets requests again: ${why}` }
    case 'panic':
      return { level: 'warn', text: `${who} uses all its endpoints, for only ${why}` }
    case 'calm':
      return { level: 'info', text: `${who} keeps off what is not available again: ${why}` }
  }
}

function keyOf(family: Family, labels: readonly string[]): string {
  return `${family}\0${labels.join('\0')}`
}
