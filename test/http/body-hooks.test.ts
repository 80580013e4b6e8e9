/** Hooks of bodies: each is asked about every piece once and in order, what it answers goes on, and both sides stay well framed. */
// Runs alone: it looks at the memory of its process.
import { randomBytes } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PENDING } from '../../core/hooks.ts'
import { bodyHook, bytes } from '../support/body-hooks.ts'
import { eventually } from '../support/deadline.ts'
import { collectGarbage } from '../support/garbage.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { Held, hook, startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const post = (body: string, lines = '') => `POST / HTTP/1.1\r\nHost: x\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`
const chunked = (...chunks: string[]) => `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`
const upper = (text: string) => bytes(text.toUpperCase())
const MB = 1024 * 1024

test('a response passes piece by piece, in a framing of its own, and keeps the connection', async () => {
  await using origin = await startOrigin((req) =>
    req.target === '/chunks'
      ? `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "a"\r\n\r\n${chunked('one ', 'two ', 'three')}`
      : answer('hello', 200, ['Content-Type: Text/HTML; charset=utf-8', 'ETag: "a"', 'Accept-Ranges: bytes', 'Digest: x', 'X-Kept: 1']),
  )
  const shout = bodyHook({}, upper)
  await using proxy = await startProxy({ origin, listener: { hooks: [shout] } })
  using c = await proxy.connect()
  const first = await c.send(GET).response()
  assert.equal([first.text, first.framing, first.headers['content-length']], ['HELLO', 'chunked', undefined])
  assert.equal(
    [first.headers.etag, first.headers['accept-ranges'], first.headers.digest, first.headers['x-kept']],
    ['W/"a"', undefined, undefined, '1'],
  )
  assert.equal(
    shout.pieces.map(({ text, last, type }) => [text, last, type]),
    [['hello', true, 'text/html']],
  )
  c.send(GET.replace('/', '/chunks') + GET)
  assert.equal([(await c.response()).text, (await c.response()).text], ['ONE TWO THREE', 'HELLO'])
  assert.equal(new Set(shout.pieces.map(({ state }) => state)).size, 3)
  assert.equal([proxy.ended.length, origin.connections.length, shout.forgotten], [3, 1, []])
})

test('a request passes piece by piece, chunked, whatever its framing was', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  const shout = bodyHook({ side: 'request' }, upper)
  await using proxy = await startProxy({ origin, routes: [{ hooks: [shout] }] })
  using c = await proxy.connect()
  c.send(post('hello', 'Digest: x\r\n'))
  assert.is((await c.response()).text, 'HELLO')
  const withChunks = `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n`
  for (let at = 1; at < withChunks.length; at++) {
    c.send(withChunks.slice(0, at))
    await c.sent()
    assert.is((await c.send(withChunks.slice(at)).response()).text, 'HELLO', `split at ${at}`)
  }
  for (const seen of origin.requests)
    assert.equal([seen.framing, seen.headers['content-length'], seen.headers.digest], ['chunked', undefined, undefined])
  assert.equal(origin.requests[1]!.trailers, ['X-T: 1'])
  assert.equal(origin.malformed, [])
})

test('a request without a body asks no hook; an empty one of unknown length asks once', async () => {
  await using origin = await startOrigin((req) => answer(`<${req.text}>`))
  const seen = bodyHook({ side: 'request' }, (_, { last }) => (last ? bytes('end') : null))
  await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, '<>')
  assert.is((await c.send(post('')).response()).text, '<>')
  assert.is(seen.pieces.length, 0)
  assert.is((await c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n').response()).text, '<end>')
  assert.equal(
    seen.pieces.map(({ text, last }) => [text, last]),
    [['', true]],
  )
})

test('two hooks of the listener and one of the route: in order, and for the response in reverse', async () => {
  const add = (name: string, side: 'request' | 'response') =>
    bodyHook({ side, name }, (text, { last }) => bytes(last ? `${text}${name}` : text))
  await using origin = await startOrigin((req) => answer(`${req.text}|`))
  const sides = ['request', 'response'] as const
  const listener = { hooks: ['a', 'b'].flatMap((name) => sides.map((side) => add(name, side))) }
  await using proxy = await startProxy({ origin, listener, routes: [{ hooks: sides.map((side) => add('c', side)) }] })
  using c = await proxy.connect()
  assert.is((await c.send(post('>')).response()).text, '>abc|cba')
})

test('pieces may be dropped, held back for the next, and written at the end', async () => {
  const body = 'a needle in the haystack, a nee'
  const word = 'needle'
  let rest = ''
  const replacing = bodyHook({}, (text, { last }) => {
    const all = (rest + text).replaceAll(word, 'pin')
    const keep = last ? 0 : Math.min(all.length, word.length - 1)
    rest = all.slice(all.length - keep)
    return bytes(all.slice(0, all.length - keep))
  })
  await using origin = await startOrigin((_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`)
    for (const byte of body) connection.write(byte)
    return undefined
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [replacing] } })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, body.replaceAll(word, 'pin'))
  assert.is(replacing.text, body)
  assert.is(replacing.pieces.filter(({ last }) => last).length, 1)
})

test('bytes stay as they are until a slow hook answers, and what comes meanwhile is joined', async () => {
  const text = randomBytes(300_000)
  const held: { readonly seen: string; readonly now: () => string; readonly answer: () => void }[] = []
  const slow = bodyHook({}, (seen, part, call) => {
    held.push({ seen, now: () => Buffer.from(part.bytes).toString('latin1'), answer: () => call.resume(null) })
    return PENDING
  })
  await using origin = await startOrigin((_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n`)
    for (let at = 0; at < text.length; at += 1000) connection.write(text.subarray(at, at + 1000))
    return undefined
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [slow] } })
  using c = await proxy.connect()
  const response = c.send(GET).response()
  for (let got = 0; got < text.length; ) {
    await eventually(() => (held.length > 0 ? true : undefined), 'not asked')
    await proxy.settled()
    const one = held.shift()!
    assert.is(held.length, 0)
    assert.is(one.now() === one.seen, true)
    got += one.seen.length
    one.answer()
  }
  assert.ok((await response).body.equals(text))
  assert.ok(slow.pieces.every((piece) => piece.text.length <= 65536))
  assert.ok(slow.pieces.length < 40, `${slow.pieces.length} pieces`)
})

test('a whole body is one call, and leaves with its exact length, both ways', async () => {
  await using origin = await startOrigin((req) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('<', req.text, '>')}`)
  const wish = { mode: 'buffer' } as const
  const hooks = [bodyHook({ ...wish, side: 'request' }, upper), bodyHook(wish, (text) => bytes(`${text}é`))]
  await using proxy = await startProxy({ origin, listener: { hooks } })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n')
  await proxy.settled()
  assert.is(origin.connections.length, 0)
  const response = await c.send('3\r\nllo\r\n0\r\n\r\n').response()
  assert.equal([response.text, response.headers['content-length'], response.framing], ['<HELLO>é', '9', 'length'])
  const [seen] = origin.requests
  assert.equal([seen!.text, seen!.headers['content-length'], seen!.headers['transfer-encoding']], ['HELLO', '5', undefined])
  for (const one of hooks)
    assert.equal(
      one.pieces.map(({ last }) => last),
      [true],
    )
})

test('types choose; what is wanted by nobody passes as it came', async () => {
  const seen = bodyHook({ types: ['text/*', 'application/json'] }, upper)
  await using origin = await startOrigin((req) => {
    const type = req.target === '/none' ? '' : `Content-Type: ${req.target.slice(1)}\r\n`
    return `HTTP/1.1 200 OK\r\n${type}ETag: "a"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\n\r\n`
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
  using c = await proxy.connect()
  for (const [type, text, etag] of [
    ['text/html', 'ABC', 'W/"a"'],
    ['application/json; a=b', 'ABC', 'W/"a"'],
    ['image/png', 'abc', '"a"'],
    ['textual/x', 'abc', '"a"'],
    ['none', 'abc', '"a"'],
  ] as const) {
    const response = await c.send(`GET /${type.replace('; ', ';')} HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    assert.equal([response.text, response.headers.etag, response.trailers], [text, etag, ['X-T: 1']], type)
  }
  assert.is(origin.requests[0]!.headers['accept-encoding'], 'identity')
})

test('a hook that does not match is not prepared for, and not asked', async () => {
  const none = Object.assign(bodyHook({}, upper), { matches: () => false })
  const noneEither = Object.assign(bodyHook({ side: 'request' }, upper), { matches: () => false })
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin, listener: { hooks: [none, noneEither] } })
  using c = await proxy.connect()
  assert.is((await c.send(post('hello', 'Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n')).response()).text, 'hello')
  const [seen] = origin.requests
  assert.equal([seen!.headers['accept-encoding'], seen!.headers.range, seen!.framing], ['gzip', 'bytes=0-1', 'length'])
})

test('the type is what the response hooks made of it, however long they took', async () => {
  const after = new Held()
  const seen = bodyHook({ types: ['text/html'] }, upper)
  await using origin = await startOrigin((req) =>
    req.target === '/fixed' ? answer('<p>') : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('<p', '>')}`,
  )
  await using proxy = await startProxy({ origin, listener: { hooks: [seen, hook('type', { onResponse: after.pending })] } })
  using c = await proxy.connect()
  let n = 0
  for (const target of ['/fixed', '/chunked']) {
    for (const [type, text] of [
      ['text/html', '<P>'],
      ['text/plain', '<p>'],
    ] as const) {
      c.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
      const call = await after.call(++n)
      call.response!.set('Content-Type', type)
      await proxy.settled()
      call.resume(null)
      assert.is((await c.response()).text, text, `${target} ${type}`)
    }
  }
})

test('an old client gets the body up to the close, or an exact length', async () => {
  await using origin = await startOrigin(() => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('hello', ' you')}`)
  for (const mode of ['stream', 'buffer'] as const) {
    await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({ mode }, upper)] } })
    using c = await proxy.connect()
    const response = await c.send('GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n').response()
    assert.equal([response.text, response.headers['transfer-encoding']], ['HELLO YOU', undefined])
    assert.is(response.headers['content-length'], mode === 'buffer' ? '9' : undefined)
    if (mode === 'stream') assert.is(await c.closed(), 'fin')
    else assert.is((await c.send('GET / HTTP/1.0\r\nHost: x\r\n\r\n').response()).text, 'HELLO YOU')
  }
})

test('HEAD, 304 and 204 ask no hook, and tell what a GET would', async () => {
  const seen = bodyHook({ types: ['text/html'] }, upper)
  const fields = 'Content-Type: text/html\r\nETag: "a"\r\nAccept-Ranges: bytes\r\n'
  await using origin = await startOrigin((req) => {
    if (req.target === '/304') return 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n'
    if (req.target === '/204') return 'HTTP/1.1 204 No Content\r\nETag: "a"\r\n\r\n'
    if (req.method === 'HEAD') return `HTTP/1.1 200 OK\r\n${fields}Content-Length: 5\r\n\r\n`
    return `HTTP/1.1 200 OK\r\n${fields}Content-Length: 5\r\n\r\nhello`
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
  using c = await proxy.connect()
  const told: unknown[] = []
  for (const [method, target] of [
    ['HEAD', '/'],
    ['GET', '/304'],
    ['GET', '/204'],
  ] as const) {
    const { status, headers } = await c.send(`${method} ${target} HTTP/1.1\r\nHost: x\r\n\r\n`).response({ to: method })
    told.push([status, headers.etag, headers['content-length'], headers['accept-ranges']])
  }
  assert.equal(told, [
    [200, 'W/"a"', undefined, undefined],
    [304, 'W/"a"', undefined, undefined],
    [204, '"a"', undefined, undefined],
  ])
  assert.is(seen.pieces.length, 0)
  assert.is((await c.send(GET).response()).text, 'HELLO')
})

test('an empty response is asked about once, and may be given a body', async () => {
  await using origin = await startOrigin(() => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  let add = ''
  const seen = bodyHook({}, () => (add === '' ? null : bytes(add)))
  await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
  using c = await proxy.connect()
  const first = await c.send(GET).response()
  assert.equal([first.text, first.headers['content-length']], ['', '0'])
  add = 'footer'
  assert.is((await c.send(GET).response()).text, 'footer')
  assert.equal(
    seen.pieces.map(({ last }) => last),
    [true, true],
  )
})

test('what was answered here is not filtered: respond, redirect, errors, a hook’s own', async () => {
  const seen = bodyHook({}, upper)
  const own = hook('own', {
    onResponse: (call) => (call.request.path === '/own' ? { kind: 'respond', status: 200, body: 'own', headers: {} } : null),
  })
  const routes = [
    { path: '/local', to: { kind: 'respond', status: 200, body: 'local', headers: {} } as const },
    { path: '/own' },
    { path: '/gone', to: 'gone' },
  ]
  await using origin = await startOrigin()
  await using proxy = await startProxy({
    origin,
    upstreams: { gone: { endpoints: ['127.0.0.1:1'] } },
    listener: { hooks: [seen, own] },
    routes,
  })
  using c = await proxy.connect()
  const texts: string[] = []
  for (const path of ['/local', '/own', '/gone']) texts.push((await c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).response()).text)
  assert.equal(texts.slice(0, 2), ['local', 'own'])
  assert.match(texts[2]!, /^502 Bad Gateway/)
  assert.is(seen.pieces.length, 0)
})

test('the head does not wait for a body that has not begun', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
    return undefined
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({}, upper)] } })
  using c = await proxy.connect()
  await c.send(GET).until('\r\n\r\n')
  origin.connections[0]!.write('5\r\nevent\r\n')
  await c.until('EVENT')
  origin.connections[0]!.write('0\r\n\r\n')
  await c.until('0\r\n\r\n')
})

test('a client that does not read stops the endpoint, and a stream of any length needs little memory', async () => {
  const total = 96 * MB
  const part = randomBytes(MB)
  let written = 0
  await using origin = await startOrigin((_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    const more = (): void => {
      if (written === total || !connection.socket.writable) return
      written += part.length
      connection.socket.write(part, more)
    }
    more()
    return undefined
  })
  let n = 0
  const passing = bodyHook({}, (_, __, call) => {
    if (++n % 8 !== 0) return null
    setImmediate(() => call.resume(null))
    return PENDING
  })
  passing.pieces.push = () => 0
  await using proxy = await startProxy({
    origin,
    listener: { hooks: [passing, bodyHook({ name: 'same' }, (text) => bytes(Buffer.from(text, 'latin1')))] },
  })
  using c = await proxy.connect({ deadlineMs: 60_000 })
  c.socket.pause()
  c.send(GET)
  await origin.request()
  let last = -1
  await eventually(() => {
    const stands = written === last
    last = written
    return stands && written > 0 ? true : undefined
  }, 'the endpoint goes on')
  assert.ok(written < 64 * MB, `${written} bytes were taken for a client that does not read`)
  const before = process.memoryUsage()
  let most = 0
  let got = 0
  let collected = 0
  c.socket.removeAllListeners('data')
  c.socket.on('data', (data: Buffer) => {
    got += data.length
    if (got < collected + 4 * MB) return
    collected = got
    // What is garbage counts for nobody.
    collectGarbage()
    most = Math.max(most, process.memoryUsage().arrayBuffers - before.arrayBuffers)
  })
  c.resume()
  await eventually(
    () => (got > total && proxy.ended.length > 0 ? true : undefined),
    () => `${got} bytes`,
    60_000,
  )
  assert.is(proxy.ended[0]!.bytesOut, total)
  assert.ok(most < 48 * MB, `${most / MB} MB`)
})

test('a client that sends without end is stopped while a hook thinks', async () => {
  const calls: (() => void)[] = []
  const slow = bodyHook({ side: 'request' }, (_, __, call) => {
    calls.push(() => call.resume(null))
    return PENDING
  })
  slow.pieces.push = () => 0
  await using origin = await startOrigin((req) => answer(String(req.body.length)))
  await using proxy = await startProxy({ origin, listener: { hooks: [slow] } })
  using c = await proxy.connect({ deadlineMs: 30_000 })
  const body = Buffer.alloc(24 * MB, 'x')
  c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`).send(body)
  await eventually(() => (calls.length > 0 ? true : undefined), 'not asked')
  await proxy.settled()
  assert.is(calls.length, 1)
  assert.ok(c.socket.writableLength > 8 * MB, `${c.socket.writableLength} bytes wait at the client`)
  const timer = setInterval(() => {
    for (const call of calls.splice(0)) call()
  }, 0)
  try {
    assert.is((await c.response()).text, String(body.length))
  } finally {
    clearInterval(timer)
  }
})

test('an interim answer is given by whoever waits for the body', async () => {
  const expecting = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'
  for (const mode of ['stream', 'buffer'] as const) {
    await using origin = await startOrigin((req) => answer(req.text), {
      onHead: (head) => (head.headers.expect === undefined ? undefined : 'HTTP/1.1 100 Continue\r\n\r\n'),
    })
    await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({ side: 'request', mode }, upper)] } })
    using c = await proxy.connect()
    assert.is((await c.send(expecting).response()).status, 100, mode)
    assert.is(origin.connections.length, mode === 'stream' ? 1 : 0)
    assert.is((await c.send('hello').response()).text, 'HELLO', mode)
    assert.is(origin.requests[0]!.headers.expect, mode === 'stream' ? '100-continue' : undefined)
  }
})

test.run()
