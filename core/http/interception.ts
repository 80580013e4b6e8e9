/** What exchanges know of tunnels that end here: which these are, and what a request inside of one came by. */
import type { NamedDestination } from '../net/destination.ts'
import type { Wire } from '../net/wire.ts'
import type { Meter } from '../policy/quota.ts'
import type { Origination } from '../upstream/dial.ts'
import type { TunnelEnded } from './tunnel-end.ts'

/** Of a listener. */
export interface Interception {
  /** Tunnels of this client to this host end here. */
  reads(host: string, ip: string): boolean
}

/** The tunnel that requests came by. */
export interface Inside {
  /** What the client wanted a tunnel to. */
  readonly destination: NamedDestination
  /** What it was shown a certificate for: the name that its TLS asked for, else the host of the destination. */
  readonly name: string
  /** How the destination is spoken to. */
  readonly origination: Origination
  /** Hosts that the certificate is for as well; null: none. */
  readonly others: OtherHosts | null
  /** Who asked for the tunnel; null: nobody was asked. */
  readonly user: string | null
}

/** Each is reached by its own name: the tunnel's server is not asked for it. */
export interface OtherHosts {
  has(host: string): boolean
  originationTo(host: string): Origination
}

/** A tunnel that was granted, and may end here. */
export interface GrantedTunnel {
  readonly destination: NamedDestination
  readonly user: string | null
  readonly id: string
  readonly serial: number
  readonly generation: number
  readonly ip: string
  /** Stands in front of its endpoint where it passes unread; null: nothing does. */
  readonly paced: ((endpoint: Wire) => Wire) | null
  /** What it takes of a quota where it passes unread; null: there is none. */
  readonly meter: Meter | null
  /** To be called once: nothing more is said of it. */
  readonly ended: TunnelEnded
}
