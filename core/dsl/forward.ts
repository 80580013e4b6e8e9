/** The forward side: listeners for clients that name their destination themselves. */
import type { Listen } from './http.ts'
import type { List, OneOrMany } from './lists.ts'
import type { HttpUse } from './policies.ts'

export interface Allow {
  ports?: readonly number[] | undefined
  hosts?: OneOrMany<string> | undefined
  networks?: OneOrMany<string> | undefined
  clients?: OneOrMany<string> | undefined
}
interface ForwardSide {
  listen: Listen
  auth?: { users: Readonly<Record<string, string>> } | undefined
  allow?: Allow | undefined
  block?: Blocklist | undefined
  parent?: string | undefined
  open?: true | undefined
  proxyProtocol?: 'require' | undefined
}
export interface ForwardOptions extends ForwardSide {
  intercept?: Intercept | undefined
  anonymity?: 'none' | 'anonymous' | 'high' | undefined
  use?: List<HttpUse> | undefined
}
export interface SocksOptions extends ForwardSide {
  udp?: boolean | undefined
}
export interface ForwardListener {
  readonly kind: 'forward'
  readonly options: ForwardOptions
}
export interface SocksListener {
  readonly kind: 'socks'
  readonly options: SocksOptions
}
export interface BlocklistOptions {
  files?: readonly string[] | undefined
  hosts?: readonly string[] | undefined
}
export interface Blocklist {
  readonly kind: 'blocklist'
  readonly options: BlocklistOptions
}
export interface InterceptOptions {
  ca: { cert: string; key: string; create?: boolean | undefined }
  except?: readonly string[] | undefined
  verifyUpstream?: { ca?: string | undefined } | false | undefined
}
export interface Intercept {
  readonly kind: 'intercept'
  readonly options: InterceptOptions
}

/** Planned: a forward proxy for HTTP and CONNECT. */
export function forward(options: ForwardOptions): ForwardListener {
  return { kind: 'forward', options }
}
/** Planned: a SOCKS proxy. */
export function socks(options: SocksOptions): SocksListener {
  return { kind: 'socks', options }
}
/** Planned. */
export function blocklist(options: BlocklistOptions): Blocklist {
  return { kind: 'blocklist', options }
}
/** Planned. */
export function intercept(options: InterceptOptions): Intercept {
  return { kind: 'intercept', options }
}
