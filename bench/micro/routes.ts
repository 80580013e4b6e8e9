/** What one look-up in the route table costs, by the number of routes: `node bench/micro/routes.ts`. */
import type { Conditions, RouteRequest } from '../../core/route/conditions.ts'
import { compilePath } from '../../core/route/pattern.ts'
import { type RouteRule, RouteTable } from '../../core/route/table.ts'

const ROUNDS = 5
const ROUND_MS = 60

for (const count of [1, 10, 1_000, 10_000]) {
  const byPath = Array.from({ length: count - 1 }, (_, i) => rule(`p${i}`, null, `/service-${i}/*`))
  const byHost = Array.from({ length: count - 1 }, (_, i) => rule(`h${i}`, `t${i}.example.com`, '/*'))
  const rest = rule('rest', null, null)
  const last = Math.max(count - 2, 0)
  print(count, 'path, last', new RouteTable([...byPath, rest]), request('x', `/service-${last}/users/7`))
  print(count, 'path, none: catch-all', new RouteTable([...byPath, rest]), request('x', '/other/users/7'))
  print(count, 'host, last', new RouteTable([...byHost, rest]), request(`t${last}.example.com`, '/users/7'))
}

function print(count: number, what: string, table: RouteTable, asked: RouteRequest): void {
  const rounds = Array.from({ length: ROUNDS }, () => measure(table, asked)).sort((a, b) => a - b)
  console.log(`${String(count).padStart(6)} routes  ${what.padEnd(22)} ${rounds[ROUNDS >> 1]!.toFixed(0).padStart(5)} ns`)
}

function measure(table: RouteTable, asked: RouteRequest): number {
  const began = performance.now()
  let matches = 0
  while (performance.now() - began < ROUND_MS) {
    for (let i = 0; i < 1000; i++) if (table.match(asked) !== null) matches++
  }
  return ((performance.now() - began) * 1e6) / matches
}

function rule(id: string, host: string | null, path: string | null): RouteRule {
  const conditions: Conditions = {
    hosts: host === null ? null : [host],
    paths: path === null ? null : compilePath(path),
    methods: null,
    headers: [],
    query: [],
    cookies: [],
    from: null,
    when: null,
  }
  const route = { id, hooks: [], destination: { kind: 'respond', status: 200, body: '', headers: {} } } as const
  return { route, conditions: [conditions], captures: false }
}

function request(host: string, path: string): RouteRequest {
  return { method: 'GET', host, path, search: '', ip: '127.0.0.1', field: () => null, view: () => null }
}
