/** What is asked about endpoints from outside, at run time. Checked here: it comes over sockets. Pure. */
import { unknownKey } from '../config/nearest.ts'
import { parseDuration } from '../config/units.ts'
import { parseEndpoint } from '../net/address.ts'

interface Place {
  readonly upstream: string
  readonly address: string
}

export type EndpointAsk =
  /** Of one upstream; null: of all. */
  | { readonly kind: 'list'; readonly upstream: string | null }
  | ({ readonly kind: 'add'; readonly weight: number; readonly priority: number; readonly zone: string | null } & Place)
  /** It gets no new clients; those that stay with it by their cookie still for so many milliseconds. */
  | ({ readonly kind: 'drain'; readonly stickyMs: number } & Place)
  | ({ readonly kind: 'undrain' | 'remove' } & Place)

export const ENDPOINT_ASKS = ['list', 'add', 'drain', 'undrain', 'remove'] as const

export const DEFAULT_STICKY_MS = 10 * 60_000
const MOST_STICKY_MS = 7 * 86_400_000
const MOST_TEXT = 512

/** `unknown`: no such upstream or endpoint. `conflict`: it is so already, or cannot be. `busy`: nobody answers at the moment. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError'
  readonly kind: 'unknown' | 'conflict' | 'busy'
  constructor(kind: EndpointError['kind'], message: string) {
    super(message)
    this.kind = kind
  }
}

const PLACE = ['upstream', 'address']
const KNOWN: ReadonlyMap<unknown, readonly string[]> = new Map<EndpointAsk['kind'], readonly string[]>([
  ['list', ['upstream']],
  ['add', [...PLACE, 'weight', 'priority', 'zone']],
  ['drain', [...PLACE, 'sticky', 'stickyMs']],
  ['undrain', PLACE],
  ['remove', PLACE],
])

type Fields = Readonly<Record<string, unknown>>

/** Or the sentence that says what is wrong with it. `sticky` is a duration as in a config, `stickyMs` the same in milliseconds. */
export function parseEndpointAsk(value: unknown): EndpointAsk | string {
  if (typeof value !== 'object' || value === null) return 'endpoints needs what to ask'
  const { kind, upstream = null, address, ...rest } = value as Fields
  const known = KNOWN.get(kind)
  if (known === undefined) return `there is ${ENDPOINT_ASKS.join(', ')}`
  const unknown = Object.keys(value).find((key) => key !== 'kind' && !known.includes(key))
  if (unknown !== undefined) return unknownKey(unknown, known)
  if (kind === 'list' && upstream === null) return { kind, upstream }
  if (!isText(upstream)) return 'upstream is the name of one'
  if (kind === 'list') return { kind, upstream }
  if (!isText(address)) return "address is that of an endpoint, '10.0.0.1:3000'"
  switch (kind) {
    case 'add':
      return parseAdded({ upstream, address }, rest)
    case 'drain': {
      const { sticky } = rest
      const { stickyMs = sticky === undefined ? DEFAULT_STICKY_MS : typeof sticky === 'string' ? parseDuration(sticky) : null } = rest
      if (stickyMs === null) return "sticky is a duration such as '10m'"
      if (!isWhole(stickyMs, 0, MOST_STICKY_MS)) return 'clients stay for up to 7 days'
      return { kind, upstream, address, stickyMs }
    }
    default:
      return { kind: kind as 'undrain' | 'remove', upstream, address }
  }
}

function parseAdded({ upstream, address }: Place, { weight = 1, priority = 0, zone = null }: Fields): EndpointAsk | string {
  if (/^[a-z]+:\/\//i.test(address)) return 'an address that is added has no scheme: whether there is TLS the upstream says'
  if (parseEndpoint(address) === null) return `expected an address such as 10.0.0.1:3000, name:3000 or unix:/run/x.sock, got ${address}`
  if (!isWhole(weight, 1, 1_000_000)) return 'a weight is a whole number from 1 to 1000000'
  if (!isWhole(priority, 0, 100)) return 'a priority is a whole number from 0 to 100'
  if (zone !== null && !isText(zone)) return 'zone is the name of one'
  return { kind: 'add', upstream, address, weight, priority, zone }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MOST_TEXT
}

function isWhole(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most
}
