/** Which endpoint an exchange gets, and what balancers are told of those that are under way. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Config,
  firstAvailable,
  http,
  leastRequest,
  leastTime,
  ringHash,
  split,
  tcp,
  type UpstreamOptions,
  upstream,
} from '../../core/index.ts'
import { routeTo } from '../../core/plugin.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

function webOf(origins: readonly Origin[], options: Partial<UpstreamOptions>): Config {
  const to = upstream('api', { endpoints: origins.map(({ address }) => address), ...options } as UpstreamOptions)
  return { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
}

test('leastRequest: requests that are not answered yet keep others away, and answered ones do not', async () => {
  await using slow = await startOrigin(() => undefined)
  await using fast = await startOrigin(() => answer('fast'))
  await using proxy = await startProxy({ config: webOf([slow, fast], { balancer: leastRequest() }) })
  // Which of the two is first is decided by lot.
  while (slow.requests.length === 0) {
    const c = await proxy.connect()
    c.send(GET)
    await Promise.race([c.response(), slow.request(1, 60_000)]).catch(() => {})
  }
  using c = await proxy.connect()
  for (let i = 0; i < 20; i++) assert.is((await c.send(GET).response()).text, 'fast')
  assert.is(slow.requests.length, 1)
})

test('what ended, however it ended, is not under way any more', async () => {
  await using origin = await startOrigin(({ target }, connection) => {
    if (target === '/gone') connection.destroy()
    if (target === '/nonsense') return 'nonsense\r\n\r\n'
    return target === '/ok' ? answer('x') : undefined
  })
  const seen: number[] = []
  const config = webOf([origin], {
    balancer: ([one]) => {
      seen.push(one!.inFlight)
      return 0
    },
  })
  await using proxy = await startProxy({ config })
  for (const [i, [path, status]] of Object.entries([
    ['/ok', 200],
    ['/gone', 502],
    ['/nonsense', 502],
    ['/silent', 0],
    ['/ok', 200],
  ] as const)) {
    const c = await proxy.connect()
    c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
    if (status > 0) assert.is((await c.response()).status, status)
    // The one that was lost on a kept connection came twice.
    else await origin.request(5)
    c.reset()
    await proxy.exchange(Number(i) + 1)
  }
  assert.equal(seen, [0, 0, 0, 0, 0])
})

test('an upgraded connection is under way until it closes', async () => {
  await using origin = await startOrigin((request) =>
    request.headers.upgrade === undefined
      ? answer('x')
      : 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n',
  )
  const seen: number[] = []
  const config = webOf([origin], {
    balancer: ([one]) => {
      seen.push(one!.inFlight)
      return 0
    },
  })
  await using proxy = await startProxy({ config })
  const tunnel = await proxy.connect()
  await tunnel.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n').until('chat\r\n\r\n')
  using c = await proxy.connect()
  await c.send(GET).response()
  tunnel.reset()
  await proxy.open(2)
  await c.send(GET).response()
  assert.equal(seen, [0, 1, 0])
})

test('ringHash: the same user always gets the same endpoint, users are spread, and strangers go by lot', async () => {
  const origins = await Promise.all(['a', 'b', 'c'].map((name) => startOrigin(() => answer(name))))
  await using proxy = await startProxy({ config: webOf(origins, { balancer: ringHash({ key: { header: 'X-User' } }) }) })
  using c = await proxy.connect()
  const ask = async (user: string): Promise<string> =>
    (await c.send(`GET / HTTP/1.1\r\nHost: x\r\nx-user: ${user}\r\n\r\n`).response()).text
  const first = []
  for (let i = 0; i < 30; i++) first.push(await ask(`user ${i}`))
  for (let i = 0; i < 30; i++) assert.is(await ask(`user ${i}`), first[i])
  assert.is(new Set(first).size, 3)
  const strangers = new Set<string>()
  for (let i = 0; i < 40; i++) strangers.add((await c.send(GET).response()).text)
  assert.ok(strangers.size > 1)
  for (const origin of origins) await origin.close()
})

test('a function of the config chooses by the request; what it throws is 500 and nothing is sent', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using b = await startOrigin(() => answer('b'))
  const config = webOf([a, b], {
    balancer: (endpoints, req) => {
      if (req.path === '/none') return 7
      if (req.path === '/oops') throw new Error('oops')
      return req.headers.get('x-to') === 'b' ? endpoints[1]!.address : 0
    },
  })
  await using proxy = await startProxy({ config })
  using c = await proxy.connect()
  assert.is((await c.send('GET / HTTP/1.1\r\nHost: x\r\nx-to: b\r\n\r\n').response()).text, 'b')
  assert.is((await c.send(GET).response()).text, 'a')
  for (const path of ['/none', '/oops']) assert.is((await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()).status, 500)
  const { reason, detail } = await proxy.exchange(4)
  assert.equal([reason, detail], ['hook_failed', 'balancer: oops'])
  assert.is(a.requests.length + b.requests.length, 2)
})

test('firstAvailable: the next one stands in while the first is ejected, also when it is the only one left', async () => {
  await using first = await startOrigin(() => answer('no', 500))
  await using second = await startOrigin(() => answer('no', 500))
  await using third = await startOrigin(() => answer('third'))
  const outlier = { consecutiveFailures: 1, maxEjected: 1 }
  await using proxy = await startProxy({ config: webOf([first, second, third], { balancer: firstAvailable(), outlier }) })
  using c = await proxy.connect()
  const texts = []
  for (let i = 0; i < 4; i++) texts.push((await c.send(GET).response()).text)
  assert.equal(texts, ['no', 'no', 'third', 'third'])
})

test('leastTime: an endpoint that fails at once does not draw the requests of all', async () => {
  await using broken = await startOrigin(() => answer('no', 500))
  await using good = await startOrigin(() => answer('good'))
  await using proxy = await startProxy({ config: webOf([broken, good], { balancer: leastTime() }) })
  using c = await proxy.connect()
  for (let i = 0; i < 20; i++) await c.send(GET).response()
  assert.equal([broken.requests.length, good.requests.length], [1, 19])
})

test('what is under way at an endpoint is remembered across a reload that changes the balancer', async () => {
  await using slow = await startOrigin(() => undefined)
  await using proxy = await startProxy({ config: webOf([slow], {}) })
  using c = await proxy.connect()
  c.send(GET)
  await slow.request()
  const seen: number[] = []
  const balancer: UpstreamOptions['balancer'] = ([one]) => {
    seen.push(one!.inFlight)
    return 0
  }
  proxy.use({ config: webOf([slow], { balancer }) })
  using other = await proxy.connect()
  other.send(GET)
  await slow.request(2)
  assert.equal(seen, [1])
})

test('TCP: connections that are open are under way, and one client always gets the same endpoint by its address', async () => {
  await using a = await startOrigin(() => answer('a'))
  await using b = await startOrigin(() => answer('b'))
  const endpoints = [a.address, b.address]
  const tcpTo = (options: Partial<UpstreamOptions>): Config => ({
    listeners: { edge: tcp({ listen: 0, routes: [{ to: upstream('u', { endpoints, ...options } as UpstreamOptions) }] }) },
  })
  await using least = await startProxy({ config: tcpTo({ balancer: leastRequest() }) })
  const clients = []
  for (let i = 0; i < 4; i++) {
    const c = await least.connect()
    clients.push(c)
    await c.send(GET).response()
  }
  assert.equal([a.openConnections, b.openConnections], [2, 2])
  for (const c of clients) c[Symbol.dispose]()
  await using hashed = await startProxy({ config: tcpTo({ balancer: ringHash({ key: 'ip' }) }) })
  const seen = new Set<string>()
  for (let i = 0; i < 5; i++) {
    using c = await hashed.connect()
    seen.add((await c.send(GET).response()).text)
  }
  assert.is(seen.size, 1)
})

test('TCP: a connection that a hook sends to an upstream which chooses by requests ends alone', async () => {
  await using a = await startOrigin(() => answer('a'))
  const byPath = upstream('by-path', { endpoints: [a.address], balancer: (_, req) => req.path.length })
  const config: Config = {
    listeners: { edge: tcp({ listen: 0, use: [{ onConnection: () => routeTo('by-path') }], routes: [{ to: a.address }] }) },
    upstreams: [byPath],
  }
  await using proxy = await startProxy({ config })
  // It may be reset before it is told that it is open.
  const client = await proxy.connect().catch(() => null)
  const { reason, detail } = await proxy.tunnel()
  client?.destroy()
  assert.is(reason, 'hook_failed')
  assert.match(detail!, /^balancer: /)
})

test('split: a part with a balancer of its own', async () => {
  await using a = await startOrigin(() => answer('a'))
  const to = upstream('a', { endpoints: [a.address], balancer: leastRequest() })
  const config: Config = { listeners: { web: http({ listen: 0, routes: [{ to: split([[to, 1]]) }] }) } }
  await using proxy = await startProxy({ config })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, 'a')
})

test.run()
