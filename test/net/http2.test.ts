/** RFC 9113 §8, §10.3: what a field list says becomes the same head as HTTP/1.1 text, and nothing in it can become more than that. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { RequestHead } from '../../core/net/http1/head.ts'
import { parseRequestFields, responseFields, trailerFields, trailerLines } from '../../core/net/http2/head.ts'
import { responseHead } from '../support/heads.ts'

const rules = { requestLineBytes: 8192, fields: 100, encodedSlashes: false, headBytes: 32768 }
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
  assert.is(parseRequestFields([...PSEUDO, 'content-length', '5'], true, rules), 'bad_framing')
  assert.is(parseRequestFields([...PSEUDO, 'content-length', '5', 'content-length', '6'], false, rules), 'bad_framing')
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
  for (const authority of ['example.com\r\nx: y', 'a b', 'a/b', 'a, b']) assert.is(wrong(changed(':authority', authority)), 'bad_host')
  for (const value of ['a\r\nb: c', 'a\nb', 'a\rb', 'a\0b', '\r\n\r\nGET / HTTP/1.1'])
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
      const head = parseRequestFields([...list, ...fields.flat()], true, rules)
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

test('a response has lower-case names, lists of values, and nothing about the connection', () => {
  const head = responseHead(200, { 'Content-Type': 'text/plain', 'Keep-Alive': 'timeout=5', 'Proxy-Connection': 'close' })
  head.append('Set-Cookie', 'a=1')
  head.append('Set-Cookie', 'b=2')
  assert.equal({ ...responseFields(head) }, { ':status': '200', 'content-type': 'text/plain', 'set-cookie': ['a=1', 'b=2'] })
})

test('trailers go both ways as lines', () => {
  assert.equal({ ...trailerFields('X-Sum: 1\r\nX-Sum: 2\r\nY:z\r\n') }, { 'x-sum': ['1', '2'], y: 'z' })
  assert.is(trailerLines(['x-sum', '1']), 'x-sum: 1\r\n')
  assert.is(trailerLines([':status', '200']), null)
  assert.is(trailerLines(['x', 'a\r\nb: c']), null)
})

test.run()

function changed(name: string, value: string): string[] {
  const list = [...PSEUDO]
  list[list.indexOf(name) + 1] = value
  return list
}

function parsed(raw: readonly string[], ended = true): RequestHead {
  const head = parseRequestFields(raw, ended, rules)
  assert.instance(head, RequestHead, String(head))
  return head as RequestHead
}

function wrong(raw: readonly string[]): unknown {
  return parseRequestFields(raw, true, rules)
}
