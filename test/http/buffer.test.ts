/** Buffered bodies: an endpoint is free when it has said all, and asked when all is there; nothing is lost, reordered or left behind. */

import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs, { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import * as http2 from 'node:http2'
import { syncBuiltinESMExports } from 'node:module'
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

/** From now on, and until it is disposed of, files take so many bytes more: of the last write a part, then nothing. */
function fillingDisk(bytes: number) {
  const { writev } = fs
  let left = bytes
  const one = {
    isFull: false,
    [Symbol.dispose]: replacing(
      'writev',
      (descriptor: number, pieces: Buffer[], position: number, done: (error: Error | null, written: number) => void) => {
        const all = Buffer.concat(pieces)
        const part = all.subarray(0, left)
        left -= part.length
        one.isFull ||= part.length < all.length
        if (part.length > 0) writev(descriptor, [part], position, done)
        else setImmediate(done, new Error('ENOSPC: no space left on device, write'), 0)
      },
    ),
  }
  return one
}

/** For all who import it; returns what takes it back. */
function replacing(name: 'writev' | 'read', by: unknown): () => void {
  const before = fs[name]
  const set = (value: unknown): void => {
    Object.assign(fs, { [name]: value })
    syncBuiltinESMExports()
  }
  set(by)
  return () => set(before)
}

test('where the disk fills up in the midst of a write all comes out as it went in, it is full, and its room is given back', async () => {
  const all = randomBytes(900_000)
  for (const bytes of [0, 1, 70_000, 300_001]) {
    using _ = fillingDisk(bytes)
    const room = new DiskRoom(10_000_000)
    const spool = new Spool({ memoryBytes: 1000, room, folder }, owner)
    let at = 0
    const fill = (): true | undefined => {
      while (spool.hasRoom) {
        spool.append(all, at, at + 10_000)
        at += 10_000
      }
      return spool.isFull || undefined
    }
    await eventually(fill, 'full')
    assert.ok(at <= bytes + 400_000, `${at} kept of a disk that takes ${bytes}`)
    assert.ok((await takeAll(spool, at)).equals(all.subarray(0, at)))
    assert.ok(spool.isEmpty && spool.hasRoom)
    spool.close()
    await eventually(() => room.used === 0 || undefined, 'the room')
  }
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

/** A slow client, on whose account the disk fills up; then it reads. */
async function takeSlowly(proxy: RunningProxy, until: () => boolean): Promise<void> {
  using slow = await proxy.connect({ deadlineMs: 10_000 })
  slow.socket.pause()
  await slow.send('GET /big HTTP/1.1\r\nHost: x\r\n\r\n').sent()
  await eventually(() => slow.socket.bytesRead > 0 || undefined, 'the beginning')
  await eventually(() => until() || undefined, 'the disk is not full')
  slow.socket.resume()
  assert.ok((await slow.response()).body.equals(huge))
  // Its connection is as good as before.
  slow.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.is((await slow.response()).text, 'next')
  await eventually(() => proxy.buffered === 0 || undefined, 'the room')
}

test('an answer for which the disk fills up comes whole all the same, at the pace of its client, and its room is given back', async () => {
  await using origin = await startOrigin(({ target }) => (target === '/big' ? whole(huge) : answer('next')))
  await using proxy = await buffering(origin, { response: true })
  using disk = fillingDisk(1_000_000)
  await takeSlowly(proxy, () => disk.isFull)
})

test('the same on a file system that is full', async () => {
  const mounted = join(folder, 'full')
  fs.mkdirSync(mounted)
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'sluice-full', mounted], { encoding: 'utf8' })
  if (status !== 0) return console.log(`SKIPPED: no file system can be mounted here: ${stderr}`)
  const before = process.env.TMPDIR
  process.env.TMPDIR = mounted
  try {
    await using origin = await startOrigin(({ target }) => (target === '/big' ? whole(huge) : answer('next')))
    await using proxy = await buffering(origin, { response: true })
    const isFull = (): boolean => fs.statfsSync(mounted).bfree === 0
    await takeSlowly(proxy, isFull)
    await eventually(() => !isFull() || undefined, 'the file is gone')
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    spawnSync('umount', ['-l', mounted])
  }
})

test('an answer that cannot be read off the disk is cut off, and not taken for whole', async () => {
  await using origin = await startOrigin(() => whole(huge))
  await using proxy = await buffering(origin, { response: true })
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.socket.pause()
  await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').sent()
  await eventually(() => proxy.buffered > 4_000_000 || undefined, 'on disk')
  const restore = replacing('read', (...args: unknown[]) =>
    setImmediate(args.at(-1) as (error: Error, count: number) => void, new Error('EIO: i/o error, read'), 0),
  )
  try {
    c.socket.resume()
    await c.closed()
  } finally {
    restore()
  }
  assert.ok(c.bodyBytes < huge.length)
  assert.is((await proxy.exchange()).reason, 'file_failed')
  await eventually(() => proxy.buffered === 0 || undefined, 'the room')
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

test('a body for which the disk fills up goes to the endpoint whole, and its room is given back', async () => {
  await using origin = await startOrigin(({ body }) => answer(body.equals(big) ? 'same' : 'other'))
  await using proxy = await buffering(origin, { request: true, memory: '16kb' })
  using _ = fillingDisk(300_001)
  using c = await proxy.connect({ deadlineMs: 10_000 })
  c.send(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${big.length}\r\n\r\n`).send(big)
  assert.is((await c.response()).text, 'same')
  await eventually(() => proxy.buffered === 0 || undefined, 'the room')
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
