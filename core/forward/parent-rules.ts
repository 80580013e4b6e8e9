/** Which parents a place is reached by: the first rule that it fits counts. Of addresses only those count that clients write, for parents resolve names. */
import type { CidrSet } from '../net/cidr.ts'
import type { NamedDestination } from '../net/destination.ts'
import type { HostCondition } from '../route/conditions.ts'
import type { Parent } from './parent.ts'

export interface ParentRule {
  /** Where the config has it: `parent`, `parent[1]`. */
  readonly name: string
  /** Null: every host. */
  readonly places: { readonly hosts: HostCondition; readonly networks: CidrSet } | null
  /** Null: every port. */
  readonly ports: ReadonlySet<number> | null
  /** In the order in which they are asked; empty: the place is reached directly. */
  readonly parents: readonly Parent[]
}

/** Null: none fits, and the place is reached directly. */
export function parentRuleFor(rules: readonly ParentRule[], { kind, host, port }: NamedDestination): ParentRule | null {
  for (const rule of rules) {
    const { places, ports } = rule
    if (ports !== null && !ports.has(port)) continue
    if (places === null || places.hosts.passes({ host }) || (kind === 'ip' && places.networks.has(host))) return rule
  }
  return null
}
