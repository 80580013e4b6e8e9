/** Request heads: what a strict intermediary refuses, and that what it accepts says the same to the next one (RFC 9112 §3, §5, §6). */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { requestText } from '../../../core/http/forward.ts'
import type { RequestHead } from '../../../core/net/http1/head.ts'
import { isAuthority, parseRequestHead, type RequestRules } from '../../../core/net/http1/request.ts'
import { anUpstream } from '../../support/heads.ts'
import { MessageReader } from '../../support/reader.ts'

const rules: RequestRules = { requestLineBytes: 8192, fields: 100, encodedSlashes: false }

function parse(text: string, changes: Partial<RequestRules> = {}): RequestHead | string {
  return parseRequestHead(text, 0, text.length, { ...rules, ...changes })
}

/** A head of these lines, with the Host that most need. */
function ask(...lines: string[]): RequestHead | string {
  return parse(`POST /a HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
}

function accepted(head: RequestHead | string): RequestHead {
  if (typeof head === 'string') throw new Error(`refused: ${head}`)
  return head
}

function refuses(code: string, cases: readonly string[]): void {
  for (const text of cases) assert.is(parse(text), code, JSON.stringify(text))
}

test('exactly one valid Host (RFC 9112 §3.2)', () => {
  refuses('bad_host', [
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost:\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: \t \r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nhOsT: b\r\n\r\n',
    'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET http://b/ HTTP/1.1\r\n\r\n',
    'GET http://b/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  ])
  for (const host of [
    'a b',
    'a,b',
    'a/b',
    'a?b',
    'a#b',
    'u@h',
    'a:',
    'a:b',
    'a:99999',
    'a:123456',
    '[::1',
    '::1',
    '[::1]x',
    'a\\b',
    'é',
    'a%00',
  ])
    assert.is(parse(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`), 'bad_host', host)
  for (const host of ['example.com', 'EXAMPLE.com:8080', '10.0.0.1', '[::1]', '[2001:db8::1]:443', 'a_b.internal', 'localhost:0'])
    assert.is(accepted(parse(`GET / HTTP/1.1\r\nHost:${host} \r\n\r\n`)).host, host)
  assert.is(accepted(parse('GET / HTTP/1.0\r\n\r\n')).host, '')
})

test('what was a valid authority once does not make others valid', () => {
  assert.ok(isAuthority('good.example'))
  assert.not.ok(isAuthority('good.example '))
  assert.not.ok(isAuthority(''))
  assert.ok(isAuthority('good.example'))
})

test('an absolute-form target tells the host, and Host must agree with it from here on (RFC 9112 §3.2.2)', () => {
  const head = accepted(parse('GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n'))
  assert.equal([head.host, head.path, head.search, head.get('host')], ['b:81', '/p', '?q', 'b:81'])
  assert.is(accepted(parse('GET HTTPS://b HTTP/1.1\r\nHost: b\r\n\r\n')).path, '/')
  assert.is(accepted(parse('GET http://b?q=1 HTTP/1.1\r\nHost: b\r\n\r\n')).search, '?q=1')
  assert.is(accepted(parse('GET http://b/%61dmin HTTP/1.1\r\nHost: b\r\n\r\n')).path, '/admin')
  for (const target of ['http://u:p@b/', 'http://b c/', 'http:///p', 'http://', 'http://b\\c/', 'http://[::1/'])
    assert.type(parse(`GET ${target} HTTP/1.1\r\nHost: b\r\n\r\n`), 'string', target)
  refuses('bad_request', [
    'GET ftp://b/ HTTP/1.1\r\nHost: b\r\n\r\n',
    'GET b HTTP/1.1\r\nHost: b\r\n\r\n',
    'GET * HTTP/1.1\r\nHost: b\r\n\r\n',
  ])
})

test('OPTIONS asks the server as a whole by an asterisk, also when its target was absolute (RFC 9112 §3.2.4)', () => {
  assert.is(accepted(parse('OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n')).path, '*')
  assert.is(accepted(parse('OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n')).path, '*')
  assert.is(accepted(parse('OPTIONS http://b/ HTTP/1.1\r\nHost: b\r\n\r\n')).path, '/')
})

test('CONNECT is not for a reverse proxy', () => {
  refuses('unsupported_method', ['CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n', 'CONNECT / HTTP/1.1\r\nHost: b\r\n\r\n'])
})

test('one way to tell the length, or none (RFC 9112 §6.3)', () => {
  assert.is(accepted(ask()).contentLength, 0)
  assert.is(accepted(ask('Content-Length: 0')).contentLength, 0)
  assert.is(accepted(ask('Content-Length:\t17 ')).contentLength, 17)
  assert.is(accepted(ask('Content-Length: 999999999999999')).contentLength, 999_999_999_999_999)
  assert.is(accepted(ask('transfer-ENCODING: Chunked')).contentLength, -1)
  for (const lines of [
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: chunked', 'Content-Length: 5'],
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5', 'Content-Length: 6'],
    ...['5, 5', '5,6', '+5', '-5', '0x5', '5 5', '5.0', '', '1e3', '"5"', '1000000000000000', '²', '5;'].map((v) => [
      `Content-Length: ${v}`,
    ]),
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding:'],
    ...['gzip, chunked', 'chunked, gzip', 'chunked, chunked', 'xchunked', 'chunked;q=1', '"chunked"', 'chunked,'].map((v) => [
      `Transfer-Encoding: ${v}`,
    ]),
  ])
    assert.is(ask(...lines), 'bad_framing', lines.join(' | '))
  for (const coding of ['gzip', 'identity', 'x']) assert.is(ask(`Transfer-Encoding: ${coding}`), 'unsupported_transfer_coding', coding)
  refuses('bad_framing', ['POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'])
})

test('a field line is name, colon, value and CRLF, and nothing looser (RFC 9112 §5)', () => {
  const h = 'GET / HTTP/1.1\r\nHost: x\r\n'
  const lines = [
    'A : b',
    ' A: b',
    '\tA: b',
    'A: b\r\n folded',
    'A: b\r\n\tfolded',
    'A',
    ':b',
    'A b: c',
    'A\t: b',
    'Ä: b',
    'A(: b',
    'A: b\rc',
    'A: b\nc',
  ]
  const bytes = ['\0', '\x01', '\x0b', '\x0c', '\x1f', '\x7f']
  refuses('bad_request', [
    ...lines.map((line) => `${h}${line}\r\n\r\n`),
    ...bytes.flatMap((b) => [`${h}A: ${b}\r\n\r\n`, `${h}A${b}: c\r\n\r\n`]),
  ])
  refuses('bad_request', [
    `${h}A: b\n\r\n`,
    `${h}A: b\r\r\n\r\n`,
    `${h}A: b\r\n\n`,
    'GET / HTTP/1.1\nHost: x\r\n\r\n',
    'GET / HTTP/1.1\r\n Host: x\r\n\r\n',
  ])
  assert.is(accepted(ask('A:', 'B:  \t', 'C: é\t"\xff')).get('c'), 'é\t"\xff')
})

test('the request line is exact (RFC 9112 §3)', () => {
  const bad = [
    'GET  / HTTP/1.1',
    ' GET / HTTP/1.1',
    'GET /  HTTP/1.1',
    'GET / HTTP/1.1 ',
    'GET\t/ HTTP/1.1',
    'GET /',
    'GET / http/1.1',
    'GET / HTTP/1',
    'GET / HTTP/11.1',
  ]
  bad.push(
    'GET / HTTP/1.10',
    'G(T / HTTP/1.1',
    '/ HTTP/1.1',
    'GET /a b HTTP/1.1',
    'GET /a#b HTTP/1.1',
    'GET /a\tb HTTP/1.1',
    'GET /\0 HTTP/1.1',
    'GET / HTTP/1.1\r',
    '',
  )
  refuses(
    'bad_request',
    bad.map((line) => `${line}\r\nHost: x\r\n\r\n`),
  )
  refuses('unsupported_version', ['GET / HTTP/2.0\r\nHost: x\r\n\r\n', 'GET / HTTP/0.9\r\nHost: x\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\n'])
})

test('a minor version above 1 is spoken to, and passed on, as HTTP/1.1', () => {
  const head = accepted(parse('GET / HTTP/1.7\r\nHost: x\r\n\r\n'))
  assert.is(head.minor, 1)
  assert.ok(sent(head).startsWith('GET / HTTP/1.1\r\n'))
})

test('limits: a long line is 414, many fields are 431', () => {
  const long = `GET /${'a'.repeat(40)} HTTP/1.1\r\nHost: x\r\n\r\n`
  assert.is(parse(long, { requestLineBytes: 55 }), 'uri_too_long')
  accepted(parse(long, { requestLineBytes: 56 }))
  const many = `GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(4)}\r\n`
  assert.is(parse(many, { fields: 4 }), 'head_too_large')
  accepted(parse(many, { fields: 5 }))
})

test('only the expectation 100-continue is known', () => {
  assert.ok(accepted(ask('Expect: 100-Continue')).expectsContinue)
  assert.is(ask('Expect: 200-maybe'), 'unsupported_expectation')
  assert.is(ask('Expect: 100-continue', 'Expect: x'), 'unsupported_expectation')
  const old = accepted(parse('POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\n\r\n'))
  assert.equal([old.expectsContinue, old.has('expect')], [false, false])
})

test('fields of this hop, and those that Connection names, end here (RFC 9110 §7.6.1)', () => {
  const hop = [
    'Connection: close, X-Mine , ,x-too',
    'Keep-Alive: 5',
    'Proxy-Connection: x',
    'TE: trailers',
    'Upgrade: x',
    'Proxy-Authorization: b',
  ]
  const head = accepted(ask(...hop, 'X-Mine: 1', 'x-TOO: 2', 'X-Mine-Not: 3', 'X-Mine: 4', 'Trailer: x', 'Authorization: a'))
  assert.is(head.lines(), 'Host: x\r\nX-Mine-Not: 3\r\nTrailer: x\r\nAuthorization: a\r\n')
  assert.is(head.keepAlive, false)
  assert.is(head.acceptsTrailers, true)
})

test('Connection cannot take the fields away that tell framing and routing', () => {
  const head = accepted(ask('Connection: host, content-length', 'Content-Length: 3'))
  assert.equal([head.get('host'), head.get('content-length'), head.contentLength], ['x', '3', 3])
})

test('a Connection that names thousands of fields costs one walk over the head', () => {
  // Mechanism: one walk for each name, 27 ms for a head of 32 KiB.
  const lines = Array.from({ length: 90 }, (_, i) => `X${i}: y`)
  const names = Array.from({ length: 5_000 }, (_, i) => `x${i}`).join(',')
  const times = Array.from({ length: 40 }, () => {
    const from = process.threadCpuUsage()
    assert.is(accepted(ask(...lines, `Connection: ${names}`, 'Y: z')).lines(), 'Host: x\r\nY: z\r\n')
    return process.threadCpuUsage(from).user / 1_000
  })
  assert.ok(Math.min(...times) < 10, `${Math.min(...times)} ms`)
})

test('persistence by version and Connection', () => {
  const kept = (text: string) => accepted(parse(text)).keepAlive
  assert.equal([kept('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), kept('GET / HTTP/1.0\r\nHost: x\r\n\r\n')], [true, false])
  assert.is(kept('GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n'), true)
  assert.is(kept('GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: CLOSE\r\n\r\n'), false)
})

test('an upgrade passes only when it was asked for properly, alone, and is not HTTP/2', () => {
  const upgrade = (...lines: string[]) => accepted(ask(...lines)).upgrade
  assert.is(upgrade('Connection: Upgrade', 'Upgrade: websocket'), 'websocket')
  assert.is(upgrade('Connection: keep-alive, upgrade', 'Upgrade: a/1.0'), 'a/1.0')
  for (const lines of [
    ['Upgrade: websocket'],
    ['Connection: upgrade'],
    ['Connection: upgrade', 'Upgrade: h2c', 'HTTP2-Settings: x'],
    ['Connection: upgrade', 'Upgrade: H2C'],
    ['Connection: upgrade', 'Upgrade: h2c, websocket'],
    ['Connection: upgrade', 'Upgrade: websocket', 'Upgrade: h2c'],
    ['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 3'],
    ['Connection: upgrade', 'Upgrade: websocket', 'Transfer-Encoding: chunked'],
  ]) {
    assert.is(upgrade(...lines), null, lines.join(' | '))
    assert.not.match(accepted(ask(...lines)).lines(), /upgrade/i)
  }
})

test('fields that tell of the client are noticed, with their twins', () => {
  for (const name of [
    'X-Forwarded-For',
    'x_forwarded_for',
    'X-Forwarded_Proto',
    'X-Real-IP',
    'X_REAL_IP',
    'Forwarded',
    'X-Forwarded',
    'X-Forwarded-Client-Cert',
  ])
    assert.ok(accepted(ask(`${name}: 1`)).hasIdentity, name)
  for (const name of ['X-Forward', 'Forward', 'X-Really-IP', 'Forwarding']) assert.not.ok(accepted(ask(`${name}: 1`)).hasIdentity, name)
})

test('random bytes never make it throw, and what it accepts reads the same to a strict stranger', () => {
  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
  const piece = fc.constantFrom(
    ...[
      '\r\n',
      '\r',
      '\n',
      ' ',
      '\t',
      ':',
      ',',
      '\0',
      '\x7f',
      '\xff',
      '//',
      '..;',
      '%2f',
      'chunked',
      'HTTP/1.1',
      'HTTP/1.0',
      'Host',
      'x',
      '5',
    ],
  )
  const name = fc.oneof(
    token,
    fc.constantFrom('Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'TE', 'Expect', 'Upgrade', 'X-Forwarded-For'),
  )
  const value = fc.oneof(
    fc.constantFrom('x', '5', '5, 5', 'chunked', 'close, te', 'upgrade', 'websocket', ''),
    fc.string({ unit: 'binary-ascii', maxLength: 20 }),
    piece,
  )
  const line = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(name, fc.constantFrom(':', ': ', ' :'), value).map((parts) => parts.join('')) },
    { weight: 1, arbitrary: piece },
  )
  const target = fc.oneof(fc.webPath(), fc.constantFrom('/', '*', 'http://x/a', 'x', '/a?b', '/%', '/%2e/'), piece)
  const start = fc
    .tuple(fc.oneof(token, piece), target, fc.constantFrom('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.5'))
    .map((parts) => parts.join(' '))
  const head = fc
    .tuple(start, fc.boolean(), fc.array(line, { maxLength: 6 }))
    .map(([first, withHost, lines]) => `${[first, ...(withHost ? ['Host: x'] : []), ...lines].join('\r\n')}\r\n\r\n`)
  let passed = 0
  fc.assert(
    fc.property(head, (text) => {
      const parsed = parse(text)
      if (typeof parsed === 'string') return
      passed++
      const read = strictly(sent(parsed) + (parsed.contentLength === -1 ? '0\r\n\r\n' : 'z'.repeat(Math.min(parsed.contentLength, 9))))
      assert.is(read.startLine, `${parsed.method} ${parsed.path}${parsed.search} HTTP/1.1`)
      assert.is(read.headers['transfer-encoding'], parsed.contentLength === -1 ? 'chunked' : undefined)
      if (parsed.contentLength > 0) assert.is(Number(read.headers['content-length']), parsed.contentLength)
      const names = read.lines.map((one) => one.slice(0, one.indexOf(':')).toLowerCase())
      for (const [i, one] of names.entries())
        if (!['via', 'transfer-encoding', 'connection', 'te', 'upgrade', 'host'].includes(one))
          assert.is(read.lines[i]!.slice(one.length + 1).trim(), valueIn(text, one, names.slice(0, i)), one)
    }),
    { numRuns: 6000 },
  )
  assert.ok(passed > 100, `${passed} accepted`)
})

test('bytes of any kind never make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = `GET / HTTP/1.1\r\nHost: x\r\nA: ${Buffer.from(bytes).toString('latin1')}\r\n\r\n`
      parse(text)
      parse(Buffer.from(bytes).toString('latin1'))
    }),
    { numRuns: 2000 },
  )
})

test.run()

function sent(head: RequestHead): string {
  return requestText(head, anUpstream(), '127.0.0.1:1', 'Via: 1.1 sluice\r\n\r\n')
}

function strictly(text: string) {
  const reader = new MessageReader('request')
  reader.push(Buffer.from(text, 'latin1'))
  const message = reader.next() ?? reader.current
  if (message === null) throw new Error(`not a head: ${JSON.stringify(text)}`)
  return message
}

/** The value of the line of that name in the received text, as often as it came before. */
function valueIn(text: string, name: string, before: readonly string[]): string | undefined {
  const nth = before.filter((one) => one === name).length
  const lines = text.split('\r\n').filter((line) => line.toLowerCase().startsWith(`${name}:`))
  return lines[nth]?.slice(name.length + 1).trim()
}
