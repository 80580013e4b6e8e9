/** RFC 9000 §17.2.2 and §19.6, RFC 9001 §5: a hello is read however it was cut up, and what is not the client's ends nothing. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { QuicHello } from '../../core/net/quic-initial.ts'
import { anyHello, helloMessage } from '../support/client-hello.ts'
import { CONNECTION_ID, cryptoFrame, datagram, type PacketParts, packet, V1, V2, varint } from '../support/quic-initial.ts'

const message = helloMessage({ serverName: 'a.example', alpn: ['h3'], versions: [0x0304] })
const expected = { serverName: 'a.example', alpn: ['h3'], versions: [0x0304], isEch: false }
const PING = Buffer.from([1])

/** The CRYPTO frame of RFC 9001 §A.2, which RFC 9369 §A.2 has too. */
const RFC_FRAME = Buffer.from(
  `060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d
   706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559f
   edba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ff
   ffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff`.replaceAll(/\s/g, ''),
  'hex',
)

for (const [version, begin, end] of [
  [V1, 'c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11', 'e221af44860018ab0856972e194cd934'],
  [V2, 'd76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485', 'a18b2faa745b6fe189cf772a9f84cbfc'],
] as const) {
  test(`the client's Initial of ${version === V1 ? 'RFC 9001 §A.2' : 'RFC 9369 §A.2'}, whose tag covers all that is between`, () => {
    const bytes = packet({ version, number: 2, payload: Buffer.concat([RFC_FRAME], 1162) })
    assert.is(bytes.length, 1200)
    assert.is(bytes.subarray(0, 32).toString('hex'), begin)
    assert.is(bytes.subarray(-16).toString('hex'), end)
    assert.equal(new QuicHello().add(bytes), { serverName: 'example.com', alpn: ['alpn'], versions: [0x0304], isEch: false })
  })
}

test('frames out of order, overlapping, twice, with PING, PADDING and ACK between them', () => {
  const ack = Buffer.concat([Buffer.from([3]), ...[9, 0, 1, 2, 3, 4, 5, 6, 70_000].map(varint)])
  const pieces = [piece(100), PING, piece(20, 140), Buffer.alloc(3), ack, piece(20, 40), cryptoFrame(7, Buffer.alloc(0)), piece(0, 60)]
  assert.equal(new QuicHello().add(datagram({ payload: Buffer.concat(pieces) })), expected)
})

test('over several packets in one datagram, and over several datagrams', () => {
  const [first, second, third] = [piece(60, 120), piece(0, 60), piece(120)].map((payload, number): PacketParts => ({ payload, number }))
  const coalesced = new QuicHello()
  assert.equal(coalesced.add(datagram(first!, second!, third!)), expected)
  const several = new QuicHello()
  assert.is(several.add(datagram(third!)), null)
  assert.is(several.add(datagram(third!)), null)
  assert.is(several.add(datagram(first!)), null)
  assert.equal(several.add(datagram(second!)), expected)
  assert.equal(several.add(datagram(first!)), expected, 'it stays')
})

test('0-RTT between Initials is passed over', () => {
  for (const version of [V1, V2]) {
    const early = packet({ version, type: version === V1 ? 1 : 2, payload: Buffer.alloc(40) })
    const [begin, end] = [packet({ version, payload: piece(0, 50) }), packet({ version, payload: Buffer.concat([piece(50)], 1200) })]
    assert.equal(new QuicHello().add(Buffer.concat([begin, withoutToken(early), end])), expected)
  }
})

test('another version is told apart from what is no QUIC', () => {
  const other = datagram({ payload: piece(0) })
  other.writeUInt32BE(0xff00001d, 1)
  assert.is(new QuicHello().add(other), 'version')
  other.writeUInt32BE(0x1a2a3a4a, 1)
  assert.is(new QuicHello().add(other), 'version')
  other.writeUInt32BE(0, 1)
  assert.is(new QuicHello().add(other), 'malformed')
  for (const bytes of ['', '\xc0', '\xc0\0\0\0', 'GET / HTTP/1.1', '\x40'.repeat(1200), '\xf0\0\0\0\x01'.padEnd(1200, '\0')]) {
    assert.is(new QuicHello().add(Buffer.from(bytes, 'latin1')), 'malformed', JSON.stringify(bytes.slice(0, 20)))
  }
})

test('datagrams that a server discards begin nothing', () => {
  const whole = datagram({ payload: piece(0) })
  assert.is(new QuicHello().add(packet({ payload: piece(0) })), 'malformed', 'not padded')
  assert.is(new QuicHello().add(datagram({ connectionId: CONNECTION_ID.subarray(1), payload: piece(0) })), 'malformed', 'a short id')
  assert.equal(new QuicHello().add(datagram({ connectionId: CONNECTION_ID.subarray(1), token: PING, payload: piece(0) })), expected)
  for (const at of [6, 20, 500, 1199]) assert.is(new QuicHello().add(flipped(whole, at)), 'malformed', `byte ${at}`)
  const hello = new QuicHello()
  assert.is(hello.add(flipped(whole, 500)), 'malformed')
  assert.equal(hello.add(whole), expected, 'and end nothing')
})

test('what somebody else sends does not disturb', () => {
  const hello = new QuicHello()
  assert.is(hello.add(datagram({ payload: piece(0, 70) })), null)
  assert.is(hello.add(Buffer.alloc(1200, 0xff)), null)
  assert.is(hello.add(Buffer.from('x')), null)
  assert.is(hello.add(flipped(datagram({ payload: piece(70) }), 700)), null)
  assert.is(hello.add(datagram({ connectionId: Buffer.alloc(8, 1), payload: cryptoFrame(0, Buffer.from('other')) })), null)
  assert.is(hello.add(datagram({ version: V2, payload: piece(70) })), null)
  assert.equal(hello.add(datagram({ payload: piece(70), number: 7, numberBytes: 1 })), expected)
})

test('what the client itself gets wrong', () => {
  const wrong: [string, PacketParts][] = [
    ['no frame', { payload: Buffer.alloc(0), token: Buffer.alloc(1200) }],
    ['a frame that cannot be there', { payload: Buffer.from([8, 0]) }],
    ['a type longer than it needs', { payload: Buffer.from([0x40, 0x06]) }],
    ['it closes', { payload: Buffer.from([0x1c, 0, 0, 0]) }],
    ['a frame cut off', { payload: Buffer.concat([Buffer.alloc(1200), Buffer.from([6, 0, 9, 1])]) }],
    ['an ACK cut off', { payload: Buffer.concat([Buffer.alloc(1200), Buffer.from([2, 0, 0, 63, 0])]) }],
    ['reserved bits', { payload: piece(0), reserved: 1 }],
    ['no hello', { payload: cryptoFrame(0, Buffer.from([2, 0, 0, 1])) }],
    ['two texts in one place', { payload: Buffer.concat([piece(0, 60), cryptoFrame(50, Buffer.alloc(20, 1))]) }],
  ]
  for (const [name, parts] of wrong) {
    const hello = new QuicHello()
    assert.is(hello.add(datagram(parts)), 'malformed', name)
    assert.is(hello.add(datagram({ payload: piece(0), number: 1 })), 'malformed', name)
  }
})

test('bounded in bytes, in holes and in datagrams', () => {
  const add = (payload: Buffer): unknown => new QuicHello().add(datagram({ payload }))
  assert.is(add(cryptoFrame(65_535, PING)), null)
  assert.is(add(cryptoFrame(65_536, PING)), 'too_large')
  assert.is(add(Buffer.concat([Buffer.from([6]), varint(2 ** 61), varint(1), PING])), 'too_large')
  assert.is(add(cryptoFrame(0, Buffer.from([1, 1, 0, 0]))), 'too_large')
  const holes = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => cryptoFrame(2 * i + 2, PING)))
  assert.is(add(holes(256)), null)
  assert.is(add(holes(257)), 'too_large')
  const patient = new QuicHello()
  const answers = Array.from({ length: 129 }, (_, number) => patient.add(datagram({ payload: PING, number })))
  assert.equal(answers.slice(-2), [null, 'too_large'])
})

/** A hello cut into pieces, in any order, longer than they had to be, in packets, in datagrams. */
const anyFlight = fc.record({
  written: anyHello,
  version: fc.constantFrom(V1, V2),
  connectionId: fc.uint8Array({ minLength: 8, maxLength: 20 }).map((id) => Buffer.from(id)),
  token: fc.uint8Array({ maxLength: 70 }).map((token) => Buffer.from(token)),
  cuts: fc.array(fc.nat(), { maxLength: 8 }),
  overlap: fc.nat(9),
  order: fc.infiniteStream(fc.nat()),
  perDatagram: fc.integer({ min: 1, max: 3 }),
})

test('however it is cut up: null until all of it is there, then the hello', () => {
  fc.assert(
    fc.property(anyFlight, ({ written, version, connectionId, token, cuts, overlap, order, perDatagram }) => {
      const whole = written.message
      const places = [...new Set([0, ...cuts.map((cut) => cut % whole.length)])].sort((a, b) => a - b)
      const pieces = places.map((from, i) => ({ from, to: Math.min(whole.length, (places[i + 1] ?? whole.length) + overlap) }))
      const shuffled = pieces.map((one) => ({ ...one, key: order.next().value })).sort((a, b) => a.key - b.key)
      const missing = new Set(whole.keys())
      const hello = new QuicHello()
      for (let i = 0; i < shuffled.length; i += perDatagram) {
        const some = shuffled.slice(i, i + perDatagram)
        for (const { from, to } of some) for (let at = from; at < to; at++) missing.delete(at)
        const packets = some.map(({ from, to }): PacketParts => ({ payload: cryptoFrame(from, whole.subarray(from, to)), number: i }))
        const answer = hello.add(datagram(...packets.map((parts) => ({ ...parts, version, connectionId, token }))))
        assert.equal(answer, missing.size > 0 ? null : written.expected)
      }
    }),
    { numRuns: 200 },
  )
})

test('whatever became of a datagram: no throw, and never another name', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(changes, fc.integer({ min: 0, max: 1200 }), (edits, cut) => {
      const bytes = datagram({ payload: piece(0) })
      for (const [at, by] of edits) bytes[at % 60]! ^= by
      const answer = new QuicHello().add(bytes)
      assert.ok(typeof answer === 'string' || JSON.stringify(answer) === JSON.stringify(expected))
      assert.is(typeof new QuicHello().add(bytes.subarray(0, cut)), 'string')
    }),
    { numRuns: 400 },
  )
  const payloads = fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 3, 6), fc.nat(255)), { maxLength: 60 })
  fc.assert(fc.property(payloads, (payload) => void new QuicHello().add(datagram({ payload: Buffer.from([...payload, 0]) }))))
})

test.run()

function piece(from: number, to = message.length): Buffer {
  return cryptoFrame(from, message.subarray(from, to))
}

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes)
  other[at]! ^= 0x55
  return other
}

/** As packets other than Initial are; its length follows the two ids. */
function withoutToken(bytes: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, 15), bytes.subarray(16)])
}
