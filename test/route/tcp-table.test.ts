/** Routes of a TCP listener: the first that fits, asked of the client only as much as the answer depends on. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CidrSet } from '../../core/net/cidr.ts'
import { findTcpShadows } from '../../core/route/tcp-shadow.ts'
import { type TcpConditions, TcpTable } from '../../core/route/tcp-table.ts'

interface Asked {
  readonly sni?: readonly string[]
  readonly alpn?: readonly string[]
  readonly from?: string
  readonly tls?: boolean
}

function conditions({ sni, alpn, from, tls = false }: Asked): TcpConditions {
  const isTls = sni !== undefined || alpn !== undefined || tls
  return { sni: sni ?? null, alpn: alpn ?? null, from: from === undefined ? null : new CidrSet([from]), isTls }
}

function table(...rules: readonly Asked[]): TcpTable<number> {
  return new TcpTable(rules.map((rule, route) => ({ route, conditions: conditions(rule) })))
}

const named = (serverName: string | null, ...alpn: readonly string[]) => ({ serverName, alpn })
const ANN = '10.0.0.1'

test('a name, or one or more labels before it', () => {
  const routes = table({ sni: ['example.com'] }, { sni: ['*.example.com', 'other.test'] }, {})
  assert.is(routes.match(ANN, named('example.com')), 0)
  assert.is(routes.match(ANN, named('a.example.com')), 1)
  assert.is(routes.match(ANN, named('a.b.example.com')), 1)
  assert.is(routes.match(ANN, named('other.test')), 1)
  for (const name of ['badexample.com', '.example.com.evil.test', 'example.com.evil.test', null])
    assert.is(routes.match(ANN, named(name)), 2, String(name))
  assert.is(routes.match(ANN, 'none'), 2)
})

test('every field has to match, and the first such route wins', () => {
  const routes = table({ sni: ['a.test'], alpn: ['h2'], from: '10.0.0.0/8' }, { alpn: ['mqtt', 'h2'] }, { sni: ['a.test'] })
  assert.is(routes.match(ANN, named('a.test', 'http/1.1', 'h2')), 0)
  assert.is(routes.match('192.0.2.1', named('a.test', 'h2')), 1)
  assert.is(routes.match(ANN, named('b.test', 'mqtt')), 1)
  assert.is(routes.match(ANN, named('a.test')), 2)
  assert.is(routes.match(ANN, named('b.test')), null)
  assert.is(routes.match(ANN, 'none'), null)
})

test('terminating takes clients that speak TLS alone', () => {
  const routes = table({ tls: true }, {})
  assert.is(routes.match(ANN, named(null)), 0)
  assert.is(routes.match(ANN, 'none'), 1)
})

test('nothing is asked of a client whose route does not depend on it', () => {
  const routes = table({ from: '10.0.0.0/8' }, { sni: ['a.test'] }, {})
  assert.is(routes.match(ANN, null), 0)
  assert.is(routes.match('192.0.2.1', null), 'undecided')
  assert.is(table({ sni: ['a.test'], from: '10.0.0.0/8' }, {}).match('192.0.2.1', null), 1)
  assert.is(table({}).match(ANN, null), 0)
  assert.is(table().match(ANN, null), null)
})

test('a route is shadowed where earlier ones take every client of it, and only there', () => {
  const shadows = (...rules: readonly Asked[]) => findTcpShadows(rules.map(conditions)).map(({ rule, by }) => [rule, ...by])
  assert.equal(shadows({}, { sni: ['a.test'] }), [[1, 0]])
  assert.equal(shadows({ tls: true }, { sni: ['a.test'] }, {}), [[1, 0]])
  assert.equal(shadows({ sni: ['*.a.test'] }, { sni: ['b.a.test', '*.c.a.test'] }), [[1, 0]])
  assert.equal(shadows({ sni: ['a.test'] }, { alpn: ['h2'] }, { sni: ['a.test', 'b.test'], alpn: ['h2'] }), [[2, 0, 1]])
  assert.equal(shadows({ sni: ['*.a.test'] }, { sni: ['a.test'] }, { sni: ['*.b.test', 'x.a.test'] }, {}), [])
  assert.equal(shadows({ from: '10.0.0.0/8' }, { from: '10.1.0.0/16' }, { from: '0.0.0.0/0' }, { sni: ['a.test'] }), [[1, 0]])
  assert.equal(shadows({ alpn: ['h2'] }, { alpn: ['h2', 'mqtt'] }), [])
})

test.run()
