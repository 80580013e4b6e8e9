/** RFC 6455: what is well formed reads back whatever way it was cut; what is not ends with the right code, and nothing throws. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createInflater } from '../../../core/net/websocket/deflate.ts'
import { FrameWriter, mask, OPCODE } from '../../../core/net/websocket/frame.ts'
import { type Incoming, MessageReader } from '../../../core/net/websocket/message-reader.ts'
import { CLIENT_KEY, type FrameParts, frame, masked, readFrames } from '../../support/websocket.ts'

const FULL = { windowBits: 15, takesOver: true }

interface ReadOptions {
  readonly from?: 'client' | 'upstream'
  readonly max?: number
  readonly deflate?: boolean
}

/** What is read when the bytes come in these pieces, each gone as soon as the reader had it. */
function read(pieces: readonly Uint8Array[], { from = 'client', max = 1 << 20, deflate = false }: ReadOptions = {}): Incoming[] {
  const inflater = deflate ? createInflater(FULL, max) : null
  const reader = new MessageReader({ masked: from === 'client', maxMessageBytes: max, inflater })
  const seen: Incoming[] = []
  for (const piece of pieces) {
    const bytes = Buffer.concat([Buffer.from('##'), piece, Buffer.from('##')])
    reader.feed(bytes, 2, bytes.length - 2)
    for (let one = reader.next(); one !== null; one = reader.next()) seen.push(one)
    reader.keep()
    bytes.fill(0xee)
  }
  inflater?.close()
  return seen
}

/** Cut at these places, whatever they are. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const points = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  return points.slice(1).map((to, i) => bytes.subarray(points[i], to))
}

function codeOf(seen: readonly Incoming[]): number | null {
  const last = seen.at(-1)
  return last?.kind === 'malformed' ? last.code : null
}

const payload = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }).map((text) => ({ isText: true, bytes: Buffer.from(text) })),
  fc.uint8Array({ maxLength: 700 }).map((bytes) => ({ isText: false, bytes: Buffer.from(bytes) })),
)
const places = fc.array(fc.nat(), { maxLength: 12 })
const key = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))

test('any messages, in any fragments with pings in between, masked with any keys, in any pieces, read back', () => {
  const sent = fc.record({ message: payload, fragments: places, ping: fc.uint8Array({ maxLength: 125 }), key })
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 5 }), places, fc.boolean(), (all, pieces, isClient) => {
      const frames: Buffer[] = []
      const expected: string[] = []
      for (const { message, fragments, ping, key } of all) {
        const parts = message.bytes.length === 0 ? [message.bytes] : cut(message.bytes, fragments)
        const keyed = isClient ? key : null
        parts.forEach((part, i) => {
          const opcode = i > 0 ? OPCODE.continuation : message.isText ? OPCODE.text : OPCODE.binary
          frames.push(frame(part, { opcode, fin: i === parts.length - 1, key: keyed }))
          if (i === parts.length - 1) return
          frames.push(frame(ping, { opcode: OPCODE.ping, key: keyed }))
          expected.push(`ping ${Buffer.from(ping).toString('hex')}`)
        })
        expected.push(`${message.isText} ${message.bytes.toString('hex')}`)
      }
      const seen = read(cut(Buffer.concat(frames), pieces), { from: isClient ? 'client' : 'upstream' })
      const told = seen.map((one) =>
        one.kind === 'message'
          ? `${one.isText} ${one.bytes.toString('hex')}`
          : `${one.kind} ${'bytes' in one && one.bytes.toString('hex')}`,
      )
      assert.equal(told, expected)
    }),
    { numRuns: 300 },
  )
})

test('what the writer writes is what an independent reader reads: shortest lengths, masked toward a server only', () => {
  const lengths = fc.constantFrom(0, 1, 95, 96, 97, 125, 126, 127, 65535, 65536, 70001)
  fc.assert(
    fc.property(
      fc.array(lengths, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.nat(0xffffffff),
      fc.boolean(),
      (all, toServer, seed, rsv1) => {
        const writer = new FrameWriter(toServer ? () => seed : null)
        const messages = all.map((length, i) => Buffer.alloc(length, `${i}abcdefghijk`))
        for (const message of messages) writer.add(OPCODE.binary, message, rsv1)
        const written = writer.take()
        const { frames, rest } = readFrames(written)
        assert.is(rest.length, 0)
        assert.is(writer.size, 0)
        assert.ok(frames.every((one) => one.fin && one.opcode === 2 && one.masked === toServer && one.reserved === (rsv1 ? 4 : 0)))
        assert.ok(frames.every((one, i) => one.payload.equals(messages[i]!)))
        const own = read([written], { from: toServer ? 'client' : 'upstream', deflate: rsv1 })
        if (!rsv1) assert.is(own.filter((one) => one.kind === 'message').length, all.length)
      },
    ),
    { numRuns: 60 },
  )
})

test('a mask undoes itself wherever the memory begins and whatever part of the payload it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(7), fc.nat(0xffffffff), fc.nat(300), (bytes, offset, key, split) => {
      const memory = Buffer.alloc(offset + bytes.length)
      memory.set(bytes, offset)
      const middle = Math.min(memory.length, offset + split)
      mask(memory, offset, middle, key, 0)
      mask(memory, middle, memory.length, key, middle - offset)
      for (const [i, byte] of bytes.entries()) assert.is(memory[offset + i], byte ^ ((key >>> (24 - 8 * (i % 4))) & 0xff))
      assert.ok(memory.subarray(0, offset).every((byte) => byte === 0))
    }),
    { numRuns: 500 },
  )
})

test('what RFC 6455 §5 forbids ends with 1002, and nothing is read after it', () => {
  const wrong: Record<string, Buffer> = {
    'RSV1 without an extension': masked('x', { reserved: 4 }),
    RSV2: masked('x', { reserved: 2 }),
    RSV3: masked('x', { reserved: 1 }),
    'opcode 3': masked('x', { opcode: 3 }),
    'opcode 7': masked('x', { opcode: 7 }),
    'opcode 11': masked('x', { opcode: 11 }),
    'opcode 15': masked('x', { opcode: 15 }),
    'a fragmented ping': masked('x', { opcode: 9, fin: false }),
    'a ping of 126 bytes': masked(Buffer.alloc(126), { opcode: 9 }),
    'not masked': frame('x'),
    'length 125 in two bytes': masked(Buffer.alloc(125), { lengthBytes: 2 }),
    'length 65535 in eight bytes': masked(Buffer.alloc(65535), { lengthBytes: 8 }),
    'a continuation of nothing': masked('x', { opcode: 0 }),
    'a message inside another': Buffer.concat([masked('x', { fin: false }), masked('y')]),
    'a close of one byte': masked('x', { opcode: 8 }),
  }
  const highest = masked('', { lengthBytes: 8, length: 0 })
  highest[2] = 0x80
  wrong['the highest bit of a length'] = highest
  for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
    wrong[`a close with ${code}`] = masked(Buffer.from([code >> 8, code & 255]), { opcode: 8 })
  for (const [name, bytes] of Object.entries(wrong)) {
    for (const pieces of [[bytes], [...bytes].map((byte) => Buffer.from([byte]))]) {
      const seen = read([...pieces, masked('after')])
      assert.is(codeOf(seen), 1002, name)
      assert.is(seen.length, 1, name)
    }
  }
  assert.is(codeOf(read([masked('x')], { from: 'upstream' })), 1002, 'a masked frame of a server')
  const compressed = { reserved: 4, opcode: 0 }
  assert.is(codeOf(read([masked('x', { fin: false }), masked('x', compressed)], { deflate: true })), 1002, 'RSV1 on a continuation')
  assert.is(codeOf(read([masked('x', { reserved: 4, opcode: 9 })], { deflate: true })), 1002, 'RSV1 on a ping')
})

test('codes that may be sent are read, with their reason, and nothing after them', () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999]) {
    const bytes = Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from('so long ✓')])
    assert.equal(read([masked(bytes, { opcode: 8 }), masked('after')]), [{ kind: 'close', bytes }])
  }
  assert.equal(read([masked('', { opcode: 8 })]), [{ kind: 'close', bytes: Buffer.alloc(0) }])
})

test('text that is not UTF-8 ends with 1007, a character cut by fragments does not', () => {
  const invalid = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xce], [0x61, 0xe2, 0x82]]
  for (const bytes of invalid) {
    assert.is(codeOf(read([masked(Buffer.from(bytes))])), 1007, bytes.join())
    assert.is(codeOf(read([masked(Buffer.from(bytes), { opcode: 2 })])), null, 'bytes that are none are not looked at')
    assert.is(codeOf(read([masked(Buffer.from([3, 0xe8, ...bytes]), { opcode: 8 })])), 1007, `reason ${bytes.join()}`)
  }
  const euro = Buffer.from('€')
  const parts = [masked(euro.subarray(0, 1), { fin: false }), masked(euro.subarray(1, 2), { opcode: 0, fin: false })]
  const [seen] = read([...parts, masked(euro.subarray(2), { opcode: 0 })])
  assert.ok(seen?.kind === 'message' && seen.bytes.toString() === '€')
})

test('a message over the limit ends with 1009 as soon as its head tells, in one frame or in many', () => {
  const max = 1000
  assert.is(read([masked(Buffer.alloc(1000), { opcode: 2 })], { max })[0]?.kind, 'message')
  const head = masked('', { opcode: 2, length: 1001 })
  assert.is(codeOf(read([head], { max })), 1009)
  assert.is(codeOf(read([masked('', { opcode: 2, length: 2 ** 53, lengthBytes: 8 })], { max })), 1009)
  const fragment = (opcode: number) => masked(Buffer.alloc(400), { opcode, fin: false })
  assert.is(codeOf(read([fragment(2), fragment(0), masked('', { opcode: 0, length: 201 })], { max })), 1009)
})

test('a message of endless empty fragments ends with 1009', () => {
  const empty = masked('', { opcode: 0, fin: false })
  const bytes = Buffer.concat([masked('', { fin: false }), ...Array.from({ length: 65_536 }, () => empty)])
  assert.is(codeOf(read([bytes.subarray(0, -empty.length)])), null)
  assert.is(codeOf(read([bytes])), 1009)
})

test('a megabyte in small fragments is gathered in memory that grows with it', () => {
  const parts = Array.from({ length: 32_768 }, (_, i) => masked(Buffer.alloc(32, i), { opcode: i === 0 ? 2 : 0, fin: i === 32_767 }))
  const from = performance.now()
  const [seen] = read(parts)
  assert.ok(seen?.kind === 'message' && seen.bytes.length === 1 << 20)
  for (let i = 0; i < 32_768; i += 97) assert.is(seen.bytes[i * 32], i & 255)
  // Mechanism: memory that grew by one fragment at a time was copied for each, which took minutes.
  assert.ok(performance.now() - from < 20_000)
})

test('whatever bytes come, there is an answer and no exception', () => {
  const parts: fc.Arbitrary<FrameParts> = fc.record({
    opcode: fc.constantFrom(0, 1, 2, 8, 9, 10, 3),
    fin: fc.boolean(),
    reserved: fc.constantFrom(0, 0, 0, 4, 2),
    key: fc.constantFrom(CLIENT_KEY, CLIENT_KEY, CLIENT_KEY, null),
    lengthBytes: fc.constantFrom(0 as const, 2 as const, 8 as const),
  })
  const some = fc.tuple(fc.uint8Array({ maxLength: 120 }), parts).map(([bytes, how]) => frame(bytes, how))
  const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes))
  let malformed = 0
  fc.assert(
    fc.property(fc.array(fc.oneof(some, some, noise), { maxLength: 6 }), places, fc.boolean(), (frames, pieces, deflate) => {
      const bytes = Buffer.concat(frames)
      const whole = read([bytes], { max: 100, deflate })
      assert.equal(read(cut(bytes, pieces), { max: 100, deflate }), whole, 'however it was cut')
      const code = codeOf(whole)
      if (code !== null) malformed++
      assert.ok(code === null || code === 1002 || code === 1007 || code === 1009)
      assert.ok(whole.slice(0, -1).every((one) => one.kind !== 'malformed' && one.kind !== 'close'))
    }),
    { numRuns: 1000 },
  )
  assert.ok(malformed > 100, `${malformed} were malformed`)
})

test.run()
