/** Somebody goes away, closes one side, answers early: nobody waits for ever, and nothing that is cut looks complete. */
import { execFileSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { canUseHandles } from '../../core/net/bindings.ts'
import { getKernel } from '../../core/net/kernel.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const nothing = () => undefined

test('a client that closes its sending side still gets its answer, if that begins soon', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha')
    return undefined
  })
  await using proxy = await startProxy({ origin, times: { halfClosed: 100 } })
  using c = await proxy.connect()
  c.send(GET).end()
  await c.until('ha')
  await proxy.settled()
  // Longer than it had to begin: it has begun.
  await until(proxy.runtime.deadlines, 300)
  origin.connections[0]!.write('lf')
  assert.is(await c.until('lf'), 'lf')
  assert.is(await c.closed(), 'fin')
  assert.is((await proxy.exchange()).reason, null)
})

test('a client that closed its sending side and gets no answer counts as gone', async () => {
  await using origin = await startOrigin(nothing)
  await using proxy = await startProxy({ origin, times: { halfClosed: 100 } })
  using c = await proxy.connect()
  c.send(GET).end()
  await origin.request()
  assert.is(await origin.connections[0]!.closed(1_000), 'reset')
  const ended = await proxy.exchange()
  assert.equal([ended.reason, ended.status], ['client_gone', 0])
  await proxy.open(0)
})

test('so does one whose last request waited behind others', async () => {
  await using origin = await startOrigin((req) => (req.target === '/' ? answer('ok') : undefined))
  await using proxy = await startProxy({ origin, times: { halfClosed: 100 } })
  using c = await proxy.connect()
  c.send(`${GET}GET /slow HTTP/1.1\r\nHost: x\r\n\r\n`).end()
  await origin.request(2)
  assert.is((await proxy.exchange(2)).reason, 'client_gone')
  await proxy.open(0)
})

test('what a client sent that was gone before it was accepted is read only if it can be told who asked', async () => {
  // Mechanism: of a connection that was reset getpeername(2) tells no address, and rules about addresses let it pass; accept4(2) does.
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).response()
  const hit = `const s = require('net').connect(${proxy.port}, '127.0.0.1', () => s.write('POST /gone HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n', () => s.resetAndDestroy()))`
  // This process accepts nothing until the child is done.
  execFileSync(process.execPath, ['-e', hit])
  await proxy.settled()
  await c.send(GET).response()
  assert.equal(
    origin.requests.map((req) => req.target),
    getKernel() === null ? ['/', '/'] : ['/', '/gone', '/'],
  )
  assert.ok(proxy.ended.every(({ ip }) => ip === '127.0.0.1'))
  await proxy.open(2)
})

test('a client gone before its answer aborts the attempt', async () => {
  await using origin = await startOrigin(nothing)
  await using proxy = await startProxy({ origin })
  const c = await proxy.connect()
  c.send(GET)
  await origin.request()
  c.reset()
  assert.is(await origin.connections[0]!.closed(1_000), 'reset')
  assert.is((await proxy.exchange()).reason, 'client_gone')
})

test('a client gone inside its request body aborts the attempt: the endpoint never sees a complete request', async () => {
  for (const how of ['end', 'reset'] as const) {
    await using origin = await startOrigin()
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    await (await origin.connection()).until('abc')
    c[how]()
    assert.is(await origin.connections[0]!.closed(1_000), 'reset')
    assert.is((await proxy.exchange()).reason, 'client_gone')
    assert.is(origin.requests.length, 0)
    await proxy.open(0)
  }
})

test('a client gone inside its answer closes the connection to the endpoint', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const more = () => {
      if (connection.socket.writable) connection.socket.write(`4000\r\n${'x'.repeat(0x4000)}\r\n`, more)
    }
    more()
    return undefined
  })
  await using proxy = await startProxy({ origin })
  for (const how of ['reset', 'destroy'] as const) {
    const c = await proxy.connect()
    c.send(GET)
    await c.until('xxxx')
    c[how]()
    await proxy.open(0)
  }
  assert.equal(
    proxy.ended.map((one) => [one.reason, one.status]),
    [
      ['client_gone', 200],
      ['client_gone', 200],
    ],
  )
})

test('an endpoint that closes inside its answer: the client sees a reset, or less than was announced, never an end', async () => {
  const heads = [
    'Content-Length: 10\r\n\r\nhalf',
    'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n',
  ]
  for (const [i, head] of heads.entries()) {
    for (const how of ['end', 'reset'] as const) {
      await using origin = await startOrigin((_, connection) => {
        connection.write(`HTTP/1.1 200 OK\r\n${head}`)
        return undefined
      })
      await using proxy = await startProxy({ origin })
      using c = await proxy.connect()
      c.send(GET)
      await c.until('half')
      origin.connections[0]!.socket[how === 'end' ? 'end' : 'resetAndDestroy']()
      assert.is(await c.closed(), 'reset', `${i} ${how}`)
      const ended = await proxy.exchange()
      assert.equal([ended.reason, ended.status], ['response_incomplete', 200])
      await proxy.open(0)
    }
  }
})

test('an answer that comes before the upload is complete is passed on, and the connection closes after it', async () => {
  await using origin = await startOrigin(nothing, { onHead: () => answer('too much', 413) })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc')
  const response = await c.response()
  assert.equal([response.status, response.headers.connection, response.text], [413, 'close', 'too much'])
  // The client may go on sending: a reset would destroy the answer on its way.
  c.send(Buffer.alloc(100_000))
  assert.is(await c.closed(), 'fin')
  await origin.connections[0]!.closed()
  assert.is((await proxy.exchange()).reason, null)
})

// Node's own sockets throw away what they received when a write fails.
const unlessSockets = canUseHandles ? test : test.skip

unlessSockets('an endpoint that answers, closes and resets in the middle of an upload has still answered', async () => {
  // Mechanism: writing to it failed first, and the connection was closed before its answer, received already, was read.
  for (let i = 0; i < 10; i++) {
    await using origin = await startOrigin(undefined, {
      raw: true,
      onConnection: (connection) => {
        connection.socket.once('data', () => {
          connection.pause()
          setImmediate(() => connection.socket.end(answer('no', 413, ['Connection: close']), 'latin1', () => connection.destroy()))
        })
        return undefined
      },
    })
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n')
    await origin.connection()
    for (let n = 0; n < 20; n++) c.send(Buffer.alloc(100_000))
    const response = await c.response()
    assert.equal([response.status, response.text], [413, 'no'])
  }
})

test('a long answer that began while the upload goes on is passed on as both go on', async () => {
  await using origin = await startOrigin(nothing, {
    onHead: () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n',
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
  await c.until('first')
  c.send('3\r\ntwo\r\n')
  await origin.connections[0]!.until('two')
  origin.connections[0]!.write('6\r\nsecond\r\n')
  await c.until('second')
  c.send('0\r\n\r\n')
  assert.is((await origin.request()).text, 'onetwo')
  origin.connections[0]!.write('0\r\n\r\n')
  await c.until('0\r\n\r\n')
  assert.is(await c.closed(), 'fin')
})

test('what a client writes after its last request is thrown away, and the answer survives it', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').send('x'.repeat(300_000))
  assert.is((await c.response()).text, 'ok')
  assert.is(await c.closed(), 'fin')
  assert.is(origin.requests.length, 1)
})

test('a client that never closes after its last answer is closed', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect({ deadlineMs: 5_000 })
  await c.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').response()
  assert.is(await c.closed(), 'fin')
  await proxy.open(1, 5_000)
})

test('clients that come, ask and vanish leave nothing open', async () => {
  await using origin = await startOrigin((req) => (req.target === '/slow' ? undefined : answer('ok')))
  await using proxy = await startProxy({ origin, idleConnections: 4 })
  for (let i = 0; i < 40; i++) {
    const c = await proxy.connect()
    if (i % 5 > 0) c.send(i % 2 === 0 ? GET : 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\n')
    if (i % 3 === 0) await proxy.settled()
    if (i % 4 === 0) c.reset()
    else c.destroy()
  }
  await eventually(() => (proxy.runtime.connections === 0 ? true : undefined), 'clients stay')
  await eventually(
    () => (proxy.descriptors <= 4 && proxy.descriptors === origin.openConnections ? true : undefined),
    () => `${proxy.descriptors} open, ${origin.openConnections} at the origin`,
  )
})

test.run()

/** Resolves once that many milliseconds have passed on this clock. */
async function until(deadlines: { readonly now: number }, ms: number): Promise<void> {
  const end = deadlines.now + ms
  await eventually(() => (deadlines.now >= end ? true : undefined), 'the clock stands')
}
