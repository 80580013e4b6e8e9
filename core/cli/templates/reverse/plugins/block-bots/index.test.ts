/** The plugin by itself, in its sandbox: one endpoint behind it, no port opened. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { simulatePlugin } from 'sluice/testing'

const proxy = await simulatePlugin(new URL('./index.ts', import.meta.url), { options: { agents: ['evilbot'] } })
after(() => proxy.close())

test('refuses the agents it is told', async () => {
  const res = await proxy.fetch('/', { headers: { 'user-agent': 'Mozilla evilbot/2' } })
  assert.equal(res.status, 403)
  assert.equal(res.sent, null)
})

test('marks what passes, each way', async () => {
  const res = await proxy.fetch('/', { headers: { 'user-agent': 'curl/8' } })
  assert.equal(res.status, 200)
  assert.equal(res.sent?.headers.get('x-checked'), 'yes')
  assert.equal(res.headers.get('x-proxy'), 'sluice')
})
