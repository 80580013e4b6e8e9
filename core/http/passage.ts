/** Where an exchange was led, for hooks that tell its answer as clients know places. Pure. */
import type { Passage } from '../hooks.ts'
import type { Destination } from '../plan/plan.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import type { Params } from '../route/pattern.ts'
import { expand } from '../route/template.ts'

export interface Led {
  /** As it was matched. */
  readonly path: string
  readonly params: Params | null
  /** Null: a hook has chosen where it goes. */
  readonly destination: Destination | null
  /** Null: none was asked, for a cache has answered. */
  readonly target: UpstreamPlan | null
  /** Of the endpoint that answered. */
  readonly endpoint: string | null
}

/** Null: no endpoint has a part in it. */
export function passageOf({ path, params, destination, target, endpoint }: Led): Passage | null {
  const upstreams = target !== null ? [target] : upstreamsOf(destination)
  if (upstreams.length === 0) return null
  const hosts = new Set(upstreams.flatMap(hostsOf))
  if (endpoint !== null) hosts.add(withoutPort80(endpoint.toLowerCase()))
  const rewrite = destination !== null && 'rewrite' in destination ? destination.rewrite : null
  return { hosts: [...hosts], ...(rewrite === null ? SAME : prefixes(rewrite, path, params)) }
}

const SAME = { inside: '', outside: '' }

/** A rewrite that ends in what the `*` of the path stood for exchanges the beginning of a path, and no other can be told the way back. */
function prefixes(rewrite: string, path: string, params: Params | null): Pick<Passage, 'inside' | 'outside'> {
  const star = params?.['*']
  if (star === undefined || !rewrite.endsWith('*') || rewrite.includes('?') || !path.endsWith(star)) return SAME
  const inside = expand(rewrite, { ...params, '*': '' }, '')
  return { inside: withoutSlash(inside), outside: withoutSlash(path.slice(0, path.length - star.length)) }
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

function upstreamsOf(destination: Destination | null): readonly UpstreamPlan[] {
  if (destination?.kind === 'upstream') return [destination.upstream]
  return destination?.kind === 'split' ? destination.parts.map(({ upstream }) => upstream) : []
}

function hostsOf({ endpoints, host, hostName }: UpstreamPlan): string[] {
  const addresses = endpoints.filter(({ target }) => target.kind !== 'unix').map(({ address }) => address)
  return [...addresses, ...(host === 'name' ? [hostName] : [])].map((one) => withoutPort80(one.toLowerCase()))
}

/** As references leave it out; whether it is TLS that it leaves out makes no difference here. */
function withoutPort80(authority: string): string {
  return authority.replace(/:(?:80|443)$/, '')
}
