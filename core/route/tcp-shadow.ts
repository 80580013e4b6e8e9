/** Which routes of a TCP listener can never match, for the ones before take every client they would. Says so only where it is so. */
import { coversName, type TcpConditions } from './tcp-table.ts'

export interface TcpShadow {
  readonly rule: number
  /** The earlier ones that share out its clients, ascending. */
  readonly by: readonly number[]
}

/** A name and a protocol of those a rule asks for; null: it does not ask. */
interface Atom {
  readonly sni: string | null
  readonly alpn: string | null
}

export function findTcpShadows(rules: readonly TcpConditions[]): TcpShadow[] {
  return rules.flatMap((rule, at) => {
    const atoms = (rule.sni ?? [null]).flatMap((sni) => (rule.alpn ?? [null]).map((alpn) => ({ sni, alpn })))
    const by = new Set<number>()
    for (const atom of atoms) {
      const earlier = rules.findIndex((other, i) => i < at && covers(other, rule, atom))
      if (earlier < 0) return []
      by.add(earlier)
    }
    return by.size === 0 ? [] : [{ rule: at, by: [...by].sort((a, b) => a - b) }]
  })
}

function covers(other: TcpConditions, rule: TcpConditions, { sni, alpn }: Atom): boolean {
  if (other.isTls && !rule.isTls) return false
  if (other.from !== null && (rule.from === null || !other.from.covers(rule.from))) return false
  if (other.sni !== null && (sni === null || !other.sni.some((pattern) => coversName(pattern, sni)))) return false
  return other.alpn === null || (alpn !== null && other.alpn.includes(alpn))
}
