/** Many who ask for the same at once: the endpoint is asked by one of them, and none of them depends on that one. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fresh, requestOf, startCached } from '../support/cache.ts'
import type { Client } from '../support/client.ts'
import { answer, type OriginConnection } from '../support/origin.ts'

const status = 'cache-status'
const MANY = 20

async function connectMany(proxy: { connect(): Promise<Client> }, count = MANY): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => proxy.connect()))
}

/** An endpoint that answers when the test says so. */
function held() {
  const waiting: OriginConnection[] = []
  return {
    waiting,
    handler: (_: unknown, connection: OriginConnection): undefined => {
      waiting.push(connection)
    },
  }
}

test('one of many asks the endpoint, and all get its answer', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const clients = await connectMany(cached.proxy)
  for (const client of clients) client.send(requestOf('/a'))
  await cached.origin.request()
  await cached.proxy.settled()
  waiting[0]!.write(fresh('kiwi'))
  const answers = await Promise.all(clients.map((client) => client.response()))
  assert.equal(new Set(answers.map(({ text }) => text)), new Set(['kiwi']))
  assert.equal(
    answers.map(({ headers }) => headers[status]).sort(),
    [...Array(MANY - 1).fill('sluice; fwd=uri-miss; collapsed'), 'sluice; fwd=uri-miss; stored'].sort(),
  )
  assert.is(cached.asked, 1)
  for (const client of clients) client.destroy()
})

test('a body of known length streams to all while it comes, also to who asks in the midst of it', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const [a, b, c] = await connectMany(cached.proxy, 3)
  a!.send(requestOf('/a'))
  await cached.origin.request()
  b!.send(requestOf('/a'))
  await cached.proxy.settled()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234')
  await Promise.all([a!.until('01234'), b!.until('01234')])
  c!.send(requestOf('/a'))
  await c!.until('01234')
  waiting[0]!.write('56789')
  for (const client of [a!, b!, c!]) assert.is(await client.until('56789'), '56789')
  assert.is(cached.asked, 1)
  for (const client of [a!, b!, c!]) client.destroy()
})

test('a body of no known length goes to those who wait once it is complete', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const [a, b] = await connectMany(cached.proxy, 2)
  a!.send(requestOf('/a'))
  await cached.origin.request()
  b!.send(requestOf('/a'))
  await cached.proxy.settled()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkiw\r\n')
  await a!.until('kiw')
  assert.is(b!.rest, '')
  waiting[0]!.write('1\r\ni\r\n0\r\n\r\n')
  await a!.until('i\r\n0\r\n\r\n')
  const { text, headers } = await b!.response()
  assert.equal([text, headers['content-length'], headers[status]], ['kiwi', '4', 'sluice; fwd=uri-miss; collapsed'])
  assert.is(cached.asked, 1)
  for (const client of [a!, b!]) client.destroy()
})

test('an answer that is not to be kept lets all go their own way at once, and the next ones do not wait', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const clients = await connectMany(cached.proxy, 5)
  for (const client of clients) client.send(requestOf('/a'))
  await cached.origin.request()
  await cached.proxy.settled()
  waiting[0]!.write(answer('for one', 200, ['Cache-Control: private']))
  await cached.origin.request(5)
  for (const connection of waiting.slice(1)) connection.write(answer('for another', 200, ['Cache-Control: private']))
  await Promise.all(clients.map((client) => client.response()))
  for (const client of clients.slice(0, 2)) client.send(requestOf('/a'))
  await cached.origin.request(7)
  for (const client of clients) client.destroy()
})

test('when the one that asks is gone, another one asks', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const [a, b, c] = await connectMany(cached.proxy, 3)
  a!.send(requestOf('/a'))
  await cached.origin.request()
  for (const client of [b!, c!]) client.send(requestOf('/a'))
  await cached.proxy.settled()
  a!.destroy()
  await cached.origin.request(2)
  waiting[1]!.write(fresh('kiwi'))
  assert.equal([(await b!.response()).text, (await c!.response()).text], ['kiwi', 'kiwi'])
  assert.is(cached.asked, 2)
  for (const client of [b!, c!]) client.destroy()
})

test('when the one that asks fails, another one asks; after the second failure nobody waits any more', async () => {
  await using cached = await startCached((_, connection) => {
    connection.destroy()
    return undefined
  })
  const clients = await connectMany(cached.proxy, 4)
  for (const client of clients) client.send(requestOf('/a'))
  const answers = await Promise.all(clients.map((client) => client.response()))
  assert.equal(
    answers.map((one) => one.status),
    [502, 502, 502, 502],
  )
  for (const client of clients) client.destroy()
})

test('when the one that asks goes in the midst of the body, the others get all of it, and it is kept', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const [a, b] = await connectMany(cached.proxy, 2)
  a!.send(requestOf('/a'))
  await cached.origin.request()
  b!.send(requestOf('/a'))
  await cached.proxy.settled()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234')
  await Promise.all([a!.until('01234'), b!.until('01234')])
  a!.reset()
  await cached.proxy.settled()
  waiting[0]!.write('56789')
  assert.is(await b!.until('56789'), '56789')
  assert.is((await cached.get('/a')).headers[status], 'sluice; hit; ttl=60')
  const gone = await cached.proxy.exchange(1)
  const other = await cached.proxy.exchange(2)
  assert.equal([gone.reason, other.reason].sort(), ['client_gone', null].sort())
  assert.is(cached.asked, 1)
  b!.destroy()
})

test('when nobody else wants it, what its client left is not fetched to its end', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const a = await cached.proxy.connect()
  a.send(requestOf('/a'))
  await cached.origin.request()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234')
  await a.until('01234')
  a.reset()
  await waiting[0]!.closed()
  assert.is((await cached.proxy.exchange()).reason, 'client_gone')
})

test('when the endpoint breaks off, all who share the answer see that it is not complete, and nothing is kept', async () => {
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const clients = await connectMany(cached.proxy, 3)
  for (const client of clients) client.send(requestOf('/a'))
  await cached.origin.request()
  await cached.proxy.settled()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234')
  for (const client of clients) await client.until('01234')
  waiting[0]!.destroy()
  for (const client of clients) await client.closed()
  cached.client.send(requestOf('/a'))
  await cached.origin.request(2)
})

test('a client that does not read holds up nobody else', async () => {
  const size = 6_000_000
  const { waiting, handler } = held()
  await using cached = await startCached(handler)
  const [slow, other] = await connectMany(cached.proxy, 2)
  slow!.pause()
  slow!.send(requestOf('/a'))
  await cached.origin.request()
  other!.send(requestOf('/a'))
  await cached.proxy.settled()
  const body = 'x'.repeat(size)
  waiting[0]!.write(fresh(body))
  assert.is((await other!.response()).text.length, size)
  slow!.resume()
  assert.is((await slow!.response()).text.length, size)
  assert.is(cached.asked, 1)
  for (const client of [slow!, other!]) client.destroy()
})

test('a body that turns out too long is passed on at the pace of its client, and not kept', async () => {
  const piece = Buffer.alloc(50_000, 'y').toString('latin1')
  const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`
  await using cached = await startCached(
    () => `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(40)}0\r\n\r\n`,
    { maxObject: '100kb', memory: '1mb' },
  )
  const [a, b] = await connectMany(cached.proxy, 2)
  for (const client of [a!, b!]) client.pause().send(requestOf('/a'))
  for (const client of [a!, b!]) assert.is((await client.resume().response()).text.length, 2_000_000)
  assert.is((await cached.get('/a')).headers[status], 'sluice; fwd=uri-miss; stored')
  assert.is(cached.asked, 3)
  for (const client of [a!, b!]) client.destroy()
})

test('what is stale goes out while one request asks about it (RFC 5861 §3)', async () => {
  let version = 0
  await using cached = await startCached(() =>
    fresh(`v${++version}`, 60, [`ETag: "${version}"`, 'Cache-Control: stale-while-revalidate=30']),
  )
  await cached.get()
  cached.pass(70)
  for (let i = 0; i < 3; i++) {
    const { text, headers } = await cached.get()
    if (text !== 'v1') break
    assert.is(headers[status], 'sluice; hit; ttl=-10; detail=stale-while-revalidate')
  }
  await cached.origin.request(2)
  await cached.proxy.settled()
  assert.is((await cached.get()).text, 'v2')
  assert.is(cached.asked, 2)
  cached.pass(95)
  assert.is((await cached.get()).text, 'v3')
  const told = cached.proxy.ended.map(({ cache }) => cache)
  assert.is(told.filter((cache) => cache === 'beside').length, 1)
})

test('what is stale stands in for an error of the endpoint, and for one that is gone (RFC 5861 §4)', async () => {
  let isDown = false
  await using cached = await startCached(
    ({ target }, connection) => {
      if (!isDown) return fresh('kiwi', 60, target === '/strict' ? ['Cache-Control: must-revalidate'] : [])
      if (target === '/gone') connection.destroy()
      return target === '/gone' ? undefined : answer('broken', 503)
    },
    { staleIfError: '10m' },
  )
  for (const path of ['/a', '/gone', '/strict']) await cached.get(path)
  isDown = true
  cached.pass(61)
  const broken = await cached.get('/a')
  assert.equal(
    [broken.status, broken.text, broken.headers[status]],
    [200, 'kiwi', 'sluice; fwd=stale; fwd-status=503; detail=stale-if-error'],
  )
  const gone = await cached.get('/gone')
  assert.equal([gone.status, gone.text, gone.headers[status]], [200, 'kiwi', 'sluice; fwd=stale; detail=stale-if-error'])
  assert.is((await cached.get('/strict')).status, 503)
  cached.pass(600)
  assert.is((await cached.get('/a')).status, 503)
})

test.run()
