/** The listeners of a plan whose clients choose where they go, by naming it or by being sent here on their way, and the block lists that these have. */
import type { ListenedPlace } from '../forward/own-listeners.ts'
import type { BlocklistPlan, ForwardPlan, SocksListenerPlan } from './forward-plan.ts'
import type { AnyListenerPlan, ListenerPlan, Plan, TcpListenerPlan } from './plan.ts'

export interface ForwardListenerPlan {
  readonly listener: ListenerPlan | SocksListenerPlan | TcpListenerPlan
  readonly forward: ForwardPlan
}

export function forwardListenersOf(listeners: readonly AnyListenerPlan[]): ForwardListenerPlan[] {
  return listeners.flatMap((listener) => {
    const forward = placesOf(listener)
    return forward === null || listener.kind === 'udp' ? [] : [{ listener, forward }]
  })
}

/** Where their clients are never led: to where they take clients, of TCP, and to `admin`, which asks who comes from this machine for nothing. */
export function ownPlacesOf({ listeners, admin }: Pick<Plan, 'listeners' | 'admin'>): ListenedPlace[] {
  const own = forwardListenersOf(listeners).flatMap(({ listener: { addresses } }) => addresses)
  return [...own, ...(admin?.listen ?? [])].flatMap((one) => (one.kind === 'tcp' ? [{ host: one.host, port: one.port }] : []))
}

function placesOf(listener: AnyListenerPlan): ForwardPlan | null {
  if (listener.kind === 'socks') return listener.forward
  if (listener.kind === 'http') return listener.forward ?? listener.transparent?.places ?? null
  return listener.kind === 'tcp' ? (listener.transparent?.places ?? null) : null
}

export function blocklistsOf(listeners: readonly AnyListenerPlan[]): BlocklistPlan[] {
  return [...new Set(forwardListenersOf(listeners).flatMap(({ forward: { block } }) => block ?? []))]
}
