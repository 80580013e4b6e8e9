/** A body that hooks read is plain: asked for so, decoded where it is not, and never passed on unread. */

import * as zlib from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bodyHook, bytes } from '../support/body-hooks.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const TEXT = 'ein großer Text, '.repeat(20_000)
const MB = 1024 * 1024
const codings: Readonly<Record<string, (bytes: string | Buffer) => Buffer>> = {
  ...{ gzip: zlib.gzipSync, 'x-gzip': zlib.gzipSync, deflate: zlib.deflateSync, br: zlib.brotliCompressSync, zstd: zlib.zstdCompressSync },
  Deflate: zlib.deflateRawSync,
}
const head = (lines: string) => `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${lines}\r\n`
const mark = (text: string, last: boolean) => bytes(Buffer.from(last ? `${text}!` : text, 'latin1'))

test('responses in every coding reach the hook plain, and leave plain', async () => {
  for (const [coding, encode] of Object.entries(codings)) {
    for (const mode of ['stream', 'buffer'] as const) {
      const packed = encode(TEXT)
      await using origin = await startOrigin((_, connection) => {
        connection.write(head(`Content-Encoding: ${coding}\r\nContent-Length: ${packed.length}\r\n`))
        for (let at = 0; at < packed.length; at += 37) connection.write(packed.subarray(at, at + 37))
        return undefined
      })
      const seen = bodyHook({ mode, maxBytes: MB }, (text, { last }) => mark(text, last))
      await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
      using c = await proxy.connect()
      const response = await c.send('GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n').response()
      assert.ok(response.text === `${TEXT}!`, `${coding} ${mode}`)
      assert.is(response.headers['content-encoding'], undefined)
      assert.ok(Buffer.from(seen.text, 'latin1').toString() === TEXT)
      assert.is(seen.pieces.filter(({ last }) => last).length, 1)
    }
  }
})

test('requests in every coding reach the hook and the endpoint plain', async () => {
  for (const [coding, encode] of Object.entries(codings)) {
    for (const mode of ['stream', 'buffer'] as const) {
      await using origin = await startOrigin(() => head('Content-Length: 0\r\n'))
      const seen = bodyHook({ side: 'request', mode, maxBytes: MB }, (text, { last }) => mark(text, last))
      await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
      using c = await proxy.connect()
      const packed = encode(TEXT)
      c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: ${coding}\r\nContent-Length: ${packed.length}\r\n\r\n`).send(packed)
      await c.response()
      const [{ text, headers }] = origin.requests as [(typeof origin.requests)[0]]
      assert.ok(text === `${TEXT}!`, `${coding} ${mode}`)
      assert.equal([headers['content-encoding'], origin.malformed], [undefined, []])
    }
  }
})

test('a coding that is not understood is refused, either way', async () => {
  await using origin = await startOrigin(() => `${head('Content-Encoding: compress\r\nContent-Length: 3\r\n')}abc`)
  await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook(), bodyHook({ side: 'request' })] } })
  using c = await proxy.connect()
  const response = await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()
  assert.equal([response.status, response.headers['proxy-status']], [502, 'sluice; error=http_response_content_coding'])
  for (const coding of ['compress', 'gzip, br']) {
    using d = await proxy.connect()
    d.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: ${coding}\r\nContent-Length: 3\r\n\r\nabc`)
    assert.is((await d.response()).status, 415)
  }
  assert.is(origin.requests.length, 1)
})

test('what is packed wrongly, or not to its end, is an error and never a shorter body', async () => {
  for (const [coding, encode] of Object.entries(codings)) {
    const whole = encode(TEXT)
    for (const packed of [Buffer.from('this is not packed at all'), whole.subarray(0, whole.length - 4)]) {
      await using origin = await startOrigin((_, connection) => {
        connection.write(head(`Content-Encoding: ${coding}\r\nContent-Length: ${packed.length}\r\n`)).write(packed)
        return undefined
      })
      await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({ mode: 'buffer' }), bodyHook({ side: 'request' })] } })
      using c = await proxy.connect()
      const response = await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()
      assert.is(response.status, 502, `${coding} ${packed.length}`)
      c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: ${coding}\r\nContent-Length: ${packed.length}\r\n\r\n`).send(packed)
      assert.is((await c.response()).status, 400, `${coding} ${packed.length}`)
      assert.equal(
        proxy.ended.map(({ reason }) => reason),
        ['response_content_coding', 'bad_body'],
      )
    }
  }
})

test('what says that it is coded, and is empty, is empty', async () => {
  await using origin = await startOrigin(() => head('Content-Encoding: gzip\r\nContent-Length: 0\r\n'))
  const seen = bodyHook()
  await using proxy = await startProxy({ origin, listener: { hooks: [seen] } })
  using c = await proxy.connect()
  assert.is((await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, '')
  assert.equal(
    seen.pieces.map(({ text, last }) => [text, last]),
    [['', true]],
  )
})

test('a few bytes that hold very many are unpacked no faster than somebody takes them', async () => {
  const total = 256 * MB
  const bomb = zlib.gzipSync(Buffer.alloc(total))
  assert.ok(bomb.length < MB)
  await using origin = await startOrigin((_, connection) => {
    connection.write(head(`Content-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n`)).write(bomb)
    return undefined
  })
  for (const mode of ['stream', 'buffer'] as const) {
    let got = 0
    const counting = bodyHook({ mode, maxBytes: MB }, (text) => {
      got += text.length
      return null
    })
    counting.pieces.push = () => 0
    await using proxy = await startProxy({ origin, listener: { hooks: [counting] } })
    using c = await proxy.connect()
    c.pause().send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    if (mode === 'buffer') {
      assert.is((await c.resume().response()).status, 502)
      assert.is(got, 0)
      continue
    }
    // It goes on as long as the kernel takes what nobody reads; then it stands.
    let before = -1
    while (before !== got || got === 0) {
      before = got
      for (let i = 0; i < 20; i++) await proxy.settled()
    }
    assert.ok(got < total / 4, `${got / MB} MB were unpacked`)
  }
})

test('the limit of a request body holds for what comes of it, too', async () => {
  await using origin = await startOrigin(() => head('Content-Length: 0\r\n'))
  const hooks = [bodyHook({ side: 'request' })]
  await using proxy = await startProxy({ origin, listener: { hooks }, limits: { bodyBytes: 50_000 } })
  for (const [bytes, status] of [
    [50_000, 200],
    [50_001, 413],
    [5_000_000, 413],
  ] as const) {
    using c = await proxy.connect()
    const packed = zlib.gzipSync(Buffer.alloc(bytes))
    c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`).send(packed)
    assert.is((await c.response()).status, status, `${bytes}`)
  }
})

// RFC 9659: a decoder has to keep a window of 8 MiB, and no larger one.
test('a frame of zstd that wants more memory than a sender may is refused', async () => {
  const frame = (windowLog: number) =>
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (windowLog - 10) << 3, (5 << 3) | 1, 0, 0, ...Buffer.from('hello')])
  await using origin = await startOrigin(() => head('Content-Length: 0\r\n'))
  await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({ side: 'request' })] } })
  for (const [windowLog, status] of [
    [23, 200],
    [24, 400],
    [27, 400],
  ] as const) {
    using c = await proxy.connect()
    const packed = frame(windowLog)
    c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: zstd\r\nContent-Length: ${packed.length}\r\n\r\n`).send(packed)
    assert.is((await c.response()).status, status, `${windowLog}`)
  }
  assert.equal(
    origin.requests.map(({ text }) => text),
    ['hello'],
  )
})

test('hooks that make too much of a body that is waited for are an error, not the memory of the worker', async () => {
  const body = 'x'.repeat(900_000)
  await using origin = await startOrigin(() => `${head(`Content-Length: ${body.length}\r\n`)}${body}`)
  for (const side of ['request', 'response'] as const) {
    const whole = bodyHook({ side, mode: 'buffer', maxBytes: MB })
    // One that is asked after it, piece by piece.
    const blown = bodyHook({ side }, () => bytes(Buffer.alloc(2 * MB)))
    const hooks = side === 'request' ? [whole, blown] : [blown, whole]
    await using proxy = await startProxy({ origin, listener: { hooks } })
    using c = await proxy.connect()
    c.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    assert.is((await c.response()).status, 500, side)
    assert.equal(
      proxy.ended.map(({ reason }) => reason),
      ['hook_failed'],
    )
  }
})

test('a part that nobody asked for is not passed on', async () => {
  await using origin = await startOrigin((req) => {
    const type = req.target === '/image' ? 'image/png' : req.target === '/parts' ? 'multipart/byteranges; boundary=x' : 'text/html'
    return `HTTP/1.1 206 Partial Content\r\nContent-Type: ${type}\r\nContent-Range: bytes 0-2/9\r\nContent-Length: 3\r\n\r\nabc`
  })
  await using proxy = await startProxy({ origin, listener: { hooks: [bodyHook({ types: ['text/html'] })] } })
  using c = await proxy.connect()
  for (const [path, status] of [
    ['/', 502],
    ['/parts', 502],
    ['/image', 206],
  ] as const) {
    c.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-2\r\nIf-Range: "a"\r\n\r\n`)
    assert.is((await c.response()).status, status, path)
  }
  for (const { headers } of origin.requests)
    assert.equal([headers.range, headers['if-range'], headers['accept-encoding']], [undefined, undefined, 'identity'])
})

test.run()
