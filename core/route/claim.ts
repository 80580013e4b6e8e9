/** What a rule asks of a request, the conditions of the groups around it joined in, so that rules can be compared with each other. Pure. */
import type { CidrSet } from '../net/cidr.ts'
import { type Conditions, type FieldTest, withoutState } from './conditions.ts'
import { coversPath, type Effort, matchesAll, overlapsPath } from './path-language.ts'
import type { PathMatcher } from './pattern.ts'

export type ClaimField = 'host' | 'path' | 'method' | 'from' | 'headers' | 'query' | 'cookies'

interface FieldClaim {
  readonly field: 'headers' | 'query' | 'cookies'
  readonly name: string
  readonly test: FieldTest
}

export interface Claim {
  /** Any of them; null: every host. */
  readonly hosts: readonly string[] | null
  readonly methods: readonly string[] | null
  /** Any path of each list, the outermost group's first. Lists that every path matches are left out. */
  readonly paths: readonly (readonly PathMatcher[])[]
  /** In all of these. */
  readonly from: readonly CidrSet[]
  readonly fields: readonly FieldClaim[]
  /** A function of the user has a say: what it lets through nobody knows. */
  readonly hasWhen: boolean
  /** The field by which no request can ever match; null: some may. */
  readonly impossible: ClaimField | null
}

/** One host, path and method of those that a claim lists; null: all there are. */
export interface Atom {
  readonly host: string | null
  readonly path: PathMatcher | null
  readonly method: string | null
}

/** `levels`: outermost first. */
export function claimOf(levels: readonly Conditions[], effort: Effort): Claim {
  const hosts = levels.map((level) => level.hosts).reduce(joinHosts, null)
  const methods = levels.map((level) => level.methods).reduce(joinMethods, null)
  const paths = levels.flatMap((level) => (level.paths === null || level.paths.some(matchesAll) ? [] : [level.paths]))
  const from = levels.flatMap((level) => level.from ?? [])
  const fields = levels.flatMap((level) => [
    ...claims('headers', level.headers),
    ...claims('query', level.query),
    ...claims('cookies', level.cookies),
  ])
  const impossible =
    (hosts?.length === 0 ? 'host' : null) ??
    (haveNothingInCommon(paths, effort) ? 'path' : null) ??
    (methods?.length === 0 ? 'method' : null) ??
    (from.some((one, i) => from.slice(0, i).some((other) => !one.overlaps(other))) ? 'from' : null) ??
    fields.find((one, i) => isNever(one.test) || fields.slice(0, i).some((other) => contradict(one, other)))?.field ??
    null
  return { hosts, methods, paths, from, fields, hasWhen: levels.some((level) => level.when !== null), impossible }
}

/** Whether `wide` takes whatever `narrow` takes, as far as one of the narrow one's atoms is concerned. False also where that is not known. */
export function covers(wide: Claim, narrow: Claim, { host, path, method }: Atom, effort: Effort): boolean {
  if (wide.hasWhen) return false
  if (wide.methods !== null && (method === null || !wide.methods.includes(method))) return false
  if (wide.hosts !== null && (host === null || !wide.hosts.some((one) => coversHost(one, host)))) return false
  return (
    wide.fields.every((one) => narrow.fields.some((other) => isImplied(one, other))) &&
    wide.from.every((one) => narrow.from.some((other) => one.covers(other))) &&
    wide.paths.every(
      (list) =>
        (path !== null && coversOne(list, path, effort)) ||
        narrow.paths.slice(0, -1).some((outer) => outer.every((one) => coversOne(list, one, effort))),
    )
  )
}

function coversOne(list: readonly PathMatcher[], path: PathMatcher, effort: Effort): boolean {
  return list.some((wide) => coversPath(wide, path, effort))
}

/** `*.x` takes `a.x` and `*.a.x`, not `x`. */
function coversHost(wide: string, narrow: string): boolean {
  return wide === narrow || (wide.startsWith('*.') && narrow.endsWith(wide.slice(1)))
}

function joinHosts(outer: readonly string[] | null, own: readonly string[] | null): readonly string[] | null {
  if (outer === null || own === null) return own ?? outer
  const both = outer.flatMap((a) => own.flatMap((b) => (coversHost(a, b) ? [b] : coversHost(b, a) ? [a] : [])))
  return [...new Set(both)]
}

function joinMethods(outer: readonly string[] | null, own: readonly string[] | null): readonly string[] | null {
  return outer === null || own === null ? (own ?? outer) : own.filter((method) => outer.includes(method))
}

function haveNothingInCommon(paths: readonly (readonly PathMatcher[])[], effort: Effort): boolean {
  return paths.some((list, i) => paths.slice(0, i).some((outer) => !list.some((a) => outer.some((b) => overlapsPath(a, b, effort)))))
}

function claims(field: FieldClaim['field'], tests: readonly (readonly [name: string, test: FieldTest])[]): FieldClaim[] {
  return tests.map(([name, test]) => ({ field, name, test: withoutState(test) }))
}

function isNever(test: FieldTest): boolean {
  return typeof test !== 'boolean' && test.length === 0
}

/** Present and absent; for a header, which has one value, also two lists of texts that share none. */
function contradict(one: FieldClaim, other: FieldClaim): boolean {
  if (one.field !== other.field || one.name !== other.name) return false
  if (one.test === false || other.test === false) return one.test !== other.test
  if (one.field !== 'headers' || one.test === true || other.test === true) return false
  const [a, b] = [one.test, other.test]
  return ![...a, ...b].some((value) => typeof value !== 'string') && !a.some((value) => b.includes(value))
}

/** Whether what passes `own` passes `asked`, too. */
function isImplied(asked: FieldClaim, own: FieldClaim): boolean {
  if (asked.field !== own.field || asked.name !== own.name) return false
  if (typeof asked.test === 'boolean') return asked.test ? own.test !== false : own.test === false
  const wanted = asked.test
  return typeof own.test !== 'boolean' && own.test.every((value) => wanted.some((one) => takesValue(one, value)))
}

function takesValue(one: string | RegExp, value: string | RegExp): boolean {
  if (typeof one === 'string') return one === value
  return typeof value === 'string' ? one.test(value) : String(one) === String(value)
}
