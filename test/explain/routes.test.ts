import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FlatRoute } from '../../core/config/flat-routes.ts'
import { ProxyError } from '../../core/errors.ts'
import { tryRoutes } from '../../core/explain/routes.ts'
import { RouteTable } from '../../core/route/table.ts'
import { anyRequest, ruleLevels } from '../route/arbitrary.ts'
import { conditions, type RequestOptions, type RuleOptions, request, rule } from '../route/support.ts'

test('the route that is explained is the one that the table finds, with the same params', () => {
  let matched = 0
  fc.assert(
    fc.property(
      fc.array(ruleLevels, { minLength: 1, maxLength: 40 }),
      fc.array(anyRequest, { minLength: 5, maxLength: 15 }),
      (all, requests) => {
        const table = new RouteTable(all.map((levels, i) => rule(`web[${i}]`, ...levels)))
        for (const one of requests) {
          const found = table.match(request(one))
          const { step, params } = explained(all, one)
          assert.is(step.matched?.id, found?.route.id)
          assert.equal({ ...params }, { ...found?.params })
          assert.is(step.matched === null, step.nearest !== null)
          const told = step.earlier.reduce((sum, { routes }) => sum + routes, 0) + step.counted.reduce((sum, { routes }) => sum + routes, 0)
          assert.is(told, found === null ? all.length : Number(/\d+/.exec(found.route.id)![0]))
          if (found !== null) matched++
        }
      },
    ),
    { numRuns: 400 },
  )
  assert.ok(matched > 500, `the property was hardly tested: ${matched}`)
})

test('a when runs exactly as often as the table runs it, and one that throws ends it there', () => {
  for (const filler of [0, 30]) {
    const runs: string[] = []
    const levels = (run: string[]): RuleOptions[][] => {
      const when = (name: string, answer: boolean) => () => {
        run.push(name)
        return answer
      }
      const rest = Array.from({ length: filler }, (_, i) => [{ hosts: [`f${i}`] }])
      return [
        ...rest,
        [{ when: when('other host', true), hosts: ['y'] }],
        [{ when: when('group', true) }, { methods: ['PUT'], when: when('inner', true) }],
        [{ paths: ['/b'], when: when('other path', true) }],
        [{ when: when('no', false) }],
        [
          {
            when: () => {
              run.push('throws')
              throw new Error('oh no')
            },
          },
        ],
        [{}],
      ]
    }
    const real: string[] = []
    assert.throws(
      () => new RouteTable(levels(real).map((list, i) => rule(`web[${i}]`, ...list))).match(request({ host: 'x', path: '/a' })),
      (error: unknown) => error instanceof ProxyError,
    )
    const { step, error } = explained(levels(runs), { host: 'x', path: '/a' })
    assert.equal(runs, real)
    assert.is(error?.code, 'hook_failed')
    assert.is(step.failed?.error, 'when: oh no')
  }
})

test('of ten thousand routes those with something of the request are told, the others counted', () => {
  const all: RuleOptions[][] = Array.from({ length: 10_000 }, (_, i) => [{ hosts: [`t${i}.x`], paths: ['/*'] }])
  all.push(
    [{ hosts: ['a.x'], paths: ['/b'] }],
    [{ hosts: ['c.x'], paths: ['/a'] }],
    [{ methods: ['PUT'], paths: ['/a'] }],
    [{ hosts: ['a.x'] }],
  )
  const { step } = explained(all, { host: 'a.x', path: '/a' })
  assert.equal(
    step.earlier.map(({ id, mismatch }) => `${id} ${mismatch.field}`),
    ['web[10000] path', 'web[10001] host', 'web[10002] method'],
  )
  assert.equal(step.counted, [{ field: 'host', routes: 10_000 }])
  assert.is(step.matched?.id, 'web[10003]')
})

test('what was wanted and what was there is told without credentials', () => {
  const headers = { authorization: 'Bearer abc', cookie: 'sid=abc; b=1', 'x-a': '1' }
  const miss = (one: RuleOptions, config: object) => {
    const route = {
      id: 'web[0]',
      levels: [{ id: 'web[0]', route: { ...config, to: 'x' }, path: [], conditions: conditions(one) }],
    } as unknown as FlatRoute
    const { mismatch } = tryRoutes([route], request({ headers, search: '?q=1&q=2' }), options).step.earlier[0]!
    return [mismatch.wanted, mismatch.got]
  }
  assert.equal(miss({ headers: [['authorization', ['Bearer x']]] }, { headers: { Authorization: 'Bearer x' } }), ['***', 'Bearer ***'])
  assert.equal(miss({ cookies: [['sid', ['x']]] }, { cookies: { sid: 'x' } }), ['x', '***'])
  assert.equal(miss({ cookies: [['s', true]] }, { cookies: { s: true } }), ['present', 'absent'])
  assert.equal(miss({ query: [['q', [/^3/]]] }, { query: { q: /^3/ } }), ['/^3/', '1, 2'])
  assert.equal(miss({ headers: [['x-a', false]] }, { headers: { 'X-A': false } }), ['absent', '1'])
})

test('of those that lack one field the nearest is that of which more holds, then that whose path begins alike', () => {
  const flat = (id: string, path: string, hosts: readonly string[] | null): FlatRoute => {
    const level = { id, route: { to: 'x', path }, path: [], conditions: conditions({ hosts, paths: [path] }) }
    return { id, levels: [level] }
  }
  const nearest = (asked: RequestOptions): string => {
    const { step } = tryRoutes(
      [flat('health', '/health', null), flat('orders', '/orders/*', null), flat('blog', '/posts/*', ['b'])],
      request(asked),
      options,
    )
    return step.nearest!.id
  }
  assert.is(nearest({ host: 'a', path: '/order/1' }), 'orders')
  assert.is(nearest({ host: 'a', path: '/x' }), 'health')
  assert.is(nearest({ host: 'b', path: '/order/1' }), 'blog')
  assert.is(nearest({ host: 'a', path: '/posts/1' }), 'blog')
})

const options = { all: false, nameOf: () => 'proxy.config.ts:1:1', mask: (text: string) => text }

/** Each list of levels one route; levels of one list are told apart, so that nothing is joined. */
function explained(all: readonly (readonly RuleOptions[])[], asked: RequestOptions) {
  const routes = all.map((levels, i): FlatRoute => {
    const list = levels.map((level, depth) => {
      const id = depth === levels.length - 1 ? `web[${i}]` : `group ${i} ${depth}`
      // What the config says of it matters to the words only.
      return { id, route: { to: 'x' }, path: [], conditions: conditions(level) }
    })
    return { id: `web[${i}]`, levels: list }
  })
  return tryRoutes(routes, request(asked), options)
}

test.run()
