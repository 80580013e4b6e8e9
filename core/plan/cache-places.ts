/** Where a route's cache stands among its hooks: one cache a route, the innermost, and that of a listener behind what decides who gets an answer. */
import { ACCESS_POLICIES } from '../config/access-policies.ts'
import type { Hook } from '../hooks.ts'

export class CachePlaces {
  readonly #caches = new Set<Hook>()
  /** Of those, the ones in the `use` of a listener, or of the config. */
  readonly #ofListeners = new Set<Hook>()
  /** They decide who gets an answer. */
  readonly #access = new Set<Hook>()

  /** The hook of a policy of that name. */
  note(hook: Hook, policy: string): void {
    if (policy === 'cache') this.#caches.add(hook)
    else if (ACCESS_POLICIES.has(policy)) this.#access.add(hook)
  }

  noteOfListener(caches: readonly Hook[]): void {
    for (const cache of caches) this.#ofListeners.add(cache)
  }

  isCache(hook: Hook): boolean {
    return this.#caches.has(hook)
  }

  /** Hooks of a route, and those caches of its listener before them, as they are asked, with this cache alone. Who is sent away gets nothing of what a cache keeps. */
  order(hooks: readonly Hook[], cache: Hook | undefined): Hook[] {
    const others = hooks.filter((hook) => !this.#caches.has(hook))
    if (cache === undefined) return others
    if (this.#ofListeners.has(cache)) return others.toSpliced(others.findLastIndex((hook) => this.#access.has(hook)) + 1, 0, cache)
    return hooks.filter((hook) => hook === cache || !this.#caches.has(hook))
  }
}
