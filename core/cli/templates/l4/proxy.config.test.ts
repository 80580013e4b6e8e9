/** The config against simulated connections: plugins run in their sandbox, upstreams are functions, no port is opened. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { simulate } from 'sluice/testing'

const proxy = await simulate(new URL('./proxy.config.ts', import.meta.url), {
  tcp: { web: ({ data }) => `web got ${data.length} bytes\n`, rest: ({ text }) => `rest got ${text}\n` },
})
after(() => proxy.close())

test('goes by the name that a TLS client asks for, and alters nothing', async () => {
  for (const sni of ['example.com', 'www.example.com']) {
    const conn = await proxy.connect('edge', { sni })
    assert.equal(conn.route, 'edge/web')
    assert.match(conn.receivedText, /^web got \d+ bytes/m)
  }
})

test('gives every other name to the rest', async () => {
  assert.equal((await proxy.connect('edge', { sni: 'example.org' })).route, 'edge/rest')
})

test('gives what is no TLS to the rest', async () => {
  const conn = await proxy.connect('edge', { data: 'hello' })
  assert.equal(conn.upstream, 'rest')
  assert.match(conn.receivedText, /rest got hello\n$/)
})

test('keeps denied addresses away from all of them', async () => {
  const conn = await proxy.connect('edge', { sni: 'example.com', from: '192.0.2.66' })
  assert.equal(conn.reason, 'connection_denied')
  assert.equal(conn.decidedBy, 'deny-addresses')
  assert.equal(conn.upstream, null)
})
