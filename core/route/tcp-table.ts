/**
 * The ordered routes of a TCP listener: the first whose every condition holds. Pure. What has to be known of the client is asked for
 * only when a route would depend on it.
 */
import type { CidrSet } from '../net/cidr.ts'
import type { ClientHello } from '../net/client-hello.ts'
import { NameIndex } from './name-index.ts'

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

interface Entry<Route> extends TcpRule<Route> {
  readonly ordinal: number
}

export class TcpTable<Route> {
  readonly routes: readonly Route[]
  readonly #entries: readonly Entry<Route>[]
  readonly #plain: readonly Entry<Route>[]
  readonly #byName = new NameIndex<Entry<Route>>()

  constructor(rules: readonly TcpRule<Route>[]) {
    this.routes = rules.map(({ route }) => route)
    this.#entries = rules.map((rule, ordinal) => ({ ...rule, ordinal }))
    this.#plain = this.#entries.filter(({ conditions }) => !conditions.isTls)
    for (const entry of this.#entries) this.#byName.add(entry.conditions.sni, entry)
  }

  /** Before that route is taken it has to be known what a client says, at least of some clients. */
  asksBefore(route: Route): boolean {
    const at = this.#entries.findIndex((entry) => entry.route === route)
    return this.#entries.slice(0, at + 1).some(({ conditions }) => conditions.isTls)
  }

  /** `greeting` null: not known yet. `undecided`: it has to be. Null: no route matches. */
  match(ip: string, greeting: Greeting | null): Route | 'undecided' | null {
    if (greeting === null) {
      const first = this.#entries.find(({ conditions }) => isFrom(conditions, ip))
      return first === undefined ? null : first.conditions.isTls ? 'undecided' : first.route
    }
    if (greeting === 'none') return this.#plain.find(({ conditions }) => isFrom(conditions, ip))?.route ?? null
    let found: Entry<Route> | null = null
    for (const list of this.#byName.candidates(greeting.serverName)) {
      const first = list.find(({ conditions }) => isFrom(conditions, ip) && isOffered(conditions, greeting.alpn))
      if (first !== undefined && (found === null || first.ordinal < found.ordinal)) found = first
    }
    return found?.route ?? null
  }
}

function isFrom({ from }: TcpConditions, ip: string): boolean {
  return from === null || from.has(ip)
}

function isOffered({ alpn }: TcpConditions, offered: readonly string[]): boolean {
  return alpn === null || alpn.some((name) => offered.includes(name))
}
