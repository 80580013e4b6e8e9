/** The tour's own config, tested as its readers would test theirs: a dozen lines for a dozen routes. */
import { simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const proxy = await simulate(new URL('../../proxy.config.ts', import.meta.url), {
  upstreams: {
    api: (req) => new Response(`hi ${req.path}`),
    '127.0.0.1:8081': () => new Response('stable'),
    '127.0.0.1:8082': () => new Response('canary'),
  },
})
test.after(() => proxy.close())

test('answers the front page itself', async () => {
  const res = await proxy.fetch('/')
  assert.is(res.status, 200)
  assert.match(await res.text(), 'Sluice is running')
  assert.is(res.upstream, null)
})

test('sends /api to the api', async () => {
  const res = await proxy.fetch('http://localhost:8080/api/hello')
  assert.is(await res.text(), 'hi /api/hello')
  assert.is(res.route, 'web/api')
})

test('redirects what is old', async () => {
  const res = await proxy.fetch('/old/page?x=1')
  assert.is(res.status, 308)
  assert.is(res.headers.get('location'), '/api/page?x=1')
})

test('sends one canary of ten to the new version', async () => {
  const texts = await Promise.all(Array.from({ length: 10 }, async () => (await proxy.fetch('/canary')).text()))
  assert.equal(texts.toSorted(), ['canary', ...Array.from({ length: 9 }, () => 'stable')])
})

test('asks who you are, and says hello, but not to root', async () => {
  const user = (name: string) => proxy.fetch('/me', { headers: { 'x-user': name } })
  assert.is((await proxy.fetch('/me')).status, 401)
  assert.is((await user('ann')).status, 200)
  assert.is((await user('root')).status, 401)
  assert.is((await user('ann')).headers.get('cache-control'), 'no-store')
})

test('keeps bots out, on every route', async () => {
  for (const path of ['/', '/api/x', '/nowhere']) {
    const res = await proxy.fetch(path, { headers: { 'user-agent': 'evilbot/2' } })
    assert.is(res.status, 403)
    assert.is(res.decidedBy, 'block-bots')
    assert.is(res.sent, null)
  }
})

test('has nothing elsewhere', async () => {
  const res = await proxy.fetch('/nowhere')
  assert.is(res.status, 404)
  assert.is(res.reason, 'no_route')
})

test('serves its own endpoints by their ports', async () => {
  const res = await proxy.fetch('http://localhost:8082/api/hello')
  assert.is(res.listener, 'two')
  assert.is(await res.text(), 'hello from two\n')
})

test.run()
