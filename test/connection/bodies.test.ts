/** Bodies both ways: intact to the last byte, however they are framed, and bounded in memory however slow somebody is. */
// Runs alone: it looks at the memory of its process.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const WMEM = '/proc/sys/net/ipv4/tcp_wmem'
const LONG = { deadlineMs: 20_000 }
const hash = (...parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex')
const rss = () => process.memoryUsage().rss

test('chunked with trailers goes both ways, without its extensions and with new sizes only where it must', async () => {
  await using origin = await startOrigin(
    (req) =>
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\n<${req.text.length}>\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a=b\r\n\r\n`,
  )
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const response = await c
    .send(
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n4\r\n you\r\n0\r\nX-In: 1\r\nHost: evil\r\n\r\n',
    )
    .response()
  assert.equal([response.text, response.trailers, response.headers.trailer], ['<9>', ['X-Sum: 9'], 'X-Sum'])
  const [seen] = origin.requests
  assert.equal([seen!.text, seen!.trailers, origin.malformed], ['hello you', ['X-In: 1'], []])
  assert.not.match(seen!.connection.received.toString('latin1'), /a=b/)
})

test('a head and a chunked body that arrive byte by byte are the same request', async () => {
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  const text = 'POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX-A: b\r\n\r\n'
  for (const byte of text) {
    c.send(byte)
    await c.sent()
  }
  assert.is((await c.response()).text, 'hello0123456789')
  assert.equal(origin.requests[0]!.trailers, ['X-A: b'])
})

test('a request split in two at any place is the same request, pipelined with the next', async () => {
  await using origin = await startOrigin((req) => answer(`${req.target} ${req.text}`))
  await using proxy = await startProxy({ origin })
  const first = 'POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\nX: 1\r\n\r\n'
  const text = `${first}POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz`
  using c = await proxy.connect()
  for (let at = 1; at < text.length; at++) {
    c.send(text.slice(0, at))
    await c.sent()
    c.send(text.slice(at))
    assert.equal([(await c.response()).text, (await c.response()).text], ['/a abcde', '/b xyz'], `at ${at}`)
  }
  assert.equal(origin.malformed, [])
})

test('an answer split in two at any place is the same answer', async () => {
  const answers = [
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\nX: 1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde',
  ]
  for (const text of answers) {
    let at = 0
    await using origin = await startOrigin((_, connection) => {
      connection.write(text.slice(0, at))
      setImmediate(() => setImmediate(() => connection.write(text.slice(at))))
      return undefined
    })
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect()
    for (at = 1; at < text.length; at++) {
      c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      assert.is((await c.final()).text, 'abcde', `at ${at}`)
    }
    assert.is(origin.connections.length, 1)
  }
})

test('an interim answer and a long head that follows it in the same read lose nothing', async () => {
  // Mechanism: of a long read only the first 4 KiB were looked at; an interim head hid that the next one was not complete in them.
  const interim = ['HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', 'HTTP/1.0 103 Early Hints\r\n\r\n']
  for (const first of interim) {
    for (const cut of [0, first.length - 2]) {
      await using origin = await startOrigin((_, connection) => {
        connection.write(first.slice(0, cut))
        const rest = `${first.slice(cut)}HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: ${'y'.repeat(6000)}\r\n\r\nend`
        setImmediate(() => setImmediate(() => connection.write(rest)))
        return undefined
      })
      await using proxy = await startProxy({ origin })
      using c = await proxy.connect()
      const response = await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').final()
      assert.equal([response.text, response.headers.x?.length], ['end', 6000], `${first.slice(0, 8)} ${cut}`)
    }
  }
})

test('128 MB to a slow reader at flat memory, byte for byte', async () => {
  const block = randomBytes(1 << 20)
  await using origin = await startOrigin((_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${128 << 20}\r\n\r\n`)
    let sent = 0
    const more = () => {
      while (sent < 128) {
        sent++
        if (!connection.socket.write(block)) return connection.socket.once('drain', more)
      }
      return undefined
    }
    more()
    return undefined
  })
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect(LONG)
  const seen = createHash('sha256')
  let bytes = 0
  c.socket.removeAllListeners('data')
  c.pause().send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request()
  await eventually(() => (origin.connections[0]!.socket.writableNeedDrain ? true : undefined), 'the origin is never stopped')
  const before = rss()
  let head = ''
  c.socket.on('data', (data: Buffer) => {
    let body = data
    if (!head.includes('\r\n\r\n')) {
      head += data.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      body = end < 0 ? data.subarray(data.length) : data.subarray(data.length - (head.length - end - 4))
    }
    bytes += body.length
    seen.update(body)
  })
  c.resume()
  await eventually(
    () => (bytes === 128 << 20 ? true : undefined),
    () => `${bytes} bytes`,
    20_000,
  )
  assert.is(seen.digest('hex'), hash(...Array.from({ length: 128 }, () => block)))
  assert.ok(rss() - before < 96 << 20, `${(rss() - before) >> 20} MB more`)
})

for (const framing of ['length', 'chunked'] as const) {
  test(`an upload of 48 MB by ${framing} to an origin that stops reading arrives byte for byte, at flat memory`, async () => {
    const block = randomBytes(1 << 20)
    let received = 0
    const seen = createHash('sha256')
    await using origin = await startOrigin(undefined, { raw: true })
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect(LONG)
    const before = rss()
    c.send(`PUT / HTTP/1.1\r\nHost: x\r\n${framing === 'length' ? `Content-Length: ${48 << 20}` : 'Transfer-Encoding: chunked'}\r\n\r\n`)
    const connection = await origin.connection()
    await connection.until('\r\n\r\n')
    connection.pause()
    connection.socket.removeAllListeners('data')
    for (let i = 0; i < 48; i++) {
      if (framing === 'chunked') c.send(`${block.length.toString(16)};x=${i}\r\n`)
      c.send(block)
      if (framing === 'chunked') c.send('\r\n')
    }
    if (framing === 'chunked') c.send('0\r\nX-Trailer: t\r\n\r\n')
    await eventually(() => (c.socket.writableLength > 16 << 20 ? true : undefined), 'the client is stopped')
    const stalledAt = c.socket.writableLength
    await proxy.settled()
    await proxy.settled()
    assert.ok(c.socket.writableLength > stalledAt - (8 << 20), 'the proxy reads on')
    assert.ok(rss() - before < (48 + 60) << 20, `${(rss() - before) >> 20} MB more`)
    const data = new Dechunk(framing === 'chunked')
    connection.socket.on('data', (bytes: Buffer) => {
      for (const part of data.push(bytes)) {
        received += part.length
        seen.update(part)
      }
    })
    connection.resume()
    await eventually(
      () => (received === 48 << 20 && data.ended(framing) ? true : undefined),
      () => `${received} bytes`,
      20_000,
    )
    connection.write(answer('thanks'))
    assert.is((await c.response()).text, 'thanks')
    assert.is(seen.digest('hex'), hash(...Array.from({ length: 48 }, () => block)))
    if (framing === 'chunked') assert.match(data.rest, /0\r\nX-Trailer: t\r\n\r\n$/)
  })
}

test('the end of an upload that a slow origin has not taken is not overwritten by the next request', async () => {
  // Mechanism: the last bytes were lent to the origin's connection while reading went on into the same buffer. It takes an upload
  // whose end just does not fit into what the kernel holds, so a few lengths around that are tried.
  const fits = mostKernelHolds()
  for (let i = 0; i < 24; i++) {
    const size = fits - 250_000 + i * 16_000
    await using origin = await startOrigin(undefined, { raw: true })
    await using proxy = await startProxy({ origin })
    using c = await proxy.connect(LONG)
    c.send(`PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`)
    const connection = await origin.connection()
    await connection.until('\r\n\r\n')
    connection.pause()
    c.send(Buffer.alloc(size, 'a')).send('PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n').send(Buffer.alloc(300_000, 'b'))
    await c.sent()
    await proxy.settled()
    connection.resume()
    await eventually(() => (connection.receivedBytes > size ? true : undefined), 'not all of the first body', 10_000)
    const body = connection.received.subarray(connection.received.indexOf('\r\n\r\n') + 4).subarray(0, size)
    if (!body.equals(Buffer.alloc(size, 'a'))) assert.unreachable(`${size} bytes, overwritten at ${body.findIndex((byte) => byte !== 97)}`)
  }
})

test('a client that goes away is harmless to an upload over a unix socket', async () => {
  // Mechanism: a unix socket has no RST, and the wire threw when it was to send one.
  const path = socketPath()
  await using origin = await startOrigin(undefined, { raw: true, path })
  await using proxy = await startProxy({ endpoints: [`unix:${path}`] })
  const c = await proxy.connect()
  c.send('PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123')
  await (await origin.connection()).until('123')
  c.reset()
  await origin.connections[0]!.closed()
  await proxy.open(0)
})

test('the end of an answer that a slow client has not taken is not overwritten by an answer to somebody else', async () => {
  // Mechanism: the endpoint's connection went back to the pool, and read on, while its buffer was lent to the slow client's write.
  const path = socketPath()
  await using origin = await startOrigin((req) => {
    const [, letter, size] = /([a-z])(\d+)/.exec(req.target)!
    return Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`), Buffer.alloc(Number(size), letter)])
  })
  await using proxy = await startProxy({ origin, path })
  const clients = []
  for (let i = 0; i < 24; i++) {
    const letter = String.fromCharCode(97 + i)
    const c = await connect(path, LONG)
    clients.push({ c, letter, size: 100_000 + i * 12_000 })
    c.pause().send(`GET /${letter}${100_000 + i * 12_000} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await origin.request(i + 1)
  }
  // Nearly all of them fit into what the kernel holds: their connections were used again, one by the other.
  await eventually(() => (proxy.ended.length > 4 ? true : undefined), 'no exchange ends')
  assert.ok(origin.connections.length < 24)
  for (const { c, letter, size } of clients) {
    const response = await c.resume().response()
    if (!response.body.equals(Buffer.alloc(size, letter))) assert.unreachable(`${letter} got ${[...new Set(response.text)].join('')}`)
    c.destroy()
  }
})

test('an idle connection to an endpoint is watched, also after its last answer was slow to leave', async () => {
  const path = socketPath()
  await using origin = await startOrigin(() =>
    Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 280000\r\n\r\n'), Buffer.alloc(280_000)]),
  )
  await using proxy = await startProxy({ origin, path })
  using c = await connect(path, LONG)
  c.pause().send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await origin.request()
  await eventually(() => (proxy.ended.length === 1 || origin.connections[0]!.socket.writableLength === 0 ? true : undefined), 'not sent')
  c.resume()
  await c.response()
  origin.connections[0]!.end()
  await proxy.open(1)
})

test('a body longer than allowed is refused with 413: at once by its length, when it is seen by chunks', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, limits: { bodyBytes: 10 } })
  using a = await proxy.connect()
  a.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n')
  assert.is((await a.response()).status, 413)
  assert.is(await a.closed(), 'fin')
  assert.is(origin.connections.length, 0)
  using b = await proxy.connect()
  b.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n')
  await (await origin.connection()).until('abcdef')
  b.send('6\r\nabcdef\r\n0\r\n\r\n')
  assert.is((await b.response()).status, 413)
  assert.is(await b.closed(), 'fin')
  assert.is(await origin.connections[0]!.closed(), 'reset')
  assert.is(origin.requests.length, 0)
  using c = await proxy.connect()
  assert.is((await c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789').response()).status, 200)
  assert.equal(
    proxy.ended.map((one) => one.reason),
    ['body_too_large', 'body_too_large', null],
  )
})

test('malformed chunks end the exchange with 400, and the endpoint never takes what came for complete', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
  await (await origin.connection()).until('abc')
  c.send('zz\r\n')
  assert.is((await c.response()).status, 400)
  assert.is(await c.closed(), 'fin')
  assert.is(await origin.connections[0]!.closed(), 'reset')
  assert.not.match(origin.connections[0]!.received.toString('latin1'), /zz|\r\n0\r\n/)
})

test.run()

/** About as many bytes as one side of a loopback connection can write while the other does not read. */
function mostKernelHolds(): number {
  return existsSync(WMEM) ? Number(readFileSync(WMEM, 'utf8').trim().split(/\s+/)[2]) : 4 << 20
}

function socketPath(): string {
  return join(mkdtempSync(join(tmpdir(), 'sluice-')), 's')
}

/** Chunk data of a raw stream whose head is gone, or the stream itself. */
class Dechunk {
  rest = ''
  readonly #chunked: boolean
  #left = 0
  #pending: Buffer = Buffer.alloc(0)
  constructor(chunked: boolean) {
    this.#chunked = chunked
  }
  ended(framing: string): boolean {
    return framing === 'length' || this.rest.endsWith('\r\n\r\n')
  }
  push(bytes: Buffer): Buffer[] {
    if (!this.#chunked) return [bytes]
    const parts: Buffer[] = []
    let all = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    while (all.length > 0) {
      if (this.#left > 0) {
        const part = all.subarray(0, this.#left)
        parts.push(part)
        this.#left -= part.length
        all = all.subarray(part.length)
        continue
      }
      const line = /^(?:\r\n)?([0-9a-f]+)\r\n/.exec(all.toString('latin1', 0, 20))
      if (line === null) break
      if (Number.parseInt(line[1]!, 16) === 0) {
        this.rest = all.toString('latin1')
        break
      }
      this.#left = Number.parseInt(line[1]!, 16)
      all = all.subarray(line[0].length)
    }
    this.#pending = all
    return parts
  }
}
