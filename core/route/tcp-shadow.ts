/** Which routes of a TCP listener can never match, for the ones before take every client they would. Says so only where it is so. */
import { NameIndex } from './name-index.ts'
import type { TcpConditions } from './tcp-table.ts'

export interface TcpShadow {
  readonly rule: number
  /** The earlier ones that share out its clients, ascending. */
  readonly by: readonly number[]
}

export function findTcpShadows(rules: readonly TcpConditions[]): TcpShadow[] {
  const earlier = new NameIndex<number>()
  return rules.flatMap((rule, at) => {
    const by = new Set<number>()
    for (const sni of rule.sni ?? [null]) {
      for (const alpn of rule.alpn ?? [null]) {
        by.add(
          Math.min(
            ...earlier.candidates(sni).map((list) => list.find((other) => covers(rules[other]!, rule, alpn)) ?? Number.POSITIVE_INFINITY),
          ),
        )
      }
    }
    earlier.add(rule.sni, at)
    return by.has(Number.POSITIVE_INFINITY) ? [] : [{ rule: at, by: [...by].sort((a, b) => a - b) }]
  })
}

/** Of the clients that `rule` takes with a name that both are for, and that offer `alpn`. */
function covers(other: TcpConditions, rule: TcpConditions, alpn: string | null): boolean {
  if (other.isTls && !rule.isTls) return false
  if (other.from !== null && (rule.from === null || !other.from.covers(rule.from))) return false
  return other.alpn === null || (alpn !== null && other.alpn.includes(alpn))
}
