/**
 * The ordered routes of a TCP listener: the first whose every condition holds. Pure. What has to be known of the client is asked for
 * only when a route would depend on it.
 */
import type { CidrSet } from '../net/cidr.ts'
import type { ClientHello } from '../net/client-hello.ts'

export interface TcpConditions {
  /** `example.com` or `*.example.com`, lower case. Any may match; null: every name, and none. */
  readonly sni: readonly string[] | null
  /** One of these is offered; null: whatever is. */
  readonly alpn: readonly string[] | null
  readonly from: CidrSet | null
  /** It takes clients that speak TLS alone: what `sni` and `alpn` imply, and terminating. */
  readonly isTls: boolean
}

/** `none`: what the client says, or that it says nothing, is no TLS. */
export type Greeting = Pick<ClientHello, 'serverName' | 'alpn'> | 'none'

export interface TcpRule<Route> {
  readonly route: Route
  readonly conditions: TcpConditions
}

export class TcpTable<Route> {
  readonly #rules: readonly TcpRule<Route>[]

  constructor(rules: readonly TcpRule<Route>[]) {
    this.#rules = rules
  }

  get routes(): readonly Route[] {
    return this.#rules.map(({ route }) => route)
  }

  /** `greeting` null: not known yet. `undecided`: it has to be. Null: no route matches. */
  match(ip: string, greeting: Greeting | null): Route | 'undecided' | null {
    for (const { route, conditions } of this.#rules) {
      if (conditions.from !== null && !conditions.from.has(ip)) continue
      if (!conditions.isTls) return route
      if (greeting === null) return 'undecided'
      if (greeting !== 'none' && greets(conditions, greeting)) return route
    }
    return null
  }
}

function greets({ sni, alpn }: TcpConditions, hello: Exclude<Greeting, 'none'>): boolean {
  if (alpn !== null && !alpn.some((name) => hello.alpn.includes(name))) return false
  const name = hello.serverName
  return sni === null || (name !== null && sni.some((pattern) => coversName(pattern, name)))
}

/** Whether every name that `name` stands for is one that `pattern` stands for. */
export function coversName(pattern: string, name: string): boolean {
  if (!pattern.startsWith('*.')) return name === pattern
  return name === pattern || (name.length > pattern.length - 1 && name.endsWith(pattern.slice(1)))
}
