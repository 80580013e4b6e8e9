/** Rules and requests for tests of the route table. */
import type { RoutePlan } from '../../core/plan/plan.ts'
import type { Conditions, RouteRequest } from '../../core/route/conditions.ts'
import { compilePath } from '../../core/route/pattern.ts'
import type { RouteRule } from '../../core/route/table.ts'

export interface RuleOptions extends Omit<Partial<Conditions>, 'paths'> {
  readonly paths?: readonly (string | RegExp)[] | null
}

export function conditions({ paths = null, ...rest }: RuleOptions): Conditions {
  const compiled = paths?.flatMap(compilePath) ?? null
  return { hosts: null, methods: null, headers: [], query: [], cookies: [], from: null, when: null, ...rest, paths: compiled }
}

/** A rule whose route is called `id`; levels outermost first. */
export function rule(id: string, ...levels: readonly RuleOptions[]): RouteRule {
  const route: RoutePlan = {
    id,
    cacheSpace: '',
    mirror: null,
    hooks: [],
    destination: { kind: 'respond', status: 200, body: id, headers: {} },
  }
  return { route, conditions: levels.map(conditions), captures: true }
}

export interface RequestOptions {
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly search?: string
  readonly ip?: string
  readonly headers?: Readonly<Record<string, string>>
}

export function request({
  method = 'GET',
  host = 'x',
  path = '/',
  search = '',
  ip = '127.0.0.1',
  headers = {},
}: RequestOptions): RouteRequest {
  const view = { method, host, path, search, ip, headers }
  return { method, host, path, search, ip, field: (name) => headers[name] ?? null, view: () => view }
}
