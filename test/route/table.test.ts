import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyError } from '../../core/errors.ts'
import { CidrSet } from '../../core/net/cidr.ts'
import { type RouteRule, RouteTable } from '../../core/route/table.ts'
import { type RequestOptions, type RuleOptions, request, rule } from './support.ts'

test('the first route whose every condition holds wins', () => {
  const table = new RouteTable([rule('a', { hosts: ['x'], paths: ['/a/*'] }), rule('b', { paths: ['/a/*'] }), rule('c', {})])
  assert.is(find(table, { host: 'x', path: '/a/1' }), 'a')
  assert.is(find(table, { host: 'y', path: '/a/1' }), 'b')
  assert.is(find(table, { host: 'y', path: '/b' }), 'c')
  assert.is(find(new RouteTable([]), {}), null)
})

test('a wildcard host is one or more labels and not the bare name', () => {
  const table = new RouteTable([rule('a', { hosts: ['*.example.com'] })])
  assert.is(find(table, { host: 'a.example.com' }), 'a')
  assert.is(find(table, { host: 'b.a.example.com' }), 'a')
  assert.is(find(table, { host: 'example.com' }), null)
  assert.is(find(table, { host: '.example.com' }), null)
  assert.is(find(table, { host: 'aexample.com' }), null)
})

test('fields: present, absent, equal, found, one of several', () => {
  const headers = (test: boolean | readonly (string | RegExp)[]) => new RouteTable([rule('a', { headers: [['x-a', test]] })])
  assert.is(find(headers(true), { headers: { 'x-a': '' } }), 'a')
  assert.is(find(headers(true), {}), null)
  assert.is(find(headers(false), {}), 'a')
  assert.is(find(headers(false), { headers: { 'x-a': '1' } }), null)
  assert.is(find(headers(['1', /^b/]), { headers: { 'x-a': 'bc' } }), 'a')
  assert.is(find(headers(['1', /^b/]), { headers: { 'x-a': '12' } }), null)
  assert.is(find(headers([]), { headers: { 'x-a': '12' } }), null)
})

test('a stateful RegExp answers the same every time', () => {
  const table = new RouteTable([rule('a', { headers: [['x', [/b/g]]] })])
  for (let i = 0; i < 3; i++) assert.is(find(table, { headers: { x: 'b' } }), 'a')
})

test('query and cookies: any of the values of a name', () => {
  const table = new RouteTable([rule('q', { query: [['a b', ['ü']]] }), rule('c', { cookies: [['sid', [/^1/]]] })])
  assert.is(find(table, { search: '?a+b=%C3%BC' }), 'q')
  assert.is(find(table, { search: '?a%20b=x&a+b=%C3%BC' }), 'q')
  assert.is(find(table, { search: '?ab=1' }), null)
  assert.is(find(table, { headers: { cookie: 'x=1; sid=12; y=2' } }), 'c')
  assert.is(find(table, { headers: { cookie: 'x=1; xsid=12' } }), null)
})

test('method and from', () => {
  const table = new RouteTable([rule('a', { methods: ['GET', 'HEAD'], from: new CidrSet(['10.0.0.0/8']) })])
  assert.is(find(table, { method: 'HEAD', ip: '10.1.1.1' }), 'a')
  assert.is(find(table, { method: 'POST', ip: '10.1.1.1' }), null)
  assert.is(find(table, { ip: '11.1.1.1' }), null)
})

test('when sees the view; it runs only if everything else holds and no earlier route matched', () => {
  let calls = 0
  const when = (view: { path: string }): boolean => {
    calls++
    return view.path === '/yes'
  }
  for (const filler of [0, 20]) {
    calls = 0
    const rest = Array.from({ length: filler }, (_, i) => rule(`f${i}`, { hosts: [`f${i}`] }))
    const table = new RouteTable([rule('first', { paths: ['/first'] }), ...rest, rule('a', { methods: ['GET'], when }), rule('b', {})])
    assert.is(find(table, { path: '/yes' }), 'a')
    assert.is(find(table, { path: '/no' }), 'b')
    assert.is(find(table, { path: '/first' }), 'first')
    assert.is(find(table, { path: '/yes', method: 'PUT' }), 'b')
    assert.is(calls, 2)
  }
})

test('a when that throws, or answers with a promise, is hook_failed', () => {
  const bad = [
    () => {
      throw new Error('oh')
    },
    async () => true,
    () => Promise.reject(new Error('later')),
  ]
  for (const when of bad) {
    const table = new RouteTable([rule('a', { when }), rule('b', {})])
    assert.throws(
      () => find(table, {}),
      (error: unknown) => error instanceof ProxyError && error.code === 'hook_failed',
    )
  }
})

test('conditions of a group are added to those of its routes, hosts and paths too', () => {
  for (const filler of [0, 20]) {
    const rest = Array.from({ length: filler }, (_, i) => rule(`f${i}`, { hosts: [`f${i}`] }))
    const table = new RouteTable([
      ...rest,
      rule('a', { hosts: ['*.x'], paths: ['/a/*'] }, { hosts: ['b.x', 'c'], paths: ['/a/:id', '/b'] }),
    ])
    assert.is(find(table, { host: 'b.x', path: '/a/1' }), 'a')
    assert.is(find(table, { host: 'c', path: '/a/1' }), null)
    assert.is(find(table, { host: 'a.x', path: '/a/1' }), null)
    assert.is(find(table, { host: 'b.x', path: '/b' }), null)
    assert.equal({ ...table.match(request({ host: 'b.x', path: '/a/1' }))!.params }, { id: '1', 0: '1', '*': '1' })
  }
})

test('what is not captured is not allocated: one match object for all requests', () => {
  const table = new RouteTable([{ ...rule('a', { paths: ['/a/*'] }), captures: false }])
  assert.is(table.match(request({ path: '/a/1' })), table.match(request({ path: '/a/2' })))
  assert.is(table.match(request({ path: '/a/1' }))!.params, null)
})

test('a route without a path captures the whole path', () => {
  assert.equal({ ...new RouteTable([rule('a', {})]).match(request({ path: '/a/1' }))!.params }, { '*': 'a/1' })
})

test('many routes agree with trying them one by one', () => {
  const host = fc.constantFrom('a', 'b.a', 'c.b.a', 'x.y', 'y')
  const hosts = fc.option(
    fc.array(
      fc.oneof(
        host,
        host.map((name) => `*.${name}`),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    { nil: null },
  )
  const piece = fc.constantFrom('/a', '/b', '/:p', '/a:p', '/c', '/*', '*', '/')
  const path = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => {
    let count = 0
    return `/${pieces.join('')}`.replace(/\/+/g, '/').replace(/:p/g, () => `:p${count++}`)
  })
  const paths = fc.option(fc.array(fc.oneof(path, fc.constant(/b$/)), { minLength: 1, maxLength: 3 }), { nil: null })
  const methods = fc.option(fc.constantFrom(['GET'], ['PUT', 'GET']), { nil: null })
  const level = fc.record({ hosts, paths, methods })
  const levels = fc.array(level, { minLength: 1, maxLength: 2 })
  const asked = fc.record({
    host,
    method: fc.constantFrom('GET', 'PUT'),
    path: fc.array(fc.constantFrom('a', 'b', 'c', 'ax', ''), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`.replace(/\/+/g, '/')),
  })
  fc.assert(
    fc.property(fc.array(levels, { minLength: 17, maxLength: 40 }), fc.array(asked, { minLength: 5, maxLength: 20 }), (all, requests) => {
      const rules = all.map((list: readonly RuleOptions[], i) => rule(String(i), ...list))
      const table = new RouteTable(rules)
      for (const one of requests) agree(table, rules, one)
    }),
    { numRuns: 300 },
  )
})

function agree(table: RouteTable, rules: readonly RouteRule[], options: RequestOptions): void {
  const alone = rules.map((one) => new RouteTable([one]).match(request(options))).find((match) => match !== null)
  const together = table.match(request(options))
  assert.is(together?.route.id, alone?.route.id)
  assert.equal({ ...together?.params }, { ...alone?.params })
}

function find(table: RouteTable, options: RequestOptions): string | null {
  return table.match(request(options))?.route.id ?? null
}

test.run()
