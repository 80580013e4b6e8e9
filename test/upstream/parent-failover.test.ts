/** Parents by destination: which rule counts, who is asked next when one fails, and that one that failed is left out and comes back. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { parentRuleFor } from '../../core/forward/parent-rules.ts'
import type { ForwardOptions } from '../../core/index.ts'
import { parseDestination } from '../../core/net/destination.ts'
import { compileForward } from '../../core/plan/compile-forward.ts'
import { forwarding } from '../support/forward.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, GRANTED, GREETING, replyOf, socksTo } from '../support/socks.ts'

const asking = (url: string, lines = ''): string => `GET ${url} HTTP/1.1\r\nHost: x\r\n${lines}\r\n`
const connecting = (target: string): string => `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`

test('the first rule that fits counts; networks are for addresses that clients write', () => {
  const parent: ForwardOptions['parent'] = [
    { hosts: ['*.corp.example', '10.0.0.0/8', 'fd00::/8', '192.0.2.1'], via: 'direct' },
    { hosts: ['corp.example', '*.Example.org'], ports: [443], via: ['http://a:1', 'socks5://b:2'] },
    { hosts: '*', ports: [8080], via: 'http://c:3' },
    'http://d:4',
    'http://e:5',
  ]
  const { parents } = compileForward({ parent })
  const by = (place: string): string => {
    const rule = parentRuleFor(parents, parseDestination(place, 443)!)
    return rule === null ? 'none' : `${rule.name} ${rule.parents.map(({ target }) => target.host).join('')}`
  }
  for (const place of ['a.corp.example', '10.1.2.3:80', '[fd12::1]', '[::ffff:10.0.0.1]', '192.0.2.1']) assert.is(by(place), 'parent[0] ')
  for (const place of ['corp.example', 'x.y.example.org']) assert.is(by(place), 'parent[1] ab')
  assert.is(by('corp.example:8080'), 'parent[2] c')
  for (const place of ['corp.example:80', 'example.org', '11.0.0.1', '10.example']) assert.is(by(place), 'parent[3] de')
  assert.is(parentRuleFor(compileForward({ parent: parent.slice(0, 2) }).parents, parseDestination('other.test', 443)!), null)
})

/** A port that nobody listens on. */
async function nobody(): Promise<string> {
  const gone = await startOrigin()
  const { address } = gone
  await gone[Symbol.asyncDispose]()
  return address
}

const says = (text: string) => ({
  raw: true,
  onConnection(connection: { until(mark: string): Promise<unknown>; write(text: string): void }) {
    void connection.until('\r\n\r\n').then(() => connection.write(text))
    return undefined
  },
})

/** By each way in, to the same origin. */
async function askAll(proxy: RunningProxy, origin: Origin): Promise<string[]> {
  const place = `localhost:${origin.port}`
  using plain = await proxy.connect()
  const first = await plain.send(asking(`http://${place}/plain`)).response()
  using tunnel = await proxy.connect()
  await tunnel.send(connecting(place)).response({ to: 'CONNECT' })
  const second = await tunnel.send(asking('/tunnel')).response()
  using socks = await proxy.connect()
  socks.send(GREETING)
  await socks.bytes(2)
  socks.send(connectTo('localhost', origin.port))
  assert.is(await replyOf(socks), GRANTED)
  const third = await socks.send(asking('/socks')).response()
  return [first, second, third].map(({ text }) => text)
}

for (const kind of ['http', 'socks5'] as const) {
  test(`what a parent that is not there does not lead on, the next one does (${kind})`, async () => {
    await using origin = await startOrigin((request) => answer(request.target))
    await using parent = await startProxy(
      kind === 'http' ? forwarding({ auth: { users: { ann: 'pw' } } }, [origin.port]) : socksTo([origin.port]),
    )
    const away = await nobody()
    const there = `${kind}://${kind === 'http' ? 'ann:pw@' : ''}127.0.0.1:${parent.port}`
    for (const other of ['http', 'socks5']) {
      await using proxy = await startProxy(
        forwarding({ socks: true, listen: 'localhost:0', parent: [`${other}://${away}`, there] }, [origin.port]),
      )
      assert.equal(await askAll(proxy, origin), ['/plain', '/tunnel', '/socks'])
      const [change, ...more] = proxy.changes
      assert.equal(more, [])
      assert.equal([change?.upstream, change?.endpoint, change?.state], ['parents of out', `${other}://${away}`, 'ejected'])
      assert.match(change!.why, /^for 10 s: it failed 3 times running, .*ECONNREFUSED/)
      const [state] = proxy.runtime.upstreamStates
      assert.equal(
        state?.endpoints.map(({ isEjected }) => isEjected),
        [true, false],
      )
    }
    assert.is([...parent.ended, ...parent.tunnels].length > 0, true)
  })
}

test('an upgrade goes by the parent that is there', async () => {
  const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello'
  await using origin = await startOrigin(undefined, says(switched))
  await using good = await startProxy(forwarding())
  for (const there of [`http://127.0.0.1:${good.port}`, `http://${origin.address}`]) {
    await using proxy = await startProxy(forwarding({ listen: 'localhost:0', parent: [`socks5://${await nobody()}`, there] }))
    using c = await proxy.connect()
    await c.send(asking(`http://${origin.address}/`, 'Connection: upgrade\r\nUpgrade: x\r\n')).until('hello')
  }
})

test('busy is no refusal: 503 of a parent and its silence lead to the next one, 407 and 403 do not', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using good = await startProxy(forwarding({}, [origin.port]))
  for (const [text, status, reason] of [
    ['HTTP/1.1 503 No\r\n\r\n', 200, null],
    ['HTTP/1.1 502 No\r\n\r\n', 200, null],
    ['SSH-2.0-x\r\n\r\n', 200, null],
    ['HTTP/1.1 407 No\r\n\r\n', 502, 'it wants another name and password'],
    ['HTTP/1.1 403 No\r\n\r\n', 502, 'it answered 403'],
  ] as const) {
    await using first = await startOrigin(undefined, says(text))
    await using proxy = await startProxy(
      forwarding({ parent: [`http://${first.address}`, `http://127.0.0.1:${good.port}`] }, [origin.port]),
    )
    for (let i = 0; i < 4; i++) {
      using c = await proxy.connect()
      assert.is((await c.send(connecting(`localhost:${origin.port}`)).response({ to: 'CONNECT' })).status, status, text)
      if (reason !== null) assert.ok(String((await proxy.exchange(i + 1)).detail).endsWith(reason))
    }
    assert.is(first.connections.length, 4, 'who answers is there, and asked again')
    assert.equal(proxy.changes, [])
  }
})

test('one that is silent has its time, and after three of them is left out until its own is over; then it is tried, and back', async () => {
  let now = 0
  const deadlines = new Deadlines(60_000, () => now)
  await using origin = await startOrigin((request) => answer(request.target))
  await using good = await startProxy(forwarding({}, [origin.port]))
  let isSilent = true
  const ok = 'HTTP/1.1 200 OK\r\n\r\n'
  await using first = await startOrigin(undefined, {
    raw: true,
    onConnection(connection) {
      if (!isSilent) void connection.until('\r\n\r\n').then(() => connection.write(ok))
      return undefined
    },
  })
  const parent = [`http://${first.address}`, `http://127.0.0.1:${good.port}`]
  await using proxy = await startProxy({ ...forwarding({ parent }, [origin.port]), deadlines })
  const connect = async (): Promise<void> => {
    using c = await proxy.connect()
    c.send(connecting(`localhost:${origin.port}`))
    if (isSilent && proxy.changes.length === 0) {
      await (await first.connection(first.connections.length + 1)).until('CONNECT')
      now += 80_000
      deadlines.tick()
    }
    assert.is((await c.response({ to: 'CONNECT' })).status, 200)
  }
  for (let i = 0; i < 5; i++) await connect()
  assert.is(first.connections.length, 3)
  assert.equal(
    proxy.changes.map(({ state }) => state),
    ['ejected'],
  )
  // A reload that keeps the parent keeps what is known of it.
  proxy.use(forwarding({ parent: [...parent, 'http://127.0.0.1:9'] }, [origin.port]))
  await connect()
  assert.is(first.connections.length, 3)
  isSilent = false
  now += 10_000
  await connect()
  await connect()
  assert.is(first.connections.length, 5)
  assert.equal(
    proxy.changes.map(({ state }) => state),
    ['ejected', 'available'],
  )
})

test('where none is left the first is asked all the same, and one that the config drops is told as gone', async () => {
  const [a, b] = [await nobody(), await nobody()]
  await using proxy = await startProxy(forwarding({ parent: [`http://${a}`, `socks5://${b}`] }, [443]))
  for (let i = 0; i < 4; i++) {
    using c = await proxy.connect()
    assert.is((await c.send(connecting('example.com:443')).response()).status, 502)
  }
  const details = (await Promise.all([1, 4].map((i) => proxy.exchange(i)))).map(({ detail }) => String(detail))
  assert.match(details[0]!, /^parent http:\S+: ECONNREFUSED \S+; parent socks5:\S+: ECONNREFUSED \S+$/)
  assert.match(details[1]!, /^parent http:\S+: ECONNREFUSED \S+$/)
  proxy.use(forwarding({ parent: `http://${a}` }, [443]))
  const told = proxy.changes.map(({ endpoint, state }) => `${endpoint?.split(':')[0]} ${state}`)
  assert.equal(told, ['http ejected', 'socks5 ejected', 'socks5 available'])
})

test('a place that goes directly is judged by the guard, and connections by a stand-in are not kept', async () => {
  await using origin = await startOrigin((request) => answer(request.target))
  await using good = await startProxy(forwarding({}, [origin.port]))
  const parent = [{ hosts: 'localhost', via: 'direct' as const }, `http://${await nobody()}`, `http://127.0.0.1:${good.port}`]
  const allow = { networks: ['192.0.2.0/24'], hosts: ['localhost', '127.0.0.1'] }
  await using proxy = await startProxy(forwarding({ listen: 'localhost:0', parent, allow }))
  using c = await proxy.connect()
  assert.is((await c.send(asking(`http://localhost:${origin.port}/`)).response()).status, 403)
  for (let i = 0; i < 5; i++) assert.is((await c.send(asking(`http://127.0.0.1:${origin.port}/${i}`)).response()).text, `/${i}`)
  assert.is(origin.connections.length, 1)
  // Three that stood in; then it is the one to ask first, and its connection is kept.
  assert.is(proxy.dialled.filter(({ ok }) => ok).length, 4)
})

test.run()
