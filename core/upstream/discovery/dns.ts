/**
 * Endpoints by DNS: each address of a name is one, or each host that its SRV records name (RFC 2782). Of IPv4 and IPv6 addresses those of
 * IPv4 are taken, if there are any: both are most likely the same machines.
 */
import { isIP } from 'node:net'
import { formatHost } from '../../net/address.ts'
import { discoveredEndpoints } from '../../plan/endpoints.ts'
import type { DiscoveryPlan, EndpointPlan } from '../../plan/upstream-plan.ts'
import type { DnsCache } from '../dns.ts'
import type { Source } from './source.ts'

/** The cache keeps to the TTL: before its end it answers by itself. */
const ADDRESSES_MS = 1000
/** Node tells no TTL of SRV records. */
const SERVICES_MS = 10_000

export function dnsSource(plan: Extract<DiscoveryPlan, { kind: 'dns' }>, dns: DnsCache): Source {
  const { host, port, zone } = plan
  return {
    name: `DNS ${host}:${port}`,
    everyMs: ADDRESSES_MS,
    ask: (done) =>
      dns.resolve(host, (addresses, error) => {
        if (addresses === null) return done(error === 'dns_timeout' ? 'nobody answers' : 'there is no such name, or no address')
        const v4 = addresses.filter((address) => isIP(address) === 4)
        const list = v4.length > 0 ? v4 : addresses
        done(list.map((address): EndpointPlan => endpointOf(address, port)).sort(byAddress))
      }),
  }
  function endpointOf(address: string, at: number): EndpointPlan {
    const [one] = discoveredEndpoints([`${formatHost(address)}:${at}`], zone)
    return one!
  }
}

export function srvSource({ name, zone }: Extract<DiscoveryPlan, { kind: 'srv' }>, dns: DnsCache): Source {
  return {
    name: `DNS SRV ${name}`,
    everyMs: SERVICES_MS,
    ask: (done) =>
      dns.resolveServices(name, (records, error) => {
        if (records === null) return done(error)
        // RFC 2782: a single `.` says that there is no such service.
        const offered = records.filter((record) => record.name !== '' && record.name !== '.')
        const written = offered.map(({ name: host, port, priority, weight }) => ({
          address: `${host}:${port}`,
          priority,
          // 0 is the smallest chance, not none.
          weight: Math.max(1, weight),
        }))
        try {
          done([...discoveredEndpoints(written, zone)].sort(byAddress))
        } catch (failure) {
          done((failure as Error).message)
        }
      }),
  }
}

/** Answers turn from one to the next; that is no change. */
function byAddress(a: EndpointPlan, b: EndpointPlan): number {
  return a.address < b.address ? -1 : 1
}
