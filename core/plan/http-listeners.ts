/** The HTTP listeners of a plan: those that listen themselves, then those that stand in routes of TCP listeners. */
import type { AnyListenerPlan, ListenerPlan } from './plan.ts'

export function httpListenersOf(listeners: readonly AnyListenerPlan[]): ListenerPlan[] {
  const inside = listeners.flatMap((listener) =>
    listener.kind === 'tcp'
      ? listener.routes.routes.flatMap(({ destination }) => (destination.kind === 'http' ? [destination.listener] : []))
      : [],
  )
  return [...listeners.filter((listener) => listener.kind === 'http'), ...inside]
}
