/** The config against simulated traffic: plugins run in their sandbox, upstreams are functions, no port is opened. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { simulate } from 'sluice/testing'

const proxy = await simulate(new URL('./proxy.config.ts', import.meta.url), {
  upstreams: { app: (req) => new Response(`the app got ${req.method} ${req.path}\n`) },
})
after(() => proxy.close())

test('answers /health itself', async () => {
  const res = await proxy.fetch('http://example.com/health')
  assert.equal(res.status, 200)
  assert.equal(res.route, 'web/health')
})

test('sends old addresses to the new place', async () => {
  const res = await proxy.fetch('http://example.com/old/page?x=1')
  assert.equal(res.status, 308)
  assert.equal(res.headers.get('location'), '/new/page?x=1')
})

test('gives everything else to the app', async () => {
  const res = await proxy.fetch('http://example.com/some/page')
  assert.equal(res.route, 'web/app')
  assert.equal(await res.text(), 'the app got GET /some/page\n')
})

test('keeps bots away from the app', async () => {
  const res = await proxy.fetch('http://example.com/some/page', { headers: { 'user-agent': 'evilbot/1.0' } })
  assert.equal(res.status, 403)
  assert.equal(res.decidedBy, 'block-bots')
})
