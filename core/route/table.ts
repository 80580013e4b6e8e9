/**
 * The routes of a listener: the first in written order whose every condition holds wins. A few routes are tried one by one; many
 * are found by host and by path, so that ten thousand cost little more than ten. Agrees always with trying one by one.
 */
import type { RoutePlan } from '../plan/plan.ts'
import { type Condition, type Conditions, compileConditions, HostCondition, PathCondition, type RouteRequest } from './conditions.ts'
import { type Entry, PathIndex } from './path-index.ts'
import type { Params, PathMatcher } from './pattern.ts'

export interface RouteMatch {
  readonly route: RoutePlan
  /** Params of the path by name, `*` its rest; null if the route did not ask for captures. */
  readonly params: Params | null
}

export interface RouteRule {
  readonly route: RoutePlan
  /** Those of the groups around the route, outermost first, then its own; all must hold. */
  readonly conditions: readonly Conditions[]
  /** Whether its destination uses what the path holds: what is not used is not cut out. */
  readonly captures: boolean
}

/** Up to so many rules, trying one by one is the fastest. */
const FEW = 16

export class RouteTable {
  readonly size: number
  /** In written order. */
  readonly routes: readonly RoutePlan[]
  /** All entries in order; null if there are too many for that. */
  readonly #all: readonly Entry<Rule>[] | null
  readonly #byHost = new Map<string, PathIndex<Rule>>()
  /** By `.example.com`. */
  readonly #bySuffix = new Map<string, PathIndex<Rule>>()
  readonly #anyHost: PathIndex<Rule>
  /** Reused by every match: lists of candidates, and how far each has been read. */
  readonly #lists: (readonly Entry<Rule>[])[] = []
  readonly #heads: number[] = []

  constructor(rules: readonly RouteRule[]) {
    this.size = rules.length
    this.routes = rules.map(({ route }) => route)
    const isFew = rules.length <= FEW
    const any: Entry<Rule>[] = []
    const hosts = new Map<string, Entry<Rule>[]>()
    for (const [ordinal, from] of rules.entries()) {
      const rule = new Rule(from, !isFew)
      const entries: Entry<Rule>[] = (rule.paths ?? [null]).map((path) => ({ ordinal, rule, path, isTested: path === null }))
      const keys = isFew ? null : rule.indexedHosts
      if (keys === null) any.push(...entries)
      else for (const key of keys) push(hosts, key, entries)
    }
    this.#all = isFew ? any : null
    this.#anyHost = new PathIndex(isFew ? [] : any)
    for (const [host, entries] of hosts) {
      if (host.startsWith('*.')) this.#bySuffix.set(host.slice(1), new PathIndex(entries))
      else this.#byHost.set(host, new PathIndex(entries))
    }
  }

  /** Null if no route matches. Throws ProxyError `hook_failed` if a `when` throws. */
  match(request: RouteRequest): RouteMatch | null {
    if (this.#all !== null) return firstOf(this.#all, request)
    const lists = this.#lists
    lists.length = 0
    this.#collect(request)
    if (lists.length === 0) return null
    return lists.length === 1 ? firstOf(lists[0]!, request) : this.#firstOfAll(request)
  }

  #collect({ host, path }: RouteRequest): void {
    this.#anyHost.collect(path, this.#lists)
    this.#byHost.get(host)?.collect(path, this.#lists)
    if (this.#bySuffix.size === 0) return
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1))
      this.#bySuffix.get(host.slice(dot))?.collect(path, this.#lists)
  }

  /** Merges the lists by ordinal, so that a `when` runs exactly if no earlier route matches. */
  #firstOfAll(request: RouteRequest): RouteMatch | null {
    const lists = this.#lists
    const heads = this.#heads
    for (let i = 0; i < lists.length; i++) heads[i] = 0
    let failed = -1
    for (;;) {
      let next: Entry<Rule> | null = null
      let from = 0
      for (let i = 0; i < lists.length; i++) {
        const entry = lists[i]![heads[i]!]
        if (entry !== undefined && (next === null || entry.ordinal < next.ordinal)) {
          next = entry
          from = i
        }
      }
      if (next === null) return null
      heads[from]!++
      if (next.ordinal === failed || !hasPath(next, request)) continue
      if (next.rule.passes(request)) return next.rule.matched(next.path, request)
      failed = next.ordinal
    }
  }
}

function push<T>(lists: Map<string, T[]>, key: string, items: readonly T[]): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [...items])
  else list.push(...items)
}

function firstOf(entries: readonly Entry<Rule>[], request: RouteRequest): RouteMatch | null {
  let failed: Rule | null = null
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!
    if (entry.rule === failed || !hasPath(entry, request)) continue
    if (entry.rule.passes(request)) return entry.rule.matched(entry.path, request)
    failed = entry.rule
  }
  return null
}

function hasPath(entry: Entry<Rule>, request: RouteRequest): boolean {
  return entry.isTested || entry.path!.test(request.path)
}

class Rule {
  /** The innermost paths, by which it is indexed; null: every path. */
  readonly paths: readonly PathMatcher[] | null
  /** The innermost hosts, the same. */
  readonly indexedHosts: readonly string[] | null
  readonly #conditions: readonly Condition[]
  readonly #outerPaths: readonly PathCondition[]
  readonly #captures: boolean
  /** Without captures, every match of this rule is this one. */
  readonly #match: RouteMatch

  constructor({ route, conditions, captures }: RouteRule, isIndexed: boolean) {
    this.paths = conditions.findLast((level) => level.paths !== null)?.paths ?? null
    this.indexedHosts = conditions.findLast((level) => level.hosts !== null)?.hosts ?? null
    const hosts = conditions.filter((level) => level.hosts !== null && !(isIndexed && level.hosts === this.indexedHosts))
    const outer = conditions.filter((level) => level.paths !== null && level.paths !== this.paths)
    this.#outerPaths = outer.map((level) => new PathCondition(level.paths!))
    this.#conditions = [
      ...hosts.map((level) => new HostCondition(level.hosts!)),
      ...this.#outerPaths,
      ...conditions.flatMap(compileConditions),
    ]
    this.#captures = captures
    this.#match = Object.freeze({ route, params: null })
  }

  passes(request: RouteRequest): boolean {
    const conditions = this.#conditions
    for (let i = 0; i < conditions.length; i++) if (!conditions[i]!.passes(request)) return false
    return true
  }

  matched(path: PathMatcher | null, request: RouteRequest): RouteMatch {
    if (!this.#captures) return this.#match
    // Of several paths that match, the first written gives the captures, wherever the index found the rule.
    const first = path === null || this.paths!.length === 1 ? path : this.paths!.find((one) => one.test(request.path))!
    const own = first === null ? { '*': request.path.slice(1) } : first.capture(request.path)
    if (this.#outerPaths.length === 0) return { route: this.#match.route, params: own }
    const outer = this.#outerPaths.map((paths) => paths.find(request.path)?.capture(request.path))
    return { route: this.#match.route, params: Object.assign(Object.create(null), ...outer, own) }
  }
}
