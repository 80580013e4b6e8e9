/** What becomes of a request on its route: the answer, or what is sent and where; made by the functions that the data path uses. */
import { isIP } from 'node:net'
import { errorTable } from '../errors.ts'
import { parentRuleFor } from '../forward/parent-rules.ts'
import { requestText } from '../http/forward.ts'
import { askParent, forwardLines, hideClient } from '../http/forwarding.ts'
import { dropIdentity, extendIdentity, type Hop, hopLines } from '../http/identity.ts'
import { parseDestination } from '../net/destination.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { normalisePath } from '../net/path.ts'
import type { Destination, FilesDestination, ListenerPlan } from '../plan/plan.ts'
import type { EndpointPlan, UpstreamPlan } from '../plan/upstream-plan.ts'
import { makeRequestView } from '../request-view.ts'
import type { Params } from '../route/pattern.ts'
import { expand } from '../route/template.ts'
import { planTo } from '../upstream/destinations.ts'
import type { Asked } from '../upstream/request-key.ts'
import { explainBalancing, explainSplit } from './balancing.ts'
import type { NamedValue, Outcome, Sent } from './explanation.ts'
import { schemeOf } from './listener.ts'
import { safeguardsOf } from './safeguards.ts'
import { clean, shownField } from './shown.ts'

export interface Arrived {
  /** Is edited as it would be. */
  readonly head: RequestHead
  readonly peer: string
  readonly ip: string
  readonly listener: ListenerPlan
  readonly params: Params | null
  readonly isHttp2: boolean
  mask(text: string): string
}

export interface Explained {
  readonly outcome: Outcome
  /** Where it goes; null if it is answered here. */
  readonly upstream: UpstreamPlan | null
}

export function explainDestination(destination: Exclude<Destination, FilesDestination>, arrived: Arrived): Explained {
  const { head, params } = arrived
  switch (destination.kind) {
    case 'respond': {
      const { status, body, headers } = destination
      const fields = Object.entries(headers).map(([name, value]) => shownField(name, arrived.mask(value)))
      return { outcome: { kind: 'respond', status, headers: fields, body: clean(arrived.mask(body)) }, upstream: null }
    }
    case 'redirect': {
      const location = clean(expand(destination.to, params, head.search))
      return { outcome: { kind: 'redirect', status: destination.status, location }, upstream: null }
    }
    case 'named':
      return explainSending({ rewrite: null }, { ...arrived, upstream: planTo(head.destination!), split: null, splitBecause: null })
    case 'original': {
      // Nobody has sent it here: it is taken for one that was on its way to the host that it names.
      const place = parseDestination(head.host, 80)
      if (place === null)
        return { outcome: { kind: 'error', code: 'no_destination', status: 400, because: clean(head.host) }, upstream: null }
      return explainSending({ rewrite: null }, { ...arrived, upstream: planTo(place), split: null, splitBecause: null })
    }
    case 'upstream':
      return explainSending(destination, { ...arrived, upstream: destination.upstream, split: null, splitBecause: null })
    case 'split': {
      const weights = destination.parts.map(({ weight }) => weight)
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      const split = destination.parts.map(({ upstream, weight }) => ({ upstream: upstream.name, percent: (100 * weight) / total }))
      const { upstream, because } = explainSplit(destination, askedBy(arrived))
      return explainSending(destination, { ...arrived, upstream, split, splitBecause: because })
    }
  }
}

function askedBy({ head, ip }: Arrived): Asked {
  return { ip, request: head, view: () => makeRequestView(head, ip) }
}

interface Sending extends Arrived {
  readonly upstream: UpstreamPlan
  readonly split: Sent['split']
  readonly splitBecause: string | null
}

function explainSending({ rewrite }: { readonly rewrite: string | null }, sending: Sending): Explained {
  const { head, listener, params, upstream, split } = sending
  if (rewrite !== null && !applyRewrite(rewrite, { head, listener, params })) {
    return { outcome: refusedRewrite(rewrite), upstream: null }
  }
  const balancing = explainBalancing(upstream, askedBy(sending))
  if (balancing === null) {
    const because = `no endpoint of ${upstream.name} takes requests: each has weight 0`
    return { outcome: { kind: 'error', code: 'no_endpoint', status: errorTable.no_endpoint.status, because }, upstream }
  }
  // Of those that it may go to, all get the same but for their own name.
  const first = balancing.first ?? upstream.endpoints.find(({ weight }) => weight > 0)!
  const before = fieldsOf(head)
  const text = sentText(sending, first)
  const [requestLine = '', ...lines] = text.split('\r\n').filter((line) => line !== '')
  const after = lines.map(
    (line): NamedValue => ({ name: line.slice(0, line.indexOf(':')), value: line.slice(line.indexOf(':') + 1).trim() }),
  )
  const has = (list: readonly NamedValue[], { name, value }: NamedValue): boolean =>
    list.some((one) => one.name.toLowerCase() === name.toLowerCase() && one.value === value)
  const names = new Set(after.map(({ name }) => name.toLowerCase()))
  const isHost = ({ name }: NamedValue): boolean => name.toLowerCase() === 'host'
  const outcome: Sent = {
    ...{ kind: 'upstream', upstream: upstream.name, place: null, split, splitBecause: sending.splitBecause, mirror: null },
    endpoints: upstream.endpoints.map(({ address, weight }) => ({ address, weight })),
    first: balancing.first?.address ?? null,
    ...{ balancing: balancing.because, safeguards: safeguardsOf(upstream) },
    ...{ requestLine: clean(requestLine), isRewritten: rewrite !== null },
    host: { value: clean(after.find(isHost)?.value ?? ''), because: hostBecause(upstream) },
    tls: upstream.tls === null ? null : { servername: servernameOf(upstream.tls.servername, first) },
    added: after.filter((one) => !isHost(one) && !has(before, one)).map(({ name, value }) => shownField(name, value)),
    removed: [...new Set(before.filter(({ name }) => !names.has(name.toLowerCase())).map(({ name }) => clean(name)))],
  }
  return { outcome, upstream }
}

export function refusedRewrite(rewrite: string): Outcome {
  const because = `the rewrite ${rewrite} gives a path that is refused`
  return { kind: 'error', code: 'bad_path', status: errorTable.bad_path.status, because }
}

/** As http/exchange.ts does it. */
export function applyRewrite(rewrite: string, { head, listener, params }: Pick<Arrived, 'head' | 'listener' | 'params'>): boolean {
  const target = expand(rewrite, params, head.search)
  const mark = target.indexOf('?')
  const path = normalisePath(mark < 0 ? target : target.slice(0, mark), listener)
  if (path === null) return false
  head.path = path
  head.search = mark < 0 ? '' : target.slice(mark)
  return true
}

function sentText({ head, peer, listener, upstream, isHttp2 }: Sending, endpoint: EndpointPlan): string {
  const hop: Hop = {
    ...{ peer, scheme: schemeOf(listener), host: head.host, version: isHttp2 ? '2.0' : head.minor === 0 ? '1.0' : '1.1' },
    ...{ via: listener.via, forwarded: listener.forwarded },
  }
  const { forward } = listener
  if (forward !== null) {
    const parent = head.destination === null ? null : (parentRuleFor(forward.parents, head.destination)?.parents[0] ?? null)
    hideClient(head, forward.anonymity)
    const lines = askParent(head, parent?.kind === 'http' ? parent : null)
    return requestText(head, upstream, endpoint.address, lines + forwardLines(hop, forward.anonymity))
  }
  const isTrusted = listener.trust?.has(peer) ?? false
  if (isTrusted) extendIdentity(head, hop)
  else dropIdentity(head)
  return requestText(head, upstream, endpoint.address, isTrusted ? '' : hopLines(hop))
}

function fieldsOf(head: RequestHead): NamedValue[] {
  const text = head.received
  const fields: NamedValue[] = []
  for (const line of text.split('\r\n').slice(1)) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.push({ name: line.slice(0, colon), value: line.slice(colon + 1).trim() })
  }
  return fields
}

function hostBecause({ host, name, hostName }: UpstreamPlan): string {
  if (host === 'preserve') return "the client's"
  return host === 'endpoint' ? "the endpoint's" : hostName === name ? "the upstream's name" : 'the name of its URL'
}

/** As upstream/dial.ts: an address is no name. */
function servernameOf(servername: string | null, { target }: EndpointPlan): string {
  const name = servername ?? (target.kind === 'unix' ? 'localhost' : target.host)
  return isIP(name) === 0 ? name : ''
}
