/** Waiting for a connection where there are as many as may be: in turn, bounded, and given up by who leaves. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { http, tcp, upstream } from '../../core/index.ts'
import type { Client } from '../support/client.ts'
import { helloMessage, records } from '../support/client-hello.ts'
import { answer, type OriginRequest, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const get = (path = '/'): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const pending = { most: 10, maxWait: 60_000 }

/** It answers when it is told to, with the path it was asked for. */
async function startHeld() {
  const held: OriginRequest[] = []
  const origin = await startOrigin((request) => {
    held.push(request)
    return undefined
  })
  const release = (): void => {
    const request = held.shift()!
    request.connection.write(answer(request.target))
  }
  return { origin, release, [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose]() }
}

/** Each on a connection of its own, one after the other: in the queue in that order. */
async function askAll(proxy: RunningProxy, paths: readonly string[]): Promise<Client[]> {
  const clients: Client[] = []
  for (const path of paths) {
    const client = await proxy.connect()
    client.send(get(path))
    clients.push(client)
    await proxy.queued(clients.length)
  }
  return clients
}

test('who came first is served first, over the connections that there are', async () => {
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending })
  using first = await proxy.connect()
  first.send(get('/0'))
  await held.origin.request(1)
  const clients = await askAll(proxy, ['/1', '/2', '/3'])
  held.release()
  assert.is((await first.response()).text, '/0')
  for (const [i, client] of clients.entries()) {
    await held.origin.request(i + 2)
    await proxy.queued(2 - i)
    held.release()
    assert.is((await client.response()).text, `/${i + 1}`)
    client.destroy()
  }
  assert.equal(
    held.origin.requests.map(({ target }) => target),
    ['/0', '/1', '/2', '/3'],
  )
  assert.is(held.origin.connections.length, 1)
})

test('the next request of a client that was served has to wait behind those that wait already', async () => {
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending })
  using greedy = await proxy.connect()
  greedy.send(get('/a') + get('/b') + get('/c'))
  await held.origin.request(1)
  const [patient] = await askAll(proxy, ['/patient'])
  for (let i = 2; i <= 4; i++) {
    held.release()
    await held.origin.request(i)
  }
  assert.equal(
    held.origin.requests.map(({ target }) => target),
    ['/a', '/patient', '/b', '/c'],
  )
  patient!.destroy()
})

test('more than may wait are refused at once', async () => {
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending: { ...pending, most: 1 } })
  using first = await proxy.connect()
  first.send(get())
  await held.origin.request(1)
  const [second] = await askAll(proxy, ['/2'])
  using third = await proxy.connect()
  const response = await third.send(get()).response()
  assert.equal([response.status, response.headers['retry-after']], [503, '1'])
  assert.is((await proxy.exchange()).reason, 'pending_limit')
  second!.destroy()
})

test('who has waited for as long as it may is refused, the others wait on', async () => {
  const { deadlines, turn } = turnable()
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending: { most: 9, maxWait: 5_000 }, deadlines })
  using first = await proxy.connect()
  first.send(get('/0'))
  await held.origin.request(1)
  const [early] = await askAll(proxy, ['/early'])
  turn(3_000)
  using late = await proxy.connect()
  late.send(get('/late'))
  await proxy.queued(2)
  turn(2_100)
  const refused = await early!.response()
  assert.equal([refused.status, refused.headers['proxy-status']], [503, 'sluice; error=connection_limit_reached'])
  assert.is((await proxy.exchange()).reason, 'pending_timeout')
  held.release()
  await held.origin.request(2)
  held.release()
  assert.is((await late.response()).text, '/late')
  early!.destroy()
})

test('a client that leaves does not wait any more, nor is anything sent for it', async () => {
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending })
  using first = await proxy.connect()
  first.send(get('/0'))
  await held.origin.request(1)
  const [leaving, staying] = await askAll(proxy, ['/leaving', '/staying'])
  leaving!.reset()
  await proxy.queued(1)
  held.release()
  assert.is((await held.origin.request(2)).target, '/staying')
  staying!.destroy()
})

test('what is idle elsewhere keeps nobody out, and one that closes makes room', async () => {
  await using a = await startOrigin()
  await using b = await startHeld()
  await using proxy = await startProxy({ endpoints: [a, b.origin], connections: 1, pending })
  using c = await proxy.connect()
  assert.is((await c.send(get()).response()).text, 'ok')
  c.send(get('/b'))
  const { connection } = await b.origin.request(1)
  await a.connections[0]!.closed()
  const [waiting] = await askAll(proxy, ['/next'])
  connection.destroy()
  assert.is((await c.response()).status, 502)
  assert.is((await waiting!.response()).text, 'ok')
  waiting!.destroy()
})

test('a kept connection goes to who wants its endpoint, but the first is not overtaken for ever', async () => {
  await using a = await startOrigin()
  await using b = await startOrigin()
  await using proxy = await startProxy({ endpoints: [a, b], connections: 1, pending: { ...pending, most: 1_000 } })
  const clients = await Promise.all(Array.from({ length: 60 }, () => proxy.connect()))
  for (const client of clients) client.send(get())
  const texts = await Promise.all(clients.map(async (client) => (await client.response()).text))
  assert.ok(texts.every((text) => text === 'ok'))
  assert.equal([a.requests.length, b.requests.length], [30, 30])
  const opened = a.connections.length + b.connections.length
  assert.ok(opened < 20, `${opened} connections for 60 requests`)
  for (const client of clients) client.destroy()
})

test('a tunnel that had to wait gets a connection of its own, never one that has carried HTTP', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  const both = upstream('both', { endpoints: [origin.address], limits: { connections: 1, pending: 5 } })
  const routes = [{ sni: 'tunnel.example', to: both }, { to: http({ routes: [{ to: both }] }) }] as const
  await using proxy = await startProxy({ config: { listeners: { edge: tcp({ listen: ':0', routes: [...routes] }) } } })
  using c = await proxy.connect()
  c.send(get())
  const first = await origin.connection(1)
  await first.until('\r\n\r\n')
  using d = await proxy.connect()
  const hello = records(helloMessage({ serverName: 'tunnel.example' }))
  d.send(hello)
  await proxy.queued(1)
  first.write(answer('ok'))
  assert.is((await c.response()).text, 'ok')
  const second = await origin.connection(2)
  await second.until(hello.toString('latin1'))
  await first.closed()
  assert.not.match(first.received.toString('latin1'), 'tunnel.example')
})

test('the time for one try does not run while a request waits, the time for all does', async () => {
  const { deadlines, turn } = turnable()
  await using held = await startHeld()
  const retries = { attempts: 3, onTimeout: true, perTry: 1_000 }
  await using proxy = await startProxy({ origin: held.origin, connections: 1, pending, retries, timeouts: { total: 10_000 }, deadlines })
  using first = await proxy.connect()
  first.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow`)
  await held.origin.connection().then((connection) => connection.until('slow'))
  const [waiting] = await askAll(proxy, ['/waits'])
  turn(5_000)
  await proxy.settled()
  assert.is(proxy.waiting, 1)
  turn(5_100)
  assert.is((await waiting!.response()).status, 504)
  assert.is((await proxy.exchange()).detail, 'the time for all tries')
  waiting!.destroy()
})

test('without a queue it is refused at once, as before', async () => {
  await using held = await startHeld()
  await using proxy = await startProxy({ origin: held.origin, connections: 1 })
  using first = await proxy.connect()
  first.send(get())
  await held.origin.request(1)
  using second = await proxy.connect()
  assert.is((await second.send(get()).response()).status, 503)
  assert.is((await proxy.exchange()).reason, 'connection_limit')
})

test.run()
