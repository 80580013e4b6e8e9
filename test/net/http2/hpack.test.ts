/** RFC 7541: what its appendix C shows is read so; what is malformed is refused; what our encoder writes a decoder reads back. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HpackDecoder } from '../../../core/net/http2/hpack-decoder.ts'
import { HpackEncoder } from '../../../core/net/http2/hpack-encoder.ts'
import { DynamicTable, Field } from '../../../core/net/http2/hpack-table.ts'
import { huffmanCodes, huffmanDecode } from '../../../core/net/http2/huffman.ts'
import { decode, decodeWith, hex, huffmanEncode, integer, literal, string } from '../../support/hpack.ts'

const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
const requests = [
  GET,
  [...GET, 'cache-control', 'no-cache'],
  [':method', 'GET', ':scheme', 'https', ':path', '/index.html', ':authority', 'www.example.com', 'custom-key', 'custom-value'],
]
const [at21, at22] = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT']
const location = ['location', 'https://www.example.com']
const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
const responses = [
  [':status', '302', 'cache-control', 'private', 'date', at21, ...location],
  [':status', '307', 'cache-control', 'private', 'date', at21, ...location],
  [':status', '200', 'cache-control', 'private', 'date', at22, ...location, 'content-encoding', 'gzip', 'set-cookie', cookie],
]
/** The examples of responses are of a table of 256 bytes. */
const RESIZED = '3fe101'

test('RFC 7541 appendix C.2: each way to write a field', () => {
  assert.equal(decode(hex('400a637573746f6d2d6b65790d637573746f6d2d686561646572')), [['custom-key', 'custom-header']])
  assert.equal(decode(hex('040c2f73616d706c652f70617468')), [[':path', '/sample/path']])
  assert.equal(decode(hex('100870617373776f726406736563726574')), [['password', 'secret']])
  assert.equal(decode(hex('82')), [[':method', 'GET']])
})

test('RFC 7541 appendix C.3 and C.4: requests, plain and Huffman-coded', () => {
  const plain = [
    '828684410f7777772e6578616d706c652e636f6d',
    '828684be58086e6f2d6361636865',
    '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
  ]
  assert.equal(decode(...plain.map(hex)), requests)
  const coded = ['828684418cf1e3c2e5f23a6ba0ab90f4ff', '828684be5886a8eb10649cbf', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf']
  assert.equal(decode(...coded.map(hex)), requests)
})

test('RFC 7541 appendix C.5 and C.6: responses, whose table drops what is old', () => {
  const plain = [
    `${RESIZED}4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d`,
    '4803333037c1c0bf',
    '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
  ]
  assert.equal(decode(...plain.map(hex)), responses)
  const coded = [
    `${RESIZED}488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3`,
    '4883640effc1c0bf',
    '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
  ]
  assert.equal(decode(...coded.map(hex)), responses)
})

test('the Huffman code is that of RFC 7541 appendix B', () => {
  const { codes, lengths } = huffmanCodes()
  const row = (symbol: number) => [codes[symbol]!.toString(16), lengths[symbol]]
  assert.equal([0, 1, 9, 10, 32, 48, 65, 88, 92, 97, 122, 123, 127, 128, 195, 207, 220, 249, 255, 256].map(row), [
    ...[
      ['1ff8', 13],
      ['7fffd8', 23],
      ['ffffea', 24],
      ['3ffffffc', 30],
      ['14', 6],
      ['0', 5],
      ['21', 6],
      ['fc', 8],
      ['7fff0', 19],
    ],
    ...[
      ['3', 5],
      ['7b', 7],
      ['7ffe', 15],
      ['ffffffc', 28],
      ['fffe6', 20],
      ['7fff1', 19],
      ['1ffffed', 25],
      ['ffffffd', 28],
    ],
    ...[
      ['ffffffe', 28],
      ['3ffffee', 26],
      ['3fffffff', 30],
    ],
  ])
})

test('what is Huffman-coded is read back, and there is one way only to code it', () => {
  const out = Buffer.alloc(4096)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const coded = huffmanEncode(bytes)
      assert.is(huffmanDecode(coded, 0, coded.length, out), bytes.length)
      assert.ok(out.subarray(0, bytes.length).equals(Buffer.from(bytes)))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (coded) => {
      const length = huffmanDecode(coded, 0, coded.length, out)
      if (length >= 0) assert.ok(huffmanEncode(out.subarray(0, length)).equals(Buffer.from(coded)))
    }),
    { numRuns: 2000 },
  )
  // EOS, padding of a whole byte, padding that is not ones (§5.2).
  for (const wrong of ['3fffffff', 'ffffffff', '1fff', '06', '18']) {
    const coded = hex(wrong)
    assert.is(huffmanDecode(coded, 0, coded.length, out), -1, wrong)
  }
})

test('a malformed block is refused, whatever comes after it', () => {
  const wrong = {
    'index 0': '80',
    'an index that is in no table': 'be',
    'the same, of a name': '7f00 0161',
    'an integer without end': 'ffffffffffffffffff',
    'an integer as long as it likes': 'ff8080808080808000',
    'an integer larger than anything': 'ffffffff7f',
    'a literal without a value': '400161',
    'a string longer than its block': '4005616263',
    'a length that is cut off': '407f',
    'nothing behind the first byte': '40',
    'EOS in a string': '40 84ffffffff 00',
    'a table larger than we allow': '3fe21f',
    'another size behind the first field': '82 20',
  }
  for (const [what, block] of Object.entries(wrong)) assert.equal(decode(hex(block)), [null], what)
  assert.equal(decode(hex('20 3fe11f 82')), [[':method', 'GET']])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      decode(Buffer.from(bytes))
    }),
    { numRuns: 2000 },
  )
})

test('all ways to write a list are the same list', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '-', 'é', '0', ' '), maxLength: 20 })
  const field = fc.record({ name: text, value: text, isKept: fc.boolean(), isHuffman: fc.boolean() })
  fc.assert(
    fc.property(fc.array(fc.array(field, { maxLength: 8 }), { maxLength: 30 }), (lists) => {
      const blocks = lists.map((list) => Buffer.concat(list.map(({ name, value, ...how }) => literal(name, value, how))))
      assert.equal(
        decode(...blocks),
        lists.map((list) => list.flatMap(({ name, value }) => [name, value])),
      )
    }),
  )
})

test('the table keeps the newest that fit in it, whatever is added', () => {
  const entry = fc.tuple(fc.integer({ min: 0, max: 300 }), fc.option(fc.integer({ min: 0, max: 4096 }), { freq: 8 }))
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 300 }), (steps) => {
      const table = new DynamicTable()
      let kept: Field[] = []
      let limit = 4096
      const size = (fields: readonly Field[]) => fields.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0)
      const trim = (room: number) => {
        while (kept.length > 0 && size(kept) > room) kept = kept.slice(0, -1)
      }
      for (const [i, [length, resized]] of steps.entries()) {
        if (resized !== null) {
          limit = resized
          trim(limit)
          table.resize(limit)
        }
        const field = new Field(`${i}`, 'v'.repeat(length * 20))
        trim(limit - size([field]))
        if (size([field]) <= limit) kept = [field, ...kept]
        table.add(field)
        assert.is(table.bytes, size(kept))
        assert.is(table.count, kept.length)
      }
      for (const [i, field] of kept.entries()) assert.is(table.get(i), field)
      assert.is(table.get(kept.length), null)
    }),
  )
})

test('what the encoder writes is read back, in one byte a line from the second time on', () => {
  const encoder = new HpackEncoder()
  const decoder = new HpackDecoder()
  const lines = 'Server: nginx\r\nContent-Type:  text/plain \r\nContent-Length: 95\r\nX-Latin: caf\xe9\xa0\r\nKeep-Alive: timeout=5\r\n'
  const fields = [':status', '200', 'server', 'nginx', 'content-type', 'text/plain', 'content-length', '95', 'x-latin', 'caf\xe9\xa0']
  const blocks = [1, 2, 3].map(() => Buffer.from(encoder.encode(200, lines), 'latin1'))
  for (const block of blocks) assert.equal(decodeWith(decoder, block), fields)
  assert.is(blocks[2]!.length, 4 + '0f0d023935'.length / 2)
})

test('secrets are in no table, and no proxy may put them there', () => {
  const encoder = new HpackEncoder()
  const block = Buffer.from(encoder.encode(0, 'Set-Cookie: a=1\r\n'), 'latin1')
  assert.equal(block, hex('1f28 03 613d31'))
  assert.equal(Buffer.from(encoder.encode(0, 'Set-Cookie: a=1\r\n'), 'latin1'), block)
})

test('encoder and decoder stay in step, whatever sizes the other side asks for', () => {
  const name = fc.constantFrom('Server', 'X-A', 'x-b', 'Content-Type', 'ETag', 'Set-Cookie', 'Date', 'X-Long')
  const value = fc.string({ unit: fc.constantFrom('a', 'b', ':', ' ', '\t', '\xa0', ','), maxLength: 12 })
  const line = fc.tuple(name, value, fc.constantFrom(1, 1, 30, 400))
  const block = fc.record({
    status: fc.constantFrom(0, 200, 404, 503),
    lines: fc.array(line, { maxLength: 10 }),
    limits: fc.array(fc.constantFrom(0, 100, 300, 4096, 65_536), { maxLength: 2 }),
  })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 40 }), (blocks) => {
      const encoder = new HpackEncoder()
      const decoder = new HpackDecoder()
      for (const { status, lines, limits } of blocks) {
        for (const limit of limits) encoder.limit(limit)
        const texts = lines.map(([key, text, times]) => [key, text.repeat(times)] as const)
        const written = encoder.encode(status, texts.map(([key, text]) => `${key}: ${text}\r\n`).join(''))
        const expected = texts.flatMap(([key, text]) => [key.toLowerCase(), text.replace(/^[\t ]+|[\t ]+$/g, '')])
        assert.equal(decodeWith(decoder, Buffer.from(written, 'latin1')), [...(status === 0 ? [] : [':status', `${status}`]), ...expected])
      }
    }),
  )
})

test('a table that the other side made smaller is told of before the next field (§4.2)', () => {
  const encoder = new HpackEncoder()
  encoder.encode(200, 'X-A: 1\r\n')
  encoder.limit(0)
  encoder.limit(4096)
  const block = Buffer.from(encoder.encode(200, 'X-A: 1\r\n'), 'latin1')
  assert.equal(block.subarray(0, 4), Buffer.concat([integer(0x20, 31, 0), integer(0x20, 31, 4096)]))
  assert.equal(block.subarray(4), Buffer.concat([Buffer.of(0x88, 0x40), string('x-a'), string('1')]))
})

test.run()
