/**
 * Keeps the block lists of the plan in use that are published somewhere: asks for what is not there or old enough, one at a time, and after a
 * failure again later and later. Whatever fails, the last good one stays.
 */
import type { FetchedListPlan } from '../plan/forward-plan.ts'

export interface ListKeeperOptions {
  /** Asks for it, and keeps it. */
  fetch(plan: FetchedListPlan): Promise<Fetched>
  /** When it was last asked for with success, and what was there is still there; null: never. */
  fetchedAt(plan: FetchedListPlan): number | null
  /** Another list is in its place. */
  kept(plan: FetchedListPlan): void
  log(level: 'info' | 'warn', text: string, fields: Readonly<Record<string, string | number>>): void
  now(): number
  /** Calls it after so many milliseconds; returns how to give up. */
  after(ms: number, act: () => void): () => void
}

export interface Fetched {
  /** False: it is the one that is there. */
  readonly isNew: boolean
  readonly names: number
}

/** What is told of one list. */
export interface ListState {
  readonly url: string
  /** Null: none has come yet. */
  readonly fetchedAt: Date | null
  /** Null: it is being asked for. */
  readonly nextAt: Date | null
  /** Of the last request, if it failed. */
  readonly problem: string | null
}

interface Entry {
  readonly plan: FetchedListPlan
  dueAt: number
  failures: number
  problem: string | null
}

const FIRST_PAUSE_MS = 60_000
const LONGEST_PAUSE_MS = 6 * 3_600_000
/** Clocks are set, and machines sleep: they are looked at this often. */
const LOOK_MS = 3_600_000

export class ListKeeper {
  readonly #options: ListKeeperOptions
  #entries: readonly Entry[] = []
  #fetching: Entry | null = null
  #giveUp: (() => void) | null = null
  #isClosed = false

  constructor(options: ListKeeperOptions) {
    this.#options = options
  }

  /** What is to be kept from now on. What was to be kept before keeps its failures, and a request under way goes on. */
  set(plans: readonly FetchedListPlan[]): void {
    const before = new Map(this.#entries.map((entry) => [JSON.stringify(entry.plan), entry]))
    this.#entries = plans.map((plan) => before.get(JSON.stringify(plan)) ?? { plan, dueAt: this.#dueAt(plan), failures: 0, problem: null })
    this.#wait()
  }

  get states(): readonly ListState[] {
    return this.#entries.map((entry) => {
      const at = this.#options.fetchedAt(entry.plan)
      return {
        url: shownUrl(entry.plan),
        fetchedAt: at === null ? null : new Date(at),
        nextAt: entry === this.#fetching ? null : new Date(Math.max(entry.dueAt, this.#options.now())),
        problem: entry.problem,
      }
    })
  }

  close(): void {
    this.#isClosed = true
    this.#giveUp?.()
  }

  #dueAt(plan: FetchedListPlan): number {
    const at = this.#options.fetchedAt(plan)
    // A clock that was set back is no reason to wait.
    return at === null || at > this.#options.now() ? 0 : at + plan.everyMs
  }

  #wait(): void {
    this.#giveUp?.()
    this.#giveUp = null
    if (this.#isClosed || this.#fetching !== null || this.#entries.length === 0) return
    const next = Math.min(...this.#entries.map(({ dueAt }) => dueAt))
    this.#giveUp = this.#options.after(Math.min(LOOK_MS, Math.max(0, next - this.#options.now())), () => void this.#look())
  }

  async #look(): Promise<void> {
    this.#giveUp = null
    const now = this.#options.now()
    const [due] = this.#entries.filter(({ dueAt }) => dueAt <= now).sort((a, b) => a.dueAt - b.dueAt)
    if (due !== undefined) await this.#fetch(due)
    this.#wait()
  }

  async #fetch(entry: Entry): Promise<void> {
    const { plan } = entry
    const { log, kept, now } = this.#options
    this.#fetching = entry
    try {
      const { isNew, names } = await this.#options.fetch(plan)
      if (this.#isClosed) return
      entry.failures = 0
      entry.problem = null
      entry.dueAt = now() + plan.everyMs
      if (!isNew) return
      log('info', 'there is a new block list', { url: shownUrl(plan), names })
      kept(plan)
    } catch (error) {
      entry.failures++
      entry.problem = error instanceof Error ? error.message : String(error)
      const pause = Math.min(LONGEST_PAUSE_MS, plan.everyMs, FIRST_PAUSE_MS * 2 ** (entry.failures - 1))
      entry.dueAt = now() + pause
      const stays = this.#options.fetchedAt(plan) === null ? 'nothing of it is blocked until it comes' : 'the last good one stays'
      log('warn', `a block list did not come: ${entry.problem}; ${stays}`, {
        url: shownUrl(plan),
        againInSeconds: Math.round(pause / 1000),
      })
    } finally {
      this.#fetching = null
    }
  }
}

/** A query may hold a key. */
function shownUrl({ url }: FetchedListPlan): string {
  return url.replace(/[?#].*$/, '')
}
