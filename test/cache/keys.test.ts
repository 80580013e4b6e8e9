/** Whose answer it is: nobody can make one be kept for others that they would not get, and nobody gets one that is another route's. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { keyedQuery } from '../../core/cache/key.ts'
import { readVary } from '../../core/cache/vary.ts'
import { basicAuth, type Config, cache, http } from '../../core/index.ts'
import { fresh, requestOf, startCached } from '../support/cache.ts'
import { type OriginConnection, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const status = 'cache-status'

async function ask(proxy: RunningProxy, path: string, lines: readonly string[] = []) {
  using client = await proxy.connect()
  const { text, headers } = await client.send(requestOf(path, lines)).response()
  return `${text} ${/hit|fwd=[a-z-]+/.exec(headers[status] ?? '')?.[0] ?? 'none'}`
}

test('fields that choose another URL, host or method somewhere behind are neither answered for others nor kept', async () => {
  await using cached = await startCached(({ headers }) =>
    fresh(headers['x-original-url'] ?? headers['x-forwarded-host'] ?? headers['x-http-method-override'] ?? 'plain'),
  )
  for (const line of ['X-Original-URL: /evil', 'X-Rewrite-URL: /evil', 'X-HTTP-Method-Override: POST', 'X-Host: evil'])
    assert.is((await cached.get('/', [line])).headers[status], 'sluice; fwd=uri-miss; detail=unkeyed', line)
  assert.is((await cached.get('/', ['X-Forwarded-Host: evil'])).text, 'example.com')
  assert.is((await cached.get('/')).text, 'example.com')
})

test('who proved to be somebody, in whatever way, gets no answer of another one, and leaves none', async () => {
  const users = { ann: 'a', bob: 'b' }
  const outer = [basicAuth({ users, passOn: false, userHeader: 'X-User' })]
  await using cached = await startCached(({ headers }) => fresh(`for ${headers['x-user']}`), { outer })
  const as = async (name: keyof typeof users) => {
    const credentials = Buffer.from(`${name}:${users[name]}`).toString('base64')
    return (await cached.get('/', [`Authorization: Basic ${credentials}`])).text
  }
  assert.equal([await as('ann'), await as('bob'), await as('ann')], ['for ann', 'for bob', 'for ann'])
})

test('a parameter that some endpoints take for two is part of the key, whatever the config leaves out', () => {
  const rule = { kind: 'without', names: ['utm_*'] } as const
  assert.is(keyedQuery('?id=1&utm_x=a', rule), '?id=1')
  assert.is(keyedQuery('?id=1&utm_x=a;id=2', rule), '?id=1&utm_x=a;id=2')
  assert.is(keyedQuery('?id=1&x=;id=2', { kind: 'only', names: ['id'] }), '?id=1&x=;id=2')
})

test('an answer that varies by what the proxy writes is nobody else’s', () => {
  for (const name of ['Client-Cert', 'X-Forwarded-For', 'Forwarded', 'Via']) assert.is(readVary(`Accept, ${name}`), '*', name)
  assert.equal(readVary('Accept, X-Forwarded-Proto'), ['accept', 'x-forwarded-proto'])
})

test('what a trusted proxy says of the host is part of the key', async () => {
  await using cached = await startCached(({ headers }) => fresh(headers['x-forwarded-host']!), { trust: ['127.0.0.1'] })
  const host = (name: string) => cached.get('/', [`X-Forwarded-Host: ${name}`])
  assert.equal([(await host('a')).text, (await host('b')).text, (await host('a')).text], ['a', 'b', 'a'])
  assert.is(cached.asked, 2)
})

test('a function of the config that throws while requests wait is an error of theirs alone', async () => {
  let calls = 0
  const waiting: OriginConnection[] = []
  await using cached = await startCached(
    (_, connection) => {
      waiting.push(connection)
      return undefined
    },
    {
      key: () => {
        if (++calls > 2) throw new Error('no key')
        return 'a'
      },
    },
  )
  cached.client.send(requestOf('/a'))
  await cached.origin.request()
  using other = await cached.proxy.connect()
  other.send(requestOf('/a'))
  await cached.proxy.settled()
  waiting[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: private\r\n\r\nx')
  assert.equal([(await cached.client.response()).status, (await other.response()).status], [200, 500])
  assert.is((await cached.proxy.exchange(2)).reason, 'hook_failed')
})

test('fields and cookies of the config are part of the key, missing ones too', async () => {
  await using cached = await startCached(({ headers }) => fresh(`${headers['x-tenant']} ${headers.cookie}`), {
    vary: { headers: ['X-Tenant'], cookies: ['lang'] },
  })
  const texts = []
  for (const lines of [[], ['X-Tenant: a'], ['X-Tenant: '], ['Cookie: lang=de; x=1'], ['Cookie: lang=de; x=2'], ['X-Tenant: a']])
    texts.push((await cached.get('/', lines)).text)
  assert.equal(texts, [
    'undefined undefined',
    'a undefined',
    ' undefined',
    'undefined lang=de; x=1',
    'undefined lang=de; x=1',
    'a undefined',
  ])
})

test('a key of the config stands in the place of path and query, and not of the host', async () => {
  let number = 0
  await using cached = await startCached(() => fresh(`${++number}`), { key: (req) => req.path.split('/')[1]! })
  const texts = []
  for (const [path, host] of [
    ['/a/1?x', 'x'],
    ['/a/2', 'x'],
    ['/b', 'x'],
    ['/a/1', 'y'],
  ] as const)
    texts.push((await cached.get(path, [`Host: ${host}`])).text)
  assert.equal(texts, ['1', '1', '2', '3'])
})

test('when and bypass decide by the request', async () => {
  let number = 0
  await using cached = await startCached(() => fresh(`${++number}`), {
    when: (req) => req.path !== '/never',
    bypass: (req) => req.headers.has('x-fresh'),
  })
  assert.equal([(await cached.get('/never')).headers[status], (await cached.get('/never')).text], [undefined, '2'])
  await cached.get('/')
  assert.is((await cached.get('/', ['X-Fresh: 1'])).headers[status], 'sluice; fwd=bypass; stored')
  assert.equal(
    [(await cached.get('/')).text, (await cached.proxy.exchange(1)).cache, (await cached.proxy.exchange(4)).cache],
    ['4', null, 'refresh'],
  )
})

test('routes that tell requests of one URL apart do not answer for each other, with a cache of the listener', async () => {
  await using inside = await startOrigin(() => fresh('inside'))
  await using outside = await startOrigin(() => fresh('outside'))
  const config = (first: boolean): Config => ({
    listeners: {
      web: http({
        listen: ':8080',
        use: [cache()],
        routes: [
          first && { path: '/new', respond: { status: 200, body: 'new' } },
          { headers: { 'x-inside': true }, to: inside.address },
          { to: outside.address },
        ],
      }),
    },
  })
  await using proxy = await startProxy({ config: config(false) })
  assert.equal([await ask(proxy, '/', ['X-Inside: 1']), await ask(proxy, '/')], ['inside fwd=uri-miss', 'outside fwd=uri-miss'])
  assert.equal([await ask(proxy, '/', ['X-Inside: 1']), await ask(proxy, '/')], ['inside hit', 'outside hit'])
  // A route in front of them shifts their names, and nothing else.
  proxy.use({ config: config(true) })
  assert.equal(
    [await ask(proxy, '/', ['X-Inside: 1']), await ask(proxy, '/'), await ask(proxy, '/new')],
    ['inside hit', 'outside hit', 'new none'],
  )
})

test("a route's own cache stands in the place of its listener's", async () => {
  await using origin = await startOrigin(() => fresh('kiwi'))
  const config: Config = {
    listeners: {
      web: http({
        listen: ':8080',
        use: [cache()],
        routes: [{ path: '/private/*', use: [cache({ when: () => false })], to: origin.address }, { to: origin.address }],
      }),
    },
  }
  await using proxy = await startProxy({ config })
  assert.equal(
    [await ask(proxy, '/private/a'), await ask(proxy, '/a'), await ask(proxy, '/a')],
    ['kiwi none', 'kiwi fwd=uri-miss', 'kiwi hit'],
  )
})

test('hooks before the cache are asked about every request and answer, those behind it only about what goes on', async () => {
  const notes: string[] = []
  const note = (name: string) => ({
    onRequest: () => void notes.push(`${name} >`),
    onResponse: (res: { headers: { append(name: string, value: string): void } }) => {
      notes.push(`${name} <`)
      res.headers.append('x-by', name)
    },
  })
  await using cached = await startCached(() => fresh('kiwi'), { outer: [note('outer')], inner: [note('inner')] })
  assert.is((await cached.get()).headers['x-by'], 'inner, outer')
  assert.is((await cached.get()).headers['x-by'], 'inner, outer')
  assert.equal(notes, ['outer >', 'inner >', 'inner <', 'outer <', 'outer >', 'outer <'])
})

test('what has passed a hook that reads bodies is not kept', async () => {
  await using cached = await startCached(() => fresh('kiwi', 60, ['Content-Type: text/plain']), {
    inner: [{ onResponseBody: { mode: 'buffer', handle: (body: Uint8Array) => Buffer.concat([body, Buffer.from('!')]) } as never }],
  })
  for (let i = 0; i < 2; i++) {
    const { text, headers } = await cached.get()
    assert.is(text.startsWith('kiwi'), true)
    assert.is(headers[status], 'sluice; fwd=uri-miss; detail=hooks')
  }
})

test('with less memory after a reload, what does not fit goes; with another way to make keys, it is not found', async () => {
  await using origin = await startOrigin(() => fresh('x'.repeat(30_000)))
  const config = (options: Parameters<typeof cache>[0]): Config => ({
    listeners: { web: http({ listen: ':8080', use: [cache(options)], routes: [{ to: origin.address }] }) },
  })
  await using proxy = await startProxy({ config: config({ memory: '1mb' }) })
  for (let i = 0; i < 10; i++) await ask(proxy, `/${i}`)
  assert.is(proxy.caches.counts[0]!.objects, 10)
  proxy.use({ config: config({ memory: '100kb' }) })
  await ask(proxy, '/0')
  const [counts] = proxy.caches.counts
  assert.ok(counts!.bytes <= 102_400 && counts!.objects > 0 && counts!.objects < 10, JSON.stringify(counts))
  proxy.use({ config: config({ memory: '100kb', query: 'sorted' }) })
  assert.match(await ask(proxy, '/0'), 'uri-miss')
})

test.run()
