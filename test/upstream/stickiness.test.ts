/** Clients that stay with their endpoint by a cookie: how they get it, what it is worth, and when they move. */
import { once } from 'node:events'
import * as http2 from 'node:http2'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, http, type OutlierDetection, type Sticky, upstream } from '../../core/index.ts'
import { cookieIn } from '../../core/net/http1/cookie.ts'
import { withCertificates } from '../support/certificates.ts'
import type { Client } from '../support/client.ts'
import { within } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

interface Options {
  readonly sticky?: Partial<Sticky>
  readonly outlier?: OutlierDetection
  readonly name?: string
  readonly weights?: readonly number[]
}

function configOf(origins: readonly Origin[], { sticky, outlier, name = 'api', weights = [] }: Options = {}): Config {
  const endpoints = origins.map(({ address }, i) => ({ address, weight: weights[i] ?? 1 }))
  const to = upstream(name, { endpoints, sticky: { cookie: 'lb', ...sticky }, outlier, panic: 0 })
  return { listeners: { web: http({ listen: 0, routes: [{ to }] }) } }
}

/** Three that tell their names. */
async function startThree(): Promise<Origin[]> {
  return Promise.all(['a', 'b', 'c'].map((name) => startOrigin(({ target }) => answer(name, target === '/fail' ? 500 : 200))))
}

async function ask(c: Client, cookie = '', path = '/'): Promise<{ text: string; set: string | undefined }> {
  const line = cookie === '' ? '' : `Cookie: ${cookie}\r\n`
  const response = await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n${line}\r\n`).response()
  return { text: response.text, set: response.headers['set-cookie'] }
}

function pairOf(set: string | undefined): string {
  assert.ok(set !== undefined, 'no cookie was set')
  return set!.split(';')[0]!
}

async function close(origins: readonly Origin[]): Promise<void> {
  for (const origin of origins) await origin.close()
}

test('a client gets a cookie once, and stays with its endpoint from then on; others are spread', async () => {
  const origins = await startThree()
  await using proxy = await startProxy({ config: configOf(origins) })
  using c = await proxy.connect()
  const first = await ask(c)
  assert.match(first.set!, /^lb=[\w-]{12}\.[\w-]{24}; Path=\/; HttpOnly; SameSite=Lax$/)
  for (let i = 0; i < 9; i++) assert.equal(await ask(c, `x=1; ${pairOf(first.set)}; y=2`), { text: first.text, set: undefined })
  const others = new Set([first.text, (await ask(c)).text, (await ask(c)).text])
  assert.is(others.size, 3)
  await close(origins)
})

test('what it is worth nothing to have: a cookie that was changed, is of another upstream, or was made with another secret', async () => {
  const origins = await startThree()
  await using proxy = await startProxy({ config: configOf(origins) })
  await using other = await startProxy({ config: configOf(origins) })
  await using named = await startProxy({ config: configOf(origins, { name: 'other', sticky: { secret: 'a secret for both of them' } }) })
  await using same = await startProxy({ config: configOf(origins, { sticky: { secret: 'a secret for both of them' } }) })
  using c = await proxy.connect()
  const good = pairOf((await ask(c)).set)
  const flipped = good.slice(0, -1) + (good.endsWith('A') ? 'B' : 'A')
  const values = [flipped, good.slice(0, -1), `${good}A`, 'lb=', 'lb=a.b', `lb=${'A'.repeat(37)}`, `lb=${origins[1]!.address}`]
  for (const value of [...values, await madeBy(other), await madeBy(named)]) {
    const asked = await ask(c, value)
    assert.ok(asked.set?.startsWith('lb='), `${value} was taken`)
  }
  using d = await same.connect()
  assert.ok((await ask(d, await madeBy(named))).set?.startsWith('lb='))
  for (const ended of proxy.ended) assert.is(ended.moved, null)
  await close(origins)
})

async function madeBy(proxy: RunningProxy): Promise<string> {
  using c = await proxy.connect()
  return pairOf((await ask(c)).set)
}

test('a reload and a restart with the same secret leave clients where they are; without one a restart does not', async () => {
  const origins = await startThree()
  const secret = 'sixteen characters and more'
  await using proxy = await startProxy({ config: configOf(origins) })
  using c = await proxy.connect()
  const own = await ask(c)
  proxy.use({ config: configOf(origins.toReversed(), { weights: [5, 1, 1] }) })
  assert.equal(await ask(c, pairOf(own.set)), { text: own.text, set: undefined })
  await using before = await startProxy({ config: configOf(origins, { sticky: { secret } }) })
  await using after = await startProxy({ config: configOf(origins, { sticky: { secret } }) })
  using d = await before.connect()
  using e = await after.connect()
  const given = await ask(d)
  assert.equal(await ask(e, pairOf(given.set)), { text: given.text, set: undefined })
  assert.ok((await ask(e, pairOf(own.set))).set !== undefined)
  await close(origins)
})

test('a client moves when its endpoint is removed, gets a new cookie, and the log says why', async () => {
  const origins = await startThree()
  await using proxy = await startProxy({ config: configOf(origins) })
  using c = await proxy.connect()
  const first = await ask(c)
  const left = origins.filter((_, i) => 'abc'[i] !== first.text)
  proxy.use({ config: configOf(left) })
  const second = await ask(c, pairOf(first.set))
  assert.is.not(second.text, first.text)
  assert.equal(await ask(c, pairOf(second.set)), { text: second.text, set: undefined })
  assert.equal(
    proxy.ended.map(({ moved }) => moved),
    [null, 'removed', null],
  )
  await close(origins)
})

test('a client moves while its endpoint is ejected, and not for a single failure', async () => {
  const origins = await startThree()
  const config = configOf(origins, { outlier: { consecutiveFailures: 2, ejectFor: '1h', maxEjected: 0.5 } })
  await using proxy = await startProxy({ config })
  using c = await proxy.connect()
  const first = await ask(c)
  const cookie = pairOf(first.set)
  assert.is((await ask(c, cookie, '/fail')).text, first.text)
  assert.is((await ask(c, cookie)).text, first.text)
  for (let i = 0; i < 2; i++) assert.equal(await ask(c, cookie, '/fail'), { text: first.text, set: undefined })
  const moved = await ask(c, cookie)
  assert.is.not(moved.text, first.text)
  assert.is.not(pairOf(moved.set), cookie)
  assert.equal(
    proxy.ended.map((one) => one.moved),
    [null, null, null, null, null, 'ejected'],
  )
  await close(origins)
})

test('an endpoint of weight 0 keeps those who belong to it, and gets no others', async () => {
  const origins = await startThree()
  await using proxy = await startProxy({ config: configOf(origins) })
  using c = await proxy.connect()
  const first = await ask(c)
  proxy.use({ config: configOf(origins, { weights: ['a', 'b', 'c'].map((name) => (name === first.text ? 0 : 1)) }) })
  assert.equal(await ask(c, pairOf(first.set)), { text: first.text, set: undefined })
  for (let i = 0; i < 6; i++) assert.is.not((await ask(c)).text, first.text)
  await close(origins)
})

test('a cookie of that name that an endpoint sets is taken out, whether ours is set or not; others stay in their order', async () => {
  await using origin = await startOrigin(() =>
    answer('x', 200, ['Set-Cookie: a=lb=1', 'Set-Cookie: lb=theirs; Path=/', 'set-cookie: lbx=2', 'Set-Cookie:  lb =3']),
  )
  await using proxy = await startProxy({ config: configOf([origin]) })
  using c = await proxy.connect()
  const setBy = async (cookie: string): Promise<string[]> => {
    const { head } = await c.send(`GET / HTTP/1.1\r\nHost: x\r\n${cookie}\r\n`).response()
    return [...head.matchAll(/^set-cookie: *([^;\r\n]*)/gim)].map(([, pair]) => pair!)
  }
  const [a, b, own, ...more] = await setBy('')
  assert.equal([a, b, more], ['a=lb=1', 'lbx=2', []])
  assert.match(own!, /^lb=[\w-]{12}\./)
  assert.equal(await setBy(`Cookie: ${own}\r\n`), ['a=lb=1', 'lbx=2'])
})

test('an answer of the proxy itself sets no cookie; one that a hook let through does', async () => {
  await using proxy = await startProxy({ config: configOf([{ address: '127.0.0.1:1' } as Origin]) })
  using c = await proxy.connect()
  assert.is((await ask(c)).set, undefined)
  assert.is(proxy.ended[0]!.status, 502)
})

test('its attributes are as asked for', async () => {
  const origins = await startThree()
  const sticky = { cookie: 'SRV', maxAge: '2h', path: '/app', secure: true, sameSite: 'none' } as const
  await using proxy = await startProxy({ config: configOf(origins, { sticky }) })
  using c = await proxy.connect()
  assert.match((await ask(c)).set!, /^SRV=[^;]+; Path=\/app; Max-Age=7200; HttpOnly; Secure; SameSite=None$/)
  await close(origins)
})

test('an upgraded connection gets its cookie with the 101', async () => {
  await using origin = await startOrigin(() => 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n')
  await using proxy = await startProxy({ config: configOf([origin]) })
  using c = await proxy.connect()
  const head = await c.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n').until('\r\n\r\n')
  assert.match(head, /\r\nSet-Cookie: lb=/)
})

withCertificates(test)('over HTTP/2, where clients send each cookie in a field of its own, it is the same and secure', async (made) => {
  const origins = await startThree()
  const to = upstream('api', { endpoints: origins.map(({ address }) => address), sticky: { cookie: 'lb' } })
  const tls = { cert: made.server.certFile, key: made.server.keyFile, alpn: ['h2', 'http/1.1'] } as const
  await using proxy = await startProxy({ config: { listeners: { web: http({ listen: 0, tls, routes: [{ to }] }) } } })
  const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: made.ca.cert, servername: 'example.com' })
  const get = async (cookie: readonly string[]): Promise<{ text: string; set: readonly string[] | undefined }> => {
    const stream = session.request({ ':path': '/', ':authority': 'example.com', ...(cookie.length > 0 ? { cookie: [...cookie] } : {}) })
    const [head] = await within(once(stream, 'response'), 'no response')
    const pieces: Buffer[] = []
    for await (const piece of stream) pieces.push(piece as Buffer)
    return { text: Buffer.concat(pieces).toString(), set: head['set-cookie'] }
  }
  const first = await get([])
  assert.match(first.set![0]!, /^lb=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  for (let i = 0; i < 4; i++) assert.equal(await get(['a=1', pairOf(first.set![0]), 'b=2']), { text: first.text, set: undefined })
  session.destroy()
  await close(origins)
})

test('a cookie is read out of a field as a list of all of them would have it', () => {
  const name = fc.constantFrom('lb', 'l', 'lbx', 'xlb', 'LB')
  const value = fc.stringMatching(/^[\w=.-]{0,6}$/)
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value)), fc.constantFrom('; ', ';', ' ;  ', ', '), (pairs, separator) => {
      const field = pairs.map(([one, text]) => `${one}=${text}`).join(separator)
      assert.is(cookieIn(field, 'lb'), pairs.find(([one]) => one === 'lb')?.[1] ?? null)
    }),
  )
  for (const field of ['', 'lb', 'a=1; lb', '=lb', ';;;', 'a="lb=1"']) assert.is(cookieIn(field, 'lb'), null)
})

test.run()
