/** The end, announced: idle connections close, exchanges under way finish and say close. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

test('an exchange under way finishes, says close, and its connection closes', async () => {
  let release = (): void => {}
  await using origin = await startOrigin((_, connection) => {
    release = () => connection.write(answer('late'))
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(GET)
  await origin.request()
  proxy.runtime.stopAccepting()
  const drained = proxy.runtime.drain(10_000)
  release()
  const response = await c.response()
  assert.equal([response.text, response.headers.connection], ['late', 'close'])
  assert.is(await c.closed(), 'fin')
  c.destroy()
  await drained
  assert.is(proxy.runtime.connections, 0)
})

test('an answer whose head had left before is finished, and its connection does not stay', async () => {
  // Mechanism: only a head that was still to be sent said close; this connection went idle for its whole keep-alive time.
  await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha')
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).until('ha')
  const drained = proxy.runtime.drain(10_000)
  origin.connections[0]!.write('lf')
  await c.until('lf')
  await c.closed()
  await drained
})

test('an idle connection gets a moment for a request on its way, and is closed then', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using a = await proxy.connect()
  using b = await proxy.connect()
  await a.send(GET).response()
  await b.send(GET).response()
  const drained = proxy.runtime.drain(10_000)
  assert.is((await a.send(GET).response()).headers.connection, 'close')
  assert.is(await b.closed(), 'fin')
  a.destroy()
  await drained
})

test('what is not done at the deadline is cut', async () => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send(GET)
  await origin.request()
  await proxy.runtime.drain(200)
  await c.closed()
  await origin.connections[0]!.closed()
  await proxy.open(0)
})

test('without connections it is drained at once', async () => {
  await using proxy = await startProxy()
  await proxy.runtime.drain(10_000)
})

test('a listener that a new plan does not name drains; others do not notice', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  await c.send(GET).response()
  proxy.use({ origin })
  assert.is((await c.send(GET).response()).headers.connection, undefined)
  assert.is(origin.connections.length, 1)
  proxy.use({ origin, listener: { name: 'other' } })
  assert.is((await c.send(GET).response()).headers.connection, 'close')
})

test('a connection takes the plan in force at its next exchange, and pools of endpoints that are gone close', async () => {
  await using first = await startOrigin(() => answer('first'))
  await using second = await startOrigin(() => answer('second'))
  await using proxy = await startProxy({ origin: first })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, 'first')
  proxy.use({ origin: second })
  assert.ok(await first.connections[0]!.closed())
  assert.is((await c.send(GET).response()).text, 'second')
})

test('what did not change goes on as it was: the balancer its turn, the pool its connection, also under another name', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using b = await startOrigin(() => answer('b'))
  const endpoints = [a, b]
  await using proxy = await startProxy({ endpoints })
  using c = await proxy.connect()
  const ask = async (): Promise<string> => (await c.send(GET).response()).text
  const [first, second] = [await ask(), await ask()]
  assert.equal([first, second].sort(), ['a', 'b'])
  for (let i = 0; i < 4; i++) {
    proxy.use({ endpoints })
    assert.is(await ask(), i % 2 === 0 ? first : second)
  }
  proxy.use({ upstreams: { renamed: { endpoints } }, routes: [{ to: 'renamed' }] })
  assert.equal([await ask(), await ask()].sort(), ['a', 'b'])
  assert.equal([a.connections.length, b.connections.length], [1, 1])
})

test.run()
