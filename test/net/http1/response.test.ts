/** Response heads: endpoints are believed no more than clients (RFC 9112 §4, §6). */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ResponseHead } from '../../../core/net/http1/head.ts'
import { parseResponseHead } from '../../../core/net/http1/response.ts'
import { MessageReader } from '../../support/reader.ts'

function parse(text: string, fields = 256): ResponseHead | string {
  return parseResponseHead(text, 0, text.length, fields)
}

function reply(...lines: string[]): ResponseHead | string {
  return parse(`HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
}

function accepted(head: ResponseHead | string): ResponseHead {
  if (typeof head === 'string') throw new Error(`refused: ${head}`)
  return head
}

test('the status line is exact; an empty reason may lack its space, and gets it back', () => {
  for (const line of ['HTTP/1.1 200 OK', 'HTTP/1.0 404 ', 'HTTP/1.1 200', 'HTTP/1.1 200 ', 'HTTP/1.1 599 a b\t\xff']) {
    const head = accepted(parse(`${line}\r\nA: b\r\n\r\n`))
    assert.match(head.text(), /^HTTP\/1\.1 \d\d\d [^\r]*\r\nA: b\r\n$/)
    assert.ok(head.text().startsWith(`HTTP/1.1 ${line.slice(9)}`))
  }
  for (const line of [
    'HTTP/2 200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 OK',
    'http/1.1 200 OK',
    ' HTTP/1.1 200 OK',
    'HTTP/1.1 200 a\0b',
    'HTTP/1.1 200 a\rb',
    'HTTP/1.1 200OK',
    'ICY 200 OK',
    '',
  ])
    assert.is(parse(`${line}\r\n\r\n`), 'response_malformed', line)
})

test('a status that was changed is sent with its own reason phrase, or none', () => {
  const head = accepted(reply('A: b'))
  head.status = 404
  assert.is(head.text(), 'HTTP/1.1 404 Not Found\r\nA: b\r\n')
  head.status = 599
  assert.is(head.text(), 'HTTP/1.1 599 \r\nA: b\r\n')
})

test('a field line is name, colon, value and CRLF', () => {
  for (const line of ['A : b', ' A: b', 'A: b\r\n folded', 'A', ':b', 'A b: c', 'A: \0', 'A: b\rc', 'A: b\nc', 'A\x7f: b'])
    assert.is(reply(line), 'response_malformed', JSON.stringify(line))
})

test('one way to tell the length, or none', () => {
  assert.is(accepted(reply()).contentLength, -2)
  assert.is(accepted(reply('Content-Length: 0')).contentLength, 0)
  assert.is(accepted(reply('Transfer-Encoding: chunked')).contentLength, -1)
  for (const lines of [
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5, 5'],
    ['Content-Length: -1'],
    ['Content-Length: '],
    ['Content-Length: 5x'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  ])
    assert.is(reply(...lines), 'response_malformed', lines.join(' | '))
  assert.is(reply('Transfer-Encoding: gzip, chunked'), 'response_transfer_coding')
  assert.is(parse('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), 'response_malformed')
})

test('too many fields', () => {
  assert.is(parse(`HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(5)}\r\n`, 4), 'response_head_too_large')
})

test('fields of this hop, and those that Connection names, end here', () => {
  const head = accepted(
    reply(
      'Connection: X-Mine, close, content-length',
      'Keep-Alive: 5',
      'Proxy-Connection: x',
      'Upgrade: h2',
      'X-Mine: 1',
      'Content-Length: 3',
      'A: b',
    ),
  )
  assert.is(head.lines(), 'Content-Length: 3\r\nA: b\r\n')
  assert.equal([head.keepAlive, head.upgrade], [false, 'h2'])
  assert.is(accepted(parse('HTTP/1.0 200 OK\r\n\r\n')).keepAlive, false)
  assert.is(accepted(parse('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n')).keepAlive, true)
})

test('random heads never make it throw, and what it accepts reads the same to a strict stranger', () => {
  const name = fc.constantFrom('Content-Length', 'Transfer-Encoding', 'Connection', 'Date', 'Upgrade', 'Set-Cookie', 'X', 'Keep-Alive')
  const value = fc.oneof(
    fc.constantFrom('5', '0', 'chunked', 'close', 'x', 'X, date', ''),
    fc.string({ unit: 'binary-ascii', maxLength: 12 }),
  )
  const line = fc.tuple(name, fc.constantFrom(':', ': ', ' : '), value).map((parts) => parts.join(''))
  const start = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.0 200 OK', 'HTTP/1.1 404', 'HTTP/1.1 500 ', 'HTTP/1.1 2')
  let passed = 0
  fc.assert(
    fc.property(start, fc.array(line, { maxLength: 6 }), (first, lines) => {
      const text = `${[first, ...lines].join('\r\n')}\r\n\r\n`
      const head = parse(text)
      if (typeof head === 'string') return
      passed++
      const reader = new MessageReader('response')
      reader.push(Buffer.from(`${head.text()}\r\n`, 'latin1'))
      const read = reader.next() ?? reader.current
      assert.is(read!.startLine, `HTTP/1.1 ${head.status} ${head.reason}`)
      assert.is(Number(read!.headers['content-length'] ?? -1), head.contentLength < 0 ? -1 : head.contentLength)
      assert.is(read!.headers['transfer-encoding'], undefined)
      assert.is(read!.headers.connection, undefined)
    }),
    { numRuns: 3000 },
  )
  assert.ok(passed > 100, `${passed} accepted`)
})

test.run()
