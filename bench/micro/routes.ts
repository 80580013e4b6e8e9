/**
 * What routes cost by their number: one look-up (the median over requests for routes all over the table), making the table, and
 * looking for routes that can never match. `node bench/micro/routes.ts [NAME]`
 */
import { compileMatch } from '../../core/config/match.ts'
import type { HttpMatch } from '../../core/index.ts'
import type { Conditions, RouteRequest } from '../../core/route/conditions.ts'
import { findUnreachable } from '../../core/route/shadow.ts'
import { type RouteRule, RouteTable } from '../../core/route/table.ts'

interface Kind {
  /** Levels of the route, outermost group first. */
  route(i: number): readonly HttpMatch[]
  /** A request that this route takes. */
  request(i: number): { readonly host?: string; readonly path: string; readonly method?: string }
}

const METHODS = ['GET', 'PUT', 'POST', 'DELETE'] as const

const kinds: Readonly<Record<string, Kind>> = {
  hosts: {
    route: (i) => [{ host: `t${i}.example.com`, path: '/*' }],
    request: (i) => ({ host: `t${i}.example.com`, path: '/users/7' }),
  },
  'wildcard hosts': {
    route: (i) => [{ host: `*.t${i}.example.com` }],
    request: (i) => ({ host: `www.t${i}.example.com`, path: '/users/7' }),
  },
  paths: {
    route: (i) => [{ path: `/service-${i}/*` }],
    request: (i) => ({ path: `/service-${i}/users/7` }),
  },
  params: {
    route: (i) => [{ path: `/api/v${i % 10}/r${Math.floor(i / 10)}/:id/items/:item` }],
    request: (i) => ({ path: `/api/v${i % 10}/r${Math.floor(i / 10)}/7/items/8` }),
  },
  methods: {
    route: (i) => [{ path: `/r${i >> 2}/:id`, method: METHODS[i & 3]! }],
    request: (i) => ({ path: `/r${i >> 2}/7`, method: METHODS[i & 3]! }),
  },
  'tenants, grouped': {
    route: (i) => [
      { host: `t${i >> 2}.example.com` },
      [{ path: '/api/*', method: 'GET' }, { path: '/static/*' }, { path: '/u/:id' }, {}][i & 3]!,
    ],
    request: (i) => ({ host: `t${i >> 2}.example.com`, path: ['/api/x', '/static/x', '/u/7', '/other'][i & 3]! }),
  },
  mixed: {
    route: (i) =>
      [
        [{ host: `h${i}.example.com` }],
        [{ path: `/p${i}/*` }],
        [{ host: ['*.example.com', 'example.com'], path: `/q${i}/:id` }],
        [{ path: [`/x${i}`, `/y${i}/*`], method: ['GET', 'HEAD'], headers: { accept: true } }],
      ][i & 3]!,
    request: (i) =>
      [
        { host: `h${i}.example.com`, path: '/' },
        { host: 'a.b', path: `/p${i}/z` },
        { host: 'x.example.com', path: `/q${i}/7` },
        { host: 'a.b', path: `/y${i}/7` },
      ][i & 3]!,
  },
  'names with a star': {
    route: (i) => [{ path: `/file-${i}-*` }],
    request: (i) => ({ path: `/file-${i}-a.png` }),
  },
  'regular expressions': {
    route: (i) => [{ host: `t${i >> 3}.example.com`, path: new RegExp(`^/r${i & 7}/\\d+$`) }],
    request: (i) => ({ host: `t${i >> 3}.example.com`, path: `/r${i & 7}/77` }),
  },
  'regular expressions, no host': {
    route: (i) => [{ path: new RegExp(`^/r${i}/\\d+$`) }],
    request: (i) => ({ path: `/r${i}/77` }),
  },
}

const only = process.argv[2]
console.log(`${'routes'.padEnd(30)}${['look-up ns', 'none ns', 'table ms', 'shadows ms'].map((name) => name.padStart(12)).join('')}`)
for (const [name, kind] of Object.entries(kinds)) {
  if (only !== undefined && !name.includes(only)) continue
  for (const count of [10, 100, 1_000, 10_000]) print(name, count, kind)
}

function print(name: string, count: number, { route, request }: Kind): void {
  const rules = Array.from({ length: count }, (_, i) => toRule(i, route(i).map(compileMatch)))
  const requests = Array.from({ length: 1_000 }, (_, i) => toRequest(request((i * 7_919) % count)))
  const misses = requests.map(({ path }, i) => toRequest({ host: `nobody${i}.test`, path: `/none${path}` }))
  const table = new RouteTable(rules)
  requests.forEach((one, i) => {
    if (table.match(one)?.route.id !== String((i * 7_919) % count)) throw new Error(`${name}: ${one.host}${one.path} went elsewhere`)
  })
  const tableMs = median(5, () =>
    elapsed(() => new RouteTable(Array.from({ length: count }, (_, i) => toRule(i, route(i).map(compileMatch))))),
  )
  const shadowsMs = median(3, () => elapsed(() => findUnreachable(rules.map(({ conditions }) => conditions))))
  const numbers = [lookUp(table, requests).toFixed(0), lookUp(table, misses).toFixed(0), tableMs.toFixed(2), shadowsMs.toFixed(1)]
  console.log(`${`${String(count).padStart(6)}  ${name}`.padEnd(30)}${numbers.map((text) => text.padStart(12)).join('')}`)
}

/** Nanoseconds; the same strings again and again, as a worker's hosts are. */
function lookUp(table: RouteTable, requests: readonly RouteRequest[]): number {
  return median(7, () => {
    let rounds = 0
    const began = performance.now()
    do {
      for (const one of requests) table.match(one)
      rounds++
    } while (performance.now() - began < 15)
    return ((performance.now() - began) * 1e6) / (rounds * requests.length)
  })
}

function elapsed(work: () => unknown): number {
  const began = performance.now()
  work()
  return performance.now() - began
}

function median(times: number, measure: () => number): number {
  return Array.from({ length: times }, measure).sort((a, b) => a - b)[times >> 1]!
}

function toRule(i: number, conditions: readonly Conditions[]): RouteRule {
  const route = {
    id: String(i),
    cacheSpace: '',
    mirror: null,
    hooks: [],
    destination: { kind: 'respond', status: 200, body: '', headers: {} },
  } as const
  return { route, conditions, captures: false }
}

function toRequest({
  host = 'x',
  path,
  method = 'GET',
}: {
  readonly host?: string
  readonly path: string
  readonly method?: string
}): RouteRequest {
  const field = (name: string): string | null => (name === 'accept' ? '*/*' : null)
  return { method, host, path, search: '', ip: '127.0.0.1', field, view: () => null }
}
