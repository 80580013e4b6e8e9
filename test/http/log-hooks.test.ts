/** Which hooks of the log an exchange is told to have: those of its listener and of its route that want it, the same list each time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { hook, startProxy } from '../support/proxy.ts'

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'

const onLog = () => null
const names = (hooks: readonly Hook[] | null): string => hooks?.map(({ name }) => name).join(' ') ?? 'none'
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

test('the hooks of the listener, then those of the matched route; what has no onLog is not among them', async () => {
  await using origin = await startOrigin()
  const silent = hook('silent', { onRequest: () => null })
  const routes = [
    { path: '/both', hooks: [silent, hook('c', { onLog }), hook('d', { onLog })] },
    { path: '/one', hooks: [silent] },
    { path: '/two', hooks: [] },
  ]
  await using proxy = await startProxy({ origin, listener: { hooks: [hook('a', { onLog }), silent, hook('b', { onLog })] }, routes })
  using client = await proxy.connect()
  for (const path of ['/both', '/one', '/two', '/none', '/both']) await client.send(get(path)).response()
  await proxy.exchange(5)
  const lists = proxy.ended.map((one) => one.logHooks)
  assert.equal(lists.map(names), ['a b c d', 'a b', 'a b', 'a b', 'a b c d'])
  assert.is(lists[0], lists[4])
  assert.is(lists[1], lists[2])
  assert.is(lists[1], lists[3])
})

test('a listener without such hooks has none, and neither have routes beside one that has', async () => {
  await using origin = await startOrigin()
  const silent = hook('silent', { onResponse: () => null })
  await using plain = await startProxy({ origin, listener: { hooks: [silent] } })
  using first = await plain.connect()
  await first.send(get('/')).response()
  assert.is((await plain.exchange()).logHooks, null)
  await using proxy = await startProxy({ origin, routes: [{ path: '/a', hooks: [hook('a', { onLog })] }, {}] })
  using client = await proxy.connect()
  for (const path of ['/a', '/b', '/%00']) await client.send(get(path)).response()
  await proxy.exchange(3)
  assert.equal(
    proxy.ended.map((one) => names(one.logHooks)),
    ['a', 'none', 'none'],
  )
})

test('a hook that does not want a request is left out, by what the route was matched with and not by what became of it', async () => {
  await using origin = await startOrigin()
  const wants = (name: string, path: string) => hook(name, { onLog, matches: (request) => request.path.startsWith(path) })
  const routes = [{ path: '/login', hooks: [wants('route', '/login')], rewrite: '/v2/login' }, { hooks: [wants('other', '/login')] }]
  await using proxy = await startProxy({ origin, listener: { hooks: [wants('login', '/login'), wants('v2', '/v2')] }, routes })
  using client = await proxy.connect()
  for (const path of ['/login?token=1', '/v2/x', '/x']) await client.send(get(path)).response()
  await proxy.exchange(3)
  assert.equal(
    proxy.ended.map((one) => `${one.path}: ${names(one.logHooks)}`),
    ['/v2/login: login route', '/v2/x: v2', '/x: none'],
  )
})

test('a tunnel is told with the hooks it began with, which are held until then', async () => {
  await using origin = await startOrigin(() => answer('ok'), { onHead: () => GRANT })
  let holders = 0
  const counted = hook('counted', {
    onLog,
    hold: () => {
      holders++
    },
    release: () => {
      holders--
    },
  })
  await using proxy = await startProxy({ origin, routes: [{ hooks: [counted] }] })
  using client = await proxy.connect()
  assert.is((await client.send(UPGRADE).response()).status, 101)
  proxy.use({ origin })
  assert.is(holders, 1)
  client.destroy()
  assert.is(names((await proxy.exchange()).logHooks), 'counted')
  assert.is(holders, 0)
})

test.run()
