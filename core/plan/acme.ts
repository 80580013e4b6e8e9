/** The certificates of a config that come by ACME. */
import { acmeFiles } from '../config/acme-files.ts'
import { entriesOf } from '../config/lists.ts'
import type { Config, DnsZone, TcpRoute, TlsTermination } from '../index.ts'
import { httpListenersOf } from './http-listeners.ts'
import type { AcmePlan, AnyListenerPlan } from './plan.ts'

/** Each once, however often it is served. */
export function acmePlansOf(listeners: readonly AnyListenerPlan[]): readonly AcmePlan[] {
  const routes = listeners.flatMap((listener) => (listener.kind === 'tcp' ? listener.routes.routes : []))
  const all = [...httpListenersOf(listeners), ...routes].flatMap(({ tls }) => tls ?? []).flatMap(({ acme }) => acme ?? [])
  return Object.freeze([...new Map(all.map((plan) => [plan.file, plan])).values()])
}

/** Whether an authority will ask over plain HTTP for one of them. */
export function takesHttpChallenge(config: Pick<Config, 'listeners'>): boolean {
  return terminationsOf(config).some(({ acme }) => acme?.challenge === 'http-01')
}

/** By the files of the certificates: plans are told to other processes, and functions are not. */
export function dnsZonesOf(config: Pick<Config, 'listeners'>, folder: string): ReadonlyMap<string, DnsZone> {
  return new Map(
    terminationsOf(config).flatMap(({ acme }) => (acme?.dns === undefined ? [] : [[acmeFiles(acme, folder).file, acme.dns] as const])),
  )
}

function terminationsOf({ listeners }: Pick<Config, 'listeners'>): readonly TlsTermination[] {
  return Object.values(listeners).flatMap(({ kind, options }) => {
    if (kind === 'http') return terminations(options.tls)
    return kind === 'tcp' ? entriesOf<TcpRoute>(options.routes).flatMap(([, { tls }]) => terminations(tls)) : []
  })
}

function terminations(tls: unknown): readonly TlsTermination[] {
  return ([tls].flat() as (TlsTermination | false | null | undefined)[]).filter((one) => one !== false && one !== null && one !== undefined)
}
