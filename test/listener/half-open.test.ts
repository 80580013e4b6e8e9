/** Clients that stop in the middle of a TLS handshake: little memory each, for as long as a deadline, and others are served beside them. */
// Runs alone: it looks at the memory of its process.
import { once } from 'node:events'
import * as net from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { tcp } from '../../core/index.ts'
import { makeHello } from '../support/hello.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const COUNT = 500
const HELLO = makeHello({ serverName: 'a.test', padding: 200 })

test('half a hello from each of many holds nobody up, holds little, and ends by its deadline', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'served' })
  let now = 1_000
  const deadlines = new Deadlines(50, () => now)
  const routes = [{ sni: 'a.test', to: `tcp://${origin.address}` as const }]
  await using proxy = await startProxy({ config: { listeners: { edge: tcp({ listen: ':1', routes }) } }, deadlines })
  const before = process.memoryUsage().arrayBuffers
  const halves = Array.from({ length: COUNT }, () => net.connect(proxy.port, '127.0.0.1'))
  for (const half of halves) half.on('error', () => {}).write(HELLO.subarray(0, 250))
  await Promise.all(halves.map((half) => once(half, 'connect')))
  await proxy.open(COUNT)
  using other = await proxy.connect()
  other.send(HELLO)
  await other.until('served')
  // What was read of each is in a buffer of 2 KiB.
  assert.ok(process.memoryUsage().arrayBuffers - before < COUNT * 4_096)
  assert.is(origin.connections.length, 1)
  other.reset()
  await proxy.tunnel(1)
  const gone = halves.map((half) => new Promise((resolve) => half.once('close', resolve)))
  // A first time what came meanwhile is read, a second time they are ended.
  for (let i = 0; i < 3; i++) {
    now += 3_100
    deadlines.tick()
    await new Promise(setImmediate)
  }
  await Promise.all(gone)
  await proxy.open(0)
  assert.equal(new Set(proxy.tunnels.slice(1).map(({ reason }) => reason)), new Set(['hello_timeout']))
  assert.is(proxy.tunnels.length, COUNT + 1)
})

test.run()
