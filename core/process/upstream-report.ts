/** What is told of the upstreams of a running proxy, for `/api/upstreams`, `sluice status` and `/readyz`: what each worker says, taken together. Pure. */
import type { EndpointVerdict } from '../upstream/health-checks.ts'
import type { EndpointState, UpstreamState } from '../upstream/upstream-state.ts'

/** The shape is part of the contract: fields are added, never changed. */
export interface UpstreamReport {
  readonly name: string
  /** It is no upstream: its endpoints are the parents of a listener of the forward side. */
  readonly parents?: true
  /** Endpoints with a weight, and those of them that get requests from every worker. */
  readonly endpoints: number
  readonly available: number
  /** Workers that use all endpoints, for too few are available. */
  readonly panic: number
  /** Workers that leave it alone, but for one request that tries. */
  readonly open: number
  readonly workers: number
  /** Requests that wait for a connection. */
  readonly waiting: number
  /** What all workers together let be under way at a time, and have; null: they learn no limit. */
  readonly limit: {
    readonly most: number
    readonly underWay: number /** Workers where requests waited lately, or were refused. */
    readonly reached: number
  } | null
  readonly list: readonly EndpointReport[]
  /** Addresses that were taken out at run time. */
  readonly removed: readonly string[]
  /** Why its endpoints cannot be discovered at the moment, in some worker; '' if all is well. */
  readonly undiscovered: string
  /** What of that which is discovered makes no sense and is not used; '' if all does. */
  readonly leftOut: string
}

export interface EndpointReport {
  readonly address: string
  readonly weight: number
  readonly state: 'available' | 'ejected' | 'unhealthy' | 'draining'
  /** By health checks; null: they have not said yet, or there are none. */
  readonly healthy: boolean | null
  /** Workers that have ejected it. */
  readonly ejected: number
  /** Why it gets no requests, or fewer; '' if it gets all that are its due. */
  readonly why: string
  readonly connections: number
  /** Attempts under way, and tunnels. */
  readonly inFlight: number
  /** It came at run time. */
  readonly added: boolean
  /** `sticky`: clients that stay with it still come; `all`: nobody does; null: it does not drain. */
  readonly drain: EndpointState['drain']
  /** Until when clients stay, ISO 8601; null: that is not known, or nobody does. */
  readonly until: string | null
}

/** `workers`: what each that answered has said. */
export function reportUpstreams(workers: readonly (readonly UpstreamState[])[]): UpstreamReport[] {
  const names = [...new Set(workers.flatMap((states) => states.map(({ name }) => name)))]
  return names.map((name) => {
    const states = workers.flatMap((one) => one.filter((state) => state.name === name))
    const addresses = [...new Set(states.flatMap(({ endpoints }) => endpoints.map(({ address }) => address)))]
    const list = addresses.map((address) =>
      reportEndpoint(states.flatMap(({ endpoints }) => endpoints.filter((one) => one.address === address))),
    )
    const weighty = list.filter(({ weight, state }) => weight > 0 && state !== 'draining')
    return {
      ...(states.some(({ isParents }) => isParents === true) ? { parents: true as const } : {}),
      ...{ name, endpoints: weighty.length, available: weighty.filter(({ state }) => state === 'available').length },
      ...{ panic: states.filter(({ isPanicking }) => isPanicking).length, workers: states.length, list },
      undiscovered: states.find(({ undiscovered }) => undiscovered !== '')?.undiscovered ?? '',
      leftOut: states.find(({ leftOut }) => leftOut !== '')?.leftOut ?? '',
      removed: [...new Set(states.flatMap((state) => state.removed))],
      waiting: states.reduce((sum, { waiting }) => sum + waiting, 0),
      limit: reportLimit(states.flatMap(({ limit }) => limit ?? [])),
      open: states.filter(({ circuit }) => circuit !== null && circuit !== 'closed').length,
    }
  })
}

/** One line for each upstream that has something wrong, or learns a limit; or one for all. */
export function upstreamLines(reports: readonly UpstreamReport[]): string[] {
  const wrong = reports.filter(
    ({ list, panic, open, removed, limit, undiscovered, leftOut }) =>
      undiscovered + leftOut !== '' ||
      panic + open + removed.length + (limit?.reached ?? 0) > 0 ||
      list.some(({ state, added }) => state !== 'available' || added),
  )
  const upstreams = reports.filter(({ parents }) => parents !== true).length
  const limits = reports.filter((one) => one.limit !== null && !wrong.includes(one))
  const told = [...wrong, ...limits]
  const all = wrong.length > 0 || upstreams === 0 ? [] : [`${upstreams}, every endpoint is available`]
  const lines = [...all, ...told.slice(0, SHOWN).flatMap(linesOf)]
  return told.length > SHOWN ? [...lines, `and ${told.length - SHOWN} more: see /api/upstreams`] : lines
}

const SHOWN = 10

/** A line for each upstream none of whose endpoints passes its health checks. */
export function withoutHealthy(verdicts: readonly EndpointVerdict[]): string[] {
  const names = [...new Set(verdicts.map(({ upstream }) => upstream))]
  const isDown = (name: string): boolean => verdicts.every(({ upstream, isHealthy }) => upstream !== name || isHealthy === false)
  return names.filter(isDown).map((name) => `upstream ${name}: no endpoint is healthy`)
}

function reportEndpoint(states: readonly EndpointState[]): EndpointReport {
  const [{ address, weight, drain, until, isAdded }] = states as [EndpointState]
  const ejected = states.filter(({ isEjected }) => isEjected).length
  const isUnhealthy = states.some(({ isHealthy }) => isHealthy === false)
  return {
    ...{ address, weight, ejected },
    state: drain !== null ? 'draining' : isUnhealthy ? 'unhealthy' : ejected > 0 ? 'ejected' : 'available',
    ...{ added: isAdded, drain, until: until === null ? null : new Date(until).toISOString() },
    inFlight: states.reduce((sum, { inFlight }) => sum + inFlight, 0),
    healthy: isUnhealthy ? false : states.some(({ isHealthy }) => isHealthy === true) ? true : null,
    why: states.find(({ why }) => why !== '')?.why ?? '',
    connections: states.reduce((sum, { connections }) => sum + connections, 0),
  }
}

function reportLimit(limits: readonly NonNullable<UpstreamState['limit']>[]): UpstreamReport['limit'] {
  if (limits.length === 0) return null
  const sum = (of: (limit: NonNullable<UpstreamState['limit']>) => number): number => limits.reduce((total, one) => total + of(one), 0)
  return {
    most: sum(({ most }) => most),
    underWay: sum(({ underWay }) => underWay),
    reached: limits.filter(({ isReached }) => isReached).length,
  }
}

/** How it is, and what was changed about it: `draining: clients that stay until 14:03:11`, `ejected in 1 of 2 workers: …`. */
export function endpointText({ state, added, drain, until, ejected, why }: EndpointReport, workers = ejected): string {
  const came = added ? ' (added)' : ''
  if (state === 'available') return `available${came}`
  if (state === 'draining') {
    const end = until === null ? '' : `, until ${new Date(until).toTimeString().slice(0, 8)}`
    return `draining${came}: ${drain === 'sticky' ? `only clients that stay with it${end}` : 'no more requests'}`
  }
  const where = state === 'ejected' && ejected < workers ? ` in ${ejected} of ${workers} workers` : ''
  return `${state}${where}${came}: ${why}`
}

function linesOf({
  name,
  parents,
  endpoints,
  available,
  panic,
  open,
  workers,
  waiting,
  limit,
  list,
  removed,
  undiscovered,
  leftOut,
}: UpstreamReport): string[] {
  const circuit = open > 0 ? `; its circuit is open in ${open} of ${workers} workers` : ''
  const wait = limit !== null && limit.reached > 0 ? `; ${waiting} wait` : ''
  const limited = limit === null ? '' : `; ${limit.underWay} requests under way, of at most ${limit.most}${wait}`
  const all = panic > 0 ? '; all are used, for too few are available' : ''
  const off = list.filter(({ state, added }) => state !== 'available' || added)
  return [
    `${name}: ${available} of ${endpoints} ${parents === true ? '' : 'endpoints '}available${all}${circuit}${limited}`,
    ...off.slice(0, SHOWN).map((one) => `  ${one.address} ${endpointText(one, workers)}`),
    ...(off.length > SHOWN ? [`  and ${off.length - SHOWN} more`] : []),
    ...(undiscovered === ''
      ? []
      : [`  it ${list.length === 0 ? 'has no endpoints' : 'goes on with the endpoints it has'}: ${undiscovered}`]),
    ...(leftOut === '' ? [] : [`  it does not use all that it discovers: ${leftOut}`]),
    ...(removed.length > 0
      ? [`  removed: ${removed.slice(0, SHOWN).join(', ')}${removed.length > SHOWN ? ` and ${removed.length - SHOWN} more` : ''}`]
      : []),
  ]
}
