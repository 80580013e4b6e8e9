/** What hooks of the log see of tunnels and sessions, and what of these they may change. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { TunnelFacts } from '../../core/connection/tunnel-facts.ts'
import type { Observer } from '../../core/events.ts'
import { type Hook, type LogFields, makeHook } from '../../core/hooks.ts'
import type { LogEntry } from '../../core/plugin.ts'
import { aTunnel } from '../support/exchange.ts'
import { logging, Told } from '../support/told.ts'

const named = aTunnel({
  ...{ protocol: 'SOCKS5', listener: 's', route: null, upstream: null, endpoint: 'secret.test:443', destination: 'secret.test:443' },
  ...{ user: 'ann', sni: 'secret.test', ip: '10.1.2.3', reason: 'host_blocked', detail: 'secret.test for ann at 10.1.2.3' },
})

test('a hook sees of a tunnel exactly the fields of an entry, and a line it says nothing about is written as without it', () => {
  using it = new Told()
  const seen: LogFields[] = []
  const hooks = [logging((entries) => void seen.push(...entries))]
  it.endTunnel(aTunnel(), hooks)
  it.endTunnel(aTunnel({ protocol: 'QUIC', datagramsIn: 3, datagramsOut: 7 }), hooks)
  it.endTunnel(aTunnel())
  it.passMs(50)
  const [plain, first] = it.lines()
  assert.is(first, plain)
  const entry: LogEntry = {
    ...{ kind: 'tunnel', time: '2026-09-21T14:13:20.123Z', id: 'abc-1', listener: 'edge', route: 'edge/bank', upstream: 'bank' },
    ...{
      endpoint: '10.0.0.5:443',
      protocol: 'TLS',
      method: '',
      status: 0,
      host: '',
      path: '',
      query: '',
      ip: '192.0.2.1',
      peer: '192.0.2.1',
    },
    ...{ userAgent: null, referer: null, clientSubject: null, user: null, destination: null, sni: 'bank.test', cache: null, reason: null },
    ...{ decidedBy: null, bytesIn: 517, bytesOut: 4096, datagramsIn: 0, datagramsOut: 0, durationMs: 12.34 },
  }
  assert.equal(seen, [entry, { ...entry, kind: 'session', protocol: 'QUIC', datagramsIn: 3, datagramsOut: 7 }])
})

for (const format of ['json', 'combined', 'pretty'] as const) {
  test(`in the ${format} format nothing of what a hook hides of a tunnel is left in its line`, () => {
    using it = new Told(format)
    const hide = (entry: LogFields): LogFields => ({ ...entry, ip: '10.0.0.0', user: null, destination: 'x:443', sni: null })
    it.endTunnel(named, [logging((entries) => entries.map(hide))])
    it.passMs(50)
    assert.not.match(it.lines()[0]!, /secret|ann|10\.1\.2\.3/)
    assert.match(it.lines()[0]!, 'x:443')
  })

  test(`in the ${format} format a hook that fails leaves nothing of the client in the line of a tunnel`, () => {
    using it = new Told(format)
    const failing = makeHook('redact', {
      onLog: () => {
        throw new Error('broken')
      },
    })
    it.endTunnel(named, [failing])
    it.passMs(50)
    assert.not.match(it.lines()[0]!, /secret|ann|10\.1\.2\.3/)
    assert.is(it.count('log_masked_total'), 1)
  })
}

test('whatever a hook writes, the line of a tunnel is one line', () => {
  using it = new Told()
  const text = fc.string({ unit: 'binary' })
  let written = 0
  fc.assert(
    fc.property(fc.record({ sni: text, destination: text, user: text, ip: text }), (texts) => {
      it.endTunnel(named, [logging((entries) => entries.map((entry) => ({ ...entry, ...texts })))])
      it.passMs(50)
      const lines = it.lines()
      assert.is(lines.length, ++written)
      const { sni, destination, user, ip } = JSON.parse(lines.at(-1)!) as Record<string, string>
      assert.equal({ sni, destination, user, ip }, { ...texts })
    }),
    { numRuns: 20 },
  )
})

test('a tunnel that a hook leaves out has no line, and is counted all the same', () => {
  using it = new Told()
  it.endTunnel(named, [logging((entries) => entries.map(() => null))])
  it.passMs(50)
  assert.equal(it.lines(), [])
  assert.equal([it.count('log_left_out_total'), it.count('tunnels_total')], [1, 1])
})

test('hooks of the log outlive their plan until the tunnel has ended, the route in the place of the listener', () => {
  const [a, b] = [new Held(), new Held()]
  const told: (readonly Hook[] | null)[] = []
  const observer = { tunnelEnded: (tunnel) => void told.push(tunnel.logHooks) } as Observer
  const service = { generation: 1, observer, requestId: (serial: number) => `abc-${serial}`, nextSerial: () => 1 }
  const begin = () => new TunnelFacts({ ...service, listener: { name: 'edge', logHooks: [a.hook] } }, '10.0.0.1')
  const facts = begin()
  assert.equal([a.holders, b.holders], [1, 0])
  const ofRoute = [a.hook, b.hook]
  facts.routed({ id: 'edge/bank', logHooks: ofRoute })
  assert.equal([a.holders, b.holders], [1, 1])
  facts.end(null, null)
  facts.end('tunnel_idle', null)
  assert.equal([a.holders, b.holders], [0, 0])
  assert.equal(told, [ofRoute])
  begin().handedOver()
  assert.equal([a.holders, told.length], [0, 1])
})

test.run()

class Held {
  holders = 0
  readonly hook = makeHook('held', { onLog: () => null, hold: () => void this.holders++, release: () => void this.holders-- })
}
