/** Copies of requests: what they are, when there is none, and that nobody ever waits for one. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { http, type RouteTo, upstream } from '../../core/index.ts'
import { Counters } from '../../core/observe/counters.ts'
import { Traffic } from '../../core/observe/traffic.ts'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, type Origin, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const GET = 'GET /a?b=1 HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n'

interface Ends {
  readonly real: { readonly address: string }
  readonly other: { readonly address: string }
}

function mirroring(
  { real, other }: Ends,
  options: Partial<RouteTo> & { readonly share?: number; readonly body?: '8b' } = {},
): Promise<RunningProxy> {
  const { share, body, ...route } = options
  const to = upstream('other', { endpoints: [other.address], host: 'name' })
  const routes = [{ to: real.address, mirror: { to, share, body }, ...route }]
  return startProxy({ config: { listeners: { web: http({ listen: ':0', routes }) } } })
}

test('a copy is the request as it is sent, with a mark, for the other host; its answer is counted and nothing else', async () => {
  await using real = await startOrigin(() => answer('real'))
  await using other = await startOrigin(() => answer('other', 404))
  await using proxy = await mirroring({ real, other }, { path: '/x/*', rewrite: '/*' })
  const { text } = await request(proxy.port, GET.replace('/a', '/x/a'))
  assert.is(text, 'real')
  const copy = await other.request()
  const { headers } = copy
  assert.equal([copy.method, copy.target, headers.host, headers['x-mirrored']], ['GET', '/a?b=1', 'other', '1'])
  assert.equal([headers['x-forwarded-for'], headers['x-forwarded-host'], headers.via], ['127.0.0.1', 'example.com', '1.1 sluice'])
  assert.is((await real.request()).headers['x-mirrored'], undefined)
  assert.is(await proxy.copy(), 'other 4xx')
  assert.equal([(await proxy.exchange()).status, proxy.ended.length], [200, 1])
})

test('bodies come along, whatever their framing, when they are complete', async () => {
  await using real = await startOrigin(() => answer('ok'))
  await using other = await startOrigin(() => answer('ok'))
  await using proxy = await mirroring({ real, other })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234')
  await real.connection()
  assert.is(other.requests.length, 0)
  c.send('56789')
  await c.response()
  assert.equal([(await other.request()).text, await proxy.copy()], ['0123456789', 'other 2xx'])
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
  await real.connection()
  c.send('2\r\nde\r\n0\r\n\r\n')
  await c.response()
  assert.equal([await proxy.copy(2), other.requests[1]!.text, real.requests[1]!.text], ['other 2xx', 'abcde', 'abcde'])
})

test('there is none of a body that is too long, or does not come', async () => {
  let heads = 0
  const onHead = (): undefined => {
    heads++
  }
  await using real = await startOrigin(() => answer('ok'), { onHead })
  await using other = await startOrigin(() => answer('ok'))
  await using proxy = await mirroring({ real, other }, { body: '8b' })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n012345678')
  assert.is((await c.response()).status, 200)
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n').send('5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n')
  assert.is((await c.response()).status, 200)
  heads = 0
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n0123')
  await eventually(() => heads > 0 || undefined, 'the head')
  c.socket.resetAndDestroy()
  assert.equal([await proxy.copy(1), await proxy.copy(2), await proxy.copy(3)], ['other too_large', 'other too_large', 'other incomplete'])
  assert.is(other.requests.length, 0)
})

test('who does not answer, or cannot be reached, holds nobody up', async () => {
  await using real = await startOrigin(() => answer('real'))
  await using hanging = await startOrigin(() => undefined)
  await using proxy = await mirroring({ real, other: hanging })
  for (let i = 0; i < 3; i++) assert.is((await request(proxy.port, GET)).text, 'real')
  await hanging.request()
  assert.equal(proxy.mirrored, [])
  await using gone = await mirroring({ real, other: { address: '127.0.0.1:1' } })
  assert.is((await request(gone.port, GET)).text, 'real')
  assert.is(await gone.copy(), 'other failed')
})

test('no more than 256 are under way, and a long answer is not read to its end', async () => {
  await using real = await startOrigin(() => answer('real'))
  let isOpen = false
  const held: (() => void)[] = []
  await using other: Origin = await startOrigin((_, connection) => {
    if (isOpen) return `HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n${'x'.repeat(3_000_000)}`
    held.push(() => connection.write(answer('late')))
    return undefined
  })
  await using proxy = await mirroring({ real, other })
  using c = await proxy.connect()
  for (let i = 0; i < 257; i++) {
    c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await c.response()
  }
  assert.equal(proxy.mirrored, ['other busy'])
  await other.request(256)
  for (const go of held) go()
  for (let i = 2; i <= 257; i++) assert.is(await proxy.copy(i), 'other 2xx')
  isOpen = true
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await c.response()
  assert.is(await proxy.copy(258), 'other 2xx')
})

test('a share of nothing copies nothing, and upgrades are not copied', async () => {
  await using real = await startOrigin(() => answer('real'))
  await using other = await startOrigin(() => answer('other'))
  await using none = await mirroring({ real, other }, { share: 0 })
  for (let i = 0; i < 5; i++) await request(none.port, GET)
  await using proxy = await mirroring({ real, other })
  await request(proxy.port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n').catch(() => {})
  assert.equal([none.mirrored, proxy.mirrored, other.requests.length], [[], [], 0])
})

test('copies are counted by upstream and outcome', () => {
  const counters = new Counters()
  const sink = { append: () => {}, isTerminal: false, hasColor: false, dropped: 0 }
  const traffic = new Traffic({ counters, sink: sink as never, onPluginLine() {}, onChangeLine() {} })
  for (const outcome of ['2xx', '2xx', 'busy'] as const) traffic.mirrored('other', outcome)
  const { delta, values } = counters.snapshot()
  const slots = delta.flatMap(({ family, labels }, slot) => (family === 'mirrored_requests_total' ? [[...labels, values[slot]]] : []))
  assert.equal(slots, [
    ['other', '2xx', 2],
    ['other', 'busy', 1],
  ])
})

test.run()
