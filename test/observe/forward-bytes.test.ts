/** What is counted of the forward side: bytes by user, and by the host that was reached. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Counters, type Family, slotsOf } from '../../core/observe/counters.ts'
import { ForwardBytes, type Passed } from '../../core/observe/forward-bytes.ts'
import { anExchange, aTunnel } from '../support/exchange.ts'
import { forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { Told } from '../support/told.ts'

const passed: Passed = { listener: 'out', user: 'ann', destination: 'example.com:443', bytesIn: 1, bytesOut: 10 }

test('by user, whatever came of it, and by the host that was reached, on all its ports', () => {
  const it = new Counted()
  it.bytes.count(passed, true)
  it.bytes.count({ ...passed, destination: 'example.com:80' }, true)
  it.bytes.count({ ...passed, user: 'bob', destination: '[::1]:80' }, true)
  it.bytes.count({ ...passed, destination: 'down.test:443' }, false)
  it.bytes.count({ ...passed, user: null, destination: null }, true)
  assert.equal(it.sums('user_received_bytes_total'), { 'out ann': 3, 'out bob': 1 })
  assert.equal(it.sums('user_sent_bytes_total'), { 'out ann': 30, 'out bob': 10 })
  assert.equal(it.sums('destination_sent_bytes_total'), { 'out example.com': 20, 'out [::1]': 10 })
})

test('however many hosts clients name, series stay few, and nothing is lost', () => {
  const it = new Counted()
  for (let i = 0; i < 2_000; i++) it.bytes.count({ ...passed, listener: i % 2 === 0 ? 'out' : 's', destination: `host${i}.test:443` }, true)
  const sums = it.sums('destination_received_bytes_total')
  const total = Object.values(sums).reduce((sum, bytes) => sum + bytes, 0)
  assert.equal([Object.keys(sums).length, total], [258, 2_000])
  assert.equal([sums['out host0.test'], sums['out other'], sums['s other']], [1, 872, 872])
})

test('what is no forward proxy has neither, whoever proved to be whom', () => {
  using it = new Told()
  it.end(anExchange({ user: 'ann' }))
  it.endTunnel(aTunnel())
  assert.equal([it.count('user_sent_bytes_total'), it.count('destination_sent_bytes_total')], [0, 0])
  it.end(anExchange({ user: 'ann', destination: 'example.com:80' }))
  it.endTunnel(aTunnel({ user: 'ann', destination: 'example.com:443', protocol: 'SOCKS5' }))
  it.endTunnel(aTunnel({ user: 'ann', protocol: 'UDP', connectMs: Number.NaN }))
  assert.equal([it.count('user_sent_bytes_total'), it.count('destination_sent_bytes_total')], [95 + 2 * 4096, 95 + 4096])
})

test('a request and a tunnel through a forward proxy tell where they went, and that it was reached', async () => {
  await using origin = await startOrigin(() => answer('in'))
  await using proxy = await startProxy(forwarding({}, [origin.port]))
  using c = await proxy.connect()
  await c.send(`GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`).response()
  await c.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: ${origin.address}\r\n\r\n`).response({ to: 'CONNECT' })
  c.reset()
  for (const ended of [await proxy.exchange(1), await proxy.exchange(2)]) {
    assert.is(ended.destination, origin.address)
    assert.ok(ended.upstreamMs >= 0, ended.method)
  }
})

test.run()

class Counted {
  readonly #counters = new Counters()
  readonly #series: { readonly family: Family; readonly labels: readonly string[] }[] = []
  readonly bytes = new ForwardBytes(this.#counters)

  /** By listener and label. */
  sums(family: Family): Record<string, number> {
    const { delta, values } = this.#counters.snapshot()
    this.#series.push(...delta)
    let at = 0
    const sums: Record<string, number> = {}
    for (const series of this.#series) {
      if (series.family === family) sums[series.labels.join(' ')] = values[at]!
      at += slotsOf(series.family)
    }
    return sums
  }
}
