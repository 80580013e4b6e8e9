/** The guard in a real proxy, between a real client and a real endpoint. */
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../../test/support/client.ts'
import { startProxy } from '../../test/support/proxy.ts'
import { Sandboxed } from '../../test/support/sandboxed.ts'
import { openWebSocket, startWebSocketOrigin, upgradeText } from '../../test/support/websocket-peers.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

test('messages within the limits go through, the first beyond them closes both sides', async () => {
  const sandboxed = await Sandboxed.create('worker')
  const options = { client: { maxSize: '16b', only: 'json' } }
  const hook = await sandboxed.load(file, { options, grant: ['stream'], timeoutMs: 1000 })
  await using origin = await startWebSocketOrigin({ deadlineMs: 10_000 })
  await using proxy = await startProxy({ origin, routes: [{ hooks: [hook] }] })
  const { peer: client, client: socket } = await openWebSocket(proxy.port, { deadlineMs: 10_000 })
  const { peer: endpoint } = await origin.peer()
  client.send('{"a":1}')
  assert.is(await endpoint.text(), '{"a":1}')
  endpoint.send('any length is fine this way')
  assert.is(await client.text(), 'any length is fine this way')
  client.send('{"a":"much too long"}')
  assert.is((await client.next()).opcode, 8)
  assert.is((await endpoint.next()).opcode, 8)
  assert.is(endpoint.frames.filter(({ opcode }) => opcode === 1).length, 1)
  assert.match(sandboxed.told.lines[0]!.text, 'closed: client sent a message of 21 bytes')
  socket.destroy()
  await sandboxed.close()
})

test('a page of another origin opens none', async () => {
  const sandboxed = await Sandboxed.create('worker')
  const hook = await sandboxed.load(file, { options: { origins: ['https://app.example.com'] }, grant: ['stream'], timeoutMs: 1000 })
  await using origin = await startWebSocketOrigin({ deadlineMs: 10_000 })
  await using proxy = await startProxy({ origin, routes: [{ hooks: [hook] }] })
  const refused = await request(proxy.port, upgradeText('Origin: https://evil.example\r\n'))
  assert.is(refused.status, 403)
  await sandboxed.close()
})

test.run()
