/** The file by which browsers learn of a forward proxy. What it says is run in test/forward/pac.test.ts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pac } from '../../core/index.ts'
import { forwarding } from '../support/forward.ts'
import { startProxy } from '../support/proxy.ts'

const ask = (path: string, host = 'proxy.test:3128', method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`

test('is served in origin form, for the name that the client asked by', async () => {
  await using proxy = await startProxy(forwarding({ pac: pac({ except: '*.Internal' }) }))
  using c = await proxy.connect()
  const response = await c.send(ask('/proxy.pac')).response()
  assert.is(response.status, 200)
  assert.is(response.headers['content-type'], 'application/x-ns-proxy-autoconfig')
  assert.match(response.text, 'return "PROXY proxy.test:3128"')
  assert.match(response.text, 'dnsDomainIs(host, ".internal")')
  assert.match((await c.send(ask('/proxy.pac', '[::1]:3128')).response()).text, 'return "PROXY [::1]:3128"')
  const head = await c.send(ask('/proxy.pac', 'proxy.test:3128', 'HEAD')).response({ to: 'HEAD' })
  assert.equal([head.status, head.headers['content-length']], [200, response.headers['content-length']])
  assert.equal([(await proxy.exchange()).status, proxy.ended[0]!.reason], [200, null])
})

test('at /wpad.dat by option alone, and nothing else is served', async () => {
  await using without = await startProxy(forwarding({ pac: pac() }))
  await using with_ = await startProxy(forwarding({ pac: pac({ wpad: true, proxy: 'other.test:8080' }) }))
  for (const [proxy, path, status] of [
    [without, '/wpad.dat', 400],
    [without, '/proxy.pac/', 400],
    [without, '/', 400],
    [with_, '/wpad.dat', 200],
  ] as const) {
    using c = await proxy.connect()
    const response = await c.send(ask(path)).response()
    assert.is(response.status, status, path)
    if (status === 200) assert.match(response.text, 'return "PROXY other.test:8080"')
  }
  using c = await with_.connect()
  assert.is((await c.send(ask('/proxy.pac', 'a.test', 'POST')).response()).status, 501)
})

test('needs no password, but the right address', async () => {
  await using proxy = await startProxy(forwarding({ pac: pac(), auth: { users: { ann: 'pw' } }, allow: { clients: '127.0.0.5' } }))
  using c = await proxy.connect({ localAddress: '127.0.0.5' })
  assert.is((await c.send(ask('/proxy.pac')).response()).status, 200)
  assert.is((await c.send('GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n').response()).status, 407)
  using other = await proxy.connect()
  assert.is((await other.send(ask('/proxy.pac')).response()).status, 403)
})

test('a host that could break out of the file is none', async () => {
  await using proxy = await startProxy(forwarding({ pac: pac() }))
  for (const host of ['a";alert(1);"', 'a.test/x', "a'b", '1.2.3', 'a.test:0']) {
    using c = await proxy.connect()
    assert.is((await c.send(ask('/proxy.pac', host)).response()).status, 400, host)
  }
})

test('without the option there is none', async () => {
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  assert.is((await c.send(ask('/proxy.pac')).response()).status, 400)
})

test.run()
