/** Hosts as rules of the forward side have them: in the form of a NamedDestination. */
import { compileHosts } from '../config/match.ts'
import type { OneOrMany } from '../index.ts'
import { canonicalAddress } from '../net/destination.ts'
import { HostCondition } from '../route/conditions.ts'

/** Null: every host. */
export function canonicalHosts(hosts: OneOrMany<string>): readonly string[] | null {
  return compileHosts(hosts)?.map(canonicalHost) ?? null
}

/** The same, to be asked. */
export function hostCondition(hosts: OneOrMany<string>): HostCondition | null {
  const canonical = canonicalHosts(hosts)
  return canonical === null ? null : new HostCondition(canonical)
}

function canonicalHost(host: string): string {
  return canonicalAddress(host.replace(/^\[|\]$/g, '')) ?? host.replace(/\.$/, '')
}
