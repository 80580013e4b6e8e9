/**
 * The store itself, in this process: every operation is one step, so sums are exact whoever asks. What is used least goes when the
 * budget of bytes is spent.
 */
import { LRUCache } from 'lru-cache'
import { monotonicMs } from '../clock.ts'
import type { KvOperation, KvOutcome, KvStore, KvValue } from './kv-store.ts'

const BUDGET_BYTES = 64 * 1024 * 1024
/** What an entry costs beside its text. */
const ENTRY_BYTES = 200
/** Entries whose time is over are looked for at most so often, and only when there is no room. */
const PURGE_MS = 1000

export interface LocalKvOptions {
  readonly budgetBytes?: number
  /** Milliseconds. */
  readonly now?: () => number
}

export class LocalKvStore implements KvStore {
  readonly #entries: LRUCache<string, string>
  readonly #budget: number
  readonly #now: () => number
  #purgedAt = Number.NEGATIVE_INFINITY

  constructor({ budgetBytes = BUDGET_BYTES, now = monotonicMs }: LocalKvOptions = {}) {
    this.#budget = budgetBytes
    this.#now = now
    this.#entries = new LRUCache({
      maxSize: budgetBytes,
      sizeCalculation: (value, key) => sizeOf(key, value),
      // A beginning at 0 is none to it.
      perf: { now: () => now() + 1 },
      ttlResolution: 0,
    })
  }

  /** Bytes that are taken, by estimate. */
  get size(): number {
    return this.#entries.calculatedSize
  }

  async perform(operation: KvOperation): Promise<KvValue> {
    return this.#run(operation)
  }

  /** The same for whoever asks from another process; one that fails does not touch the others. */
  performAll(operations: readonly KvOperation[]): KvOutcome[] {
    return operations.map((operation) => {
      try {
        return { value: this.#run(operation) }
      } catch (error) {
        return { error: error instanceof Error ? error.message : String(error) }
      }
    })
  }

  /** All that a space holds. */
  contents(space: string): Record<string, string> {
    const start = nameOf(space, '')
    const entries = [...this.#entries.rentries()].map(([name = '', value = '']) => [name, value] as const)
    return Object.fromEntries(entries.filter(([name]) => name.startsWith(start)).map(([name, value]) => [name.slice(start.length), value]))
  }

  /** The spaces that hold something. */
  spaces(): string[] {
    return [...new Set([...this.#entries.rkeys()].map((name = '') => name.slice(0, name.indexOf('\0'))))]
  }

  #run(operation: KvOperation): KvValue {
    const name = nameOf(operation.space, operation.key)
    switch (operation.kind) {
      case 'get':
        return this.#entries.get(name) ?? null
      case 'set':
        this.#set(name, operation.value, operation.ttlMs)
        return null
      case 'delete':
        // One whose time is over was not there.
        return this.#entries.has(name) && this.#entries.delete(name)
      case 'incr':
        return this.#add(name, operation)
      case 'compareAndSet':
        if ((this.#entries.get(name) ?? null) !== operation.expected) return false
        this.#set(name, operation.value, operation.ttlMs)
        return true
      default:
        operation satisfies never
        throw new Error('the store has no such operation')
    }
  }

  #add(name: string, { key, by, ttlMs }: KvOperation & { kind: 'incr' }): number {
    const before = this.#entries.get(name)
    if (before !== undefined && !/^-?\d{1,16}$/.test(before))
      throw new Error(`kv.incr: the value of ${JSON.stringify(key)} is not a whole number`)
    const sum = Number(before ?? 0) + by
    if (!Number.isSafeInteger(sum)) throw new Error(`kv.incr: the sum of ${JSON.stringify(key)} is too large to be exact`)
    if (before === undefined) this.#set(name, String(sum), ttlMs)
    else this.#entries.set(name, String(sum), { noUpdateTTL: true })
    return sum
  }

  #set(name: string, value: string, ttlMs: number): void {
    const size = sizeOf(name, value)
    if (size > this.#budget) throw new Error('the value is larger than the whole store')
    if (this.#entries.calculatedSize + size > this.#budget) this.#purge()
    this.#entries.set(name, value, { ttl: ttlMs })
  }

  /** What is over is to go before what is merely old. */
  #purge(): void {
    const now = this.#now()
    if (now - this.#purgedAt < PURGE_MS) return
    this.#purgedAt = now
    this.#entries.purgeStale()
  }
}

/** Names of plugins hold no NUL. */
function nameOf(space: string, key: string): string {
  return `${space}\0${key}`
}

function sizeOf(name: string, value: string): number {
  return ENTRY_BYTES + Buffer.byteLength(name) + Buffer.byteLength(value)
}
