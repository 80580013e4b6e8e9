/** What becomes of endpoints and upstreams, as counters and as lines of the log: each change is one line that says why. */
import type { UpstreamChange } from '../events.ts'
import type { Counters, Family } from './counters.ts'

export interface ChangeLine {
  readonly level: 'info' | 'warn'
  readonly text: string
  readonly fields: Readonly<Record<string, string>>
}

/** Endpoints that get labels of their own; more than that are counted together as `other`. */
const MAX_PLACES = 2_000

export class UpstreamChanges {
  readonly #counters: Counters
  readonly #slots = new Map<string, number>()

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
        return this.#set(1, upstream)
      case 'half-open':
      case 'discovered':
      case 'undiscovered':
      case 'limited':
      case 'unlimited':
        return
      case 'closed':
        return this.#set(0, upstream)
      case 'panic':
        return this.#add('upstream_panic', 1, upstream)
      case 'calm':
        return this.#add('upstream_panic', -1, upstream)
    }
  }

  #set(value: 0 | 1, upstream: string): void {
    const slot = this.#slot('upstream_circuit_open', [upstream])
    this.#counters.values[slot] = value
  }

  #add(family: Family, change: 1 | -1, upstream: string, ...more: string[]): void {
    let labels = [upstream, ...more]
    if (this.#slots.size >= MAX_PLACES && more.length > 0 && !this.#slots.has(keyOf(family, labels)))
      labels = [upstream, 'other', ...more.slice(1)]
    // Apart, for a new slot may be one in another array.
    const slot = this.#slot(family, labels)
    this.#counters.values[slot]! += change
  }

  #slot(family: Family, labels: readonly string[]): number {
    const key = keyOf(family, labels)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#counters.add(family, ...labels)
      this.#slots.set(key, slot)
    }
    return slot
  }
}

export function changeLine({ upstream, endpoint, state, why }: UpstreamChange): ChangeLine {
  const fields = { upstream, ...(endpoint === null ? {} : { endpoint }), state }
  const who = endpoint === null ? `upstream ${upstream}` : `endpoint ${endpoint} of ${upstream}`
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
      return { level: 'warn', text: `${who} goes on with the endpoints it has: ${why}` }
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
