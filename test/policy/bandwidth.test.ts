/** `bandwidth`: bodies come no faster than they may, whole all the same, whatever carries them, and no deadline runs against who has to wait. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import * as http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type BandwidthOptions, bandwidth, cache, files, http, respond } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { bandwidth as kind } from '../../core/policy/bandwidth.ts'
import { Counting, counterBytes, seeded } from '../../core/policy/counting.ts'
import { type Client, connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { get } from '../support/policy.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const KB = 1024
const BODY = Array.from({ length: 4_000 }, (_, i) => String(i).padStart(10, '.'))
  .join('')
  .slice(0, 40 * KB - 960)
const CHUNKED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${[BODY.slice(0, 5), BODY.slice(5, 20_000), BODY.slice(20_000)]
  .map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
  .join('')}0\r\nX-End: yes\r\n\r\n`

const folder = mkdtempSync(join(tmpdir(), 'sluice-bandwidth-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const file = join(folder, 'body.txt')
writeFileSync(file, BODY)

/** Behind `bandwidth`, on a clock that the test turns. */
async function start(origin: Origin, options: BandwidthOptions, clock = turnable(), counting = new Counting()) {
  const { deadlines, turn } = clock
  const web = http({
    listen: ':8080',
    trust: ['127.0.0.1'],
    use: [bandwidth(options)],
    routes: [
      { path: '/own', respond: respond(200, BODY) },
      { path: '/file', to: files(file) },
      { path: '/kept', use: [cache({ ttl: '1h' })], to: origin.address },
      { path: '/seen', use: [{ onResponseBody: (chunk) => chunk }], to: origin.address },
      { to: origin.address },
    ],
  })
  const proxy = await startProxy({ config: { listeners: { web } }, deadlines, parts: { counting } })
  return { proxy, deadlines, turn }
}

/** All that is on its way has come: another request has gone the same way meanwhile. */
async function settle(proxy: RunningProxy): Promise<void> {
  const ended = proxy.ended.length
  for (let i = 0; i < 2; i++) {
    using other = await connect(proxy.port)
    other.send('nonsense\r\n\r\n')
    await other.closed()
  }
  await until(() => proxy.ended.length >= ended + 2)
}

async function until(isSo: () => boolean): Promise<void> {
  await eventually(() => isSo() || undefined, 'not so')
}

function came(c: Client): number {
  return c.received.reduce((sum, { length }) => sum + length, 0)
}

for (const [what, path, reply] of [
  ['of an endpoint', '/', answer(BODY)],
  ['in chunks', '/', CHUNKED],
  ['without an end but the connection’s', '/', `HTTP/1.1 200 OK\r\n\r\n${BODY}`],
  ['out of a cache', '/kept', answer(BODY)],
  ['that hooks see', '/seen', answer(BODY)],
  ['of the proxy itself', '/own', ''],
  ['out of a file', '/file', ''],
] as const) {
  test(`a response ${what} takes its time, and comes whole`, async () => {
    await using origin = await startOrigin((_, connection) => {
      connection.write(reply)
      if (reply.includes('OK\r\n\r\n')) connection.end()
      return undefined
    })
    const { proxy, deadlines, turn } = await start(origin, { response: '10kb', burst: '10kb' })
    await using _ = proxy
    using c = await proxy.connect()
    const rounds = path === '/kept' ? 2 : 1
    for (let round = 0; round < rounds; round++) {
      if (round > 0) turn(60_000)
      const before = came(c)
      const response = c.send(get(path)).response()
      for (let second = 0; second < 3; second++) {
        await until(() => came(c) - before >= 10 * KB * (second + 1))
        await settle(proxy)
        const now = came(c) - before
        assert.ok(now <= 10 * KB * (second + 1) + 400, `${now} in ${second} s`)
        turn(1_000)
      }
      const { status, text } = await response
      assert.equal([status, text.length, text === BODY], [200, BODY.length, true])
    }
    const ended = await eventually(() => proxy.ended.filter(({ path: p }) => p === path).at(-1), 'no end')
    assert.equal([ended.reason, ended.status, Number(ended.bytesOut) >= BODY.length], [null, 200, true])
    c.destroy()
    // No timer is left behind but that of the connection to the endpoint.
    await until(() => deadlines.nextDueAt > deadlines.read() + 30_000)
  })
}

test('two workers send no more together to who has the same key, and each some of it', async () => {
  await using origin = await startOrigin(() => answer(BODY))
  const memory = seeded(new ArrayBuffer(counterBytes(8)))
  const clock = turnable()
  const ofWorker = (seat: number) => new Counting({ shared: { memory, seats: 8, seat }, workers: 2 })
  const options: BandwidthOptions = { response: '10kb', burst: '10kb', key: 'ip' }
  const { proxy: one } = await start(origin, options, clock, ofWorker(0))
  await using _ = one
  const { proxy: other } = await start(origin, options, clock, ofWorker(1))
  await using __ = other
  using a = await one.connect()
  using b = await other.connect()
  a.send(get('/'))
  await until(() => came(a) >= 10 * KB)
  b.send(get('/'))
  const both = (): number => came(a) + came(b)
  const done = Promise.all([a.response(), b.response()])
  for (let second = 1; second < 5; second++) {
    for (const proxy of [one, other]) await settle(proxy)
    const most = 10 * KB * second + 800
    assert.ok(both() <= most, `${both()} of ${most}`)
    const before = [came(a), came(b)] as const
    for (let i = 0; i < 5; i++) {
      clock.turn(200)
      for (const proxy of [one, other]) await settle(proxy)
    }
    if (second > 1) assert.ok(came(a) - before[0] > 3 * KB && came(b) - before[1] > 3 * KB, `${before} ${came(a)} ${came(b)}`)
  }
  let isOver = false
  void done.finally(() => {
    isOver = true
  })
  while (!isOver) {
    clock.turn(1_000)
    await settle(one)
  }
  for (const { text } of await done) assert.is(text === BODY, true)
})

test('over HTTP/2, two streams of one connection share its part', async () => {
  await using origin = await startOrigin(() => answer(BODY))
  const { proxy, turn } = await start(origin, { response: '10kb', burst: '10kb' })
  await using _ = proxy
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`)
  await once(session, 'connect')
  const streams = ['/a', '/b'].map((path) => {
    const stream = session.request({ ':path': path })
    const one = { text: '', ended: once(stream, 'end') }
    stream.setEncoding('latin1').on('data', (text: string) => (one.text += text))
    return one
  })
  const sum = (): number => streams.reduce((total, { text }) => total + text.length, 0)
  await until(() => sum() === 10 * KB)
  for (let tick = 0; tick < 40; tick++) {
    turn(100)
    await settle(proxy)
  }
  assert.ok(sum() <= 51 * KB && sum() >= 45 * KB, String(sum()))
  for (const { text } of streams) assert.ok(text.length > 15 * KB, String(text.length))
  turn(10_000)
  await until(() => {
    turn(1_000)
    return sum() === 2 * BODY.length
  })
  await Promise.all(streams.map(({ ended }) => ended))
  assert.ok(streams.every(({ text }) => text === BODY))
  session.destroy()
})

test('a request that has to wait for minutes is not given up, and arrives whole', async () => {
  await using origin = await startOrigin()
  const { proxy, turn } = await start(origin, { request: '1kb', burst: '1kb' })
  await using _ = proxy
  const body = BODY.repeat(8)
  using c = await proxy.connect()
  c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  const [connection] = await eventually(() => (origin.connections.length > 0 ? origin.connections : undefined), 'no connection')
  await settle(proxy)
  const first = connection!.receivedBytes
  assert.ok(first < 90 * KB, String(first))
  turn(first - 10 * KB)
  await settle(proxy)
  assert.ok(connection!.receivedBytes - first < 20 * KB)
  const response = c.response()
  for (let i = 0; i < 400 && origin.requests.length === 0; i++) {
    turn(20_000)
    await settle(proxy)
  }
  assert.is((await response).status, 200)
  assert.ok(origin.requests[0]!.text === body)
  const again = await c.send(get()).response()
  assert.is(again.status, 200)
})

test('what a connection becomes after an upgrade goes no faster either, both ways', async () => {
  const grant = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n'
  await using origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then(() => connection.write(grant))
      return undefined
    },
  })
  const { proxy, turn } = await start(origin, { request: '10kb', response: '5kb', key: 'ip' })
  await using _ = proxy
  using c = await proxy.connect()
  const ask = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n'
  assert.is((await c.send(ask).response()).status, 101)
  const connection = origin.connections[0]!
  const [head, began] = [connection.receivedBytes, came(c)]
  c.send(BODY)
  connection.write(BODY)
  for (let second = 1; second <= 3; second++) {
    await settle(proxy)
    const [up, down] = [connection.receivedBytes - head, came(c) - began]
    assert.ok(up >= 10 * KB * second && up <= 10 * KB * second + 100, `${up} up`)
    assert.ok(down >= 5 * KB * second && down <= 5 * KB * second + 100, `${down} down`)
    turn(1_000)
  }
  for (let i = 0; i < 10; i++) {
    turn(1_000)
    await settle(proxy)
  }
  await connection.until(BODY.slice(-20))
  assert.is((await c.bytes(BODY.length)).toString('latin1'), BODY)
  c.end()
  connection.end()
  await proxy.open(0)
})

test('clients with the same key share its part fairly, others have their own, and who has none is not held up', async () => {
  await using origin = await startOrigin(() => answer(BODY))
  const key = (req: { readonly path: string }) => (req.path === '/free' ? null : req.path)
  const { proxy, turn } = await start(origin, { response: '10kb', burst: '10kb', key })
  await using _ = proxy
  using a = await proxy.connect()
  using b = await proxy.connect()
  using other = await proxy.connect()
  using free = await proxy.connect()
  for (const c of [a, b]) c.send(get('/same'))
  other.send(get('/other'))
  assert.is((await free.send(get('/free')).response()).text, BODY)
  for (let tick = 0; tick < 20; tick++) {
    await settle(proxy)
    turn(100)
  }
  await settle(proxy)
  const [ofA, ofB, ofOther] = [came(a), came(b), came(other)]
  assert.ok(ofOther > 28 * KB && ofOther < 32 * KB, String(ofOther))
  assert.ok(ofA + ofB > 28 * KB && ofA + ofB < 32 * KB, `${ofA} + ${ofB}`)
  assert.ok(Math.min(ofA, ofB) > 5 * KB, `${ofA} and ${ofB}`)
})

test('a client that goes away while it waits leaves nothing behind', async () => {
  await using origin = await startOrigin(() => answer(BODY))
  const { proxy, turn } = await start(origin, { response: '1kb', key: 'ip' })
  await using _ = proxy
  using c = await proxy.connect()
  c.send(get())
  await until(() => came(c) >= KB)
  c.destroy()
  await until(() => {
    turn(50)
    return proxy.ended.some(({ reason }) => reason === 'client_gone')
  })
  turn(60_000)
  using next = await proxy.connect()
  const response = next.send(get()).response()
  await until(() => {
    turn(1_000)
    return came(next) > BODY.length
  })
  assert.is((await response).text, BODY)
})

test('explain tells how fast, and for whom', () => {
  const describe = (options: BandwidthOptions) => kind.describe(options, new RequestHead('', 0, 'GET', 1))
  assert.is(describe({ response: '1mb' }), '1mb a second down for a connection')
  assert.is(
    describe({ request: '5kb', response: '1mb', key: 'ip', burst: '2mb' }),
    '5kb a second up, 1mb a second down for a client, 2mb at once',
  )
})

test.run()
