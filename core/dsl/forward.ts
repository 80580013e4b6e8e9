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
/** A list in a file, under a name of its own: `{ file: './adult.txt', name: 'adult' }`. */
export interface ListFile {
  /** From the folder of the config. */
  file: string
  /** What the log and the answer call it. Default: the name of the file. */
  name?: string | undefined
}
/** Names that are not reached, by themselves or by lists of them. A million take about 17 MB a worker. */
export interface BlocklistOptions {
  /**
   * Lists as they are published: hosts files (`0.0.0.0 ads.example.com`), names, one a line (`ads.example.com`), wildcards (`*.example.com`) and
   * rules of ad blockers (`||example.com^`, exceptions `@@||www.example.com^`). Hosts and bare names stand for themselves alone, the others for
   * all that is under them too. A line that is not understood is told by `check` and left out; a file that changes is read again.
   */
  files?: List<string | ListFile> | undefined
  /** `'example.com'`: that name alone; `'*.example.com'`: every name under it, as in routes; `'||example.com^'`: both. Addresses, too. */
  hosts?: OneOrMany<string> | undefined
  /** Never blocked, whatever lists say. Written as `hosts` is. */
  allow?: OneOrMany<string> | undefined
  /** What the log and the answer call those of `hosts`. Default `hosts`. */
  name?: string | undefined
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
/** Names that a forward listener does not reach: `block: blocklist({ files: ['./ads.txt'], hosts: '||example.com^' })`. */
export function blocklist(options: BlocklistOptions): Blocklist {
  return { kind: 'blocklist', options }
}
/** Planned. */
export function intercept(options: InterceptOptions): Intercept {
  return { kind: 'intercept', options }
}
