/** Upgrades: asked for and granted, bytes pass both ways unread; else the exchange is an exchange like any other. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const ASK = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n'

/** A raw origin that grants the upgrade as soon as its request is there. */
function granting(more = '') {
  return startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then(() => connection.write(GRANT + more))
      return undefined
    },
  })
}

test('granted, it is a tunnel: both ways, what came early on either side first', async () => {
  await using origin = await granting('early from the endpoint')
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(`${ASK}early from the client`)
  const response = await c.response()
  assert.equal([response.status, response.headers.upgrade, response.headers.connection], [101, 'websocket', 'upgrade'])
  assert.is(response.headers['sec-websocket-accept'], 'a')
  assert.is(await c.until('endpoint'), 'early from the endpoint')
  const [connection] = origin.connections
  const asked = await connection!.until('early from the client')
  assert.match(asked, /^GET \/chat HTTP\/1\.1\r\n(?:.+\r\n)*Connection: upgrade\r\nUpgrade: websocket\r\n(?:.+\r\n)*\r\nearly/)
  c.send(Buffer.from([0, 255, 13, 10, 13, 10]))
  await connection!.until('\x00\xff\r\n\r\n')
  connection!.write('pong')
  assert.is(await c.until('pong'), 'pong')
  c.end()
  connection!.end()
  await proxy.open(0)
  const ended = await proxy.exchange()
  assert.equal([ended.tunnel, ended.status, ended.bytesIn, ended.bytesOut, ended.reason], [true, 101, 27, 27, null])
})

test('either side may close its sending half and the other goes on', async () => {
  for (const first of ['client', 'endpoint'] as const) {
    await using origin = await granting()
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    await c.send(ASK).response()
    const [connection] = origin.connections
    if (first === 'client') {
      c.send('bye').end()
      await connection!.until('bye')
      assert.is(await connection!.closed(), 'fin')
      connection!.write('still here')
      await c.until('still here')
      connection!.end()
      assert.is(await c.closed(), 'fin')
    } else {
      connection!.end('bye')
      await c.until('bye')
      assert.is(await c.closed(), 'fin')
      c.send('still here')
      await connection!.until('still here')
      c.end()
      assert.is(await connection!.closed(), 'fin')
    }
    await proxy.open(0)
    await proxy.exchange()
  }
})

test('a reset on one side is a reset on the other', async () => {
  for (const side of ['client', 'endpoint'] as const) {
    await using origin = await granting()
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    await c.send(ASK).response()
    if (side === 'client') c.reset()
    else origin.connections[0]!.reset()
    assert.is(await (side === 'client' ? origin.connections[0]! : c).closed(), 'reset')
    await proxy.open(0)
  }
})

test('a side that does not read stops the other, and gets everything in the end, the close too', async () => {
  await using origin = await granting()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  await c.send(ASK).response()
  const [connection] = origin.connections
  c.pause().end()
  await connection!.closed()
  for (let i = 0; i < 32; i++) connection!.write(Buffer.alloc(1 << 20, 65 + i))
  connection!.end()
  await eventually(() => (connection!.socket.writableLength > 8 << 20 ? true : undefined), 'the endpoint is stopped')
  await proxy.settled()
  assert.ok(connection!.socket.writableLength > 8 << 20)
  c.resume()
  await eventually(
    () => (c.isClosed ? true : undefined),
    () => `${c.rest.length} bytes`,
    10_000,
  )
  const all = Buffer.from(c.rest, 'latin1')
  assert.is(all.length, 32 << 20)
  for (let i = 0; i < 32; i++) assert.ok(all.subarray(i << 20, (i + 1) << 20).equals(Buffer.alloc(1 << 20, 65 + i)), `block ${i}`)
  assert.is(await c.closed(), 'fin')
  await proxy.open(0)
  assert.is((await proxy.exchange()).bytesOut, 32 << 20)
})

test('a tunnel without a byte either way ends', async () => {
  await using origin = await granting()
  await using proxy = await startProxy({ origin, times: { tunnelIdle: 100 } })
  using c = await proxy.connect()
  await c.send(ASK).response()
  await c.closed()
  await origin.connections[0]!.closed()
  await proxy.open(0)
})

test('an upgrade that was not asked for is 502, and everything that was open is counted', async () => {
  const asks = [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    ASK.replace('websocket', 'other'),
    ASK.replace('Connection: Upgrade\r\n', ''),
    ASK.replace('websocket', 'h2c'),
  ]
  for (const text of asks) {
    await using origin = await granting('smuggled')
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    const response = await c.send(text).response()
    assert.equal([response.status, response.headers['proxy-status']], [502, 'sluice; error=http_upgrade_failed'])
    assert.not.match(Buffer.concat(c.received).toString(), /smuggled/)
    await origin.connections[0]!.closed()
    // Mechanism: the endpoint's connection was counted as closed twice.
    await proxy.open(1)
    c.destroy()
    await proxy.open(0)
  }
})

test('refused, it is an answer like any other, and the connection goes on', async () => {
  await using origin = await startOrigin(() => answer('no', 403))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) assert.is((await c.send(ASK).response()).status, 403)
  assert.is(origin.connections.length, 1)
})

test('an endpoint gone before it answered is 502', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.destroy()
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  assert.is((await c.send(ASK).response()).status, 502)
})

test('the end of the proxy ends both sides of a tunnel', async () => {
  await using origin = await granting()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(ASK).response()
  proxy.runtime.close()
  await c.closed()
  await origin.connections[0]!.closed()
  await proxy.open(0)
})

test.run()
