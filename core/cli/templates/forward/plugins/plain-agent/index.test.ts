/** The plugin by itself, in its sandbox: one endpoint behind it, no port opened. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { simulatePlugin } from 'sluice/testing'

const proxy = await simulatePlugin(new URL('./index.ts', import.meta.url), { options: { agent: 'Mozilla/5.0' } })
after(() => proxy.close())

test('tells the same user agent whatever the client says', async () => {
  const res = await proxy.fetch('/', { headers: { 'user-agent': 'curl/8' } })
  assert.equal(res.sent?.headers.get('user-agent'), 'Mozilla/5.0')
})
