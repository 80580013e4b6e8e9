/** The stores of a worker: whoever names the same place in the same way shares its connections, through reloads too, and the last to leave closes them. */
import { hash } from 'node:crypto'
import type { Deadlines } from '../deadlines.ts'
import { parseStoreUrl } from '../net/store-url.ts'
import { SharedStore } from './shared-store.ts'
import type { Link, LinkEvents, Store, StoreEvents, StorePlan } from './store.ts'

/** So long, at most, a plan waits for the stores that it names. */
const FIRST_MS = 2000

export interface StoresEnvironment {
  readonly deadlines: Deadlines
  readonly events: StoreEvents
  /** From 0 up to 1. */
  readonly random: () => number
}

interface Entry {
  readonly store: SharedStore
  users: number
}

export class Stores {
  readonly #environment: StoresEnvironment
  /** As many as the plans in use name. */
  readonly #open = new Map<string, Entry>()

  constructor(environment: StoresEnvironment) {
    this.#environment = environment
  }

  /** Connects; `close` of what is returned gives it back. */
  open(plan: StorePlan): Store {
    // Hashed, for it holds a password.
    const key = hash('sha256', JSON.stringify(plan))
    let entry = this.#open.get(key)
    if (entry === undefined) {
      entry = { store: this.#make(plan), users: 0 }
      this.#open.set(key, entry)
    }
    entry.users++
    return new Use(entry.store, () => this.#leave(key))
  }

  /** Resolves when of each it is known whether it can be reached, or after two seconds. */
  async settled(): Promise<void> {
    if (this.#open.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const late = setTimeout(resolve, FIRST_MS)
    await Promise.race([Promise.all([...this.#open.values()].map(({ store }) => store.settled)), promise])
    clearTimeout(late)
  }

  close(): void {
    for (const { store } of this.#open.values()) store.close()
    this.#open.clear()
  }

  #leave(key: string): void {
    const entry = this.#open.get(key)
    if (entry === undefined || --entry.users > 0) return
    this.#open.delete(key)
    entry.store.close()
  }

  #make(plan: StorePlan): SharedStore {
    const { deadlines, events, random } = this.#environment
    const address = parseStoreUrl(plan.url)
    // The config was found valid.
    if (typeof address === 'string') throw new Error(address)
    const { connections, timeout } = plan
    const load = async (): Promise<(events: LinkEvents) => Link> => {
      const { openLink } = await import('./redis.ts')
      return (told) => openLink({ address, plan, deadlines, random, events: told })
    }
    return new SharedStore({ name: address.name, connections, timeout, deadlines, events, load })
  }
}

/** One user's hold on a store. */
class Use implements Store {
  readonly ask: Store['ask']
  readonly run: Store['run']
  readonly #store: SharedStore
  readonly #leave: () => void
  #isOpen = true

  constructor(store: SharedStore, leave: () => void) {
    this.#store = store
    this.#leave = leave
    this.ask = (command, args, options) => store.ask(command, args, options)
    this.run = (script, keys, args, options) => store.run(script, keys, args, options)
  }

  get name(): string {
    return this.#store.name
  }
  get isAway(): boolean {
    return this.#store.isAway
  }

  close(): void {
    if (this.#isOpen) this.#leave()
    this.#isOpen = false
  }
}
