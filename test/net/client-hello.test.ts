/** RFC 8446 §4.1.2 and §5.1, RFC 6066 §3: what a client says first is the same however it was split, and nothing wrong in it throws. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type HelloAnswer, MAX_HELLO_BYTES, readClientHello } from '../../core/net/client-hello.ts'
import {
  anyHello,
  extensionsOf,
  type HelloParts,
  helloMessage,
  numbers,
  outerEch,
  record,
  records,
  serverNames,
  vector,
} from '../support/client-hello.ts'

const browser: HelloParts = { serverName: 'Example.COM', alpn: ['h2', 'http/1.1'], versions: [0x0304, 0x0303] }

test('the name, the protocols and the versions of a hello', () => {
  assert.equal(read(browser), { serverName: 'example.com', alpn: ['h2', 'http/1.1'], versions: [0x0304, 0x0303], isEch: false })
})

test('what is not offered is not there; a version stands in the hello itself', () => {
  const old = { serverName: null, alpn: [], versions: [0x0303], isEch: false }
  assert.equal(read({}), old)
  assert.equal(read({ list: null }), old)
  const tls10 = edited({ list: null }, (bytes) => bytes.writeUInt16BE(0x0301, 9))
  assert.equal(tls10, { ...old, versions: [0x0301] })
  assert.equal(
    edited({}, (bytes) => bytes.writeUInt16BE(0x0304, 9)),
    old,
    '1.3 is offered by the extension alone',
  )
  assert.is(
    edited({}, (bytes) => bytes.writeUInt16BE(0x0200, 9)),
    'malformed',
  )
})

test('GREASE is harmless wherever it stands', () => {
  const greased: HelloParts = {
    ...{ serverName: 'a.example', alpn: ['\x0a\x0a', 'h2'], versions: [0xdada, 0x0304] },
    extensions: [
      [0x8a8a, numbers(1, 0)],
      [0xfafa, Buffer.alloc(0)],
      [0xfe0d, outerEch(144)],
    ],
  }
  assert.equal(read(greased), { serverName: 'a.example', alpn: ['h2'], versions: [0x0304], isEch: true })
})

test('names: an address is none, garbage is malformed, and there is one of a type', () => {
  const named = (...names: (string | Buffer)[]): HelloAnswer => read({ extensions: [[0, serverNames(...names)]] })
  for (const address of ['10.0.0.1', '010.1', '1234', '::1', 'fe80::1']) assert.is(nameIn(named(address)), null, address)
  for (const name of ['xn--bcher-kva.example', 'a_b.example', 'localhost', '1.example']) assert.is(nameIn(named(name)), name)
  for (const name of ['', 'a.', '.a', 'a..b', 'a b', 'a\0.b', '*.a', 'bücher.example', 'a:1', '[::1]', '-a', 'a'.repeat(64), 'a/b']) {
    assert.is(named(name), 'malformed', name)
  }
  assert.is(named(`${'a.'.repeat(127)}aa`), 'malformed')
  assert.is(named('a.example', 'b.example'), 'malformed')
  assert.is(named(), 'malformed')
  const unknownType = Buffer.concat([numbers(1, 9), vector(2, Buffer.from('?'))])
  const known = Buffer.concat([numbers(1, 0), vector(2, Buffer.from('a.example'))])
  assert.is(nameIn(read({ extensions: [[0, vector(2, unknownType, known)]] })), 'a.example')
})

test('an inner hello is no outer one; another type is none at all', () => {
  const hasEch = (body: Buffer): unknown => {
    const answer = read({ extensions: [[0xfe0d, body]] })
    return answer !== null && typeof answer === 'object' ? answer.isEch : answer
  }
  assert.is(hasEch(outerEch(1)), true)
  assert.is(hasEch(numbers(1, 1)), false)
  for (const wrong of [outerEch(0), numbers(2, 0x0100), numbers(1, 2), Buffer.alloc(0), Buffer.concat([outerEch(9), numbers(1, 0)])]) {
    assert.is(hasEch(wrong), 'malformed')
  }
})

test('extensions: none twice, pre_shared_key last, each as long as it says', () => {
  const empty = Buffer.alloc(0)
  const has = (...extensions: [number, Buffer][]): HelloAnswer => read({ extensions })
  assert.is(has([23, empty], [23, empty]), 'malformed')
  assert.is(has([0x0a0a, empty], [0x0a0a, empty]), 'malformed')
  assert.is(has([41, empty], [23, empty]), 'malformed')
  assert.is(typeof has([23, empty], [41, empty]), 'object')
  for (const alpn of [empty, vector(2), vector(2, vector(1)), vector(2, vector(1, Buffer.from('h2')), numbers(1, 2)), numbers(2, 9)]) {
    assert.is(has([16, alpn]), 'malformed', alpn.toString('hex'))
  }
  for (const versions of [empty, vector(1), vector(1, numbers(1, 3)), Buffer.concat([vector(1, numbers(2, 0x0304)), numbers(1, 0)])]) {
    assert.is(has([43, versions]), 'malformed', versions.toString('hex'))
  }
})

test('a wrong length is told as soon as it is read', () => {
  const bytes = records(helloMessage(browser))
  const at = bytes.length - extensionsOf(browser).reduce((sum, [, body]) => sum + 4 + body.length, 0)
  const toldAt = (change: (bytes: Buffer) => void): number => {
    const wrong = Buffer.from(bytes)
    change(wrong)
    assert.is(readClientHello(wrong, wrong.length), 'malformed')
    return [...wrong.keys()].find((length) => readClientHello(wrong, length) === 'malformed') ?? wrong.length
  }
  assert.is(
    toldAt((wrong) => wrong.writeUInt8(23, 0)),
    1,
    'content type',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt8(2, 1)),
    2,
    'major version',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(16_385, 3)),
    5,
    'record',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(0, 3)),
    5,
    'empty record',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt8(2, 5)),
    6,
    'a ServerHello',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUIntBE(bytes.length - 10, 6, 3)),
    9,
    'message, shorter than its record',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt8(33, 43)),
    44,
    'session id',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(5, 76)),
    78,
    'cipher suites, odd',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(bytes.readUInt16BE(at - 2) + 1, at - 2)),
    at,
    'extensions',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(bytes.length, at + 2)),
    at + 4,
    'server_name',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(99, at + 4)),
    at + 6,
    'its list',
  )
  assert.is(
    toldAt((wrong) => wrong.writeUInt16BE(99, at + 7)),
    at + 9,
    'the name',
  )
})

test('records: of one kind, none empty, none longer than allowed, nothing left over', () => {
  const message = helloMessage(browser)
  const [first, rest] = [record(message.subarray(0, 50)), message.subarray(50)]
  const whole = Buffer.concat([first, record(rest)])
  assert.is(nameIn(readClientHello(whole, whole.length)), 'example.com')
  const wrong = [record(Buffer.alloc(0)), record(Buffer.from([1, 0]), 21), record(rest, 23), record(Buffer.concat([rest, numbers(1, 0)]))]
  for (const second of wrong) {
    const bytes = Buffer.concat([first, second, record(rest)])
    assert.is(readClientHello(bytes, bytes.length), 'malformed')
    assert.is(readClientHello(bytes, first.length), null)
  }
  const ssl2 = Buffer.from('802e0100020015000000100100800300800700c0', 'hex')
  assert.is(readClientHello(ssl2, 1), 'malformed')
})

test('what comes after the hello is not looked at, in records of its own', () => {
  const bytes = Buffer.concat([records(helloMessage(browser)), record(Buffer.from('early'), 23), Buffer.from('anything')])
  assert.is(nameIn(readClientHello(bytes, bytes.length)), 'example.com')
})

test('64 KiB, records included, are the most', () => {
  const sized = (size: number): Buffer => {
    const padding = size - helloMessage({ extensions: [[21, Buffer.alloc(0)]] }).length
    return helloMessage({ extensions: [[21, Buffer.alloc(padding)]] })
  }
  const largest = records(sized(MAX_HELLO_BYTES - 4 * 5))
  assert.is(largest.length, MAX_HELLO_BYTES)
  assert.is(typeof readClientHello(largest, largest.length), 'object')
  const larger = records(sized(MAX_HELLO_BYTES - 4 * 5 + 1))
  assert.is(readClientHello(larger, larger.length), 'too_large')
  assert.is(readClientHello(larger, 8), null)
  assert.is(readClientHello(larger, 9), 'too_large')
})

test('however it is split, null until it is whole, then what it says for ever', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(anyHello, sizes, fc.string(), ({ message, expected }, split, rest) => {
      const bytes = records(message, split)
      const whole = Buffer.concat([bytes, Buffer.from(rest)])
      const lengths = [...Array(bytes.length).keys()].filter((length) => length < 200 || length % 37 === 0 || length === bytes.length - 1)
      assert.ok(lengths.every((length) => readClientHello(whole, length) === null))
      assert.equal(readClientHello(whole, bytes.length), expected)
      assert.equal(readClientHello(whole, whole.length), expected)
    }),
  )
})

test('records of one byte each', () => {
  fc.assert(
    fc.property(anyHello, ({ message, expected }) => {
      const bytes = records(message, [1])
      assert.is(readClientHello(bytes, bytes.length - 1), null)
      assert.equal(readClientHello(bytes, bytes.length), expected)
    }),
    { numRuns: 30 },
  )
})

test('whatever became of the bytes: no throw, and the first answer is the last', () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 })
  let answered = 0
  fc.assert(
    fc.property(anyHello, changes, fc.integer({ min: 1, max: 400 }), ({ message }, edits, split) => {
      const bytes = records(message, [split])
      for (const [at, value] of edits) bytes[at % Math.min(bytes.length, 400)] = value
      const lengths = [...Array(bytes.length + 1).keys()].filter((length) => length < 400 || length % 97 === 0 || length === bytes.length)
      const answers = lengths.map((length) => JSON.stringify(readClientHello(bytes, length)))
      const first = answers.findIndex((answer) => answer !== 'null')
      if (first < 0) return
      answered++
      assert.ok(answers.slice(first).every((answer) => answer === answers[first]))
    }),
    { numRuns: 300 },
  )
  assert.ok(answered > 50)
})

test('bytes of no hello at all: no throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readClientHello(bytes, bytes.length)))
  const starts = fc.uint8Array({ maxLength: 300 }).map((bytes) => record(Buffer.concat([numbers(1, 1), vector(3, bytes)])))
  fc.assert(fc.property(starts, (bytes) => assert.is(readClientHello(bytes, bytes.length), 'malformed')))
})

test.run()

function read(parts: HelloParts): HelloAnswer {
  const bytes = records(helloMessage(parts))
  return readClientHello(bytes, bytes.length)
}

function edited(parts: HelloParts, change: (bytes: Buffer) => void): HelloAnswer {
  const bytes = records(helloMessage(parts))
  change(bytes)
  return readClientHello(bytes, bytes.length)
}

function nameIn(answer: HelloAnswer): unknown {
  return answer !== null && typeof answer === 'object' ? answer.serverName : answer
}
