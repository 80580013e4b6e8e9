/** A tier that lies in files: opened anew when what a plan wants of it is another, and again after a while when it could not be, or is gone. */
import type { Deadlines, Timed } from '../../deadlines.ts'
import type { TierHome } from '../tier.ts'
import { type DiskLimits, DiskTier } from './disk-tier.ts'
import { ownHome } from './shared-memory-folder.ts'

/** After so long a folder that could not be opened is tried again. */
const RETRY_MS = 10_000

/** A cache. */
interface FolderHome extends TierHome {
  readonly name: string
  readonly deadlines: Deadlines
}

export class HeldFolder implements Timed {
  slot = -1
  dueAt = Number.POSITIVE_INFINITY
  tier: DiskTier | null = null
  readonly #cache: FolderHome
  readonly #onChanged: () => void
  #limits: DiskLimits | null = null

  /** `onChanged`: told when there is another tier than before, or none, without `use`. */
  constructor(cache: FolderHome, onChanged: () => void) {
    this.#cache = cache
    this.#onChanged = onChanged
  }

  use(limits: DiskLimits | null): void {
    if (JSON.stringify(limits) === JSON.stringify(this.#limits)) return
    this.giveUp()
    void this.tier?.close()
    this.tier = null
    this.#limits = limits
    if (limits === null) return
    const fault = this.#open(limits)
    if (fault !== null) this.#cache.warn(`the cache ${this.#cache.name} keeps nothing ${whereOf(limits)}: ${limits.path}: ${fault}`)
  }

  onDeadline(): void {
    const limits = this.#limits
    this.giveUp()
    if (limits === null || this.#open(limits) !== null) return
    this.#cache.warn(`the cache ${this.#cache.name} keeps answers ${whereOf(limits)} now: ${limits.path}`)
    this.#onChanged()
  }

  /** It is not tried again. */
  giveUp(): void {
    this.#cache.deadlines.remove(this)
  }

  /** Somebody has cleared it: after a while there is another one in its place. */
  #lost(tier: DiskTier): void {
    if (this.tier !== tier) return
    this.tier = null
    void tier.close()
    this.#openLater(this.#cache.deadlines)
    this.#onChanged()
  }

  #openLater(deadlines: Deadlines): void {
    this.dueAt = deadlines.in(RETRY_MS)
    deadlines.add(this)
  }

  /** What is wrong; null: nothing. */
  #open(limits: DiskLimits): string | null {
    const { name, deadlines } = this.#cache
    try {
      if (limits.kind === 'shared') ownHome(limits.path)
      const tier = new DiskTier(name, limits, this.#cache, () => this.#lost(tier))
      this.tier = tier
      return null
    } catch (error) {
      this.#openLater(deadlines)
      return error instanceof Error ? error.message : String(error)
    }
  }
}

function whereOf({ kind }: DiskLimits): string {
  return kind === 'disk' ? 'on disk' : 'in memory for all workers'
}
