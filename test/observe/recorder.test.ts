import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EndedExchange, EndedTunnel } from '../../core/events.ts'
import { FlightRecorder, type RecalledExchange, type RecalledTunnel } from '../../core/observe/recorder.ts'
import { anExchange, aTunnel } from '../support/exchange.ts'

test('a request is recalled by its id with all that was told of it', () => {
  const recorder = new FlightRecorder()
  recorder.record(numbered(1))
  const x = numbered(2, {
    ...{
      route: null,
      upstream: null,
      endpoint: null,
      ip: '2001:db8::1',
      peer: '10.0.0.9',
      status: 403,
      scheme: 'https',
      protocol: 'HTTP/2',
    },
    ...{ reason: 'plugin_failed', detail: 'zu spät – 100 €', decidedBy: 'block-bots', attempts: 3, tunnel: true, upstreamMs: Number.NaN },
    ...{ generation: 7, bytesIn: 2 ** 40, received: 'GET /\xe4 HTTP/1.1\r\n\r\n' },
  })
  recorder.record(x)
  recorder.record(numbered(3))
  assert.equal(recorder.recall(x.id), expected(x))
  assert.is(recorder.recall('other-2'), null)
  assert.is(recorder.recall('abc-4'), null)
  assert.is(recorder.recall('rubbish'), null)
})

test('the newest push out the oldest, and what is left is whole', () => {
  const size = fc.integer({ min: 0, max: 700 })
  const ip = fc.constantFrom('10.0.0.1', '::1', 'fe80::1%eth0')
  const route = fc.constantFrom('web[0]', 'web/me', null)
  const one = fc.record({
    size,
    ip,
    route,
    detail: fc.option(fc.string({ maxLength: 30 }), { nil: null }),
    upstream: fc.constantFrom('a', 'b'),
  })
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 120 }), fc.integer({ min: 400, max: 1_000 }), (list, words) => {
      const recorder = new FlightRecorder(words * 8)
      const told = list.map(({ size, ip, route, detail, upstream }, i) =>
        numbered(i, {
          ...{ ip, route, upstream, received: String(i % 10).repeat(size) },
          ...(detail === null ? {} : { detail, reason: 'bad_path' }),
        }),
      )
      for (const x of told) recorder.record(x)
      assert.ok(recorder.count > 0 && recorder.count <= told.length)
      const sizes = told.map((x) => 130 + x.received.length + 3 * (x.detail?.length ?? 0))
      if (sizes.reduce((sum, bytes) => sum + bytes, 0) < words * 8) assert.is(recorder.count, told.length)
      for (const [i, x] of told.entries()) {
        const isKept = i >= told.length - recorder.count
        assert.equal(recorder.recall(x.id), isKept ? expected(x) : null, `${i} of ${told.length}`)
      }
    }),
    { numRuns: 500 },
  )
})

test('a large head is cut, and one that cannot fit is left out', () => {
  const recorder = new FlightRecorder()
  const x = numbered(1, { received: 'x'.repeat(50_000) })
  recorder.record(x)
  const { head, isCut } = recorder.recall(x.id) as RecalledExchange
  assert.equal([head.length, isCut], [4096, true])
  const small = new FlightRecorder(400)
  small.record(x)
  assert.is(small.count, 0)
})

test('tunnels and sessions are recalled among requests, with whatever their clients called themselves', () => {
  const name = fc.option(fc.string({ maxLength: 80, unit: 'grapheme' }), { nil: null })
  const place = fc.option(fc.domain(), { nil: null })
  const protocol = fc.constantFrom('TCP', 'TLS', 'SOCKS4', 'SOCKS5', 'UDP', 'QUIC', 'SOCKS')
  const facts = fc.record({ user: name, sni: place, destination: place, protocol, datagramsIn: fc.nat(), attempts: fc.nat(3) })
  fc.assert(
    fc.property(fc.array(facts, { minLength: 1, maxLength: 20 }), (list) => {
      const recorder = new FlightRecorder()
      for (const [i, { destination, ...rest }] of list.entries()) {
        const isNamed = destination !== null && rest.attempts > 0
        const endpoint = isNamed ? destination : destination === null ? '10.0.0.5:443' : null
        const tunnel = aTunnel({
          ...rest,
          destination,
          endpoint,
          id: `abc-${(2 * i + 1).toString(36)}`,
          serial: 2 * i + 1,
          reason: 'tunnel_idle',
        })
        recorder.recordTunnel(tunnel)
        recorder.record(numbered(2 * i + 2))
        assert.equal(recorder.recall(tunnel.id), expectedTunnel(tunnel))
      }
      assert.is(recorder.count, 2 * list.length)
    }),
    { numRuns: 100 },
  )
})

test('places that clients name do not push out what else is remembered', () => {
  const recorder = new FlightRecorder(1 << 23)
  recorder.record(numbered(0))
  for (let i = 1; i <= 12_000; i++) {
    const destination = `host${i}.test:443`
    recorder.recordTunnel(aTunnel({ destination, endpoint: destination, id: `abc-${i.toString(36)}`, serial: i }))
  }
  assert.is(recorder.count, 12_001)
  assert.is((recorder.recall('abc-1') as RecalledTunnel).endpoint, 'host1.test:443')
})

test('names without end do not grow it without end', () => {
  const recorder = new FlightRecorder(1 << 22)
  for (let i = 0; i < 25_000; i++) recorder.record(numbered(i, { endpoint: `10.0.0.1:${i}` }))
  assert.ok(recorder.count > 4_000 && recorder.count <= 10_000, String(recorder.count))
  const last = numbered(24_999, { endpoint: '10.0.0.1:24999' })
  assert.equal(recorder.recall(last.id), expected(last))
  const first = numbered(20_000, { endpoint: '10.0.0.1:20000' })
  assert.equal(recorder.recall(first.id), expected(first))
})

function numbered(serial: number, changes: Partial<EndedExchange> = {}): EndedExchange {
  return anExchange({ serial, id: `abc-${serial.toString(36)}`, ...changes })
}

function expected(x: EndedExchange): RecalledExchange {
  const {
    id,
    listener,
    route,
    upstream,
    endpoint,
    status,
    reason,
    decidedBy,
    attempts,
    tunnel,
    protocol,
    scheme,
    ip,
    peer,
    bytesIn,
    bytesOut,
  } = x
  return {
    kind: 'exchange',
    ...{ id, at: x.startedAt, ms: x.durationMs, upstreamMs: x.upstreamMs >= 0 ? x.upstreamMs : null, listener, route, upstream, endpoint },
    ...{
      status,
      reason,
      detail: x.detail === '' ? null : x.detail,
      decidedBy,
      attempts,
      tunnel,
      protocol,
      scheme,
      ip,
      peer,
      bytesIn,
      bytesOut,
    },
    ...{ generation: x.generation, head: x.received, isCut: false },
  }
}

function expectedTunnel(x: EndedTunnel): RecalledTunnel {
  const { id, listener, route, upstream, endpoint, protocol, destination, user, sni, ip, attempts } = x
  const { reason, detail, decidedBy, bytesIn, bytesOut, datagramsIn, datagramsOut, generation, startedAt, durationMs, connectMs } = x
  return {
    ...{
      kind: 'tunnel',
      id,
      at: startedAt,
      ms: durationMs,
      connectMs,
      listener,
      route,
      upstream,
      endpoint,
      protocol,
      destination,
      user,
      sni,
      ip,
    },
    ...{ attempts, reason, detail, decidedBy, bytesIn, bytesOut, datagramsIn, datagramsOut, generation },
  }
}

test.run()
