/** However a body with hooks ends, nobody takes a part of it for the whole, and every hook is told, by `last` or by `forget`. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ProxyError } from '../../core/errors.ts'
import { PENDING, type Verdict } from '../../core/hooks.ts'
import { bodyHook, bytes, deny, respond } from '../support/body-hooks.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n'
const FIRST = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst'
const fail: Verdict = { kind: 'fail', error: new ProxyError('plugin_failed', 'the plugin h threw') }

/** One proxy with these hooks before this origin. */
const withHooks = (origin: ProxyOptions['origin'] & object, ...hooks: ReturnType<typeof bodyHook>[]) =>
  startProxy({ origin, listener: { hooks } })

const throws = () => {
  throw new Error('secret')
}

test('a response that is refused before its head has left is a clean error', async () => {
  await using origin = await startOrigin(() => answer('secret'))
  for (const [decide, status, reason, token] of [
    [() => deny, 502, 'response_denied', 'proxy_internal_response'],
    [() => fail, 500, 'plugin_failed', 'proxy_internal_error'],
    [throws, 500, 'hook_failed', 'proxy_internal_error'],
    [() => respond(200, 'no place for it'), 500, 'hook_failed', 'proxy_internal_error'],
  ] as const) {
    for (const mode of ['stream', 'buffer'] as const) {
      await using proxy = await withHooks(origin, bodyHook({ mode }, decide))
      using c = await proxy.connect()
      const response = await c.send(GET).response()
      assert.equal([response.status, response.headers['proxy-status']], [status, `sluice; error=${token}`], `${reason} ${mode}`)
      assert.not.match(response.text, /secret/)
      assert.equal([proxy.ended[0]!.reason, proxy.ended[0]!.decidedBy], [reason, 'h'])
      assert.is((await c.send(GET).response()).status, status)
    }
  }
})

test('a response that is refused after its head has left is cut', async () => {
  for (const [decide, reason] of [
    [() => deny, 'response_denied'],
    [() => fail, 'plugin_failed'],
    [throws, 'hook_failed'],
  ] as const) {
    await using origin = await startOrigin((_, connection) => {
      connection.write(FIRST)
      return undefined
    })
    const second = bodyHook({}, (text) => (text === 'first' ? null : decide()))
    await using proxy = await withHooks(origin, second)
    using c = await proxy.connect()
    await c.send(GET).until('first')
    origin.connections[0]!.write('last!')
    assert.is(await c.closed(), 'reset')
    assert.equal([(await proxy.exchange()).reason, proxy.ended[0]!.status, proxy.ended.length], [reason, 200, 1])
    assert.is(c.rest, '\r\n')
  }
})

test('a request that is refused is a clean error while no response has begun', async () => {
  for (const [decide, status, reason] of [
    [() => deny, 403, 'request_denied'],
    [() => fail, 500, 'plugin_failed'],
    [throws, 500, 'hook_failed'],
  ] as const) {
    for (const mode of ['stream', 'buffer'] as const) {
      await using origin = await startOrigin()
      const late = bodyHook({ side: 'request', mode }, (_, { last }) => (last ? decide() : null))
      await using proxy = await withHooks(origin, late)
      using c = await proxy.connect()
      c.send(`${POST}first`)
      await proxy.settled()
      const response = await c.send('last!').response()
      assert.is(response.status, status, `${reason} ${mode}`)
      assert.equal([(await proxy.exchange()).reason, proxy.ended[0]!.decidedBy], [reason, 'h'])
      assert.is(origin.requests.length, 0)
      if (mode === 'stream') assert.is(await origin.connections[0]!.closed(), 'reset')
    }
  }
})

test('a hook of the request may answer in the endpoint’s place, while the client still sends', async () => {
  await using origin = await startOrigin()
  const says = bodyHook({ side: 'request' }, (text) => (text.includes('virus') ? respond(422, 'infected') : null))
  await using proxy = await withHooks(origin, says)
  using c = await proxy.connect()
  c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nclean`)
  await (await origin.connection()).until('clean')
  c.send('virus')
  const response = await c.response()
  assert.equal([response.status, response.text, response.headers.connection], [422, 'infected', 'close'])
  assert.is(await c.closed(), 'fin')
  assert.equal([proxy.ended[0]!.decidedBy, proxy.ended[0]!.reason], ['h', null])
  assert.is(await origin.connections[0]!.closed(), 'reset')
  assert.is(says.forgotten.length, 1)
})

test('an answer that comes when the response has begun breaks the exchange off', async () => {
  await using origin = await startOrigin(() => undefined, { onHead: () => `HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nearly` })
  const says = bodyHook({ side: 'request' }, (_, { last }) => (last ? respond(422) : null))
  await using proxy = await withHooks(origin, says)
  using c = await proxy.connect()
  await c.send(`${POST}first`).until('early')
  c.send('last!')
  assert.is(await c.closed(), 'reset')
  const ended = await proxy.exchange()
  assert.equal([ended.status, ended.reason, ended.detail], [200, 'request_denied', 'answered when the response had begun'])
})

test('more than a hook takes whole is refused: 413 from the client, 502 from the endpoint', async () => {
  const wish = { mode: 'buffer', maxBytes: 8 } as const
  await using origin = await startOrigin((req) => answer(req.target === '/large' ? '123456789' : '12345678'))
  await using proxy = await withHooks(origin, bodyHook({ ...wish, side: 'request' }), bodyHook(wish))
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, '12345678')
  const large = await c.send(GET.replace('/', '/large')).response()
  assert.equal([large.status, large.headers['proxy-status']], [502, 'sluice; error=http_response_body_size'])
  const response = await c.send(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n4\r\nfghi\r\n`).response()
  assert.equal([response.status, response.headers.connection], [413, 'close'])
  assert.equal(
    proxy.ended.map(({ reason }) => reason),
    [null, 'response_body_too_large', 'body_too_large'],
  )
})

test('an announced length that no hook takes is refused before the body is asked for', async () => {
  await using origin = await startOrigin()
  await using proxy = await withHooks(origin, bodyHook({ side: 'request', mode: 'buffer', maxBytes: 5 }))
  using c = await proxy.connect()
  const response = await c.send(POST.replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n')).response()
  assert.is(response.status, 413)
})

test('the client goes away in the middle, both ways: hooks are told, answers that come later are nobody’s', async () => {
  for (const side of ['request', 'response'] as const) {
    for (const isAsked of [true, false]) {
      await using origin = await startOrigin((_, connection) => {
        if (side === 'response') connection.write(FIRST)
        return undefined
      })
      let late = () => {}
      const slow = bodyHook({ side }, (_, __, call) => {
        if (!isAsked) return null
        late = () => {
          assert.is(call.ended, true)
          call.resume(null)
        }
        return PENDING
      })
      await using proxy = await withHooks(origin, slow)
      const c = await proxy.connect()
      c.send(side === 'request' ? `${POST}first` : GET)
      await eventually(() => slow.pieces[0], 'not asked')
      c.reset()
      assert.is((await proxy.exchange()).reason, 'client_gone')
      late()
      await proxy.open(0)
      assert.equal(slow.forgotten, [slow.pieces[0]!.state], `${side} ${isAsked}`)
      assert.is(proxy.ended.length, 1)
    }
  }
})

test('the endpoint goes away in the middle: an error while the head waits, a cut after it', async () => {
  for (const mode of ['stream', 'buffer'] as const) {
    await using origin = await startOrigin((_, connection) => {
      connection.write(FIRST)
      return undefined
    })
    const seen = bodyHook({ mode })
    await using proxy = await withHooks(origin, seen)
    using c = await proxy.connect()
    c.send(GET)
    if (mode === 'stream') await c.until('first')
    else await origin.request()
    await proxy.settled()
    origin.connections[0]!.reset()
    if (mode === 'stream') assert.is(await c.closed(), 'reset')
    else assert.is((await c.response()).status, 502)
    assert.is((await proxy.exchange()).reason, 'response_incomplete')
    assert.equal(seen.forgotten.length, mode === 'stream' ? 1 : 0)
    assert.is(proxy.ended[0]!.status, mode === 'stream' ? 200 : 502)
  }
})

test('the endpoint goes away while a hook thinks about the end of what it sent', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write(FIRST)
    return undefined
  })
  let answerNow = () => {}
  const slow = bodyHook({}, (_, __, call) => {
    answerNow = () => call.resume(null)
    return PENDING
  })
  await using proxy = await withHooks(origin, slow)
  using c = await proxy.connect()
  c.send(GET)
  await eventually(() => slow.pieces[0], 'not asked')
  origin.connections[0]!.reset()
  await proxy.settled()
  answerNow()
  // Whether the loss was seen before the answer or after it: nothing looks complete.
  const response = await c.response().catch(() => null)
  assert.ok(response === null || response.status === 502, String(response?.status))
  assert.is((await proxy.exchange()).reason, 'response_incomplete')
})

test('a body that was gathered is sent to another endpoint when the first is not there; so is one of which nothing has left', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  const options = { endpoints: ['127.0.0.1:1', origin.address], attempts: 2 }
  for (const mode of ['buffer', 'stream'] as const) {
    await using proxy = await startProxy({
      ...options,
      listener: { hooks: [bodyHook({ side: 'request', mode }, (text) => bytes(`<${text}>`))] },
    })
    using c = await proxy.connect()
    for (let i = 0; i < 2; i++) {
      c.send(POST)
      assert.is((await c.send('0123456789').response()).text.replaceAll('><', ''), '<0123456789>', mode)
    }
    assert.equal(
      proxy.ended.map(({ attempts }) => attempts).map((tries) => tries >= 1),
      [true, true],
    )
    assert.ok(proxy.ended.some(({ attempts }) => attempts === 2))
  }
})

test('a stale connection is given up for a gathered body, and not for one on its way', async () => {
  for (const mode of ['buffer', 'stream'] as const) {
    let n = 0
    await using origin = await startOrigin((req, connection) => {
      if (++n === 2) {
        connection.reset()
        return undefined
      }
      return answer(req.text)
    })
    await using proxy = await withHooks(origin, bodyHook({ side: 'request', mode }))
    using c = await proxy.connect()
    const put = `PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n`
    for (const status of [200, mode === 'buffer' ? 200 : 502]) {
      c.send(`${put}first`)
      await proxy.settled()
      assert.is((await c.send('last!').response()).status, status, mode)
    }
  }
})

test('a connection that is used again is read into other memory while a hook still looks at the end of its answer', async () => {
  // Mechanism: the hook got a view of the buffer that the next answer was read into.
  const texts = ['a', 'b', 'c'].map((letter) => letter.repeat(10_000))
  await using origin = await startOrigin((req) => answer(texts[Number(req.target.slice(1))]!))
  const late: (() => void)[] = []
  const slow = bodyHook({}, (_, __, call) => {
    late.push(() => call.resume(null))
    return PENDING
  })
  await using proxy = await withHooks(origin, slow)
  const asked = async (n: number) => {
    const c = await proxy.connect()
    c.send(GET.replace('/', `/${n}`))
    await eventually(() => {
      if (slow.text.length === (n + 1) * 10_000) return true
      // More than one read: all but the last may go on.
      if (late.length > n + 1) late.splice(n, 1)[0]!()
      return undefined
    }, 'not asked')
    return c
  }
  const clients = [await asked(0), await asked(1), await asked(2)]
  assert.is(origin.connections.length, 1)
  for (const answerNow of late) answerNow()
  for (const [n, c] of clients.entries()) {
    assert.ok((await c.response()).text === texts[n], `answer ${n}`)
    c.destroy()
  }
})

test('what waits behind a filtered response has its turn, whatever became of it', async () => {
  await using origin = await startOrigin((req) => answer(req.target, 200, req.target === '/deny' ? ['Content-Type: x/deny'] : []))
  const shout = bodyHook({}, (text, { type }) => (type === 'x/deny' ? deny : bytes(text.toUpperCase())))
  await using proxy = await withHooks(origin, shout)
  using c = await proxy.connect()
  c.send(['/a', '/deny', '/b', '/c'].map((path) => GET.replace('/', path)).join(''))
  const seen: unknown[] = []
  for (let i = 0; i < 4; i++) {
    const { status, text } = await c.response()
    seen.push(status === 200 ? text : status)
  }
  assert.equal(seen, ['/A', 502, '/B', '/C'])
})

test.run()
