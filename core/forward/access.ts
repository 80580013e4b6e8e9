/**
 * Who may use a listener of the forward side, and what may be reached through it: rules alone, asked with plain values. What a name
 * resolves to is not known here: the guard is asked again about each address that is dialled.
 */
import type { ErrorCode } from '../errors.ts'
import type { CidrSet } from '../net/cidr.ts'
import type { NamedDestination } from '../net/destination.ts'
import { HostCondition } from '../route/conditions.ts'
import type { Guard } from './guard.ts'

export interface AccessRules {
  /** `allow.clients`; null: everybody who can connect. */
  readonly clients: CidrSet | null
  /** `allow.hosts`: names, `*.example.com`, addresses in their canonical form; null: every host. */
  readonly hosts: readonly string[] | null
  /** Ports that tunnels reach; null: every one. */
  readonly ports: ReadonlySet<number> | null
}

/** `detail`: for the log; null: the code says all. */
export interface Refusal {
  readonly code: ErrorCode
  readonly detail: string | null
}

/** `tunnel`: bytes that nobody reads, as by CONNECT and SOCKS. `http`: a request that this proxy writes itself. */
export type Use = 'tunnel' | 'http'

export class Access {
  readonly rules: AccessRules
  readonly #hosts: HostCondition | null

  constructor(rules: AccessRules) {
    this.rules = rules
    this.#hosts = rules.hosts === null ? null : new HostCondition(rules.hosts)
  }

  /** `''` is who came by a unix socket: its file says who may. */
  refuseClient(ip: string): Refusal | null {
    const { clients } = this.rules
    if (clients === null || ip === '' || clients.has(ip)) return null
    return { code: 'client_refused', detail: `${ip} is not in allow.clients` }
  }

  refuseHost(host: string): Refusal | null {
    return this.#hosts?.passes({ host }) === false ? { code: 'host_refused', detail: `${host} is not in allow.hosts` } : null
  }

  refuseDestination({ kind, host, port }: NamedDestination, use: Use, guard: Guard): Refusal | null {
    const { ports } = this.rules
    const refusedHost = this.refuseHost(host)
    if (refusedHost !== null) return refusedHost
    if (ports !== null && !ports.has(port) && (use === 'tunnel' || otherProtocols.has(port)))
      return { code: 'port_refused', detail: `port ${port} is not in allow.ports` }
    // An address that allow.hosts lists is meant.
    const refused = kind === 'ip' ? guard(host, port, this.#hosts !== null) : null
    return refused === null ? null : { code: 'address_refused', detail: refused }
  }
}

/** Where a request could be taken for a command of another protocol: the ports that browsers block (WHATWG Fetch, "bad port"). */
const otherProtocols: ReadonlySet<number> = new Set([
  ...[1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111],
  ...[113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548],
  ...[554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566],
  ...[6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080],
])
