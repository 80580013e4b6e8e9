/**
 * The store itself, in this process: every operation is one step, so sums are exact whoever asks. Each plugin has a share of its own: whatever one
 * of them keeps, nothing of the others goes for it.
 */
import { monotonicMs } from '../clock.ts'
import { KV_SHARE_BYTES, type KvUsage } from './kv-shares.ts'
import { KvSpace } from './kv-space.ts'
import type { KvOperation, KvOutcome, KvStore, KvValue } from './kv-store.ts'

/** What a space costs beside its entries. */
const SPACE_BYTES = 4096

export interface LocalKvOptions {
  /** Of each plugin, as long as nobody has said what they may keep; and of all together that no plan names any more. */
  readonly shareBytes?: number
  /** Milliseconds. */
  readonly now?: () => number
}

export class LocalKvStore implements KvStore {
  /** Of those that no plan names, who left first stands before who left later. */
  readonly #spaces = new Map<string, KvSpace>()
  readonly #shareBytes: number
  readonly #now: () => number
  /** Null: nobody has said. */
  #shares: ReadonlyMap<string, number> | null = null

  constructor({ shareBytes = KV_SHARE_BYTES, now = monotonicMs }: LocalKvOptions = {}) {
    this.#shareBytes = shareBytes
    this.#now = now
  }

  /**
   * What each plugin may keep from now on, by its name. What others have kept stays for the case that they come back, as far as one share is enough
   * for all of them.
   */
  allot(shares: ReadonlyMap<string, number>): void {
    for (const [name, space] of [...this.#spaces]) {
      const share = shares.get(name)
      space.share = share ?? this.#shareBytes
      const isLeaving = share === undefined && this.#shares?.has(name) !== false
      if (!isLeaving) continue
      this.#spaces.delete(name)
      this.#spaces.set(name, space)
    }
    this.#shares = shares
    this.#boundOthers()
  }

  /** Of the plugins that have a share, in their order. */
  get usage(): readonly KvUsage[] {
    return [...(this.#shares ?? [])].map(([plugin, maxBytes]) => {
      const { bytes = 0, keys = 0, evictions = 0 } = this.#spaces.get(plugin) ?? {}
      return { plugin, bytes, maxBytes, keys, evictions }
    })
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
  contents(name: string): Record<string, string> {
    return this.#spaces.get(name)?.contents() ?? {}
  }

  /** The spaces that hold something. */
  spaces(): string[] {
    return [...this.#spaces].flatMap(([name, { keys }]) => (keys > 0 ? [name] : []))
  }

  #run(operation: KvOperation): KvValue {
    const space = this.#spaces.get(operation.space)
    switch (operation.kind) {
      case 'get':
        return space?.get(operation.key) ?? null
      case 'set':
        this.#set(operation)
        return null
      case 'delete':
        return space?.delete(operation.key) ?? false
      case 'incr':
        return this.#add(operation, space)
      case 'compareAndSet':
        if ((space?.get(operation.key) ?? null) !== operation.expected) return false
        this.#set(operation)
        return true
      default:
        operation satisfies never
        throw new Error('the store has no such operation')
    }
  }

  #add({ space: name, key, by, ttlMs }: KvOperation & { kind: 'incr' }, space: KvSpace | undefined): number {
    const before = space?.get(key) ?? null
    if (before !== null && !/^-?\d{1,16}$/.test(before))
      throw new Error(`kv.incr: the value of ${JSON.stringify(key)} is not a whole number`)
    const sum = Number(before ?? 0) + by
    if (!Number.isSafeInteger(sum)) throw new Error(`kv.incr: the sum of ${JSON.stringify(key)} is too large to be exact`)
    if (before === null) this.#set({ space: name, key, value: String(sum), ttlMs })
    else space!.change(key, String(sum))
    return sum
  }

  #set({ space: name, key, value, ttlMs }: Pick<KvOperation & { kind: 'set' }, 'space' | 'key' | 'value' | 'ttlMs'>): void {
    let space = this.#spaces.get(name)
    if (space === undefined) {
      space = new KvSpace(this.#shares?.get(name) ?? this.#shareBytes, this.#now)
      this.#spaces.set(name, space)
    }
    space.set(key, value, ttlMs)
    if (this.#shares?.has(name) === false) this.#boundOthers()
  }

  /** Of plugins without a share, as those of a plan that is prepared or drained: who left first goes first, but not the last of them. */
  #boundOthers(): void {
    const others = [...this.#spaces].filter(([name]) => !this.#shares!.has(name))
    let bytes = others.reduce((sum, [, space]) => sum + space.bytes + SPACE_BYTES, 0)
    while (others.length > 1 && bytes > this.#shareBytes) {
      const [name, space] = others.shift()!
      this.#spaces.delete(name)
      bytes -= space.bytes + SPACE_BYTES
    }
  }
}
