/** RFC 9113 §8, §10.3: what a field list says becomes the same head as HTTP/1.1 text, and nothing in it can become more than that. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ErrorCode } from '../../../core/errors.ts'
import { RequestHead } from '../../../core/net/http1/head.ts'
import { parseRequestHead } from '../../../core/net/http1/request.ts'
import { Field, staticTable } from '../../../core/net/http2/hpack-table.ts'
import { RequestFields, TrailerFields } from '../../../core/net/http2/request.ts'

const rules = { requestLineBytes: 8192, fields: 100, encodedSlashes: false }
const HEAD_BYTES = 32_768
const PSEUDO = [':method', 'GET', ':scheme', 'https', ':authority', 'example.com', ':path', '/a?b=1']

test('a request is read as its HTTP/1.1 twin', () => {
  const head = parsed([...PSEUDO, 'user-agent', 'test', 'te', 'trailers', 'cookie', 'a=1', 'cookie', 'b=2'])
  assert.equal([head.method, head.host, head.path, head.search, head.minor], ['GET', 'example.com', '/a', '?b=1', 1])
  assert.is(head.get('user-agent'), 'test')
  assert.is(head.get('host'), 'example.com')
  assert.is(head.get('cookie'), 'a=1; b=2')
  assert.ok(head.acceptsTrailers)
  assert.not(head.has('te'))
  assert.is(head.contentLength, 0)
  assert.is(head.upgrade, null)
})

test('the length of a body: announced, unknown, or none', () => {
  assert.is(parsed([...PSEUDO, 'content-length', '5'], false).contentLength, 5)
  assert.is(parsed(PSEUDO, false).contentLength, -1)
  assert.not(parsed(PSEUDO, false).has('transfer-encoding'))
  assert.is(read([...PSEUDO, 'content-length', '5'], true), 'bad_framing')
  assert.is(parsed([...PSEUDO, 'content-length', '0']).contentLength, 0)
  for (const more of ['6', '5']) assert.is(read([...PSEUDO, 'content-length', '5', 'content-length', more], false), 'bad_framing')
  for (const odd of ['-5', '5, 5', '0x5', '', '1e3', '9'.repeat(20)])
    assert.is(read([...PSEUDO, 'content-length', odd], false), 'bad_framing', odd)
})

test('the authority is the host, and a Host that differs is refused', () => {
  const withoutAuthority = PSEUDO.filter((_, i) => i !== 4 && i !== 5)
  assert.is(parsed([...withoutAuthority, 'host', 'other.com']).host, 'other.com')
  assert.is(parsed([...PSEUDO, 'host', 'EXAMPLE.com']).host, 'example.com')
  assert.is(wrong([...PSEUDO, 'host', 'other.com']), 'bad_host')
  assert.is(wrong([...withoutAuthority, 'host', 'a.com', 'host', 'a.com']), 'bad_host')
  assert.is(wrong(withoutAuthority), 'bad_host')
  assert.is(wrong(changed(':authority', 'user@example.com')), 'bad_host')
})

test('pseudo-fields: each once, none unknown, all first', () => {
  assert.is(wrong([...PSEUDO, ':path', '/b']), 'bad_request')
  assert.is(wrong([...PSEUDO, ':protocol', 'websocket']), 'bad_request')
  assert.is(wrong(['a', 'b', ...PSEUDO]), 'bad_request')
  for (const name of [':method', ':scheme', ':path']) {
    assert.is(wrong(changed(name, '')), 'bad_request')
    const at = PSEUDO.indexOf(name)
    assert.is(wrong(PSEUDO.filter((_, i) => i !== at && i !== at + 1)), 'bad_request')
  }
  assert.is(wrong(changed(':method', 'CONNECT')), 'unsupported_method')
  assert.is(wrong(changed(':scheme', 'ftp')), 'bad_request')
})

test('what could be more than it is, as text, is refused', () => {
  const smuggled = ['GET / HTTP/1.1\r\nhost: x\r\n\r\nGET', 'A B', 'GET\r', 'G\0ET', 'G:ET']
  for (const method of smuggled) assert.is(wrong(changed(':method', method)), 'bad_request', method)
  for (const path of ['/a HTTP/1.1\r\nx: y', '/a b', '/a\r\n', '/\0', '/a#b', 'http://other.com/', 'a', '', '/a\t']) {
    assert.is(wrong(changed(':path', path)), 'bad_request', path)
  }
  for (const authority of ['a b', 'a/b', 'a, b']) assert.is(wrong(changed(':authority', authority)), 'bad_host')
  assert.is(wrong(changed(':authority', 'example.com\r\nx: y')), 'bad_request')
  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', '\r\n\r\nGET / HTTP/1.1', ' a', 'a\t'])
    assert.is(wrong([...PSEUDO, 'x', value]), 'bad_request')
  for (const name of ['a b', 'a:', 'X-Upper', 'a\r\nb', '', 'é']) assert.is(wrong([...PSEUDO, name, 'v']), 'bad_request', name)
  for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']) {
    assert.is(wrong([...PSEUDO, name, 'chunked']), 'bad_request', name)
  }
  assert.is(wrong([...PSEUDO, 'te', 'gzip']), 'bad_request')
})

test('whatever is accepted has exactly the fields it came with', () => {
  const nasty = fc.string({ unit: fc.constantFrom('a', 'B', ':', ' ', '\r', '\n', '\r\n', '\0', '\t', ',', '/', 'é', 'GET / HTTP/1.1') })
  fc.assert(
    fc.property(fc.array(fc.tuple(nasty, nasty), { maxLength: 4 }), nasty, nasty, (fields, method, path) => {
      const list = changed(':method', method || 'GET')
      list[7] = `/${path}`
      const head = read([...list, ...fields.flat()], true)
      if (!(head instanceof RequestHead)) return
      const names: string[] = []
      head.forEach((name) => {
        names.push(name)
      })
      assert.equal(names, ['host', ...fields.map(([name]) => name)])
    }),
  )
})

test('limits are those of HTTP/1', () => {
  assert.is(wrong(changed(':path', `/${'a'.repeat(9000)}`)), 'uri_too_long')
  assert.is(wrong([...PSEUDO, 'a', 'b'.repeat(40_000)]), 'head_too_large')
  assert.is(wrong([...PSEUDO, ...Array.from({ length: 101 }, (_, i) => [`a${i}`, '']).flat()]), 'head_too_large')
  assert.is(wrong(changed(':path', '/a%2fb')), 'bad_path')
})

test('a list that names many bytes with few is given up at the limit, and costs what it would cost to count', () => {
  const large = new Field('x', 'a'.repeat(4000))
  const fields = new RequestFields()
  fields.begin(rules, HEAD_BYTES)
  for (const field of fieldsOf(PSEUDO)) fields.field(field)
  for (let i = 0; i < 100_000; i++) fields.field(large)
  assert.is(fields.finish(true), 'head_too_large')
  fields.begin(rules, HEAD_BYTES)
  for (const field of fieldsOf([...PSEUDO, 'a', 'b'])) fields.field(field)
  assert.instance(fields.finish(true), RequestHead)
})

test('crumbs of a cookie are one field, however many a browser makes of it', () => {
  const crumbs = Array.from({ length: 150 }, (_, i) => ['cookie', `c${i}=1`]).flat()
  assert.is(
    parsed([...PSEUDO, ...crumbs])
      .get('cookie')!
      .split('; ').length,
    150,
  )
  assert.is(wrong([...PSEUDO, ...Array.from({ length: 20_000 }, () => ['cookie', '']).flat()]), 'head_too_large')
})

test('a WebSocket is the upgrade that HTTP/1.1 would ask for (RFC 8441 §4)', () => {
  const list = changed(':method', 'CONNECT')
  const head = parsed([':protocol', 'websocket', ...list, 'sec-websocket-version', '13'], false)
  assert.equal([head.method, head.upgrade, head.contentLength], ['GET', 'websocket', 0])
  assert.match(head.text(), /^GET \/a\?b=1 HTTP\/1.1\r\n/)
  assert.is(wrong([':protocol', 'websocket', ...list]), 'bad_framing')
  assert.is(read([':protocol', 'websocket', ...list, 'content-length', '3'], false), 'bad_framing')
  assert.is(read([':protocol', 'connect-udp', ...list], false), 'unsupported_method')
  assert.is(read([':protocol', 'websocket', ...list.filter((_, i) => i < 6)], false), 'bad_request')
  assert.is(read([':protocol', 'websocket', ...PSEUDO], false), 'bad_request')
})

test('the head is the one that the HTTP/1.1 codec makes of the same text', () => {
  const name = fc.constantFrom(
    ...['a', 'x-forwarded-for', 'x_real_ip', 'forwarded', 'client-cert', 'user-agent', 'referer', 'accept', 'te', 'expect'],
    ...['proxy-authorization', 'content-length', 'cookie', 'accept-encoding', 'x'.repeat(40), 'date', 'x-forwarded_host'],
  )
  const value = fc.constantFrom('', '1', 'trailers', '100-continue', 'a=b', 'é', 'a, b', '0')
  const path = fc.constantFrom('/', '/a', '/a/../b', '/%61?x=1', '//x', '/a?é', '/a%2fb', '/..;/', '*', '/index.html')
  const method = fc.constantFrom('GET', 'POST', 'OPTIONS', 'HEAD', 'PURGE')
  const list = fc.array(fc.tuple(name, value), { maxLength: 8 })
  fc.assert(
    fc.property(method, path, list, fc.boolean(), (verb, target, fields, ended) => {
      const raw = [':method', verb, ':scheme', 'https', ':authority', 'Example.com:8443', ':path', target, ...fields.flat()]
      const head = read(raw, ended)
      if (typeof head === 'string') return
      const framing = head.contentLength === -1 ? 'transfer-encoding: chunked\r\n' : ''
      const text = `${head.received.slice(0, -2)}${head.acceptsTrailers ? 'te: trailers\r\n' : ''}${framing}\r\n`
      const twin = parseRequestHead(text, 0, text.length, rules)
      if (typeof twin === 'string') throw new Error(`${twin}: ${JSON.stringify(text)}`)
      const facts = (one: RequestHead) => [
        ...[one.method, one.host, one.path, one.search, one.minor, one.contentLength, one.expectsContinue, one.upgrade, one.keepAlive],
        ...[one.hasIdentity, one.acceptsTrailers, one.userAgent, one.referer, one.text()],
        ...['a', 'cookie', 'accept', 'host', 'x-none'].map((key) => one.get(key)),
      ]
      assert.equal(facts(head), facts(twin))
    }),
    { numRuns: 1000 },
  )
})

test('what is known of an entry of a table is known once, and of the next request too', () => {
  const get = staticTable[2]!
  const root = staticTable[4]!
  for (const authority of ['a.com', 'b.com']) {
    const fields = new RequestFields()
    fields.begin(rules, HEAD_BYTES)
    for (const field of [get, staticTable[7]!, root, new Field(':authority', authority)]) fields.field(field)
    const head = fields.finish(true) as RequestHead
    assert.equal([head.host, head.path, head.method], [authority, '/', 'GET'])
  }
})

test('trailers are lines, or malformed', () => {
  const lines = (raw: readonly string[]) => {
    const trailers = new TrailerFields()
    for (const field of fieldsOf(raw)) trailers.field(field)
    return trailers.lines
  }
  assert.is(lines(['x-sum', '1', 'y', '']), 'x-sum: 1\r\ny: \r\n')
  for (const raw of [
    [':status', '200'],
    [':path', '/'],
    ['x', 'a\r\nb: c'],
    ['X', '1'],
    ['connection', 'x'],
    ['x', 'a'.repeat(9000)],
  ])
    assert.is(lines(raw), null, raw[0])
})

test.run()

function changed(name: string, value: string): string[] {
  const list = [...PSEUDO]
  list[list.indexOf(name) + 1] = value
  return list
}

function fieldsOf(raw: readonly string[]): Field[] {
  return Array.from({ length: raw.length / 2 }, (_, i) => new Field(raw[2 * i]!, raw[2 * i + 1]!))
}

function read(raw: readonly string[], ended: boolean): RequestHead | ErrorCode {
  const fields = new RequestFields()
  fields.begin(rules, HEAD_BYTES)
  for (const field of fieldsOf(raw)) fields.field(field)
  return fields.finish(ended)
}

function parsed(raw: readonly string[], ended = true): RequestHead {
  const head = read(raw, ended)
  assert.instance(head, RequestHead, String(head))
  return head as RequestHead
}

function wrong(raw: readonly string[]): unknown {
  return read(raw, true)
}
