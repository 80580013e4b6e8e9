/** A WebSocket over HTTP/2 (RFC 8441): to the endpoint it is the upgrade of HTTP/1.1, to the client the bytes of one stream. */
import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connectFrames, END_STREAM, type FrameClient, frameType, number32, settingsOf } from '../support/http2-frames.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { hook, type ProxyOptions, startProxy } from '../support/proxy.ts'
import { frame, masked, readFrames } from '../support/websocket.ts'

const ASK = [
  ...[':method', 'CONNECT', ':protocol', 'websocket', ':scheme', 'http', ':authority', 'example.com', ':path', '/chat?a=1'],
  ...[
    'sec-websocket-version',
    '13',
    'sec-websocket-protocol',
    'chat',
    'sec-websocket-key',
    'of the client',
    'origin',
    'http://example.com',
  ],
]
const CONNECT_ERROR = 10

/** An endpoint that grants the upgrade, and answers what it is told to. */
async function start(options: ProxyOptions = {}, accept = acceptOf, more = '') {
  const origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then((head) => {
        const key = /^Sec-WebSocket-Key: (.+)\r$/im.exec(head)![1]!
        const lines = `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept(key)}\r\nSec-WebSocket-Protocol: chat\r\n`
        connection.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n${more}`)
      })
      return undefined
    },
  })
  const proxy = await startProxy({ origin, ...options })
  const client = await connectFrames(proxy.port, null)
  return {
    ...{ origin, proxy, client },
    async [Symbol.asyncDispose]() {
      client.destroy()
      await proxy[Symbol.asyncDispose]()
      await origin[Symbol.asyncDispose]()
    },
  }
}

test('it is offered, asked for, granted, and relayed both ways; each side ends its own', async () => {
  await using ws = await start({}, acceptOf, 'early')
  const { client, origin, proxy } = ws
  const { payload } = await client.frame(({ type, flags }) => type === frameType.settings && flags === 0)
  assert.ok(payload.includes(Buffer.from('000800000001', 'hex')))
  client.headers(1, ASK).send(frameType.data, 0, 1, 'before the answer')
  const { status, fields } = await client.head(1)
  assert.is(status, 200)
  assert.equal(
    [fields['sec-websocket-protocol'], fields['sec-websocket-accept'], fields.upgrade, fields.connection],
    ['chat', undefined, undefined, undefined],
  )
  const [connection] = origin.connections
  const asked = await connection!.until('before the answer')
  assert.match(asked, /^GET \/chat\?a=1 HTTP\/1\.1\r\nhost: example\.com\r\n/)
  assert.match(asked, /\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/)
  assert.match(asked, /\r\nSec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/)
  assert.not.match(asked, /of the client/)
  connection!.write(Buffer.from([0, 255, 13, 10]))
  client.send(frameType.data, END_STREAM, 1, 'bye')
  await connection!.until('bye')
  assert.is(await connection!.closed(), 'fin')
  connection!.write('still here')
  connection!.end()
  assert.is(await client.body(1), 'early\x00\xff\r\nstill here')
  const ended = await proxy.exchange()
  assert.equal(
    [ended.tunnel, ended.status, ended.protocol, ended.path, ended.bytesIn, ended.bytesOut],
    [true, 200, 'HTTP/2', '/chat', 20, 19],
  )
  // The connection goes on.
  client.headers(3, [':method', 'GET', ':scheme', 'http', ':authority', 'example.com', ':path', '/%00'], END_STREAM)
  assert.is((await client.head(3)).status, 400)
})

test('hooks of messages see what is said in it', async () => {
  const shout = hook('shout', {
    onMessage: (call) => {
      const { part } = call
      if (part?.kind !== 'message') throw new Error('no message')
      return { kind: 'bytes', bytes: Buffer.from(part.bytes.toString().toUpperCase()), isText: true }
    },
  })
  await using ws = await start({ routes: [{ hooks: [shout] }] })
  ws.client.headers(1, ASK)
  await ws.client.head(1)
  ws.client.send(frameType.data, 0, 1, masked('hello'))
  const [connection] = ws.origin.connections
  connection!.write(frame('welcome'))
  const { payload } = await ws.client.frame(({ type, payload: bytes }) => type === frameType.data && bytes.length > 0)
  assert.is(readFrames(payload).frames[0]!.payload.toString(), 'WELCOME')
})

test('an endpoint that does not prove that it speaks WebSocket is left', async () => {
  await using ws = await start({}, () => 'something else')
  ws.client.headers(1, ASK)
  assert.is(await ws.client.reset(1), CONNECT_ERROR)
  assert.is((await ws.proxy.exchange()).reason, 'upgrade_failed')
  assert.ok(await ws.origin.connections[0]!.closed())
})

test('an endpoint that refuses is heard; one that answers as if nothing had been asked is not', async () => {
  for (const status of [403, 426, 302]) {
    await using origin = await startOrigin(() => answer('no', status))
    await using proxy = await startProxy({ origin })
    using client = await connectFrames(proxy.port, null)
    client.headers(1, ASK)
    assert.is((await client.head(1)).status, status)
    assert.is(await client.body(1), 'no')
  }
  await using origin = await startOrigin(() => answer('hello'))
  await using proxy = await startProxy({ origin })
  using client = await connectFrames(proxy.port, null)
  client.headers(1, ASK)
  assert.is((await client.head(1)).status, 502)
  assert.equal([(await proxy.exchange()).reason, proxy.ended[0]!.detail], ['upgrade_failed', 'answered with 200'])
})

test('either side may break it off, and the other is told', async () => {
  for (const first of ['client', 'endpoint', 'connection'] as const) {
    await using ws = await start()
    ws.client.headers(1, ASK)
    await ws.client.head(1)
    const [connection] = ws.origin.connections
    if (first === 'client') ws.client.send(frameType.reset, 0, 1, number32(8))
    else if (first === 'connection') ws.client.destroy()
    else connection!.reset()
    if (first === 'endpoint') assert.is(await ws.client.reset(1), CONNECT_ERROR)
    else assert.ok(await connection!.closed())
    assert.ok((await ws.proxy.exchange()).tunnel)
  }
})

test('a client that takes nothing makes the endpoint wait, and gets all of it in the end', async () => {
  await using ws = await start()
  const { client } = ws
  client.send(frameType.settings, 0, 0, settingsOf(4, 10)).headers(1, ASK)
  await client.head(1)
  const [connection] = ws.origin.connections
  connection!.write('0123456789'.repeat(3))
  connection!.end()
  for (let i = 0; i < 2; i++) {
    await received(client, 10 * (i + 1))
    client.send(frameType.windowUpdate, 0, 1, number32(10))
  }
  client.send(frameType.data, END_STREAM, 1)
  assert.is(await client.body(1), '0123456789'.repeat(3))
  await ws.proxy.exchange()
})

test('an endpoint that takes nothing makes the client wait, and nothing is lost at the end', async () => {
  await using ws = await start()
  const { client, origin } = ws
  client.headers(1, ASK)
  await client.head(1)
  const [connection] = origin.connections
  connection!.pause()
  const part = Buffer.alloc(16_384, 'x')
  for (let sent = 0; sent < 262_144; sent += part.length) client.send(frameType.data, 0, 1, part)
  client.send(frameType.data, END_STREAM, 1, '')
  connection!.resume()
  connection!.end()
  assert.is(await connection!.closed(), 'fin')
  const ended = await ws.proxy.exchange()
  assert.is(ended.bytesIn, 262_144)
})

test('while a listener drains, a WebSocket lives on, and its connection with it', async () => {
  await using ws = await start()
  const { client, proxy, origin } = ws
  client.headers(1, ASK)
  await client.head(1)
  const listener = proxy.runtime.listener('web')!
  listener.drain()
  await client.frame(({ type, payload }) => type === frameType.goaway && payload.readUInt32BE(0) === 1)
  client.send(frameType.data, 0, 1, 'still here')
  await origin.connections[0]!.until('still here')
  assert.equal([listener.connections, listener.touchable], [1, 0])
  client.send(frameType.data, END_STREAM, 1)
  origin.connections[0]!.end()
  assert.is((await client.failed()).error, 0)
  await proxy.open(0)
})

test.run()

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

async function received(client: FrameClient, bytes: number): Promise<void> {
  await client.frame(
    () => client.frames.filter(({ type }) => type === frameType.data).reduce((sum, { payload }) => sum + payload.length, 0) >= bytes,
  )
}
