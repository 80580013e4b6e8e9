/** The plugin by itself: `tcp` stands for the endpoint behind it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulatePlugin } from 'sluice/testing'

test('closes connections from the addresses it is told, and no others', async () => {
  await using plugin = await simulatePlugin(new URL('./index.ts', import.meta.url), {
    options: { addresses: ['192.0.2.1'] },
    tcp: ({ text }) => text,
  })
  assert.equal((await plugin.connect({ from: '192.0.2.1', data: 'hi' })).reason, 'connection_denied')
  assert.equal((await plugin.connect({ from: '192.0.2.2', data: 'hi' })).receivedText, 'hi')
})
