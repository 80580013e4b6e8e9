/** The plugin by itself, in its sandbox: one endpoint behind it, no port opened. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulatePlugin } from 'sluice/testing'

const plugin = new URL('../index.ts', import.meta.url)

test('adds the value it is told', async () => {
  await using proxy = await simulatePlugin(plugin, { options: { value: 'yes' } })
  const res = await proxy.fetch('/a')
  assert.equal(res.sent?.headers.get('x-PLUGIN_LABEL'), 'yes')
})

test('without an option, tells what is asked for', async () => {
  await using proxy = await simulatePlugin(plugin)
  const res = await proxy.fetch('/a', { method: 'DELETE' })
  assert.equal(res.sent?.headers.get('x-PLUGIN_LABEL'), 'DELETE /a')
})
