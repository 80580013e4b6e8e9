/** Access lines of connections to a TCP listener, and what is counted of them. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { maxLineBytes } from '../../core/observe/line-sink.ts'
import { tunnelFormatter } from '../../core/observe/tunnel-line.ts'
import { aTunnel } from '../support/exchange.ts'
import { Told } from '../support/told.ts'

const json = tunnelFormatter('json', { color: false })

test('a JSON line tells where a connection went, and how much passed', () => {
  assert.equal(JSON.parse(json(aTunnel())), {
    ...{ time: '2026-09-21T14:13:20.123Z', id: 'abc-1', listener: 'edge', route: 'edge/bank', upstream: 'bank', endpoint: '10.0.0.5:443' },
    ...{ protocol: 'TLS', ip: '192.0.2.1', sni: 'bank.test', ms: 12.3, connectMs: 1.3, in: 517, out: 4096, tunnel: true },
  })
})

test('a session of UDP tells of its datagrams', () => {
  const session = aTunnel({ protocol: 'QUIC', connectMs: Number.NaN, datagramsIn: 3, datagramsOut: 7 })
  const line = JSON.parse(json(session))
  assert.equal([line.protocol, line.datagramsIn, line.datagramsOut, line.in, line.out], ['QUIC', 3, 7, 517, 4096])
  assert.match(tunnelFormatter('pretty', { color: false })(session), / QUIC bank\.test 12\.3ms 3\/517 in 7\/4096 out > 10\.0\.0\.5:443/)
})

test('one that went nowhere says why', () => {
  const nowhere = { route: null, upstream: null, endpoint: null, sni: null, connectMs: Number.NaN, attempts: 2 }
  const line = JSON.parse(json(aTunnel({ ...nowhere, reason: 'no_route', detail: 'the client says nothing' })))
  assert.equal([line.reason, line.detail, line.attempts], ['no_route', 'the client says nothing', 2])
  for (const name of ['route', 'upstream', 'endpoint', 'sni', 'connectMs']) assert.not(name in line, name)
})

test('whatever name a client asks for, a line is one line', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 255, unit: 'binary' }), (sni) => {
      assert.is(JSON.parse(json(aTunnel({ sni }))).sni, sni)
      for (const format of ['json', 'combined', 'pretty'] as const) {
        const line = tunnelFormatter(format, { color: false })(aTunnel({ sni }))
        assert.match(line, /^[\x20-\x7e]+\n$/)
        assert.ok(line.length <= maxLineBytes)
      }
    }),
  )
})

test('the other formats', () => {
  const [combined, pretty] = (['combined', 'pretty'] as const).map((format) => tunnelFormatter(format, { color: false }))
  assert.is(combined!(aTunnel()), '192.0.2.1 - - [21/Sep/2026:14:13:20 +0000] "TLS bank.test" 000 4096 "-" "-"\n')
  const refused = aTunnel({ reason: 'connect_refused', detail: 'ECONNREFUSED' })
  assert.match(
    pretty!(refused),
    /^[\d:]+ TLS bank\.test 12\.3ms 517 in 4096 out > 10\.0\.0\.5:443 connect_refused: ECONNREFUSED {2}abc-1\n$/,
  )
})

test('a tunnel of SOCKS tells who asked for what, once', () => {
  const address = { destination: 'example.com:443', endpoint: 'example.com:443', sni: 'example.com', route: null, upstream: null }
  const tunnel = aTunnel({ ...address, protocol: 'SOCKS5', user: 'ann b' })
  const line = JSON.parse(json(tunnel))
  assert.equal([line.destination, line.user, line.protocol, line.sni], ['example.com:443', 'ann b', 'SOCKS5', 'example.com'])
  assert.not('endpoint' in line)
  const [combined, pretty] = (['combined', 'pretty'] as const).map((format) => tunnelFormatter(format, { color: false }))
  assert.is(combined!(tunnel), '192.0.2.1 - ann_b [21/Sep/2026:14:13:20 +0000] "SOCKS5 example.com:443" 000 4096 "-" "-"\n')
  assert.match(pretty!(tunnel), /^[\d:]+ SOCKS5 example\.com:443 12\.3ms 517 in 4096 out {2}abc-1\n$/)
  assert.match(pretty!({ ...tunnel, sni: 'other.test' }), /SOCKS5 example\.com:443 \(other\.test\) 12/)
})

test('a line each in the log, and none where the log is off', () => {
  using on = new Told()
  on.traffic.tunnelEnded(aTunnel())
  on.traffic.tunnelEnded(aTunnel({ reason: 'tunnel_idle' }))
  assert.equal(
    on.lines().map((line) => JSON.parse(line).reason),
    [undefined, 'tunnel_idle'],
  )
  using off = new Told('json', false)
  off.traffic.tunnelEnded(aTunnel())
  assert.equal(off.lines(), [])
})

test.run()
