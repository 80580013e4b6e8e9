/** What users of a forward proxy may have, and how fast: by requests, tunnels and SOCKS alike. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ForwardOptions } from '../../core/index.ts'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { basic, forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, credentials, GREETING } from '../support/socks.ts'
import { turnable } from '../support/turnable.ts'

const KB = 1024
const auth = { users: { ann: 'pw', bob: 'pw' } }
const quota = { bytes: '64kb', per: '1d' } as const
const MIDDAY = Date.UTC(2026, 8, 21, 12)

function start(
  port: number,
  options: Partial<ForwardOptions>,
  parts: { deadlines?: ReturnType<typeof turnable>['deadlines'] } = {},
): Promise<RunningProxy> {
  return startProxy({ ...forwarding({ socks: true, ...options }, [port]), parts: { clock: () => MIDDAY }, ...parts })
}

test('a tunnel is cut when the quota of its user is used up, and the user is told by which rule', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await start(origin.port, { auth, quota })
  const open = `CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n${basic('ann', 'pw')}\r\n`
  using c = await proxy.connect()
  await c.send(open).response({ to: 'CONNECT' })
  c.send('x'.repeat(80 * KB))
  assert.is(await c.closed(), 'reset')
  const cut = await proxy.exchange()
  assert.equal([cut.reason, cut.user, cut.status], ['quota_exceeded', 'ann', 200])
  assert.ok(Number(cut.bytesIn) >= 64 * KB, String(cut.bytesIn))
  using again = await proxy.connect()
  const refused = await again.send(open).response()
  assert.is(refused.status, 429)
  assert.match(refused.text, 'The quota is used up.\nann has used up 64kb in 1d, until 2026-09-22T00:00Z\n')
  assert.is(refused.headers['retry-after'], String(12 * 3_600))
  using other = await proxy.connect()
  const passed = await other.send(open.replace(basic('ann', 'pw'), basic('bob', 'pw'))).response({ to: 'CONNECT' })
  assert.is(passed.status, 200)
})

test('requests count by their bodies, both ways; one that has begun is carried out', async () => {
  const body = 'y'.repeat(40 * KB)
  await using origin = await startOrigin(() => answer(body))
  await using proxy = await start(origin.port, { auth, quota })
  const ask = `POST http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n${basic('ann', 'pw')}Content-Length: 10240\r\n\r\n${'z'.repeat(10 * KB)}`
  using c = await proxy.connect()
  assert.is((await c.send(ask).response()).text.length, body.length)
  assert.is((await c.send(ask).response()).text.length, body.length)
  assert.is((await c.send(ask).response()).status, 429)
})

test('SOCKS is answered with 02, and what has passed by it counts, too', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await start(origin.port, { auth, quota })
  const opening = Buffer.concat([Buffer.of(5, 1, 2), credentials('ann', 'pw'), connectTo('127.0.0.1', origin.port)])
  using c = await proxy.connect()
  c.send(opening)
  assert.is((await c.bytes(14)).toString('hex').slice(8, 12), '0500')
  c.send('x'.repeat(80 * KB))
  assert.is(await c.closed(), 'reset')
  assert.is((await proxy.tunnel()).reason, 'quota_exceeded')
  using again = await proxy.connect()
  again.send(opening)
  assert.is((await again.bytes(14)).toString('hex').slice(8, 12), '0502')
  await again.closed()
  const { reason, detail, destination } = await proxy.tunnel(2)
  assert.equal([reason, destination], ['quota_exceeded', `127.0.0.1:${origin.port}`])
  assert.match(detail!, /^ann has used up 64kb/)
})

for (const way of ['CONNECT', 'SOCKS5'] as const) {
  test(`through ${way} a user goes no faster than it may, and who sends is held up meanwhile`, async () => {
    await using origin = await startOrigin(undefined, { raw: true })
    const { deadlines, turn } = turnable()
    await using proxy = await start(origin.port, { bandwidth: { up: '64kb', burst: '64kb' } }, { deadlines })
    using c = await proxy.connect()
    if (way === 'CONNECT') await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: x\r\n\r\n`).response({ to: 'CONNECT' })
    else {
      c.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
      await c.bytes(12)
    }
    const connection = await origin.connection()
    const sent = () => connection.receivedBytes
    for (let i = 0; i < 640; i++) c.socket.write('x'.repeat(10 * KB))
    await eventually(() => sent() >= 63 * KB || undefined, 'the burst')
    assert.ok(sent() <= 65 * KB, String(sent()))
    assert.ok(c.socket.writableLength > 0, 'the client is not held up')
    turn(1_000)
    await eventually(() => sent() >= 126 * KB || undefined, 'one second more')
    assert.ok(sent() <= 130 * KB, String(sent()))
    // What has come goes on; then it is seen that the client is gone.
    c.reset()
    for (let i = 0; i < 5_000 && proxy.descriptors > 0; i++) {
      turn(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await proxy.open(0)
  })
}

test('a reload that says the same of users gives nobody a new burst', async () => {
  await using origin = await startOrigin(() => answer('y'.repeat(100 * KB)))
  const { deadlines } = turnable()
  const options = { bandwidth: { down: '64kb', burst: '64kb' } } as const
  await using proxy = await start(origin.port, options, { deadlines })
  const ask = `GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`
  using first = await proxy.connect()
  first.send(ask)
  await eventually(() => came(first) >= 60 * KB || undefined, 'the burst')
  first.reset()
  await proxy.reload(forwarding({ socks: true, ...options, allow: { hosts: ['127.0.0.1'] } }, [origin.port]))
  using second = await proxy.connect()
  second.send(ask)
  await origin.request(2)
  using other = await proxy.connect()
  await other.send('nonsense\r\n\r\n').closed()
  assert.ok(came(second) < 4 * KB, String(came(second)))
  second.reset()
})

test.run()

function came(c: Client): number {
  return c.received.reduce((sum, { length }) => sum + length, 0)
}
