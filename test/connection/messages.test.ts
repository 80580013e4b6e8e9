/** WebSockets whose messages hooks are asked about: what goes on, in which order, and how each kind of end is told to both sides. */
// Runs alone: it looks at the memory of its process.

import { createHash } from 'node:crypto'
import { constants, deflateRawSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyError } from '../../core/errors.ts'
import type { Answer, Hook, HookCall, MessagePart, Verdict } from '../../core/hooks.ts'
import { PENDING } from '../../core/hooks.ts'
import { inlineHook } from '../../core/http/inline.ts'
import { deny } from '../../core/plugin.ts'
import { eventually } from '../support/deadline.ts'
import { Held, hook, type ProxyOptions, startProxy } from '../support/proxy.ts'
import { StreamDeflate } from '../support/websocket.ts'
import {
  type ClientChoices,
  type OriginChoices,
  openWebSocket,
  type Peer,
  startWebSocketOrigin,
  upgradeText,
} from '../support/websocket-peers.ts'

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate\r\n'
const MIB = 1 << 20

const partOf = (call: HookCall) => call.part as MessagePart
const textOf = (call: HookCall) => Buffer.from(partOf(call).bytes).toString()
const text = (value: string): Verdict => ({ kind: 'bytes', bytes: Buffer.from(value), isText: true })
const onMessage = (ask: (call: HookCall) => Answer, name = 'h') => hook(name, { onMessage: ask })
const nothing = onMessage(() => null)
const noting = (notes: string[], name?: string) => (call: HookCall) => {
  notes.push(name ?? textOf(call))
  return null
}

interface Choices {
  readonly hooks?: readonly Hook[]
  readonly origin?: OriginChoices
  readonly client?: ClientChoices
  readonly proxy?: ProxyOptions
}

/** A WebSocket through a proxy with these hooks, both ends in hand. */
async function open({ hooks = [nothing], origin: o = {}, client: c = {}, proxy: p = {} }: Choices = {}) {
  const origin = await startWebSocketOrigin(o)
  const proxy = await startProxy({ origin, routes: [{ hooks }], ...p })
  const socket = await openWebSocket(proxy.port, c)
  const { peer: endpoint, connection, head } = await origin.peer()
  return {
    ...{ proxy, client: socket.peer, endpoint, connection, head, socket: socket.client, headers: socket.headers },
    async [Symbol.asyncDispose]() {
      socket.client.destroy()
      await proxy[Symbol.asyncDispose]()
      await origin[Symbol.asyncDispose]()
    },
  }
}

function echo(peer: Peer): void {
  peer.onFrame(({ opcode, payload, reserved }) => {
    if (opcode < 8) peer.send(payload, { opcode, reserved })
    else if (opcode === 9) peer.send(payload, { opcode: 10 })
    else if (opcode === 8) peer.send(payload, { opcode: 8 })
  })
}

test('messages go both ways, asked about in the order of the hooks and back in reverse, each with a state of its own', async () => {
  const asked: string[] = []
  const states = new Map<string, Set<number>>()
  const noting = (name: string) =>
    onMessage((call) => {
      asked.push(`${name} ${partOf(call).from} ${textOf(call)} ${call.request.path} ${call.ip}`)
      states.set(name, (states.get(name) ?? new Set()).add(partOf(call).state))
      return null
    }, name)
  const [a, b, c] = ['a', 'b', 'c'].map(noting)
  await using ws = await open({ proxy: { listener: { hooks: [a!] }, routes: [{ hooks: [b!, c!] }] }, origin: { onPeer: echo } })
  ws.client.send('one')
  assert.is(await ws.client.text(), 'one')
  ws.client.send(Buffer.from([0, 255]), { opcode: 2 })
  const back = await ws.client.next()
  assert.equal([back.opcode, back.masked, [...back.payload]], [2, false, [0, 255]])
  assert.ok(ws.endpoint.frames.every((one) => one.masked))
  const order = asked.slice(0, 6).map((one) => one.split(' ').slice(0, 2).join(' '))
  assert.equal(order, ['a client', 'b client', 'c client', 'c upstream', 'b upstream', 'a upstream'])
  assert.is(asked[0], 'a client one /chat 127.0.0.1')
  assert.equal(
    [...states.values()].map((set) => set.size),
    [1, 1, 1],
  )
  assert.is(new Set([...states.values()].flatMap((set) => [...set])).size, 3)
})

test('what came early on either side is read as messages too', async () => {
  const asked: string[] = []
  const hooks = [onMessage(noting(asked))]
  const greets = (peer: Peer) => void peer.send('from the endpoint')
  const early = Buffer.from(upgradeEarly('from the client'))
  await using ws = await open({ hooks, origin: { onPeer: (peer) => setImmediate(greets, peer) }, client: { early } })
  assert.is(await ws.endpoint.text(), 'from the client')
  assert.is(await ws.client.text(), 'from the endpoint')
  assert.equal(asked.sort(), ['from the client', 'from the endpoint'])
  ws.socket.reset()
  await ws.proxy.open(0)
  const ended = await ws.proxy.exchange()
  assert.equal([ended.tunnel, ended.status, ended.bytesIn, ended.bytesOut], [true, 101, early.length, 2 + 'from the endpoint'.length])
})

/** As a client sends it, masked with zeros. */
function upgradeEarly(value: string): number[] {
  return [0x81, 0x80 | value.length, 0, 0, 0, 0, ...Buffer.from(value)]
}

test('fragments become one message; a ping between them goes on at once, and its answer comes back', async () => {
  const asked: string[] = []
  await using ws = await open({ hooks: [onMessage(noting(asked))], origin: { onPeer: echo } })
  ws.client.send('Grüße aus ', { fin: false }).send('ping', { opcode: 9 })
  const pong = await ws.client.next()
  assert.equal([pong.opcode, pong.payload.toString()], [10, 'ping'])
  assert.equal(asked, [])
  ws.client.send('der ', { opcode: 0, fin: false }).send('Mitte', { opcode: 0 })
  assert.is(await ws.client.text(), 'Grüße aus der Mitte')
  assert.equal(asked, ['Grüße aus der Mitte', 'Grüße aus der Mitte'])
  assert.equal(
    ws.endpoint.frames.map(({ opcode, fin }) => [opcode, fin]),
    [
      [9, true],
      [1, true],
    ],
  )
})

test('a message is another one, in either direction, text or not, empty or large', async () => {
  const large = 'x'.repeat(70_000)
  const hooks = [
    onMessage((call) => (partOf(call).from === 'client' ? text(`${textOf(call)}!`) : null)),
    onMessage((call) => {
      if (textOf(call) === 'bytes!') return { kind: 'bytes', bytes: Buffer.from([255]), isText: false }
      if (textOf(call) === 'large!') return text(large)
      return textOf(call) === 'empty!' ? text('') : null
    }),
  ]
  await using ws = await open({ hooks, origin: { onPeer: echo } })
  ws.client.send('hello').send('empty').send('large').send('bytes')
  assert.is(await ws.client.text(), 'hello!')
  assert.is(await ws.client.text(), '')
  assert.is(await ws.client.text(), large)
  const { opcode, payload } = await ws.client.next()
  assert.equal([opcode, [...payload]], [2, [255]])
})

test('one message at a time waits for its answer, those behind it keep their order, and the other direction goes on', async () => {
  const held = new Held()
  await using ws = await open({ hooks: [onMessage((call) => (partOf(call).from === 'client' ? held.pending(call) : null))] })
  ws.client.send('1').send('p', { opcode: 9 }).send('2').send('3')
  const first = await held.call(1)
  ws.endpoint.send('meanwhile')
  assert.is(await ws.client.text(), 'meanwhile')
  await ws.proxy.settled()
  assert.equal([held.calls.length, ws.endpoint.frames.length], [1, 0])
  first.resume(text('one'))
  assert.is(await ws.endpoint.text(), 'one')
  assert.is((await ws.endpoint.next()).opcode, 9)
  const second = await held.call(2)
  second.resume(null)
  second.resume(null)
  ;(await held.call(3)).resume(text('three'))
  assert.is(await ws.endpoint.text(), '2')
  assert.is(await ws.endpoint.text(), 'three')
  assert.is(held.calls.length, 3)
})

test('a hundred thousand small messages keep their order there and back, asked at once or later', async () => {
  const count = 100_000
  let asked = 0
  const sometimesLater = onMessage((call) => {
    if (++asked % 97 !== 0) return null
    queueMicrotask(() => call.resume(null))
    return PENDING
  })
  const deadlineMs = 60_000
  await using ws = await open({ hooks: [sometimesLater], origin: { onPeer: echo, deadlineMs }, client: { deadlineMs } })
  for (let i = 0; i < count; i += 1000) {
    const some = Array.from({ length: 1000 }, (_, k) => ws.client.make(String(i + k)))
    ws.socket.send(Buffer.concat(some))
  }
  await eventually(
    () => (ws.client.frames.length >= count ? true : undefined),
    () => `${ws.client.frames.length} came back`,
    deadlineMs,
  )
  assert.is(
    ws.client.frames.findIndex((one, i) => one.payload.toString() !== String(i)),
    -1,
  )
  assert.is(asked, 2 * count)
})

for (const takesOver of [true, false]) {
  test(`with deflate ${takesOver ? 'and' : 'without'} context takeover, hooks see the text; untouched and rewritten messages can be inflated`, async () => {
    const parameters = takesOver ? '' : '; server_no_context_takeover; client_no_context_takeover'
    const asked: string[] = []
    const rewriting = onMessage((call) => {
      asked.push(textOf(call))
      return textOf(call).startsWith('rewrite') ? text(textOf(call).toUpperCase()) : null
    })
    const lines = `Sec-WebSocket-Extensions: permessage-deflate${parameters}\r\n`
    await using ws = await open({ hooks: [rewriting], origin: { lines }, client: { lines: DEFLATE } })
    assert.is(ws.headers['sec-websocket-extensions'], `permessage-deflate${parameters}`)
    const said = [
      'a message of some length',
      'a message of some length',
      'rewrite a message',
      'a message of some length',
      'rewrite a message',
    ]
    for (const [from, to] of [
      [ws.client, ws.endpoint],
      [ws.endpoint, ws.client],
    ] as const) {
      let sender = new StreamDeflate()
      let receiver = new StreamDeflate()
      const sizes: number[] = []
      for (const one of said) {
        from.send(await sender.deflate(one), { reserved: 4 })
        const { opcode, reserved, payload } = await to.next()
        assert.equal([opcode, reserved], [1, 4])
        const expected = one.startsWith('rewrite') ? one.toUpperCase() : one
        assert.is((await receiver.inflate(payload)).toString(), expected)
        sizes.push(payload.length)
        if (takesOver) continue
        sender[Symbol.dispose]()
        receiver[Symbol.dispose]()
        sender = new StreamDeflate()
        receiver = new StreamDeflate()
      }
      from.send('not compressed')
      assert.is(await to.text(), 'not compressed')
      from.send('rewrite this')
      const last = await to.next()
      assert.is(last.reserved, 4)
      assert.is((await receiver.inflate(last.payload)).toString(), 'REWRITE THIS')
      if (takesOver) assert.ok(sizes[1]! < sizes[0]! / 2 && sizes[4]! < sizes[2]! / 2, sizes.join())
      sender[Symbol.dispose]()
      receiver[Symbol.dispose]()
    }
    assert.equal(asked, [...said, 'not compressed', 'rewrite this', ...said, 'not compressed', 'rewrite this'])
  })
}

test('a message with a final block does not go on as it came: recipients read what follows it in different ways', async () => {
  await using ws = await open({ origin: { lines: DEFLATE }, client: { lines: DEFLATE } })
  const hello = Buffer.from([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00])
  ws.client.send(hello, { reserved: 4 }).send(hello, { reserved: 4 })
  using receiver = new StreamDeflate()
  for (let i = 0; i < 2; i++) {
    const { payload } = await ws.endpoint.next()
    assert.is(payload.equals(hello), false)
    assert.is((await receiver.inflate(payload)).toString(), 'Hello')
  }
})

test('what the client offers is reduced to what can be read, and only where a hook is to be asked', async () => {
  const lines = 'Sec-WebSocket-Extensions: x-mine, permessage-deflate; client_max_window_bits, permessage-deflate; y=1\r\n'
  const cases: [readonly Hook[], string | null][] = [
    [[nothing], 'permessage-deflate; client_max_window_bits'],
    [
      [hook('other', { matches: () => false, onMessage: () => null })],
      'x-mine, permessage-deflate; client_max_window_bits, permessage-deflate; y=1',
    ],
    [[hook('heads', { onRequest: () => null })], 'x-mine, permessage-deflate; client_max_window_bits, permessage-deflate; y=1'],
  ]
  for (const [hooks, expected] of cases) {
    await using ws = await open({ hooks, client: { lines } })
    assert.is(/^Sec-WebSocket-Extensions: (.+)\r$/im.exec(ws.head)?.[1], expected)
  }
  await using none = await open({ client: { lines: 'Sec-WebSocket-Extensions: x-mine\r\n' } })
  assert.not.match(none.head, /extensions/i)
})

test('a hook that was not asked about the request is not asked about its messages', async () => {
  const asked: string[] = []
  const reroutes = hook('reroutes', {
    onRequest: () => ({ kind: 'routeTo', upstream: 'api' }),
    onMessage: noting(asked, 'reroutes'),
  })
  const behind = hook('behind', { onMessage: noting(asked, 'behind') })
  await using ws = await open({ proxy: { listener: { hooks: [reroutes] }, routes: [{ hooks: [behind] }] }, origin: { onPeer: echo } })
  ws.client.send('x')
  await ws.client.text()
  assert.equal(asked, ['reroutes', 'reroutes'])
})

test('an extension that cannot be read, and a version that cannot, are 502', async () => {
  const granted = [DEFLATE.replace('deflate', 'deflate; x'), 'Sec-WebSocket-Extensions: x-mine\r\n', DEFLATE + DEFLATE]
  for (const lines of granted) {
    await using origin = await startWebSocketOrigin({ lines })
    await using proxy = await startProxy({ origin, routes: [{ hooks: [nothing] }] })
    using c = await proxy.connect()
    const response = await c.send(upgradeText(DEFLATE)).response()
    assert.equal([response.status, response.headers['proxy-status']], [502, 'sluice; error=http_upgrade_failed'])
    assert.is((await proxy.exchange()).reason, 'upgrade_failed')
    await origin.origin.connections[0]!.closed()
  }
  await using origin = await startWebSocketOrigin()
  await using proxy = await startProxy({ origin, routes: [{ hooks: [nothing] }] })
  using c = await proxy.connect()
  assert.is((await c.send(upgradeText().replace('Version: 13', 'Version: 8')).response()).status, 502)
})

test('goodbyes pass with their code and reason, and both connections end', async () => {
  for (const first of ['client', 'endpoint'] as const) {
    await using ws = await open()
    const [one, other] = first === 'client' ? [ws.client, ws.endpoint] : [ws.endpoint, ws.client]
    one
      .send('last words')
      .send(Buffer.concat([Buffer.from([0x0f, 0xa1]), Buffer.from('bye')]), { opcode: 8 })
      .send('too late')
    assert.is(await other.text(), 'last words')
    const close = await other.next()
    assert.equal([close.opcode, close.payload.subarray(2).toString(), close.payload.readUInt16BE()], [8, 'bye', 4001])
    other.send('you too').send(Buffer.from([0x03, 0xe8]), { opcode: 8 })
    assert.is(await one.text(), 'you too')
    assert.is(await one.close(), 1000)
    assert.is(await ws.socket.closed(), 'fin')
    assert.is(await ws.connection.closed(), 'fin')
    ws.socket.end()
    ws.connection.end()
    await ws.proxy.open(0)
    const { reason, decidedBy } = await ws.proxy.exchange()
    assert.equal([reason, decidedBy], [null, null])
    assert.is(other.frames.length, 2)
  }
})

test('a message denied is 1008 to both sides; one whose hook fails or throws, or answers what is none, is 1011', async () => {
  const cases: [string, (call: HookCall) => Answer, number, string | null][] = [
    ['denies', () => ({ kind: 'deny' }), 1008, null],
    ['fails', () => ({ kind: 'fail', error: new ProxyError('plugin_failed', 'slow') }), 1011, 'plugin_failed'],
    [
      'throws',
      () => {
        throw new Error('oops')
      },
      1011,
      'hook_failed',
    ],
    ['says what is not UTF-8', () => ({ kind: 'bytes', bytes: Buffer.from([255]), isText: true }), 1011, 'hook_failed'],
    ['answers a request', () => ({ kind: 'respond', status: 200, body: '', headers: {} }), 1011, 'hook_failed'],
  ]
  for (const later of [false, true]) {
    for (const [name, ask, code, reason] of cases) {
      for (const from of ['client', 'endpoint'] as const) {
        if (later && name === 'throws') continue
        const asking = (call: HookCall): Answer => {
          if (textOf(call) !== 'now') return null
          if (!later) return ask(call)
          setImmediate(() => call.resume(ask(call) as Verdict))
          return PENDING
        }
        await using ws = await open({ hooks: [onMessage(asking, name)] })
        ws[from].send('before').send('now').send('after')
        const other = from === 'client' ? ws.endpoint : ws.client
        assert.is(await other.text(), 'before')
        assert.is(await other.close(), code, name)
        assert.is(await ws[from].close(), code, name)
        await ws.socket.closed()
        await ws.connection.closed()
        ws.socket.end()
        ws.connection.end()
        await ws.proxy.open(0)
        const ended = await ws.proxy.exchange()
        assert.equal([ended.reason, ended.decidedBy, ended.status], [reason, name, 101])
        assert.is(other.frames.length, 2)
      }
    }
  }
})

test('a side that breaks the protocol is told why, the other that it is over; what it had said before has arrived', async () => {
  await using client = await open()
  client.client.send('fine').send('x', { key: null })
  assert.is(await client.endpoint.text(), 'fine')
  assert.is(await client.client.close(), 1002)
  assert.is(await client.endpoint.close(), 1001)
  client.socket.end()
  client.connection.end()
  await client.proxy.open(0)
  const { reason, detail } = await client.proxy.exchange()
  assert.equal([reason, detail], ['client_message', 'a frame of the client is not masked'])

  await using endpoint = await open()
  endpoint.endpoint.send('fine').send(Buffer.from([0xff]))
  assert.is(await endpoint.client.text(), 'fine')
  assert.is(await endpoint.client.close(), 1011)
  assert.is(await endpoint.endpoint.close(), 1007)
  endpoint.socket.end()
  endpoint.connection.end()
  await endpoint.proxy.open(0)
  assert.is((await endpoint.proxy.exchange()).reason, 'upstream_message')
})

test('a message of ten megabytes is 1009, and its sender gets to read that', async () => {
  await using ws = await open()
  ws.client.send(Buffer.alloc(10 * MIB), { opcode: 2 })
  assert.is(await ws.client.close(), 1009)
  assert.is(await ws.endpoint.close(), 1001)
  ws.socket.end()
  ws.connection.end()
  await ws.proxy.open(0)
})

test('a bomb is 1009, a megabyte is not', async () => {
  const squeezed = (size: number) => deflateRawSync(Buffer.alloc(size), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  await using ws = await open({ origin: { lines: DEFLATE }, client: { lines: DEFLATE } })
  ws.client.send(squeezed(MIB), { opcode: 2, reserved: 4 })
  assert.is((await ws.endpoint.next()).payload.length, squeezed(MIB).length)
  const bomb = squeezed(64 * MIB)
  const before = process.memoryUsage().rss
  ws.client.send(bomb, { opcode: 2, reserved: 4 })
  assert.is(await ws.client.close(), 1009)
  assert.is(await ws.endpoint.close(), 1001)
  assert.ok(process.memoryUsage().rss - before < 32 * MIB)
})

/** What the endpoint wrote and nobody took, once that does not change any more. */
async function unreadBytes({ proxy, connection }: Awaited<ReturnType<typeof open>>): Promise<number> {
  let last = -1
  for (let same = 0; same < 20; ) {
    await proxy.settled()
    const now = connection.socket.writableLength
    same = now === last ? same + 1 : 0
    last = now
  }
  return last
}

test('a side that does not read stops the other, and gets every message in the end', async () => {
  const deadlineMs = 20_000
  await using ws = await open({ client: { deadlineMs } })
  ws.socket.pause()
  for (let i = 0; i < 512; i++) ws.endpoint.send(Buffer.alloc(65_536, i), { opcode: 2 })
  assert.ok((await unreadBytes(ws)) > 8 * MIB)
  ws.client.send('the other direction goes on')
  assert.is(await ws.endpoint.text(), 'the other direction goes on')
  ws.socket.resume()
  await eventually(
    () => (ws.client.frames.length === 512 ? true : undefined),
    () => `${ws.client.frames.length} messages`,
    deadlineMs,
  )
  assert.ok(ws.client.frames.every((one, i) => one.payload.length === 65_536 && one.payload[9] === (i & 255)))
})

test('a hook that takes its time stops the reading of that side', async () => {
  const held = new Held()
  await using ws = await open({ hooks: [onMessage(held.pending)], client: { deadlineMs: 20_000 } })
  for (let i = 0; i < 512; i++) ws.endpoint.send(Buffer.alloc(65_536, i), { opcode: 2 })
  const first = await held.call()
  assert.ok((await unreadBytes(ws)) > 8 * MIB)
  assert.is(held.calls.length, 1)
  first.resume(null)
  await held.call(2)
})

test('either side may close its sending half, and the other goes on; what it said before that has arrived', async () => {
  const held = new Held()
  await using ws = await open({ hooks: [onMessage((call) => (textOf(call) === 'wait' ? held.pending(call) : null))] })
  ws.client.send('wait').send('bye')
  ws.socket.end()
  const waiting = await held.call()
  ws.endpoint.send('still here')
  assert.is(await ws.client.text(), 'still here')
  assert.is(ws.connection.isClosed, false)
  waiting.resume(null)
  assert.is(await ws.endpoint.text(), 'wait')
  assert.is(await ws.endpoint.text(), 'bye')
  assert.is(await ws.connection.closed(), 'fin')
  ws.endpoint.send('and still')
  assert.is(await ws.client.text(), 'and still')
  ws.connection.end()
  assert.is(await ws.socket.closed(), 'fin')
  await ws.proxy.open(0)
})

test('a reset on one side is a reset on the other, and nobody waits for a hook any more', async () => {
  for (const side of ['client', 'endpoint'] as const) {
    const held = new Held()
    await using ws = await open({ hooks: [onMessage((call) => (textOf(call) === 'wait' ? held.pending(call) : null))] })
    const [victim, other] = side === 'client' ? [ws.socket, ws.connection] : [ws.connection, ws.socket]
    ws[side === 'client' ? 'endpoint' : 'client'].send('wait')
    const waiting = await held.call()
    assert.is(waiting.ended, false)
    victim.reset()
    assert.is(await other.closed(), 'reset')
    await ws.proxy.open(0)
    assert.is(waiting.ended, true)
    waiting.resume(text('too late'))
  }
})

test('a WebSocket without a byte either way ends, and the end of the proxy ends both sides', async () => {
  await using idle = await open({ proxy: { times: { tunnelIdle: 100 } } })
  await idle.socket.closed()
  await idle.connection.closed()
  await idle.proxy.open(0)
  await using ws = await open()
  ws.proxy.runtime.close()
  await ws.socket.closed()
  await ws.connection.closed()
  await ws.proxy.open(0)
})

test('an answer to a goodbye is waited for, but not for as long as something else is said', async () => {
  await using ws = await open({ proxy: { times: { tunnelIdle: 100 } } })
  const talking = setInterval(() => ws.endpoint.send('and another thing'), 10)
  try {
    ws.client.send('', { opcode: 8 })
    assert.is(await ws.endpoint.close(), 1005)
    await ws.socket.closed()
    assert.ok(ws.client.frames.length > 0)
    await ws.proxy.open(0)
  } finally {
    clearInterval(talking)
  }
})

test('after the last close frame, a side that does not close is closed', async () => {
  await using ws = await open({ hooks: [onMessage(() => ({ kind: 'deny' }))] })
  ws.client.send('x')
  assert.is(await ws.client.close(), 1008)
  await ws.proxy.open(0, 10_000)
})

test('the WebSocket of Node itself reads what was compressed, rewritten and passed on', async () => {
  const accept = (head: string) => {
    const key = /^Sec-WebSocket-Key: (.+)\r$/im.exec(head)![1]
    const hash = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    return `Sec-WebSocket-Accept: ${hash}\r\n${/permessage-deflate/.test(head) ? DEFLATE : ''}`
  }
  const shouting = onMessage((call) =>
    partOf(call).from === 'upstream' && textOf(call).startsWith('shout') ? text(textOf(call).toUpperCase()) : null,
  )
  await using origin = await startWebSocketOrigin({ lines: accept })
  await using proxy = await startProxy({ origin, routes: [{ hooks: [shouting] }] })
  const socket = new WebSocket(`ws://127.0.0.1:${proxy.port}/`)
  const came: unknown[] = []
  socket.addEventListener('message', ({ data }) => void came.push(data))
  const { peer } = await origin.peer()
  await eventually(() => (socket.readyState === WebSocket.OPEN ? true : undefined), 'not open')
  assert.is(socket.extensions, 'permessage-deflate')
  using sender = new StreamDeflate()
  const said = ['some text, some text', 'shout some text', 'some text, some text', '', 'shout '.repeat(20_000)]
  for (const one of said) peer.send(await sender.deflate(one), { reserved: 4 })
  await eventually(
    () => (came.length === said.length ? true : undefined),
    () => `${came.length} messages`,
  )
  assert.equal(
    came,
    said.map((one) => (one.startsWith('shout') ? one.toUpperCase() : one)),
  )
  socket.send('hello')
  const hello = await peer.next()
  using receiver = new StreamDeflate()
  assert.is((hello.reserved === 4 ? await receiver.inflate(hello.payload) : hello.payload).toString(), 'hello')
  socket.close(4000, 'done')
  assert.is(await peer.close(), 4000)
  peer.send(Buffer.from([0x0f, 0xa0]), { opcode: 8 })
  await eventually(() => (socket.readyState === WebSocket.CLOSED ? true : undefined), 'not closed')
})

test('each hook is held once, released and made to forget once, however it ends', async () => {
  const ends: ((ws: Awaited<ReturnType<typeof open>>) => void)[] = [
    (ws) => ws.socket.reset(),
    (ws) => ws.connection.reset(),
    (ws) => void ws.client.send('x', { key: null }),
    (ws) => void ws.client.send('deny'),
    (ws) => ws.proxy.runtime.close(),
  ]
  for (const end of ends) {
    const log: string[] = []
    const keeping = hook('keeping', {
      onMessage: (call) => (textOf(call) === 'deny' ? { kind: 'deny' } : null),
      hold: () => void log.push('hold'),
      release: () => void log.push('release'),
      forget: (state) => void log.push(`forget ${state > 0}`),
    })
    await using ws = await open({ hooks: [keeping] })
    assert.equal(log, ['hold'])
    end(ws)
    await ws.socket.closed()
    await ws.connection.closed()
    ws.socket.destroy()
    ws.connection.destroy()
    await ws.proxy.open(0)
    await ws.proxy.exchange()
    assert.equal(log, ['hold', 'forget true', 'release'])
  }
})

test('inline: text is a string, bytes are bytes, the state is one for both directions, and what it returns goes on', async () => {
  const counts = inlineHook('web/use[0]', {
    async onMessage(message, from, { state }) {
      state.count = ((state.count as number | undefined) ?? 0) + 1
      if (typeof message !== 'string') return Uint8Array.from(message, (byte) => byte + 1)
      if (message === 'deny') return deny()
      return `${state.count} ${from} ${message}`
    },
  })
  for (let i = 0; i < 2; i++) {
    await using ws = await open({ hooks: [counts], origin: { onPeer: echo } })
    ws.client.send('ä')
    assert.is(await ws.client.text(), '2 upstream 1 client ä')
    ws.client.send(Buffer.from([1, 2]), { opcode: 2 })
    assert.equal([...(await ws.client.next()).payload], [3, 4])
    ws.client.send('deny')
    assert.is(await ws.client.close(), 1008)
  }
})

test('inline: an exception, early or late, and an answer that is none end with 1011', async () => {
  const wrong: ((message: string | Uint8Array) => unknown)[] = [
    () => {
      throw new Error('oops')
    },
    () => Promise.reject(new Error('oops')),
    () => 7,
    () => ({ kind: 'routeTo', upstream: 'api' }),
  ]
  for (const onMessage of wrong) {
    await using ws = await open({ hooks: [inlineHook('web/use[0]', { onMessage: onMessage as () => undefined })] })
    ws.client.send('x')
    assert.is(await ws.client.close(), 1011)
    assert.is(await ws.endpoint.close(), 1011)
    ws.socket.destroy()
    ws.connection.destroy()
    const ended = await ws.proxy.exchange()
    assert.equal([ended.reason, ended.decidedBy], ['hook_failed', 'web/use[0]'])
  }
})

test.run()
