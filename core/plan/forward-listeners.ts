/** The listeners of a plan whose clients name where they want to go, of HTTP and of SOCKS, and the block lists that these have. */
import type { AnyListenerPlan, BlocklistPlan, ForwardPlan, ListenerPlan, SocksListenerPlan } from './plan.ts'

export interface ForwardListenerPlan {
  readonly listener: ListenerPlan | SocksListenerPlan
  readonly forward: ForwardPlan
}

export function forwardListenersOf(listeners: readonly AnyListenerPlan[]): ForwardListenerPlan[] {
  return listeners.flatMap((listener) => {
    const isOne = listener.kind === 'http' || listener.kind === 'socks'
    return isOne && listener.forward !== null ? [{ listener, forward: listener.forward }] : []
  })
}

export function blocklistsOf(listeners: readonly AnyListenerPlan[]): BlocklistPlan[] {
  return [...new Set(forwardListenersOf(listeners).flatMap(({ forward: { block } }) => block ?? []))]
}
