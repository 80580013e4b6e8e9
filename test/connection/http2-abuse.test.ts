/**
 * A client that breaks the rules of HTTP/2, or makes work without asking for anything, is told so and closed, alone: its reason is in the
 * log, and who came by another connection is served meanwhile. What one stream did wrong ends that stream.
 */
// Runs alone: it looks at the memory of its process.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PENDING } from '../../core/hooks.ts'
import { integer, literal } from '../support/hpack.ts'
import {
  blockOf,
  connectFrames,
  END_HEADERS,
  END_STREAM,
  type FrameClient,
  frameOf,
  frameType,
  headersOf,
  number32,
  settingsOf,
} from '../support/http2-frames.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { hook, type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'example.com', ':path', '/']
const POST = GET.map((text) => (text === 'GET' ? 'POST' : text))
const { data, headers, priority, reset, settings, push, ping, goaway, windowUpdate, continuation } = frameType
const [PROTOCOL, FLOW_CONTROL, STREAM_CLOSED, FRAME_SIZE, REFUSED, COMPRESSION, CALM] = [1, 3, 5, 6, 7, 9, 11]
const CANCEL = number32(8)
const [TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW, MAX_FRAME] = [1, 2, 4, 5]

interface Abuse {
  readonly what: string
  readonly error: number
  readonly reason: string
  readonly detail?: RegExp
  readonly options?: ProxyOptions
  send(client: FrameClient): unknown
}

const ids = (count: number, from = 1): number[] => Array.from({ length: count }, (_, i) => from + 2 * i)
const repeated = (frame: Buffer, count: number): Buffer => Buffer.concat(Array.from({ length: count }, () => frame))
const open = (client: FrameClient, fields: readonly string[] = POST): FrameClient => client.headers(1, fields)

const floods: readonly Abuse[] = [
  {
    what: 'streams that are reset as soon as they are opened (CVE-2023-44487)',
    ...{ error: CALM, reason: 'http2_flood', detail: /reset/ },
    send: (c) =>
      c.write(Buffer.concat(ids(500).map((id) => Buffer.concat([headersOf(id, GET, END_STREAM), frameOf(reset, 0, id, CANCEL)])))),
  },
  {
    what: 'streams that make us reset them (CVE-2025-8671)',
    ...{ error: CALM, reason: 'http2_flood', detail: /reset/ },
    send: (c) =>
      c.write(Buffer.concat(ids(500).map((id) => Buffer.concat([headersOf(id, POST), frameOf(windowUpdate, 0, id, number32(0))])))),
  },
  {
    what: 'more streams than are allowed, again and again',
    ...{ error: CALM, reason: 'http2_flood', detail: /reset/ },
    send: (c) => c.write(Buffer.concat(ids(600).map((id) => headersOf(id, POST)))),
  },
  {
    what: 'a field block in pieces without end (CVE-2024-27316)',
    ...{ error: CALM, reason: 'http2_flood', detail: /pieces/ },
    send: (c) => c.send(headers, END_STREAM, 1, blockOf(GET)).write(repeated(frameOf(continuation, 0, 1, ''), 100)),
  },
  {
    what: 'a field block without end',
    ...{ error: CALM, reason: 'http2_flood', detail: /too large/ },
    send: (c) => {
      c.send(headers, END_STREAM, 1, blockOf(GET))
      for (let i = 0; i < 20; i++) c.send(continuation, 0, 1, blockOf(['x', 'a'.repeat(5000)]))
    },
  },
  {
    what: 'SETTINGS (CVE-2019-9515)',
    error: CALM,
    reason: 'http2_flood',
    send: (c) => c.write(repeated(frameOf(settings, 0, 0, ''), 2000)),
  },
  {
    what: 'PING (CVE-2019-9512)',
    error: CALM,
    reason: 'http2_flood',
    send: (c) => c.write(repeated(frameOf(ping, 0, 0, '12345678'), 2000)),
  },
  {
    what: 'PRIORITY (CVE-2019-9513)',
    error: CALM,
    reason: 'http2_flood',
    send: (c) => c.write(repeated(frameOf(priority, 0, 1, '12345'), 2000)),
  },
  { what: 'frames of an unknown type', error: CALM, reason: 'http2_flood', send: (c) => c.write(repeated(frameOf(0x42, 0, 0, ''), 2000)) },
  { what: 'GOAWAY', error: CALM, reason: 'http2_flood', send: (c) => c.write(repeated(frameOf(goaway, 0, 0, '12345678'), 2000)) },
  {
    what: 'DATA without data (CVE-2019-9518)',
    ...{ error: CALM, reason: 'http2_flood' },
    send: (c) => open(c).write(repeated(frameOf(data, 0, 1, ''), 2000)),
  },
  {
    what: 'windows that grow by one byte, of the connection',
    ...{ error: CALM, reason: 'http2_flood' },
    send: (c) => c.write(repeated(frameOf(windowUpdate, 0, 0, number32(1)), 2000)),
  },
  {
    what: 'windows that grow by one byte, of a stream',
    ...{ error: CALM, reason: 'http2_flood' },
    send: (c) => open(c).write(repeated(frameOf(windowUpdate, 0, 1, number32(1)), 2000)),
  },
]

const faults: readonly Abuse[] = [
  { what: 'SETTINGS that are not first', error: PROTOCOL, reason: 'http2_error', send: (c) => c.send(push, END_HEADERS, 1, '1234') },
  {
    what: 'a frame that is too large',
    error: FRAME_SIZE,
    reason: 'http2_error',
    send: (c) => c.write(Buffer.from('\0\x40\x01\0\0\0\0\0\x01', 'latin1')),
  },
  {
    what: 'a field block that cannot be read',
    error: COMPRESSION,
    reason: 'http2_error',
    send: (c) => c.send(headers, 5, 1, '\xff\xff\xff\xff\xff\xff\xff'),
  },
  { what: 'trailers that cannot be read', error: COMPRESSION, reason: 'http2_error', send: (c) => open(c).send(headers, 5, 1, '\x80') },
  { what: 'an even stream', error: PROTOCOL, reason: 'http2_error', send: (c) => c.headers(2, GET, END_STREAM) },
  {
    what: 'a stream that goes back',
    error: STREAM_CLOSED,
    reason: 'http2_error',
    send: (c) => c.headers(5, GET, END_STREAM).headers(3, GET, END_STREAM),
  },
  { what: 'DATA for a stream that was never opened', error: PROTOCOL, reason: 'http2_error', send: (c) => c.send(data, 0, 1, 'a') },
  { what: 'a reset of one', error: PROTOCOL, reason: 'http2_error', send: (c) => c.send(reset, 0, 1, CANCEL) },
  { what: 'a window for one', error: PROTOCOL, reason: 'http2_error', send: (c) => c.send(windowUpdate, 0, 1, number32(1)) },
  { what: 'a window that grows by nothing', error: PROTOCOL, reason: 'http2_error', send: (c) => c.send(windowUpdate, 0, 0, number32(0)) },
  {
    what: 'a window that grows too large',
    error: FLOW_CONTROL,
    reason: 'http2_error',
    send: (c) => c.send(windowUpdate, 0, 0, number32(2 ** 31 - 1)),
  },
  {
    what: 'DATA after the client has reset its stream',
    ...{ error: STREAM_CLOSED, reason: 'http2_error' },
    send: (c) => open(c).send(reset, 0, 1, CANCEL).send(data, 0, 1, 'a'),
  },
  {
    what: 'windows of streams that grow too large all at once',
    ...{ error: FLOW_CONTROL, reason: 'http2_error' },
    send: (c) =>
      open(c)
        .send(windowUpdate, 0, 1, number32(1000))
        .send(settings, 0, 0, settingsOf(INITIAL_WINDOW, 2 ** 31 - 1)),
  },
  {
    what: 'an initial window too large',
    error: FLOW_CONTROL,
    reason: 'http2_error',
    send: (c) => c.send(settings, 0, 0, settingsOf(INITIAL_WINDOW, 2 ** 31)),
  },
  {
    what: 'a push that is neither on nor off',
    error: PROTOCOL,
    reason: 'http2_error',
    send: (c) => c.send(settings, 0, 0, settingsOf(ENABLE_PUSH, 2)),
  },
  {
    what: 'frames that must be tiny',
    error: PROTOCOL,
    reason: 'http2_error',
    send: (c) => c.send(settings, 0, 0, settingsOf(MAX_FRAME, 1000)),
  },
  {
    what: 'more DATA than the window of the connection',
    ...{ error: FLOW_CONTROL, reason: 'http2_error' },
    // Four streams have a window of a quarter of it each; the fifth is one too many.
    send: (c) => {
      const body = Buffer.alloc(16_384)
      for (const id of ids(5)) {
        c.headers(id, POST)
        for (let i = 0; i < 16; i++) c.send(data, 0, id, body)
      }
    },
    options: { listener: { hooks: [hook('waits', { onRequest: () => PENDING })] } },
  },
]

for (const abuse of [...floods, ...faults]) {
  test(`${floods.includes(abuse) ? 'a flood of' : 'fatal'}: ${abuse.what}`, async () => {
    await using origin = await startOrigin((req) => (req.target === '/neighbour' ? answer('fine') : undefined))
    await using proxy = await startProxy({ origin, times: { keepAlive: 60_000 }, ...abuse.options })
    using neighbour = await connectFrames(proxy.port, null)
    using client = await connectFrames(proxy.port, null)
    abuse.send(client)
    const { error, detail } = await client.failed()
    assert.is(error, abuse.error, detail)
    const told = proxy.ended.filter(({ reason }) => reason === abuse.reason)
    assert.ok(told.length > 0, `${proxy.ended.map(({ reason }) => reason)}`)
    for (const one of told) assert.match(`${one.detail}`, abuse.detail ?? /./)
    await servesOthers(proxy, neighbour, abuse.options === undefined)
  })
}

const streamFaults: readonly (readonly [what: string, error: number, send: (c: FrameClient) => unknown])[] = [
  ['DATA behind the end', STREAM_CLOSED, (c) => c.headers(1, GET, END_STREAM).send(data, 0, 1, 'a')],
  ['HEADERS behind the end', STREAM_CLOSED, (c) => c.headers(1, GET, END_STREAM).headers(1, ['a', 'b'], END_STREAM)],
  ['trailers that are not the end', PROTOCOL, (c) => open(c).headers(1, ['a', 'b'])],
  ['a window that grows by nothing', PROTOCOL, (c) => open(c).send(windowUpdate, 0, 1, number32(0))],
  ['a window that grows too large', FLOW_CONTROL, (c) => open(c).send(windowUpdate, 0, 1, number32(2 ** 31 - 1))],
  ['a PRIORITY of the wrong size', FRAME_SIZE, (c) => open(c).send(priority, 0, 1, '1234')],
]

for (const [what, error, send] of streamFaults) {
  test(`ends its stream alone: ${what}`, async () => {
    await using origin = await startOrigin((req) => (req.target === '/neighbour' ? answer('fine') : undefined))
    await using proxy = await startProxy({ origin })
    using client = await connectFrames(proxy.port, null)
    send(client)
    assert.is(await client.reset(1), error)
    assert.is((await proxy.exchange()).reason, 'http2_error')
    await servesOthers(proxy, client, true, 3)
  })
}

test('more DATA than the window of a stream ends that stream', async () => {
  await using proxy = await startProxy({ listener: { hooks: [hook('waits', { onRequest: () => PENDING })] } })
  using client = await connectFrames(proxy.port, null)
  open(client)
  for (let i = 0; i < 17; i++) client.send(data, 0, 1, Buffer.alloc(16_384))
  assert.is(await client.reset(1), FLOW_CONTROL)
})

test('more streams at a time than are allowed are refused, and can be asked for again', async () => {
  await using origin = await startOrigin((req) => (req.target === '/neighbour' ? answer('fine') : undefined))
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null)
  for (const id of ids(129)) client.headers(id, GET, END_STREAM)
  assert.is(await client.reset(257), REFUSED)
  client.send(reset, 0, 1, CANCEL)
  await servesOthers(proxy, client, true, 259)
})

test('what was on its way when we reset a stream is no fault, and does not cost the connection its window', async () => {
  await using origin = await startOrigin((req) => (req.target === '/neighbour' ? answer('fine') : undefined))
  await using proxy = await startProxy({ origin, limits: { bodyBytes: 10 } })
  using client = await connectFrames(proxy.port, null)
  const body = Buffer.alloc(16_384)
  for (const id of ids(80)) {
    client.headers(id, [...POST, 'content-length', '1000000']).send(data, 0, id, body)
    assert.is((await client.head(id)).status, 413)
    client.send(data, 0, id, body)
  }
  client.headers(161, POST).send(data, 0, 161, 'a'.repeat(11))
  assert.is((await client.head(161)).status, 413)
  client.headers(161, ['a', 'b'], END_STREAM)
  await servesOthers(proxy, client, true, 163)
})

test('a bomb of HPACK is counted, not unpacked: 431, and the next request is read', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null)
  const large = literal('x-bomb', 'a'.repeat(3900), { isKept: true })
  // One byte is four thousand, fifteen thousand times.
  const bomb = Buffer.concat([blockOf(GET), Buffer.alloc(12_000, integer(0x80, 127, 62))])
  const before = process.memoryUsage().heapUsed
  client.send(headers, END_HEADERS | END_STREAM, 1, Buffer.concat([blockOf(GET), large]))
  assert.is((await client.head(1)).status, 200)
  for (const id of ids(20, 3)) {
    client.send(headers, END_HEADERS | END_STREAM, id, bomb)
    assert.is((await client.head(id)).status, 431)
  }
  assert.ok(process.memoryUsage().heapUsed - before < 30_000_000)
  assert.equal(
    proxy.ended.slice(1).map(({ reason }) => reason),
    Array.from({ length: 20 }, () => 'head_too_large'),
  )
  await servesOthers(proxy, client, true, 101)
})

test('too many fields, too long ones, and too long a target are answered with their status', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, limits: { fields: 10, headBytes: 4096, requestLineBytes: 1024 } })
  using client = await connectFrames(proxy.port, null)
  client.headers(1, [...GET, ...Array.from({ length: 11 }, (_, i) => [`x${i}`, '']).flat()], END_STREAM)
  client.headers(3, [...GET, ...Array.from({ length: 6 }, (_, i) => [`x${i}`, 'a'.repeat(800)]).flat()], END_STREAM)
  client.headers(
    5,
    GET.map((text) => (text === '/' ? `/${'a'.repeat(1100)}` : text)),
    END_STREAM,
  )
  assert.equal([(await client.head(1)).status, (await client.head(3)).status, (await client.head(5)).status], [431, 431, 414])
  assert.is(origin.requests.length, 0)
})

test('a client that opens no window is given up, at its deadline, and keeps no more than one read of the endpoint', async () => {
  await using origin = await startOrigin((req) => (req.target === '/neighbour' ? answer('fine') : answer('x'.repeat(500_000))))
  await using proxy = await startProxy({ origin, times: { sendIdle: 100 } })
  using client = await connectFrames(proxy.port, null, settingsOf(INITIAL_WINDOW, 0))
  client.headers(1, GET, END_STREAM)
  assert.is((await client.head(1)).status, 200)
  assert.is(await client.reset(1), 8)
  const ended = await proxy.exchange()
  assert.equal([ended.reason, ended.detail], ['client_gone', 'it takes nothing'])
  assert.ok(ended.bytesOut <= 70_000, `${ended.bytesOut}`)
  using other = await connectFrames(proxy.port, null)
  await servesOthers(proxy, other, true)
})

test('a window that opens byte by byte lets out byte by byte, in order', async () => {
  await using origin = await startOrigin(() => answer('abcdef'))
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null, settingsOf(INITIAL_WINDOW, 0))
  client.headers(1, GET, END_STREAM)
  await client.head(1)
  for (let i = 0; i < 6; i++) client.send(windowUpdate, 0, 1, number32(1))
  assert.is(await client.body(1), 'abcdef')
  assert.is(client.frames.filter(({ type, payload }) => type === data && payload.length > 1).length, 0)
})

test('a client that asks and never reads is not read either, and then closed', async () => {
  const body = 'x'.repeat(60_000)
  const routes = [{ to: { kind: 'respond', status: 200, body, headers: {} } as const }]
  await using proxy = await startProxy({ routes, times: { sendIdle: 300 } })
  using client = await connectFrames(proxy.port, null, settingsOf(INITIAL_WINDOW, 2 ** 30))
  client.pause().send(windowUpdate, 0, 0, number32(2 ** 30))
  for (const id of ids(2000)) client.headers(id, GET, END_STREAM)
  await proxy.open(0)
  // What a socket takes, what we keep, and what may be under way at a time; not all that was asked for.
  assert.ok(proxy.ended.length < 1000, `${proxy.ended.length} answers were made`)
})

test('a frame, a field block or a preface that does not end is not waited for', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, times: { requestHead: 300 } })
  using half = await connectFrames(proxy.port, null)
  half.write(frameOf(headers, END_HEADERS, 1, blockOf(GET)).subarray(0, 20))
  using block = await connectFrames(proxy.port, null)
  // It acknowledges our settings before, which would have no place inside.
  await block.frame(({ type }) => type === settings)
  block.send(headers, END_STREAM, 1, blockOf(GET))
  for (const client of [half, block]) assert.match((await client.failed()).detail, /does not end/)
  assert.equal(
    proxy.ended.map(({ reason }) => reason),
    ['request_timeout', 'request_timeout'],
  )
  using idle = await connectFrames(proxy.port, null)
  assert.is((await idle.failed()).error, 0)
})

test('a smaller table than ours is heeded', async () => {
  await using origin = await startOrigin(() => answer('ok', 200, ['X-A: b']))
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null)
  for (const [i, size] of [4096, 0, 100, 4096].entries()) {
    client.send(settings, 0, 0, settingsOf(TABLE_SIZE, size)).headers(1 + 2 * i, GET, END_STREAM)
    assert.is((await client.head(1 + 2 * i)).fields['x-a'], 'b')
  }
})

test('padding, priorities and frames that nobody knows are passed over', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null)
  client.send(0x42, 0xff, 0, 'what').send(priority, 0, 1, '12345').send(0x10, 0, 0, '\0\0\0\x01u=1')
  client.send(headers, END_HEADERS | 0x28, 1, Buffer.concat([Buffer.from('\x03\0\0\0\0\x10', 'latin1'), blockOf(POST), Buffer.alloc(3)]))
  client.send(data, 0x8, 1, '\x05hello.....').send(data, 0x8 | END_STREAM, 1, '\0 world')
  assert.is(await client.body(1), 'hello world')
})

test.run()

/** On a connection of another client, or on this one. */
async function servesOthers(proxy: RunningProxy, client: FrameClient, hasOrigin: boolean, stream = 1): Promise<void> {
  client.headers(
    stream,
    GET.map((text) => (text === '/' ? '/neighbour' : text)),
    END_STREAM,
  )
  if (!hasOrigin) {
    client.send(ping, 0, 0, 'still up')
    await client.frame(({ type, payload }) => type === ping && payload.latin1Slice() === 'still up')
    return
  }
  assert.is((await client.head(stream)).status, 200)
  assert.ok(proxy.ended.some(({ status }) => status === 200))
}
