/** Policies that bound what is under way: `concurrency`, `bodyLimit`; and `apiKey`. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { apiKey, bodyLimit, concurrency } from '../../core/index.ts'
import { Counting, counterBytes, heldTableIn, seeded } from '../../core/policy/counting.ts'
import { answer, type OriginConnection, startOrigin } from '../support/origin.ts'
import { get, startWith, webOf } from '../support/policy.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

test('more at a time than the limit are refused, until one has ended, however it ended', async () => {
  const waiting: OriginConnection[] = []
  await using origin = await startOrigin((request, connection) => {
    if (request.target === '/slow') waiting.push(connection)
    return request.target === '/slow' ? undefined : answer('ok')
  })
  await using proxy = await startWith([concurrency({ key: 'ip', limit: 2 })], origin)
  using a = await proxy.connect()
  using b = await proxy.connect()
  using c = await proxy.connect()
  a.send(get('/slow'))
  b.send(get('/slow'))
  await origin.request(2)
  const refused = await c.send(get()).response()
  assert.equal([refused.status, refused.headers['retry-after']], [429, '1'])
  assert.is((await proxy.exchange()).reason, 'rate_limited')
  assert.is((await c.send(get('/', [], '10.0.0.2')).response()).status, 200)
  waiting[0]!.write(answer('late'))
  await a.response()
  assert.is((await c.send(get()).response()).status, 200)
  a.send(get('/slow'))
  await origin.request(5)
  assert.is((await c.send(get()).response()).status, 429)
  // The client goes: that is an end, too.
  b.socket.destroy()
  await proxy.exchange(6)
  assert.is((await c.send(get()).response()).status, 200)
})

test('a WebSocket counts until it closes', async () => {
  const granted = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
  await using origin = await startOrigin(({ target }) => (target === '/chat' ? granted : answer('ok')))
  await using proxy = await startWith([concurrency({ key: () => 'all', limit: 1 })], origin)
  using socket = await proxy.connect()
  const fields = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==']
  assert.is((await socket.send(get('/chat', fields)).response()).status, 101)
  using c = await proxy.connect()
  assert.is((await c.send(get()).response()).status, 429)
  socket.socket.destroy()
  await proxy.exchange(2)
  assert.is((await c.send(get()).response()).status, 200)
})

/** Of two workers, with memory that they share or without. */
function countings(memory: ArrayBuffer | null): Counting[] {
  return [0, 1].map((seat) => new Counting({ shared: memory && { memory, seats: 8, seat }, workers: 2 }))
}

test('two workers together let as many through as the limit says, also after a reload, and one that died holds nothing', async () => {
  await using origin = await startOrigin(() => undefined)
  const memory = seeded(new ArrayBuffer(counterBytes(8)))
  const [first, second] = countings(memory) as [Counting, Counting]
  const config = { listeners: { web: webOf([concurrency({ key: 'ip', limit: 3 })], origin) } }
  await using one = await startProxy({ config, parts: { counting: first } })
  await using other = await startProxy({ config, parts: { counting: second } })
  using a = await one.connect()
  using b = await other.connect()
  using c = await one.connect()
  using d = await other.connect()
  for (const client of [a, b, c]) client.send(get('/slow'))
  await origin.request(3)
  const status = async (proxy: RunningProxy): Promise<number> => {
    using client = await proxy.connect()
    return (await client.send(get()).response()).status
  }
  const statuses = (): Promise<number[]> => Promise.all([one, other].map(status))
  assert.equal(await statuses(), [429, 429])
  await other.reload({ config })
  assert.is((await d.send(get()).response()).status, 429)
  b.destroy()
  await other.exchange(3)
  d.send(get('/slow'))
  await origin.request(4)
  assert.equal(await statuses(), [429, 429])
  // As the supervisor does for a process that has ended.
  heldTableIn(memory, 8, 7).forget(0)
  using e = await other.connect()
  using f = await other.connect()
  e.send(get('/slow'))
  f.send(get('/slow'))
  await origin.request(6)
  using g = await other.connect()
  assert.is((await g.send(get()).response()).status, 429)
})

test('without memory that is shared each of two workers lets its part through', async () => {
  await using origin = await startOrigin(() => undefined)
  const [counting] = countings(null) as [Counting]
  const config = { listeners: { web: webOf([concurrency({ key: 'ip', limit: 3 })], origin) } }
  await using proxy = await startProxy({ config, parts: { counting } })
  using a = await proxy.connect()
  using b = await proxy.connect()
  a.send(get('/slow'))
  await origin.request(1)
  assert.is((await b.send(get()).response()).status, 429)
})

const post = (body: string, lines: readonly string[] = [`Content-Length: ${body.length}`]): string =>
  [`POST / HTTP/1.1`, 'Host: x', ...lines, '', body].join('\r\n')
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

test('a body that is announced as too long is refused before any of it is sent', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([bodyLimit('1kb')], origin)
  using c = await proxy.connect()
  assert.is((await c.send(post('x'.repeat(1024))).response()).status, 200)
  assert.is((await c.send(post('x'.repeat(1025))).response()).status, 413)
  const { reason, decidedBy } = await proxy.exchange(2)
  assert.equal([reason, decidedBy], ['body_too_large', 'bodyLimit'])
  assert.is(origin.requests.length, 1)
})

test('a body of unknown length is ended when it has come too far, at once or piece by piece', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([bodyLimit('1kb')], origin)
  const CHUNKED = ['Transfer-Encoding: chunked']
  using exact = await proxy.connect()
  assert.is((await exact.send(post(`${chunk('x'.repeat(1000))}${chunk('x'.repeat(24))}0\r\n\r\n`, CHUNKED)).response()).status, 200)
  using atOnce = await proxy.connect()
  assert.is((await atOnce.send(post(`${chunk('x'.repeat(1025))}0\r\n\r\n`, CHUNKED)).response()).status, 413)
  using later = await proxy.connect()
  later.send(post(chunk('x'.repeat(1000)), CHUNKED))
  await proxy.settled()
  later.send(chunk('x'.repeat(25)))
  assert.is((await later.response()).status, 413)
  assert.is((await proxy.exchange(3)).reason, 'body_too_large')
  assert.is(origin.requests.length, 1)
})

test('a key in the field or in the query lets in, and whose it is stands in the log', async () => {
  await using origin = await startOrigin()
  const keys = { ann: 'key-of-ann', bob: 'key-öf-bob' }
  await using proxy = await startWith([apiKey({ header: 'X-Api-Key', query: 'key', keys, passOn: false, userHeader: 'X-User' })], origin)
  using c = await proxy.connect()
  assert.is((await c.send(get('/a?b=1', ['x-api-key: key-of-ann', 'X-User: root'])).response()).status, 200)
  assert.is((await c.send(get('/a?b=1&key=key-%C3%B6f-bob&c=2')).response()).status, 200)
  assert.equal([(await proxy.exchange(1)).user, (await proxy.exchange(2)).user], ['ann', 'bob'])
  const [one, two] = origin.requests
  assert.not.match(one!.head, /key-of-ann|root/)
  assert.match(one!.head, 'X-User: ann\r\n')
  assert.equal([one!.target, two!.target], ['/a?b=1', '/a?b=1&c=2'])
  for (const [path, ...lines] of [
    ['/'],
    ['/?key=key-of-anna'],
    ['/?key='],
    ['/', 'X-Api-Key: '],
    ['/', 'X-Api-Key: key-of-ann, key-of-ann'],
  ] as const) {
    const { status, headers } = await c.send(get(path, lines)).response()
    assert.equal([status, headers['www-authenticate']], [401, 'ApiKey'], path)
  }
  assert.is(origin.requests.length, 2)
})

test.run()
