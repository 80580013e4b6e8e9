/**
 * A set that is read once and then followed by what changes of it. After a failure it goes on from where it was; where that is not
 * there any more, it is read anew. What was told last stays true until something else is.
 */
import type { EndpointPlan } from '../../plan/upstream-plan.ts'
import type { Source, Told } from './source.ts'

/** One reading of the set, and the place from which it is followed. */
export interface Followed {
  /** Reads all of it. Rejects with a sentence. */
  read(signal: AbortSignal): Promise<void>
  /** What changes from then on. Resolves when the stream has ended: whether it can be gone on with from where it was. */
  watch(signal: AbortSignal, watcher: Watcher): Promise<'ended' | 'gone'>
  /** As it is now. Throws with a sentence if it makes no sense. */
  found(): Found
}

export interface Watcher {
  /** It is followed now: nothing is missed from here on. */
  opened(): void
  /** After each change. */
  changed(): void
}

export interface Found {
  readonly endpoints: readonly EndpointPlan[]
  /** What was left out, for it makes no sense; null: nothing. */
  readonly odd: string | null
}

export interface FollowOptions {
  readonly told: Told
  /** From 0 up to 1. */
  readonly random: () => number
  /** From one attempt to the next: from the first to the second number, twice as long each time. */
  readonly pauseMs?: readonly [least: number, most: number]
}

const PAUSE_MS = [250, 15_000] as const
/** A stream that ended sooner than that is one more failure: else a server that ends each at once would be asked without end. */
const SOUND_MS = 5_000

/** So long a plan that is not in use yet waits for one reading. */
const READ_MS = 10_000

export function followedSource(name: string, make: () => Followed): Source {
  return {
    name,
    everyMs: Number.POSITIVE_INFINITY,
    ask(done) {
      const set = make()
      set
        .read(AbortSignal.timeout(READ_MS))
        .then(() => set.found().endpoints)
        .then(done, (error: unknown) => done(error instanceof Error ? error.message : String(error)))
    },
    watch: (told) => follow(make(), { told, random: Math.random }),
  }
}

/** Begins at once. Returns how to end. */
export function follow(set: Followed, options: FollowOptions): () => void {
  const following = new Following(set, options)
  void following.run()
  return () => following.end()
}

class Following {
  readonly #set: Followed
  readonly #options: FollowOptions
  readonly #end = new AbortController()
  #failures = 0
  #isRead = false

  constructor(set: Followed, options: FollowOptions) {
    this.#set = set
    this.#options = options
  }

  end(): void {
    this.#end.abort(new Error('nobody asks any more'))
  }

  async run(): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      const pause = await this.#round(signal)
      if (!signal.aborted && pause) await this.#pause(signal)
    }
  }

  /** Returns whether to wait before the next. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const begun = performance.now()
    try {
      if (!this.#isRead) {
        await this.#set.read(signal)
        if (signal.aborted) return false
        this.#isRead = true
        this.#tell()
      }
      const end = await this.#set.watch(signal, {
        // What failed before does no more; what it knew is what there is.
        opened: () => {
          if (!signal.aborted) this.#tell()
        },
        changed: () => {
          this.#failures = 0
          if (!signal.aborted) this.#tell()
        },
      })
      if (end === 'gone') this.#isRead = false
      const isSound = performance.now() - begun >= SOUND_MS
      this.#failures = isSound ? 0 : this.#failures + 1
      return !isSound
    } catch (error) {
      this.#failures++
      if (!signal.aborted) this.#options.told(error instanceof Error ? error.message : String(error), null)
      return true
    }
  }

  #tell(): void {
    const { endpoints, odd } = this.#set.found()
    this.#options.told(endpoints, odd)
  }

  #pause(signal: AbortSignal): Promise<void> {
    const [least, most] = this.#options.pauseMs ?? PAUSE_MS
    const ms = Math.min(most, least * 2 ** Math.min(this.#failures - 1, 10)) * (0.75 + this.#options.random() / 2)
    return new Promise((resolve) => {
      const over = (): void => {
        clearTimeout(timer)
        // It lives as long as the upstream: what is not taken off stays.
        signal.removeEventListener('abort', over)
        resolve()
      }
      const timer = setTimeout(over, ms).unref()
      signal.addEventListener('abort', over)
    })
  }
}
