/**
 * The policies of a worker through its reloads: each plan has a set of hooks, and what a policy keeps (counters, verified passwords)
 * goes on in the next set that has the same policy with the same options.
 */
import { hash } from 'node:crypto'
import { resolve } from 'node:path'
import { Caches } from '../cache/caches.ts'
import { dataOf } from '../config/data.ts'
import { loadUserFile, type UserFile } from '../config/user-file.ts'
import type { Deadlines } from '../deadlines.ts'
import type { Policy } from '../dsl/policies.ts'
import type { StoreOptions } from '../dsl/store.ts'
import type { Hook } from '../hooks.ts'
import { planStore } from '../store/plan-store.ts'
import type { Store } from '../store/store.ts'
import type { Stores } from '../store/stores.ts'
import { Counting } from './counting.ts'
import { policyKind } from './kinds.ts'
import { type Kept, noNetwork, type PolicyContext, type Send } from './policy.ts'

interface Entry {
  readonly value: Kept
  /** Sets that have it. */
  sets: number
}

/** What policies have in common with those of other workers, and the world. */
export interface Outside extends Pick<PolicyContext, 'counting' | 'send'> {
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Null: nothing is asked over the network. */
  readonly stores: Stores | null
  /** Told of what is less than it might be. */
  readonly warn: (text: string) => void
  /** Told what requests have put out of a cache. */
  readonly onInvalidated: (cache: string, url: string) => void
  /** Nothing is kept outside of this process. */
  readonly isSimulated: boolean
}

export class Policies {
  readonly caches: Caches
  readonly #deadlines: Deadlines
  readonly #counting: Counting
  readonly #send: Send
  readonly #stores: Stores | null
  /** As many as there are policies in the plans that are in use. */
  readonly #kept = new Map<string, Entry>()

  constructor(
    deadlines: Deadlines,
    { counting = new Counting(), send = noNetwork, clock = Date.now, stores = null, isSimulated = false, ...told }: Partial<Outside> = {},
  ) {
    this.#deadlines = deadlines
    this.#counting = counting
    this.#send = send
    this.#stores = stores
    this.caches = new Caches(deadlines, { clock, isSimulated, ...told })
  }

  /** For one plan. */
  open(folder: string): PolicySet {
    const context = { folder, deadlines: this.#deadlines, counting: this.#counting, send: this.#send, caches: this.caches.open() }
    return new PolicySet(context, this.#kept, this.#stores)
  }

  /** Resolves when it is known of the stores that are open whether they can be reached; soon in any case. */
  async storesSettled(): Promise<void> {
    await this.#stores?.settled()
  }

  close(): void {
    for (const { value } of this.#kept.values()) value.close()
    this.#kept.clear()
    this.#stores?.close()
    void this.caches.close()
  }
}

export class PolicySet {
  readonly #context: Omit<PolicyContext, 'id' | 'keep' | 'openStore' | 'loadUsers'>
  /** Those that its policies have, by their whole paths. */
  readonly userFiles = new Map<string, UserFile>()
  readonly #kept: Map<string, Entry>
  readonly #stores: Stores | null
  readonly #opened: Store[] = []
  readonly #hooks = new Map<Policy, Hook>()
  /** How many policies of this plan were equal so far. */
  readonly #equal = new Map<string, number>()
  readonly #held: string[] = []

  constructor(context: Omit<PolicyContext, 'id' | 'keep' | 'openStore' | 'loadUsers'>, kept: Map<string, Entry>, stores: Stores | null) {
    this.#context = context
    this.#kept = kept
    this.#stores = stores
  }

  /** The same for the same object: one that stands in two lists counts for both together. */
  hookOf(use: Policy): Hook {
    const known = this.#hooks.get(use)
    if (known !== undefined) return known
    const id = this.#identify(use)
    const openStore = (store: string | StoreOptions): Store | null => this.#openStore(store)
    const own = {
      id,
      keep: <T extends Kept>(make: () => T) => this.#keep(id, make),
      openStore,
      loadUsers: (file: string) => this.#loadUsers(file),
    }
    const hook = policyKind(use.name).bind(use.options, { ...this.#context, ...own })
    this.#hooks.set(use, hook)
    return hook
  }

  /** Its plan is in use from now on. */
  take(): void {
    this.#context.caches.take()
  }

  /** Its plan is not in use any more, or never will be. */
  release(): void {
    for (const id of this.#held.splice(0)) {
      const entry = this.#kept.get(id)
      // All may have been closed before the last plan has ended.
      if (entry === undefined || --entry.sets > 0) continue
      this.#kept.delete(id)
      entry.value.close()
    }
    for (const store of this.#opened.splice(0)) store.close()
  }

  #openStore(store: string | StoreOptions): Store | null {
    if (this.#stores === null) return null
    const opened = this.#stores.open(planStore(store, this.#context.folder))
    this.#opened.push(opened)
    return opened
  }

  #loadUsers(written: string): UserFile {
    const file = resolve(this.#context.folder, written)
    const known = this.userFiles.get(file) ?? loadUserFile(file)
    this.userFiles.set(file, known)
    return known
  }

  #identify({ name, options }: Policy): string {
    const content = hash('sha256', dataOf([name, options]).join('\n'), 'base64url')
    const number = this.#equal.get(content) ?? 0
    this.#equal.set(content, number + 1)
    return `${content} ${number}`
  }

  #keep<T extends Kept>(id: string, make: () => T): T {
    let entry = this.#kept.get(id)
    if (entry === undefined) {
      entry = { value: make(), sets: 0 }
      this.#kept.set(id, entry)
    }
    entry.sets++
    this.#held.push(id)
    // The same name and options make the same kind of thing.
    return entry.value as T
  }
}
