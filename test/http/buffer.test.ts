/** Buffered bodies: an endpoint is free when it has said all, and asked when all is there; nothing is lost, reordered or left behind. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import * as http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Spool } from '../../core/http/spool.ts'
import { type BufferOptions, compress, type HttpUse, http, upstream } from '../../core/index.ts'
import { DiskRoom } from '../../core/upstream/disk-room.ts'
import { eventually, within } from '../support/deadline.ts'
import { answer, type OriginAnswer, type OriginRequest, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-spool-'))
test.after(() => rmSync(folder, { recursive: true }))

const big = randomBytes(2_000_000)
/** More than sockets keep. */
const huge = Buffer.alloc(16_000_000, 'h')
const whole = (body: Buffer): OriginAnswer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`), body])
const bigAnswer = (): OriginAnswer => whole(big)

function buffering(
  origin: { readonly address: string },
  buffer: BufferOptions,
  { use = [], connections }: { use?: readonly HttpUse[]; connections?: number } = {},
): Promise<RunningProxy> {
  const limits = connections === undefined ? {} : { connections, pending: 10 }
  const to = upstream('app', { endpoints: [origin.address], buffer, limits })
  return startProxy({ config: { listeners: { web: http({ listen: ':0', use, routes: [{ to }] }) } } })
}

// ── the queue ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes until so many bytes came. */
async function takeAll(spool: Spool, count: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let bytes = 0
  while (bytes < count) {
    const piece = spool.take()
    if (piece === null) await new Promise((resolve) => setImmediate(resolve))
    else {
      pieces.push(piece)
      bytes += piece.length
    }
  }
  return Buffer.concat(pieces)
}

const owner = { onMore() {}, onBroken() {} }

test('what comes out is what went in, in that order, however it was cut and whenever it is taken', async () => {
  const pieces = fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.boolean()), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(pieces, fc.constantFrom(0, 1000, 100_000), fc.constantFrom(0, 1_000_000), async (parts, memoryBytes, most) => {
      const room = new DiskRoom(most)
      const spool = new Spool({ memoryBytes, room, folder }, owner)
      const all = randomBytes(parts.reduce((sum, [size]) => sum + size, 0))
      const out: Buffer[] = []
      let at = 0
      for (const [size, takes] of parts) {
        spool.append(Buffer.from(all.subarray(at, at + size)))
        at += size
        if (takes) await new Promise((resolve) => setImmediate(resolve))
        const piece = takes ? spool.take() : null
        if (piece !== null) out.push(piece)
      }
      const had = out.reduce((sum, { length }) => sum + length, 0)
      out.push(await takeAll(spool, all.length - had))
      assert.ok(Buffer.concat(out).equals(all))
      assert.ok(spool.isEmpty)
      spool.close()
      assert.is(room.used, 0)
    }),
    { numRuns: 40 },
  )
  assert.equal(readdirSync(folder), [])
})

test('it is full where its room is used up, where there is none, and where the disk does not take any more', async () => {
  const room = new DiskRoom(100_000)
  const spool = new Spool({ memoryBytes: 1000, room, folder }, owner)
  const other = new Spool({ memoryBytes: 1000, room, folder }, owner)
  for (let i = 0; i < 100; i++) spool.append(Buffer.alloc(1000))
  assert.not(spool.isFull)
  spool.append(Buffer.alloc(1000))
  await eventually(() => (spool.isFull && room.used === 100_000) || undefined, 'full')
  assert.equal(readdirSync(folder), [], 'no name leads to the file')
  assert.ok(other.isFull)
  assert.is((await takeAll(spool, 101_000)).length, 101_000)
  assert.not(spool.isFull)
  spool.close()
  assert.not(other.isFull)
  const nowhere = new Spool({ memoryBytes: 1000, room, folder: join(folder, 'none') }, owner)
  nowhere.append(Buffer.alloc(2000, 'a'))
  await eventually(() => nowhere.isFull || undefined, 'no folder')
  assert.ok((await takeAll(nowhere, 2000)).equals(Buffer.alloc(2000, 'a')))
  assert.not(nowhere.isFull)
  const memory = new Spool({ memoryBytes: 1000, room: new DiskRoom(0), folder }, owner)
  memory.append(Buffer.alloc(1001))
  assert.ok(memory.isFull)
  assert.equal(readdirSync(folder), [])
})

// ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('an endpoint is free for others while a slow client still takes its answer', async () => {
  await using origin = await startOrigin(({ target }) => (target === '/big' ? whole(huge) : answer('next')))
  for (const response of [true, false]) {
    await using proxy = await buffering(origin, { response }, { connections: 1 })
    using slow = await proxy.connect()
    slow.socket.pause()
    await slow.send('GET /big HTTP/1.1\r\nHost: x\r\n\r\n').sent()
    await eventually(() => slow.socket.bytesRead > 0 || undefined, 'the beginning')
    using other = await proxy.connect()
    other.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    if (response) assert.is((await other.response()).text, 'next')
    else await proxy.queued(1)
    slow.socket.resume()
    assert.ok((await slow.response()).body.equals(huge))
    if (!response) assert.is((await other.response()).text, 'next')
  }
})

test('what comes slowly is passed on as it comes, and connections go on to be used', async () => {
  let go = (): void => {}
  await using origin = await startOrigin((_, connection) => {
    go = () => connection.write('6\r\nsecond\r\n0\r\n\r\n')
    return 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n'
  })
  await using proxy = await buffering(origin, { response: true })
  using c = await proxy.connect()
  for (let i = 0; i < 2; i++) {
    c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await eventually(() => Buffer.concat(c.received).toString().split('first').length === i + 2 || undefined, 'the first piece')
    go()
    assert.is((await c.response()).text, 'firstsecond')
  }
  c.send('HEAD / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.response({ to: 'HEAD' })).status, 200)
  assert.is(proxy.dialled.length, 1)
})

test('hooks see the same body, and compress does its work', async () => {
  await using origin = await startOrigin(bigAnswer)
  let seen = 0
  const counting: HttpUse = {
    onResponse: () => new Promise((resolve) => setImmediate(resolve)),
    onResponseBody: (chunk) => {
      seen += chunk.length
    },
  }
  await using proxy = await buffering(origin, { response: true, memory: '16kb' }, { use: [counting, compress()] })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.ok((await c.response()).body.equals(big))
  assert.is(seen, big.length)
})

test('where there is no room answers pass as they come, and one that breaks off is not taken for whole', async () => {
  await using origin = await startOrigin(({ target }, connection) => {
    if (target === '/big') return bigAnswer()
    connection.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    return undefined
  })
  await using proxy = await buffering(origin, { response: true, disk: '0b', memory: '1kb' })
  using c = await proxy.connect()
  c.send('GET /big HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.ok((await c.response()).body.equals(big))
  c.send('GET /half HTTP/1.1\r\nHost: x\r\n\r\n')
  await c.closed()
  assert.is((await proxy.exchange(2)).reason, 'response_incomplete')
})

test('a client that goes away ends the reading, and nothing of it stays', async () => {
  await using origin = await startOrigin(() => whole(huge))
  await using proxy = await buffering(origin, { response: true })
  const c = await proxy.connect()
  c.socket.pause()
  await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').sent()
  await eventually(() => c.socket.bytesRead > 0 || undefined, 'the beginning')
  await eventually(() => proxy.buffered > 4_000_000 || undefined, 'on disk')
  c.socket.resetAndDestroy()
  assert.is((await proxy.exchange()).reason, 'client_gone')
  await eventually(() => proxy.buffered === 0 || undefined, 'off the disk')
})

// ── requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

const echo = ({ body, headers }: OriginRequest): string =>
  answer(`${body.length} ${headers['transfer-encoding'] ?? headers['content-length']}`)

test('an endpoint is asked when all of a body is there', async () => {
  await using origin = await startOrigin(echo)
  await using proxy = await buffering(origin, { request: true })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234')
  await proxy.settled()
  assert.is(proxy.dialled.length, 0)
  c.send('56789')
  assert.is((await c.response()).text, '10 10')
  c.send('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n')
  assert.is((await c.response()).status, 100)
  c.send('3\r\nabc\r\n').send('0\r\n\r\n')
  assert.is((await c.response()).text, '3 chunked')
  assert.is((await origin.request(2)).headers.expect, undefined)
  c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await c.response()).status, 200)
})

test('a body that is larger than memory comes off the disk, byte for byte; and one that has no room streams', async () => {
  await using origin = await startOrigin(({ body }) => answer(body.equals(big) ? 'same' : 'other'))
  for (const disk of ['1gb', '0b', '100kb'] as const) {
    await using proxy = await buffering(origin, { request: true, memory: '16kb', disk })
    using c = await proxy.connect({ deadlineMs: 10_000 })
    c.send(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${big.length}\r\n\r\n`).send(big)
    assert.is((await c.response()).text, 'same', disk)
    c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.is((await c.response()).text, 'other')
  }
})

test('hooks of the body stand before it, and a client that gives up in its midst is never seen by the endpoint', async () => {
  await using origin = await startOrigin(({ text }) => answer(text))
  const upper: HttpUse = { onRequestBody: (chunk) => Buffer.from(chunk).toString().toUpperCase() }
  await using proxy = await buffering(origin, { request: true }, { use: [upper] })
  using c = await proxy.connect()
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc')
  await proxy.settled()
  assert.is(proxy.dialled.length, 0)
  c.send('def')
  assert.is((await c.response()).text, 'ABCDEF')
  c.send('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc')
  await proxy.settled()
  c.socket.resetAndDestroy()
  assert.is((await proxy.exchange(2)).reason, 'client_gone')
  assert.is(origin.requests.length, 1)
})

test('over HTTP/2 the same, both ways', async () => {
  await using origin = await startOrigin(({ body }) => (body.equals(big) ? bigAnswer() : answer('other')))
  await using proxy = await buffering(origin, { request: true, response: true })
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`)
  try {
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    stream.end(big)
    const pieces: Buffer[] = []
    const read = async (): Promise<void> => {
      for await (const piece of stream) pieces.push(piece)
    }
    await within(read(), 'the answer', 10_000)
    assert.ok(Buffer.concat(pieces).equals(big))
  } finally {
    session.destroy()
  }
})

test.run()
