/** Hooks ask in order, may take their time, and whatever they do, the messages on both sides stay well framed. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyError } from '../../core/errors.ts'
import type { HookCall, Verdict } from '../../core/hooks.ts'
import type { Client } from '../support/client.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { Held, hook, startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const respond = (status: number, body = ''): Verdict => ({ kind: 'respond', status, body, headers: {} })

/** One that notes that it was asked, and changes nothing. */
function noting(name: string, notes: string[]) {
  return hook(name, {
    onRequest: () => {
      notes.push(`${name} >`)
      return null
    },
    onResponse: () => {
      notes.push(`< ${name}`)
      return null
    },
  })
}

function note(notes: string[], text: string): null {
  notes.push(text)
  return null
}

const onRequest = (change: (call: HookCall) => void) =>
  hook('h', {
    onRequest: (call) => {
      change(call)
      return null
    },
  })

const onResponse = (change: (call: HookCall) => void) =>
  hook('h', {
    onResponse: (call) => {
      change(call)
      return null
    },
  })

test('listener, then route; on the way back the reverse', async () => {
  const notes: string[] = []
  await using origin = await startOrigin()
  const inner = { hooks: [noting('c', notes), noting('d', notes)] }
  await using proxy = await startProxy({ origin, listener: { hooks: [noting('a', notes), noting('b', notes)] }, routes: [inner] })
  using c = await proxy.connect()
  await c.send(GET).response()
  assert.is(notes.join(' '), 'a > b > c > d > < d < c < b < a')
})

test('an answer of a hook, of a route, and of an error go back through the hooks that were asked', async () => {
  const notes: string[] = []
  const says = hook('says', {
    onRequest: () => respond(403, 'no'),
    onResponse: (call) => note(notes, `< says ${call.response!.status}`),
  })
  const routes = [
    { path: '/hook', hooks: [noting('b', notes), says, noting('never', notes)] },
    { path: '/local', hooks: [noting('b', notes)], to: { kind: 'respond', status: 201, body: 'x', headers: {} } as const },
    { path: '/gone', hooks: [noting('b', notes)] },
  ]
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], listener: { hooks: [noting('a', notes)] }, routes })
  using c = await proxy.connect()
  const seen = async (path: string) => {
    notes.length = 0
    return [(await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()).status, notes.join(' ')]
  }
  assert.equal(await seen('/hook'), [403, 'a > b > < says 403 < b < a'])
  assert.equal(await seen('/local'), [201, 'a > b > < b < a'])
  assert.equal(await seen('/gone'), [502, 'a > b > < b < a'])
  assert.equal(await seen('/nowhere'), [404, 'a > < a'])
  assert.equal(
    proxy.ended.map((one) => one.decidedBy),
    ['says', null, null, null],
  )
})

test('an answer whose status has no content is sent without one, and the connection goes on', async () => {
  const answers = hook('h', { onRequest: (call) => respond(Number(call.request.path.slice(1)), 'content') })
  await using proxy = await startProxy({ endpoints: ['127.0.0.1:1'], listener: { hooks: [answers] } })
  using c = await proxy.connect()
  const framing = async (status: number) => {
    const { headers, text } = await c.send(`GET /${status} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    return [headers['content-length'], headers['content-type'], text]
  }
  assert.equal(await framing(204), [undefined, undefined, ''])
  assert.equal(await framing(205), ['0', undefined, ''])
  assert.equal(await framing(304), [undefined, undefined, ''])
  assert.equal(await framing(200), ['7', 'text/plain; charset=utf-8', 'content'])
  await nothingMore(c)
})

test('a hook that throws is a 500 of its exchange alone, before and after', async () => {
  const throws = () => {
    throw new Error('secret detail')
  }
  await using origin = await startOrigin()
  const routes = [
    { path: '/before', hooks: [hook('bad', { onRequest: throws })] },
    { path: '/after', hooks: [hook('bad', { onResponse: throws })] },
    {},
  ]
  await using proxy = await startProxy({ origin, routes })
  using c = await proxy.connect()
  for (const path of ['/before', '/after']) {
    const response = await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    assert.equal([response.status, response.headers['proxy-status']], [500, 'sluice; error=proxy_internal_error'])
    assert.not.match(response.text, /secret/)
  }
  assert.is((await c.send(GET).response()).text, 'ok')
  assert.equal(
    proxy.ended.map((one) => [one.reason, one.detail, one.decidedBy]),
    [
      ['hook_failed', 'secret detail', 'bad'],
      ['hook_failed', 'secret detail', 'bad'],
      [null, null, null],
    ],
  )
})

test('a hook may take its time, with bodies both ways, and fields it sets go on', async () => {
  const before = new Held()
  const after = new Held()
  const slow = hook('slow', { onRequest: before.pending, onResponse: after.pending })
  const answers = [
    (text: string) => answer(text),
    (text: string) =>
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)};x\r\n${text}\r\n0\r\nX-T: 1\r\n\r\n`,
    (text: string) => `HTTP/1.0 200 OK\r\n\r\n${text}`,
  ]
  const requests = [
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n',
    'POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello',
  ]
  let n = 0
  for (const make of answers) {
    for (const request of requests) {
      await using origin = await startOrigin((req, connection) => {
        if (make('').startsWith('HTTP/1.0')) connection.end(make(`<${req.text}>`))
        else return make(`<${req.text}>`)
        return undefined
      })
      await using proxy = await startProxy({ origin, listener: { hooks: [slow] } })
      using c = await proxy.connect()
      const half = request.length - 3
      c.send(request.slice(0, half))
      const call = await before.call(++n)
      call.request.set('X-From', 'hook')
      assert.is(origin.connections.length, 0)
      c.send(request.slice(half))
      await proxy.settled()
      call.resume(null)
      const back = await after.call(n)
      back.response!.set('X-To', 'hook')
      await proxy.settled()
      assert.is(c.rest, '')
      back.resume(null)
      const response = await c.response()
      assert.equal([response.text, response.headers['x-to'], origin.requests[0]!.headers['x-from']], ['<hello>', 'hook', 'hook'], `${n}`)
      assert.equal(origin.malformed, [])
    }
  }
})

test('a large answer waits for a slow hook in the kernel, not in memory', async () => {
  const after = new Held()
  await using origin = await startOrigin(() =>
    Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n'), Buffer.alloc(33_554_432, 'x')]),
  )
  await using proxy = await startProxy({
    origin,
    listener: { hooks: [hook('slow', { onResponse: after.pending })] },
  })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.send(GET)
  const call = await after.call()
  await proxy.settled()
  assert.ok(origin.connections[0]!.socket.writableLength > 16 << 20)
  call.resume(null)
  assert.is((await c.response()).body.length, 33_554_432)
})

test('the client goes away while a hook is asked: its answer is ignored, twice too', async () => {
  for (const side of ['onRequest', 'onResponse'] as const) {
    const held = new Held()
    await using origin = await startOrigin(() => answer('ok', 200, ['Connection: close']))
    await using proxy = await startProxy({
      origin,
      listener: { hooks: [hook('slow', { [side]: held.pending })] },
    })
    const c = await proxy.connect()
    c.send(GET)
    const call = await held.call()
    c.reset()
    assert.is((await proxy.exchange()).reason, 'client_gone')
    assert.is(call.ended, true)
    call.resume(respond(200))
    call.resume(null)
    await proxy.open(0)
    assert.is(proxy.ended.length, 1)
  }
})

test('the endpoint goes away while a response hook is asked: the client gets a clean error', async () => {
  const held = new Held()
  await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf')
  await using proxy = await startProxy({
    origin,
    timeouts: { idle: 100 },
    listener: { hooks: [hook('slow', { onResponse: held.pending })] },
  })
  using c = await proxy.connect()
  c.send(GET)
  const call = await held.call()
  origin.connections[0]!.reset()
  await proxy.settled()
  call.resume(null)
  const response = await c.response().catch(() => null)
  assert.ok(response === null || response.status === 502, String(response?.status))
  assert.is((await proxy.exchange()).reason, 'response_incomplete')
})

test('an answer while a body is uploading ends the connection after it, and the body goes nowhere', async () => {
  const held = new Held()
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, listener: { hooks: [hook('slow', { onRequest: held.pending })] } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nabc')
  const call = await held.call()
  c.send(Buffer.alloc(300_000))
  call.resume(respond(403, 'no'))
  const response = await c.response()
  assert.equal([response.status, response.text, response.headers.connection], [403, 'no', 'close'])
  assert.is(await c.closed(), 'fin')
  assert.is(origin.connections.length, 0)
})

test('an answer instead of the endpoint’s stops the endpoint, whatever it still sends', async () => {
  await using origin = await startOrigin(() => `HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(1_000_000)}`)
  await using proxy = await startProxy({ origin, listener: { hooks: [hook('h', { onResponse: () => respond(418, 'instead') })] } })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    const response = await c.send(GET).response()
    assert.equal([response.status, response.text], [418, 'instead'])
    assert.is(await origin.connections[i]!.closed(), 'reset')
  }
})

test('a failure verdict is that error, with its status and token', async () => {
  await using proxy = await startProxy({
    listener: { hooks: [hook('h', { onRequest: () => ({ kind: 'fail', error: new ProxyError('plugin_unavailable') }) })] },
  })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal([response.status, response.headers['retry-after']], [503, '1'])
})

test('a reply that cannot be written is a 500', async () => {
  const bad: Verdict = { kind: 'respond', status: 200, body: '', headers: { 'X-A': 'b\r\nX-Evil: 1' } }
  await using proxy = await startProxy({ listener: { hooks: [hook('h', { onRequest: () => bad })] } })
  using c = await proxy.connect()
  const response = await c.send(GET).response()
  assert.equal([response.status, response.headers['x-evil']], [500, undefined])
})

test('a reply says its own length, whatever its headers say', async () => {
  const reply: Verdict = {
    kind: 'respond',
    status: 200,
    body: 'é!',
    headers: { 'Content-Length': '900', 'Transfer-Encoding': 'chunked', Connection: 'x', 'X-A': '1' },
  }
  await using proxy = await startProxy({ listener: { hooks: [hook('h', { onRequest: () => reply })] } })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    const response = await c.send(GET).response()
    assert.equal(
      [response.text, response.headers['content-length'], response.headers['x-a'], response.headers.connection],
      ['é!', '3', '1', undefined],
    )
  }
})

test('routeTo sends to an upstream by its name, by the normal form of what the hook wrote', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  const to = (upstream: string) =>
    hook('h', {
      onRequest: (call) => {
        call.request.path = '/a/../secret//%62'
        return { kind: 'routeTo', upstream }
      },
    })
  await using proxy = await startProxy({ upstreams: { other: { endpoints: [origin] } }, listener: { hooks: [to('other')] } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, '/secret/b')
  assert.equal([proxy.ended[0]!.upstream, proxy.ended[0]!.route, proxy.ended[0]!.decidedBy], ['other', null, 'h'])
  await using wrong = await startProxy({ listener: { hooks: [to('nowhere')] } })
  using d = await wrong.connect()
  assert.is((await d.send(GET).response()).status, 500)
})

test('a path that a hook wrote is matched and sent in its normal form, or refused', async () => {
  await using origin = await startOrigin((req) => answer(req.target))
  const routes = [{ path: '/admin/*', to: { kind: 'respond', status: 403, body: 'no', headers: {} } as const }, {}]
  let path = ''
  await using proxy = await startProxy({
    origin,
    routes,
    listener: { hooks: [onRequest((call) => Object.assign(call.request, { path }))] },
  })
  using c = await proxy.connect()
  for (const [wrote, status, text] of [
    ['/x/../admin/y', 403, 'no'],
    ['/%61dmin', 403, 'no'],
    ['/a//b', 200, '/a/b'],
  ] as const) {
    path = wrote
    const response = await c.send(GET).response()
    assert.equal([response.status, response.text], [status, text], wrote)
  }
  path = '/a%2fb'
  assert.is((await c.send(GET).response()).status, 400)
})

test('a method that a hook changed does not change how the client reads the answer', async () => {
  // Mechanism: whether the answer has a body was told by the method that was sent, also for the client that had sent another.
  await using origin = await startOrigin((req) =>
    req.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n' : answer('hello'),
  )
  const swap = onRequest((call) => {
    call.request.method = call.request.method === 'HEAD' ? 'GET' : 'HEAD'
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [swap] } })
  using c = await proxy.connect()
  c.send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n').send(GET).send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.response({ to: 'HEAD' })).headers['content-length'], '5')
  assert.equal([(await c.response()).text, (await c.response({ to: 'HEAD' })).status], ['', 200])
  assert.equal(
    origin.requests.map((one) => one.method),
    ['GET', 'HEAD', 'GET'],
  )
  await nothingMore(c)
})

test('a status that a hook changed does not change how the client reads the answer', async () => {
  // Mechanism: a 204 that once had a body was followed by that body, and a 200 that was a 204 had no end.
  const answers: Record<string, string> = {
    '/fixed': answer('hello'),
    '/chunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
  }
  await using origin = await startOrigin((req) => answers[req.target]!)
  const swap = onResponse(({ response }) => {
    response!.status = response!.status === 200 ? 204 : 200
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [swap] } })
  using c = await proxy.connect()
  for (const target of ['/fixed', '/204', '/chunked', '/304', '/fixed']) {
    const response = await c.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    assert.equal(
      [response.status, response.text, response.headers['content-length']],
      target.startsWith('/2') || target.startsWith('/3') ? [200, '', '0'] : [204, '', undefined],
      target,
    )
    await nothingMore(c)
  }
})

test('a close-delimited answer that waited for a hook is chunked as well as one that did not', async () => {
  // Mechanism: what had been kept went before the size of its chunk.
  const held = new Held()
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\n\r\nfirst')
    return undefined
  })
  await using proxy = await startProxy({
    origin,
    listener: { hooks: [hook('slow', { onResponse: held.pending })] },
  })
  using c = await proxy.connect()
  c.send(GET)
  const call = await held.call()
  call.resume(null)
  await c.until('first\r\n')
  origin.connections[0]!.end(' second')
  assert.is(await c.until('0\r\n\r\n'), '7\r\n second\r\n0\r\n\r\n')
})

test.run()

/** The connection holds no byte beyond the answers that were taken: the next exchange is read as itself. */
async function nothingMore(c: Client): Promise<void> {
  assert.is(c.rest, '')
  assert.not.ok(c.isClosed)
}
