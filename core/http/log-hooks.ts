/**
 * Which hooks of the access log an exchange has. Exchanges that have the same ones get the same list, so that their lines go to the
 * hooks together and stay in order; a list holds hooks alone, no plan.
 */
import type { Hook } from '../hooks.ts'
import type { RequestHead } from '../net/http1/head.ts'
import type { ListenerPlan, RoutePlan } from '../plan/plan.ts'

export class LogHooks {
  readonly #listener: readonly Hook[]
  readonly #routes: ReadonlyMap<RoutePlan, readonly Hook[]>
  readonly #none = new Step([])

  private constructor(listener: readonly Hook[], routes: ReadonlyMap<RoutePlan, readonly Hook[]>) {
    this.#listener = listener
    this.#routes = routes
  }

  /** Null if nothing of that listener has such a hook. */
  static of({ hooks, routes }: ListenerPlan): LogHooks | null {
    const listener = hooks.filter(hasLog)
    const byRoute = new Map<RoutePlan, readonly Hook[]>()
    for (const route of routes.routes) if (route.hooks.some(hasLog)) byRoute.set(route, route.hooks.filter(hasLog))
    return listener.length === 0 && byRoute.size === 0 ? null : new LogHooks(listener, byRoute)
  }

  /** Those that want this request, the listener's first; null if there are none. `route`: null if none matched. */
  of(route: RoutePlan | null, request: RequestHead): readonly Hook[] | null {
    let step = this.#none
    for (const hook of this.#listener) if (hook.matches(request)) step = step.and(hook)
    const more = route === null ? undefined : this.#routes.get(route)
    if (more !== undefined) for (const hook of more) if (hook.matches(request)) step = step.and(hook)
    return step === this.#none ? null : step.hooks
  }
}

/** A list of hooks, and the lists that are longer by one. */
class Step {
  readonly hooks: readonly Hook[]
  readonly #longer = new Map<Hook, Step>()

  constructor(hooks: readonly Hook[]) {
    this.hooks = hooks
  }

  and(hook: Hook): Step {
    let step = this.#longer.get(hook)
    if (step === undefined) {
      step = new Step([...this.hooks, hook])
      this.#longer.set(hook, step)
    }
    return step
  }
}

function hasLog(hook: Hook): boolean {
  return hook.onLog !== null
}
