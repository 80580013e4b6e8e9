/** Chunked framing: however a body is cut into chunks and reads, the same data goes on, well framed (RFC 9112 §7.1). */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ChunkedReader } from '../../../core/net/http1/chunked.ts'
import { MessageReader } from '../../support/reader.ts'

/** What goes on when the text arrives in these pieces; null if it was refused. `rest`: what was left after the end. */
function forward(pieces: readonly string[], keepFraming = true): { out: string; done: boolean; trailers: string; rest: string } | null {
  const reader = new ChunkedReader(keepFraming)
  let out = ''
  let rest = ''
  for (const piece of pieces) {
    if (reader.done) {
      rest += piece
      continue
    }
    const bytes = Buffer.from(`##${piece}##`, 'latin1')
    const end = reader.read(bytes, 2, bytes.length - 2)
    if (end < 0) return null
    out += reader.prefix
    for (let i = 0; i < reader.ranges.length; i += 2) out += bytes.latin1Slice(reader.ranges[i], reader.ranges[i + 1])
    rest += bytes.latin1Slice(end, bytes.length - 2)
  }
  return { out, done: reader.done, trailers: reader.trailers, rest }
}

function split(text: string, at: readonly number[]): string[] {
  const points = [...new Set([0, ...at.map((one) => one % (text.length + 1)), text.length])].sort((a, b) => a - b)
  return points.slice(1).map((to, i) => text.slice(points[i], to))
}

function strictly(body: string): { body: string; trailers: readonly string[]; rest: string } {
  const reader = new MessageReader('request')
  reader.push(Buffer.from(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`, 'latin1'))
  const message = reader.next()
  if (message === null) throw new Error(`not complete: ${JSON.stringify(body)}`)
  return { body: message.body.toString('latin1'), trailers: message.trailers, rest: reader.rest.toString('latin1') }
}

const data = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
const extension = fc.constantFrom('', '', ';a', ';a=b', ' ; a = "q;\\"\\\\" ;b', ';a="\t x"', '\t;x=y')
const size = (length: number) => fc.constantFrom(length.toString(16), length.toString(16).toUpperCase(), `00${length.toString(16)}`)
const chunk = data.chain((text) => fc.tuple(size(text.length), extension, fc.constant(text)))
const last = fc.tuple(fc.constantFrom('0', '000'), extension)
const trailer = fc.tuple(fc.constantFrom('X-Sum', 'ETag', 'Host', 'Content-Length', 'X_Forwarded_For'), fc.constantFrom('', '1', ' two '))
const splits = fc.array(fc.nat(), { maxLength: 30 })

test('any valid body, read in any pieces, goes on with the same data and in order', () => {
  fc.assert(
    fc.property(
      fc.array(chunk, { maxLength: 6 }),
      last,
      fc.array(trailer, { maxLength: 3 }),
      splits,
      fc.boolean(),
      (chunks, [zero, ext], trailers, at, keep) => {
        const framed = chunks.map(([digits, extra, text]) => `${digits}${extra}\r\n${text}\r\n`).join('')
        const whole = `${framed}${zero}${ext}\r\n${trailers.map(([n, v]) => `${n}:${v}\r\n`).join('')}\r\n`
        const seen = forward(split(`${whole}GET /next`, at), keep)
        assert.ok(seen)
        assert.equal([seen.done, seen.rest], [true, 'GET /next'])
        const expected = chunks.map(([, , text]) => text).join('')
        if (!keep) assert.is(seen.out, expected)
        else {
          const read = strictly(`${seen.out}0\r\n${seen.trailers}\r\n`)
          assert.equal([read.body, read.rest], [expected, ''])
        }
        const kept = trailers.filter(([n]) => n === 'X-Sum' || n === 'ETag').map(([n, v]) => `${n}: ${v.trim()}\r\n`)
        assert.is(seen.trailers, kept.join(''))
      },
    ),
    { numRuns: 3000 },
  )
})

test('read byte by byte it is the same', () => {
  const text = '5;x=y\r\nhello\r\n00A\r\n0123456789\r\n0\r\nX-A: b\r\n\r\n'
  const seen = forward([...text])!
  assert.equal([seen.out, seen.trailers, seen.done], ['5\r\nhello\r\na\r\n0123456789\r\n', 'X-A: b\r\n', true])
})

test('before its end a body is not done, and what is wrong in the trailers is seen before the last chunk goes on', () => {
  const text = '3\r\nabc\r\n0\r\nX: 1\r\n\r\n'
  for (let i = 0; i < text.length; i++) {
    const seen = forward([text.slice(0, i)])!
    assert.is(seen.done, false, `${i} bytes`)
    assert.not.match(seen.out, /0\r\n/)
  }
})

test('malformed framing is refused, wherever the reads end', () => {
  const bad = [
    ...[
      '\r\n',
      ' 3\r\nabc',
      '3 \r\nabc',
      '3\nabc',
      '3\r\rabc',
      '0x3\r\nabc',
      '+3\r\nabc',
      '-3\r\nabc',
      'g\r\n',
      '3,\r\nabc',
      '３\r\nabc',
      '"3"\r\nabc',
    ],
    ...['3\r\nabcd\r\n', '3\r\nabc\n0\r\n\r\n', '3\r\nabc\rX', '3\r\nabc0\r\n\r\n', '0\r\n\n', '0\n\r\n', '\n0\r\n\r\n'],
    ...['1000000000000000\r\n', '00000000000000003\r\nabc', 'fffffffffffffffff\r\n'],
    ...[
      '3;\r\nabc',
      '3;=x\r\nabc',
      '3;a=\r\nabc',
      '3;a="b\r\nabc',
      '3;a="b"c\r\nabc',
      '3;a\0\r\nabc',
      '3;a\nb\r\nabc',
      '3 a\r\nabc',
      '3;a b\r\nabc',
      `3;${'a'.repeat(1100)}\r\nabc`,
    ],
    ...[
      '0\r\nA : b\r\n\r\n',
      '0\r\n A: b\r\n\r\n',
      '0\r\nA: b\r\n c\r\n\r\n',
      '0\r\nA\r\n\r\n',
      '0\r\nA: \0\r\n\r\n',
      '0\r\nA: b\n\r\n',
      '0\r\nA: b\rc\r\n\r\n',
      '0\r\n: b\r\n\r\n',
    ],
    `0\r\nA: ${'b'.repeat(9000)}\r\n\r\n`,
    '1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n'.repeat(1000),
  ]
  for (const text of bad) {
    assert.is(forward([text]), null, JSON.stringify(text.slice(0, 60)))
    assert.is(forward([...text]), null, `byte by byte: ${JSON.stringify(text.slice(0, 60))}`)
  }
})

test('trailers that could change framing, routing, identity or authentication are dropped', () => {
  const names = [
    'Transfer-Encoding',
    'Content-Length',
    'Host',
    'Authorization',
    'Cookie',
    'Set-Cookie',
    'Connection',
    'Trailer',
    'TE',
    'Upgrade',
    'X-Forwarded-For',
  ]
  names.push(
    'x_real_ip',
    'Forwarded',
    'Via',
    'Cache-Control',
    'Expect',
    'Range',
    'Proxy-Status',
    'If-Match',
    'Content-Type',
    'Content-Encoding',
    'Age',
    'Location',
  )
  const seen = forward([`0\r\n${names.map((name) => `${name}: x\r\n`).join('')}Server-Timing: a\r\n\r\n`])!
  assert.is(seen.trailers, 'Server-Timing: a\r\n')
})

test('random bytes never make it throw, and what it forwards of them is well framed', () => {
  const piece = fc.constantFrom('0', '1', '3', 'a', 'ff', '\r\n', '\r', '\n', ';', 'a=b', '"', ' ', 'abc', 'X: y', '\0', '\xff')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), splits, (parts, at) => {
      const text = parts.join('')
      const seen = forward(split(text, at))
      const whole = forward([text])
      assert.is(seen === null, whole === null)
      if (seen === null || whole === null || !seen.done) return
      assert.equal([seen.trailers, seen.rest], [whole.trailers, whole.rest])
      assert.is(strictly(`${seen.out}0\r\n${seen.trailers}\r\n`).body, strictly(text).body)
    }),
    { numRuns: 5000 },
  )
})

test.run()
