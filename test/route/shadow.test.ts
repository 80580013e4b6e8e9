import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { findUnreachable } from '../../core/route/shadow.ts'
import { RouteTable } from '../../core/route/table.ts'
import { anyRequest, ruleLevels } from './arbitrary.ts'
import { type RuleOptions, request, rule } from './support.ts'

test('an earlier rule that asks for less takes all that a later one would', () => {
  shadowed([{}], [{ hosts: ['a'] }])
  shadowed([{ hosts: ['*.x'] }], [{ hosts: ['a.x', '*.b.x'] }])
  shadowed([{ paths: ['/a/*'] }], [{ paths: ['/a', '/a/:id', '/a/b{/c}?'] }])
  shadowed([{ paths: ['/:x/*'] }], [{ paths: ['/a/b'], methods: ['GET'] }])
  shadowed([{ paths: [/b$/] }], [{ paths: ['/ab'] }])
  shadowed([{ paths: [/b$/] }], [{ paths: [/b$/], hosts: ['a'] }])
  shadowed([{ paths: ['/*.png'] }], [{ paths: ['/img/:name.png'] }])
  shadowed([{ methods: ['GET', 'POST'] }], [{ methods: ['POST'] }])
  shadowed([{ from: new CidrSet(['10.0.0.0/9', '10.128.0.0/9']) }], [{ from: new CidrSet(['10.2.0.0/16']) }])
  shadowed([{ headers: [['x', true]] }], [{ headers: [['x', ['1']]] }])
  shadowed([{ headers: [['x', [/^1/]]] }], [{ headers: [['x', ['1', '12']]] }])
  shadowed([{ query: [['q', ['1', '2']]] }], [{ query: [['q', ['1']]], cookies: [['c', false]] }])
})

test('a rule that takes something of its own is left alone', () => {
  free([{ hosts: ['a'] }], [{}])
  free([{ hosts: ['*.x'] }], [{ hosts: ['x'] }])
  free([{ hosts: ['*.b.x'] }], [{ hosts: ['*.x'] }])
  free([{ paths: ['/a'] }], [{ paths: ['/a/*'] }])
  free([{ paths: ['/:x'] }], [{ paths: ['/a*'] }])
  free([{ paths: ['/a/:id'] }], [{ paths: ['/a/:id/'] }])
  free([{ paths: [/b$/] }], [{ paths: ['/:x'] }])
  free([{ methods: ['GET'] }], [{ methods: ['GET', 'POST'] }])
  free([{ when: () => true }], [{}])
  free([{ headers: [['x', true]] }], [{ query: [['x', true]] }])
  free([{ headers: [['x', ['1']]] }], [{ headers: [['x', [/1/]]] }])
  free([{ from: new CidrSet(['0.0.0.0/0']) }], [{}])
})

test('patterns with many stars, each unlike the others, are given up in time', () => {
  const all = rules(...Array.from({ length: 2_000 }, (_, i): RuleOptions[] => [{ paths: [`/*/x*y${i % 7}*z*${i}`] }]))
  const began = process.threadCpuUsage()
  findUnreachable(all)
  assert.ok(process.threadCpuUsage(began).user / 1_000 < 3_000)
})

test('several rules may share out what one would take, and groups count with their own fields', () => {
  assert.equal(findUnreachable(rules([{ methods: ['GET'] }], [{ methods: ['POST'] }], [{ methods: ['GET', 'POST'] }])), [
    { rule: 2, by: [0, 1], impossible: null },
  ])
  assert.equal(
    findUnreachable(
      rules(
        [{ hosts: ['a'] }, { paths: ['/x/*'] }],
        [{ hosts: ['b'], paths: ['/*'] }],
        [{ hosts: ['a', 'b'] }, { paths: ['/x/*'] }, { paths: ['/x/1', '/x/2'] }],
      ),
    ),
    [{ rule: 2, by: [0, 1], impossible: null }],
  )
  // What the group's path has let in is covered, whatever the inner one adds.
  assert.equal(findUnreachable(rules([{ paths: ['/api/*'] }], [{ paths: ['/api/*'] }, { paths: ['/:any/x'] }])), [
    { rule: 1, by: [0], impossible: null },
  ])
})

test('a rule that contradicts itself, or its group, takes nothing', () => {
  const never = (...levels: RuleOptions[]) => findUnreachable(rules(levels))[0]?.impossible
  assert.is(never({ hosts: ['a'] }, { hosts: ['b'] }), 'host')
  assert.is(never({ hosts: ['*.a'] }, { hosts: ['b', 'c.a'] }), undefined)
  assert.is(never({ paths: ['/admin/*'] }, { paths: ['/users'] }), 'path')
  assert.is(never({ paths: ['/admin/*'] }, { paths: ['/:x/users', '/x'] }), undefined)
  assert.is(never({ methods: ['GET'] }, { methods: ['PUT'] }), 'method')
  assert.is(never({ from: new CidrSet(['10.0.0.0/8']) }, { from: new CidrSet(['11.0.0.0/8']) }), 'from')
  assert.is(never({ headers: [['x', ['1']]] }, { headers: [['x', false]] }), 'headers')
  assert.is(never({ headers: [['x', ['1']]] }, { headers: [['x', ['2']]] }), 'headers')
  assert.is(never({ query: [['x', ['1']]] }, { query: [['x', ['2']]] }), undefined)
  assert.is(never({ cookies: [['x', []]] }), 'cookies')
})

test('a rule that is said to be unreachable is never the first to match', () => {
  let found = 0
  fc.assert(
    fc.property(
      fc.array(ruleLevels, { minLength: 2, maxLength: 7 }),
      fc.array(anyRequest, { minLength: 40, maxLength: 40 }),
      (all, requests) => {
        const list = all.map((levels, i) => rule(String(i), ...levels))
        const unreachable = findUnreachable(list.map(({ conditions }) => conditions))
        found += unreachable.length
        const table = new RouteTable(list)
        for (const one of requests) {
          const first = table.match(request(one))?.route.id
          const wrong = unreachable.find(({ rule }) => String(rule) === first)
          assert.is(wrong, undefined, `${JSON.stringify(one)} reaches ${JSON.stringify(wrong)}`)
        }
      },
    ),
    { numRuns: 1500 },
  )
  assert.ok(found > 500, `the property was hardly tested: ${found}`)
})

test('ten thousand routes take a moment', () => {
  const tenants = Array.from({ length: 2_500 }, (_, i): RuleOptions[][] => [
    [{ hosts: [`t${i}.example.com`], paths: ['/api/*'], methods: ['GET'] }],
    [{ hosts: [`t${i}.example.com`], paths: ['/static/*', '/img/:name.png'] }],
    [{ hosts: [`t${i}.example.com`] }],
    [{ hosts: ['shared.example.com'], paths: [`/t/${i}/*`] }],
  ]).flat()
  const list = rules(...tenants, [{ hosts: ['*.example.com'] }], [{ hosts: ['t7.example.com'], paths: ['/api/x'], methods: ['GET'] }])
  const began = process.threadCpuUsage()
  assert.equal(findUnreachable(list), [{ rule: 10_001, by: [20 + 8], impossible: null }])
  const took = process.threadCpuUsage(began).user / 1_000
  assert.ok(took < 1_000, `${took} ms`)
})

function rules(...levels: readonly (readonly RuleOptions[])[]) {
  return levels.map((one) => rule('', ...one).conditions)
}

function shadowed(before: readonly RuleOptions[], after: readonly RuleOptions[]): void {
  assert.equal(findUnreachable(rules(before, after)), [{ rule: 1, by: [0], impossible: null }], JSON.stringify(after))
}

function free(before: readonly RuleOptions[], after: readonly RuleOptions[]): void {
  assert.equal(findUnreachable(rules(before, after)), [], JSON.stringify(after))
}

test.run()
