/**
 * Tries the routes of a listener one by one, with the very conditions of the route table and in its order, and notes for each that does
 * not match the first field in the way. Functions (`when`) really run, only when the table would run them.
 */
import type { FlatRoute, RouteLevel } from '../config/flat-routes.ts'
import { toList } from '../config/lists.ts'
import type { Path } from '../config/positions.ts'
import { ProxyError } from '../errors.ts'
import type { HttpRoute } from '../index.ts'
import { type Condition, fieldConditions, HostCondition, PathCondition, type RouteRequest } from '../route/conditions.ts'
import { matchesAll } from '../route/path-language.ts'
import type { Params } from '../route/pattern.ts'
import { RouteTable } from '../route/table.ts'
import type { MatchField, Mismatch, RouteStep, RoutesStep } from './explanation.ts'
import { clean, isSecret, shownValue } from './shown.ts'

export interface Tried {
  readonly step: RoutesStep
  /** The one that matched. */
  readonly route: FlatRoute | null
  /** What it captured, as it is. */
  readonly params: Params | null
  /** What a `when` threw. */
  readonly error: ProxyError | null
}

export interface TryOptions {
  readonly all: boolean
  nameOf(path: Path): string
  /** Takes out what the config keeps secret. */
  mask(text: string): string
}

/** Up to so many that did not match are told one by one. */
const FEW = 20
/** Those that have only the path in common fill the list up to so many. */
const FEWEST = 5

export function tryRoutes(routes: readonly FlatRoute[], request: RouteRequest, options: TryOptions): Tried {
  const missed: Missed[] = []
  const base = { total: routes.length, failed: null, matched: null, nearest: null }
  for (const route of routes) {
    let miss: Check | null
    try {
      miss = checksOf(route).find(({ condition }) => !condition.passes(request)) ?? null
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      const failed = { id: route.id, place: placeOf(route, options), error: clean(error.message) }
      return { step: { ...base, ...tell(missed, request, options), failed }, route: null, params: null, error }
    }
    if (miss !== null) {
      missed.push({ route, check: miss })
      continue
    }
    const params = paramsOf(route, request)
    const shown = Object.fromEntries(Object.entries(params).map(([name, value]) => [clean(name), clean(value)]))
    const held = checksOf(route).map((check) => wishOf(check, options.mask))
    const matched = { id: route.id, place: placeOf(route, options), held, params: shown }
    return { step: { ...base, ...tell(missed, request, options), matched }, route, params, error: null }
  }
  return {
    step: { ...base, ...tell(missed, request, options), nearest: nearestOf(routes, request, options) },
    route: null,
    params: null,
    error: null,
  }
}

interface Check {
  readonly level: RouteLevel
  readonly field: MatchField
  readonly name: string | null
  readonly condition: Condition
}

interface Missed {
  readonly route: FlatRoute
  readonly check: Check
}

/** In the order of the table: hosts, then paths, each of all levels; then the others, level by level. */
function checksOf({ levels }: FlatRoute): Check[] {
  const hosts = levels.flatMap((level) =>
    level.conditions.hosts === null
      ? []
      : [{ level, field: 'host' as const, name: null, condition: new HostCondition(level.conditions.hosts) }],
  )
  const paths = levels.flatMap((level) =>
    level.conditions.paths === null
      ? []
      : [{ level, field: 'path' as const, name: null, condition: new PathCondition(level.conditions.paths) }],
  )
  const others = levels.flatMap((level) => fieldConditions(level.conditions).map((check) => ({ level, ...check })))
  return [...hosts, ...paths, ...others]
}

/** What the route's own path and those around it hold, whether its destination uses it or not. */
function paramsOf({ levels }: FlatRoute, request: RouteRequest): Params {
  const conditions = levels.map((level) => ({ ...level.conditions, when: null }))
  const route = {
    id: '',
    cacheSpace: '',
    mirror: null,
    hooks: [],
    destination: { kind: 'respond', status: 200, body: '', headers: {} },
  } as const
  return new RouteTable([{ route, conditions, captures: true }]).match(request)?.params ?? {}
}

/** One by one if they are few; else those that were near, and how many others failed by what. */
function tell(missed: readonly Missed[], request: RouteRequest, options: TryOptions): Pick<RoutesStep, 'earlier' | 'counted'> {
  const steps = joinGroups(missed, request, options)
  if (options.all || steps.length <= FEW) return { earlier: steps.map(({ step }) => step), counted: [] }
  const at = (distance: number): JoinedStep[] => steps.filter(({ first }) => distanceOf(first, request) === distance)
  const close = [...at(1), ...at(2)].slice(0, FEW)
  const near = new Set([...close, ...at(3).slice(0, Math.max(0, FEWEST - close.length))])
  const counted = new Map<MatchField, number>()
  for (const one of steps) {
    const { mismatch, routes } = one.step
    if (!near.has(one)) counted.set(mismatch.field, (counted.get(mismatch.field) ?? 0) + routes)
  }
  return {
    earlier: steps.filter((one) => near.has(one)).map(({ step }) => step),
    counted: [...counted].map(([field, routes]) => ({ field, routes })),
  }
}

interface JoinedStep {
  readonly step: RouteStep
  readonly first: Missed
}

/** Routes that failed by the same field of the same group are one step. */
function joinGroups(missed: readonly Missed[], request: RouteRequest, options: TryOptions): JoinedStep[] {
  const steps: JoinedStep[] = []
  for (const [i, one] of missed.entries()) {
    const { level, field, name } = one.check
    const before = missed[i - 1]?.check
    const last = steps.at(-1)
    if (
      last !== undefined &&
      before?.level.route === level.route &&
      before.level.id === level.id &&
      before.field === field &&
      before.name === name
    ) {
      steps[steps.length - 1] = { ...last, step: { ...last.step, routes: last.step.routes + 1 } }
      continue
    }
    const isGroup = level !== one.route.levels.at(-1)
    const step = {
      id: level.id,
      place: options.nameOf(level.path),
      routes: 1,
      isGroup,
      mismatch: mismatchOf(one.check, request, options.mask),
    }
    steps.push({ step, first: one })
  }
  return steps
}

/** 1: host and path would do; 2: its own host is the request's; 3: its own path is. Null: it has nothing of the request. */
function distanceOf({ route, check }: Missed, request: RouteRequest): 1 | 2 | 3 | null {
  if (check.field !== 'host' && check.field !== 'path') return 1
  if (check.field === 'path') return route.levels.some(({ conditions }) => conditions.hosts !== null) ? 2 : null
  const paths = route.levels.flatMap(({ conditions }) =>
    conditions.paths === null || conditions.paths.some(matchesAll) ? [] : [conditions.paths],
  )
  return paths.length > 0 && paths.every((list) => new PathCondition(list).passes(request)) ? 3 : null
}

interface Near {
  readonly route: FlatRoute
  /** What is in the way. */
  readonly checks: readonly Check[]
  /** How many fields held. */
  readonly held: number
  /** How far its path begins as the request's does. */
  readonly alike: number
}

/** With the fewest fields in the way, then the most that held, then the path most alike. A `when` is not asked: the table would not have. */
function nearestOf(routes: readonly FlatRoute[], request: RouteRequest, options: TryOptions): RoutesStep['nearest'] {
  let best: Near | null = null
  for (const route of routes) {
    const all = checksOf(route)
    const failed = all.filter(({ field, condition }) => field !== 'when' && !condition.passes(request))
    // All but a function of the user held.
    const checks = failed.length > 0 ? failed : all.filter(({ field }) => field === 'when').slice(0, 1)
    if (best !== null && checks.length > best.checks.length) continue
    const near = {
      route,
      checks,
      held: all.filter(({ field }) => field !== 'when').length - failed.length,
      alike: likeness(checks, request),
    }
    if (best === null || isNearer(near, best)) best = near
  }
  if (best === null) return null
  const { route, checks } = best
  return { id: route.id, place: placeOf(route, options), mismatches: checks.map((check) => mismatchOf(check, request, options.mask)) }
}

function isNearer(a: Near, b: Near): boolean {
  if (a.checks.length !== b.checks.length) return a.checks.length < b.checks.length
  return a.held === b.held ? a.alike > b.alike : a.held > b.held
}

/** Of the paths that a route wants, so many characters are those of the request. */
function likeness(checks: readonly Check[], { path }: RouteRequest): number {
  const wanted = checks.filter(({ field }) => field === 'path').flatMap(({ level }) => toList(level.route.path))
  const counts = wanted.filter((one) => typeof one === 'string').map((one) => commonStart(one, path))
  return Math.max(0, ...counts)
}

function commonStart(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return at
}

function placeOf({ levels }: FlatRoute, { nameOf }: TryOptions): string {
  return nameOf(levels.at(-1)!.path)
}

function mismatchOf(check: Check, request: RouteRequest, mask: (text: string) => string): Mismatch {
  return { ...wishOf(check, mask), got: gotOf(request, check.field, check.name) }
}

function wishOf({ level, field, name }: Check, mask: (text: string) => string): Omit<Mismatch, 'got'> {
  return { field, name: name === null ? null : clean(name), wanted: mask(wantedOf(level.route, field, name)) }
}

/** As the config says it. */
function wantedOf(route: HttpRoute, field: MatchField, name: string | null): string {
  if (field === 'when') return 'true'
  const value: unknown = name === null ? route[field] : Object.entries(route[field] ?? {}).find(([key]) => sameName(field, key, name))?.[1]
  if (value === true) return 'present'
  if (value === false) return 'absent'
  if (name !== null && field === 'headers' && isSecret(name)) return '***'
  return clean(
    toList(value)
      .map((one) => String(one))
      .join(' or '),
  )
}

function sameName(field: MatchField, key: string, name: string): boolean {
  return field === 'headers' ? key.toLowerCase() === name : key === name
}

function gotOf(request: RouteRequest, field: MatchField, name: string | null): string {
  switch (field) {
    case 'host':
      return request.host === '' ? 'none' : clean(request.host)
    case 'path':
      return clean(request.path)
    case 'method':
      return clean(request.method)
    case 'from':
      return request.ip === '' ? 'no address' : request.ip
    case 'headers': {
      const value = request.field(name!)
      return value === null ? 'absent' : shownValue(name!, value)
    }
    case 'query': {
      const values = new URLSearchParams(request.search).getAll(name!)
      return values.length === 0 ? 'absent' : clean(values.map((value) => (isSecret(name!) ? '***' : value)).join(', '))
    }
    case 'cookies':
      return new RegExp(`(?:^|[;,])\\s*${name!.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}=`).test(request.field('cookie') ?? '')
        ? '***'
        : 'absent'
    case 'when':
      return 'false'
  }
}
