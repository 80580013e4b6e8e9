/** How the parents of one listener are, by their names: as many as its plan names, kept over reloads as long as it names them. */
import { PARENTS_OF, type UpstreamChange } from '../events.ts'
import type { Parent } from '../forward/parent.ts'
import { ParentHealth } from '../forward/parent-health.ts'
import type { ParentRule } from '../forward/parent-rules.ts'
import type { UpstreamState } from './upstream-state.ts'

export class ParentHealths {
  readonly #name: string
  readonly #tell: (change: UpstreamChange) => void
  #known: ReadonlyMap<string, ParentHealth> = new Map()

  /** `listener`: whose parents they are. */
  constructor(listener: string, tell: (change: UpstreamChange) => void) {
    this.#name = `${PARENTS_OF}${listener}`
    this.#tell = tell
  }

  /** Takes a plan's rules into use. */
  use(rules: readonly ParentRule[]): void {
    const before = this.#known
    this.#known = new Map(rules.flatMap(({ parents }) => parents.map(({ name }) => [name, before.get(name) ?? this.#make(name)] as const)))
    for (const [name, health] of before) if (!this.#known.has(name)) health.close()
  }

  of({ name }: Parent): ParentHealth {
    // What is under way for a plan of before may ask for others.
    return this.#known.get(name) ?? new ParentHealth(() => {})
  }

  /** Which of them is asked first: the first that may be, or of those that may not the first. */
  first(parents: readonly Parent[], now: number): number {
    return Math.max(
      0,
      parents.findIndex((parent) => this.of(parent).mayAsk(now)),
    )
  }

  /** Null: there are none. */
  get state(): UpstreamState | null {
    if (this.#known.size === 0) return null
    return {
      ...{
        name: this.#name,
        isParents: true as const,
        isPanicking: false,
        waiting: 0,
        circuit: null,
        isSticky: false,
        isDiscovered: false,
      },
      ...{ undiscovered: '', leftOut: '', limit: null, removed: [] },
      endpoints: [...this.#known].map(([address, { isEjected, why }]) => ({
        ...{ address, weight: 1, isEjected, isHealthy: null, why: isEjected ? why : '', connections: 0, inFlight: 0 },
        ...{ isAdded: false, drain: null, until: null },
      })),
    }
  }

  #make(endpoint: string): ParentHealth {
    return new ParentHealth((isEjected, why) =>
      this.#tell({ upstream: this.#name, endpoint, state: isEjected ? 'ejected' : 'available', why, isShared: false }),
    )
  }
}
