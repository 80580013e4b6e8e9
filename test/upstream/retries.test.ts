/** Retries: what is sent once more, to whom, how often and in what time; and what never is. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { answer, type Origin, type OriginConnection, type OriginRequest, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const ask = (method: string, body = '') => `${method} / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`

type Misbehave = (request: OriginRequest, connection: OriginConnection) => string | undefined

const unavailable: Misbehave = () => answer('SECRET', 503, ['X-Secret: 1'])
const lost: Misbehave = (_, connection) => void connection.reset()
const silent: Misbehave = () => undefined

/** Two: the first to be asked misbehaves so many times, then both answer with what they got. */
function pair(misbehave: Misbehave, times = 1): { start(): Promise<Origin>; seen: OriginRequest[] } {
  const seen: OriginRequest[] = []
  const start = () =>
    startOrigin((request, connection) => {
      seen.push(request)
      return seen.length <= times ? misbehave(request, connection) : answer(`${request.method} ${request.text}`)
    })
  return { start, seen }
}

test('an answer of a status to be tried again never reaches the client: the next endpoint is asked', async () => {
  const { start, seen } = pair(unavailable)
  await using a = await start()
  await using b = await start()
  await using proxy = await startProxy({ endpoints: [a, b], retries: { statuses: [503] } })
  using c = await proxy.connect()
  const response = await c.send(ask('PUT', 'body')).response()
  assert.equal([response.status, response.text, response.headers['x-secret']], [200, 'PUT body', undefined])
  assert.not.match(Buffer.concat(c.received).toString('latin1'), /SECRET/)
  const ended = await proxy.exchange()
  assert.equal([ended.attempts, ended.reason, ended.status], [2, null, 200])
  assert.equal([...new Set(seen.map((one) => one.connection))].length, 2)
  assert.equal([a.requests.length, b.requests.length], [1, 1])
})

test('second tries take no turns of the requests that come next: an endpoint that fails gets its share of first tries, and no more', async () => {
  await using bad = await startOrigin(() => answer('', 503))
  await using good = await startOrigin(() => answer('good'))
  await using proxy = await startProxy({ endpoints: [bad, good], retries: { statuses: [503], budget: 1 } })
  using c = await proxy.connect()
  for (let i = 0; i < 10; i++) assert.is((await c.send(GET).response()).text, 'good')
  assert.equal([bad.requests.length, good.requests.length], [5, 10])
})

test('the connection of an answer that nobody got is used again if all of it had come', async () => {
  let first = true
  await using origin = await startOrigin(() => {
    const status = first ? 503 : 200
    first = false
    return answer('whole', status)
  })
  await using proxy = await startProxy({ origin, retries: { statuses: [503] } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 200)
  assert.equal([origin.connections.length, origin.requests.length], [1, 2])
})

test('the connection of an answer that goes on is closed, and the client gets another one at once', async () => {
  const { start } = pair((_, connection) => void connection.write('HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nSECRET\r\n'))
  await using a = await start()
  await using b = await start()
  await using proxy = await startProxy({ endpoints: [a, b], retries: { statuses: [503] } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, 'GET ')
  const [origin] = [a, b].filter((one) => one.requests[0]!.connection.isClosed || one.connections[0]!.requests.length === 1)
  await Promise.race([a, b].map((one) => one.connections[0]!.closed()))
  assert.ok(origin !== undefined)
  assert.not.match(Buffer.concat(c.received).toString('latin1'), /SECRET/)
})

test('when the tries are used up, the last answer is passed on as it came', async () => {
  await using origin = await startOrigin((_, connection) => answer(`no ${connection.requests.length}`, 503, ['Retry-After: 7']))
  await using proxy = await startProxy({ origin, retries: { attempts: 3, statuses: [503] } })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal([response.status, response.text, response.headers['retry-after']], [503, 'no 3', '7'])
  const ended = await proxy.exchange()
  assert.equal([ended.attempts, ended.reason], [3, null])
})

test('a connection that is lost, and an answer that does not come, are tried again where that is asked for', async () => {
  for (const [misbehave, retries, timeouts] of [
    [lost, { onReset: true }, {}],
    [silent, { onTimeout: true }, { response: 50 }],
    [silent, { onTimeout: true, perTry: 50 }, {}],
  ] as const) {
    const { start } = pair(misbehave)
    await using a = await start()
    await using b = await start()
    await using proxy = await startProxy({ endpoints: [a, b], retries, timeouts })
    using c = await proxy.connect()
    assert.is((await c.send(ask('PUT', 'body')).response()).text, 'PUT body')
    assert.is((await proxy.exchange()).attempts, 2)
  }
})

test('what may not be sent twice is not, whatever is asked for', async () => {
  for (const misbehave of [unavailable, lost, silent]) {
    const { start, seen } = pair(misbehave)
    await using a = await start()
    await using b = await start()
    const retries = { onReset: true, onTimeout: true, statuses: [503] }
    await using proxy = await startProxy({ endpoints: [a, b], retries, timeouts: { response: 50 } })
    using c = await proxy.connect()
    assert.ok((await c.send(ask('POST', 'once')).response()).status >= 502)
    assert.is(seen.length, 1)
    assert.is((await proxy.exchange()).attempts, 1)
  }
})

test('what is not asked for is not tried again', async () => {
  for (const misbehave of [unavailable, lost, silent]) {
    const { start, seen } = pair(misbehave)
    await using a = await start()
    await using proxy = await startProxy({ origin: a, retries: { statuses: [502] }, timeouts: { response: 50 } })
    using c = await proxy.connect()
    assert.ok((await c.send(GET).response()).status >= 502)
    assert.is(seen.length, 1)
  }
})

test('a body that comes in pieces is kept and sent again whole, with a length and in chunks', async () => {
  const pieces = ['first ', 'x'.repeat(30_000), 'y'.repeat(20_000), ' last']
  const whole = pieces.join('')
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
  for (const isChunked of [false, true]) {
    const { start, seen } = pair(unavailable)
    await using a = await start()
    await using b = await start()
    await using proxy = await startProxy({ endpoints: [a, b], retries: { statuses: [503] } })
    using c = await proxy.connect()
    c.send(`PUT / HTTP/1.1\r\nHost: x\r\n${isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${whole.length}`}\r\n\r\n`)
    for (const piece of pieces) {
      await proxy.settled()
      c.send(isChunked ? chunk(piece) : piece)
    }
    if (isChunked) c.send('0\r\n\r\n')
    assert.is((await c.response()).text, `PUT ${whole}`)
    assert.equal(
      seen.map((one) => one.text === whole),
      [true, true],
    )
  }
})

test('a body that came with its head, as bytes, is sent again unchanged though more of it follows', async () => {
  const whole = Buffer.from(Array.from({ length: 40_000 }, (_, i) => i % 251))
  const seen: OriginRequest[] = []
  const start = () => startOrigin((request) => answer('ok', seen.push(request) === 1 ? 503 : 200))
  await using a = await start()
  await using b = await start()
  await using proxy = await startProxy({ endpoints: [a, b], retries: { statuses: [503] } })
  using c = await proxy.connect()
  const head = Buffer.from(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${whole.length}\r\n\r\n`)
  c.send(Buffer.concat([head, whole.subarray(0, 30_000)]))
  await proxy.settled()
  c.send(whole.subarray(30_000))
  assert.is((await c.response()).status, 200)
  assert.equal(
    seen.map((one) => one.body.equals(whole)),
    [true, true],
  )
})

test('a body of more than 64 KiB that comes in pieces is not kept: its answer is passed on', async () => {
  const { start, seen } = pair(unavailable)
  await using a = await start()
  await using proxy = await startProxy({ origin: a, retries: { statuses: [503] } })
  using c = await proxy.connect()
  c.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n').send('x'.repeat(10))
  await a.connection().then((connection) => connection.until('x'))
  c.send('x'.repeat(69_990))
  assert.is((await c.response()).status, 503)
  assert.is(seen.length, 1)
})

test('an answer before the body has come is taken for the answer: the rest of the body goes to the next try', async () => {
  let first = true
  const onHead = (): string | undefined => {
    const wasFirst = first
    first = false
    return wasFirst ? answer('early', 503) : undefined
  }
  const make = () => startOrigin((request) => (request.text === 'abcdef' ? answer(request.text) : undefined), { onHead })
  await using a = await make()
  await using b = await make()
  await using proxy = await startProxy({ endpoints: [a, b], retries: { statuses: [503] } })
  using c = await proxy.connect()
  c.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc')
  await Promise.race([a, b].map((one) => one.connection().then((connection) => connection.until('abc'))))
  await Promise.race([a, b].map((one) => one.connection(1).then((connection) => connection.closed())))
  c.send('def')
  const response = await c.response()
  assert.equal([response.status, response.text], [200, 'abcdef'])
})

test('the budget ends the tries: then the answer is passed on, and it is counted', async () => {
  await using origin = await startOrigin(() => answer('no', 503))
  await using proxy = await startProxy({ origin, retries: { attempts: 10, statuses: [503], budget: 0 } })
  const { budget } = proxy.runtime.upstream('api')!.safeguards!
  while (budget!.take(proxy.runtime.deadlines.now)) {}
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 503)
  assert.equal([(await proxy.exchange()).attempts, proxy.retriesRefused, origin.requests.length], [1, 1, 1])
})

test('what did not connect is no charge of the budget', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1', origin], retries: { budget: 0 } })
  const { budget } = proxy.runtime.upstream('api')!.safeguards!
  while (budget!.take(proxy.runtime.deadlines.now)) {}
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) assert.is((await c.send(ask('POST', 'x')).response()).status, 200)
})

test('the time of one try ends the only one, with 504', async () => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await startProxy({ origin, retries: { attempts: 1, onConnect: false, perTry: 50 } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).status, 504)
  assert.is((await proxy.exchange()).attempts, 1)
})

test('the time for all tries ends them, with 504', async () => {
  await using origin = await startOrigin(() => undefined)
  const retries = { attempts: 10, onTimeout: true, perTry: 50 }
  await using proxy = await startProxy({ origin, retries, timeouts: { total: 300 } })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal([response.status, response.headers['proxy-status']], [504, 'sluice; error=http_response_timeout'])
  const ended = await proxy.exchange()
  assert.ok(ended.attempts > 1 && ended.attempts < 10, String(ended.attempts))
  assert.is(ended.detail, 'the time for all tries')
})

test('a client that takes its time with a body is no reason to give up a try', async () => {
  await using origin = await startOrigin((request) => answer(request.text))
  await using proxy = await startProxy({ origin, retries: { onTimeout: true, perTry: 1 } })
  using c = await proxy.connect()
  c.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc')
  await origin.connection().then((connection) => connection.until('abc'))
  for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => setImmediate(resolve, proxy.runtime.deadlines.tick()))
  c.send('def')
  assert.is((await c.response()).text, 'abcdef')
})

test('a client that leaves during a pause ends the exchange there', async () => {
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], attempts: 10, times: { halfClosed: 1 } })
  const c = await proxy.connect()
  c.send(GET)
  c.reset()
  const ended = await proxy.exchange()
  assert.ok(ended.attempts < 10)
  await proxy.open(0)
})

test.run()
