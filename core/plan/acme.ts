/** The certificates of a config that come by ACME. */
import { entriesOf } from '../config/lists.ts'
import type { Config, TcpRoute, TlsTermination } from '../index.ts'
import { httpListenersOf } from './http-listeners.ts'
import type { AcmePlan, AnyListenerPlan } from './plan.ts'

/** Each once, however often it is served. */
export function acmePlansOf(listeners: readonly AnyListenerPlan[]): readonly AcmePlan[] {
  const routes = listeners.flatMap((listener) => (listener.kind === 'tcp' ? listener.routes.routes : []))
  const all = [...httpListenersOf(listeners), ...routes].flatMap(({ tls }) => tls ?? []).flatMap(({ acme }) => acme ?? [])
  return Object.freeze([...new Map(all.map((plan) => [plan.file, plan])).values()])
}

/** Whether an authority will ask over plain HTTP for one of them. */
export function takesHttpChallenge({ listeners }: Pick<Config, 'listeners'>): boolean {
  return Object.values(listeners).some(({ kind, options }) => {
    if (kind === 'http') return terminations(options.tls).some(isByHttp)
    return kind === 'tcp' && entriesOf<TcpRoute>(options.routes).some(([, { tls }]) => terminations(tls).some(isByHttp))
  })
}

function terminations(tls: unknown): readonly TlsTermination[] {
  return ([tls].flat() as (TlsTermination | false | null | undefined)[]).filter((one) => one !== false && one !== null && one !== undefined)
}

function isByHttp({ acme }: TlsTermination): boolean {
  return acme?.challenge === 'http-01'
}
