/** Access lines: what they say, and that nothing a client sends can break out of one. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatter, handshakeLine } from '../../core/observe/access-line.ts'
import { maxLineBytes } from '../../core/observe/line-sink.ts'
import { anExchange } from '../support/exchange.ts'

const json = formatter('json', { color: false })
const combined = formatter('combined', { color: false })

test('a JSON line tells where an exchange went, and what came of it', () => {
  assert.equal(JSON.parse(json(anExchange())), {
    ...{ time: '2026-09-21T14:13:20.123Z', id: '0123456789abcdef', listener: 'web', route: 'web[0]', upstream: 'api' },
    ...{ endpoint: '127.0.0.1:3001', status: 200, ms: 1.3, upstreamMs: 0.9, in: 0, out: 95, protocol: 'HTTP/1.1', method: 'GET' },
    ...{ ip: '10.0.0.1', userAgent: 'curl/8.1', host: 'example.com', path: '/v1/me?a=1' },
  })
})

test("a client's certificate is told, and its texts cannot break out", () => {
  const names = Array.from({ length: 9 }, (_, i) => `DNS:${i}.test`)
  const clientCertificate = { subject: 'CN="ann"\n,O=ü', issuer: 'CN=ca', serial: '1F', names, fingerprint: 'ab', verified: true }
  const line = json(anExchange({ clientCertificate }))
  assert.match(line, /^[\x20-\x7e]+\n$/)
  assert.equal(JSON.parse(line).clientCertificate, { ...clientCertificate, names: names.slice(0, 5) })
})

test('who has proved to be somebody is named, and the name cannot break out', () => {
  const user = 'ann "the" boss\n'
  assert.is(JSON.parse(json(anExchange({ user }))).user, user)
  assert.match(combined(anExchange({ user })), /^10\.0\.0\.1 - ann\+\\"the\\"\+boss\\u000a \[/)
  const long = json(anExchange({ user: 'x'.repeat(9000) }))
  assert.ok(long.length <= maxLineBytes)
})

test('a refused handshake is a line of its own', () => {
  const line = handshakeLine({ listener: 'web', why: 'client_certificate', detail: 'CERT_HAS_EXPIRED', address: '10.0.0.1' })
  const { time, ...rest } = JSON.parse(line)
  assert.match(time, /^\d{4}-.*Z$/)
  assert.equal(rest, { listener: 'web', ip: '10.0.0.1', reason: 'handshake_client_certificate', detail: 'CERT_HAS_EXPIRED' })
})

test('what most exchanges lack is told only of those that have it', () => {
  const x = anExchange({
    ...{
      reason: 'connect_refused',
      detail: 'ECONNREFUSED',
      decidedBy: 'block',
      attempts: 2,
      tunnel: true,
      peer: '127.0.0.1',
      referer: 'https://a/',
    },
    ...{ route: null, upstream: null, endpoint: null, upstreamMs: Number.NaN, userAgent: null, status: 502 },
  })
  const line = JSON.parse(json(x))
  assert.is(line.reason, 'connect_refused')
  assert.is(line.detail, 'ECONNREFUSED')
  assert.is(line.decidedBy, 'block')
  assert.is(line.attempts, 2)
  assert.is(line.tunnel, true)
  assert.is(line.peer, '127.0.0.1')
  assert.is(line.referer, 'https://a/')
  for (const name of ['route', 'upstream', 'endpoint', 'upstreamMs', 'userAgent']) assert.not(name in line, name)
})

test('an exchange is not described by what was remembered of another', () => {
  const first = anExchange()
  const second = anExchange({
    host: 'other',
    ip: '10.0.0.2',
    peer: '10.0.0.2',
    userAgent: null,
    route: 'web[1]',
    endpoint: '127.0.0.1:3002',
  })
  json(first)
  const line = JSON.parse(json(second))
  assert.equal(
    [line.host, line.ip, line.userAgent, line.route, line.endpoint],
    ['other', '10.0.0.2', undefined, 'web[1]', '127.0.0.1:3002'],
  )
  assert.is(json(first), formatter('json', { color: false })(first))
})

test('whatever bytes a client sends, a JSON line parses to them, is ASCII, and is one line', () => {
  const bytes = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 60 })
  const property = fc.property(bytes, bytes, bytes, (path, host, userAgent) => {
    const text = json(anExchange({ path, host, userAgent, referer: path, detail: host }))
    assert.match(text, /^[\x20-\x7e]+\n$/)
    const line = JSON.parse(text)
    assert.equal([line.path, line.host, line.userAgent, line.referer, line.detail], [`${path}?a=1`, host, userAgent, path, host])
  })
  fc.assert(property)
})

test('a line stays whole on a pipe however long its values are', () => {
  for (const char of ['x', '"', '\xff', '\0']) {
    const long = char.repeat(30_000)
    const x = anExchange({
      path: long,
      search: long,
      host: long,
      userAgent: long,
      referer: long,
      detail: long,
      id: long,
      peer: long,
      method: 'M'.repeat(30_000),
    })
    for (const format of ['json', 'combined', 'pretty'] as const) {
      const line = formatter(format, { color: true })(x)
      assert.ok(line.length <= maxLineBytes, `${format} ${JSON.stringify(char)}: ${line.length}`)
      if (format === 'json') JSON.parse(line)
    }
  }
})

test('durations are told in tenths of a millisecond', () => {
  for (const [ms, told] of [
    [0, 0],
    [0.04, 0],
    [0.05, 0.1],
    [99.96, 100],
    [123_456.78, 123_456.8],
  ] as const) {
    assert.is(JSON.parse(json(anExchange({ durationMs: ms }))).ms, told)
  }
})

test('the combined format is that of Apache and nginx', () => {
  const line = combined(anExchange({ userAgent: 'a "b"', startedAt: Date.UTC(2026, 9, 10, 13, 55, 36) }))
  assert.is(line, '10.0.0.1 - - [10/Oct/2026:13:55:36 +0000] "GET /v1/me?a=1 HTTP/1.1" 200 95 "-" "a \\"b\\""\n')
})

test('a pretty line is coloured only where that is asked for', () => {
  const x = anExchange({ status: 503, reason: 'no_endpoint' })
  assert.match(formatter('pretty', { color: true })(x), /\x1b\[31m503\x1b\[0m/)
  assert.match(
    formatter('pretty', { color: false })(x),
    /^\d\d:\d\d:\d\d 503 GET {2}example\.com\/v1\/me\?a=1 1\.3ms > 127\.0\.0\.1:3001 no_endpoint {2}0123456789abcdef\n$/,
  )
})

test.run()
