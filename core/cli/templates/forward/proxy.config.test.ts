/** The config against simulated traffic: plugins run in their sandbox, the hosts behind are functions, no port is opened. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { simulate } from 'sluice/testing'

const proxy = await simulate(new URL('./proxy.config.ts', import.meta.url), {
  upstreams: {
    'example.com': (req) => new Response(`example.com got ${req.method} ${req.path}\n`),
    'example.com:443': () => new Response(),
  },
})
after(() => proxy.close())

test('asks for a page, with the same user agent for everybody', async () => {
  const res = await proxy.fetch('http://example.com/page', { headers: { 'user-agent': 'curl/8' } })
  assert.equal(await res.text(), 'example.com got GET /page\n')
  assert.equal(res.sent?.headers.get('user-agent'), 'Mozilla/5.0')
})

test('reaches nobody on the block list, nor anything below', async () => {
  for (const url of ['http://ads.example/', 'http://banner.ads.example/']) {
    const res = await proxy.fetch(url)
    assert.equal(res.status, 403)
    assert.equal(res.reason, 'host_blocked')
  }
})

test('opens tunnels for HTTPS, and for nothing else', async () => {
  assert.equal((await proxy.fetch('http://example.com:443', { method: 'CONNECT' })).status, 200)
  assert.equal((await proxy.fetch('http://example.com:22', { method: 'CONNECT' })).reason, 'port_refused')
})

test('keeps away from what is on this machine', async () => {
  assert.equal((await proxy.fetch('http://127.0.0.1:9900/')).reason, 'address_refused')
})
