/** A PROXY header before the connections of forward proxies and of SOCKS: the client that it names is the one that rules and the log know; none, no connection. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Config, defineConfig, socks } from '../../core/index.ts'
import { writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import { forwarding, local } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { connectTo, GREETING } from '../support/socks.ts'

const header = (ip: string, version: 1 | 2 = 2): Buffer =>
  writeProxyHeader(version, { source: { ip, port: 4711 }, destination: { ip: '198.51.100.1', port: 3128 }, tls: null })
const behind = { proxyProtocol: 'require', trust: '127.0.0.1', allow: { ...local, clients: '192.0.2.0/24' } } as const

function startSocks(port: number, trust = '127.0.0.1'): Promise<RunningProxy> {
  const s = socks({ ...behind, trust, listen: '127.0.0.1:0', allow: { ...behind.allow, ports: [port] } })
  return startProxy({ config: defineConfig({ listeners: { s } }) as Config })
}

test('a forward proxy serves the client that the header names, and tells servers of it; its own fields count for nothing', async () => {
  await using origin = await startOrigin(() => answer('in'))
  for (const shared of [false, true]) {
    await using proxy = await startProxy(forwarding({ ...behind, socks: shared }, [origin.port]))
    const ask = `GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n`
    for (const version of [1, 2] as const) {
      using c = await proxy.connect()
      c.send(Buffer.concat([header('192.0.2.7', version), Buffer.from(ask)]))
      assert.is((await c.response()).text, 'in')
    }
    using other = await proxy.connect()
    other.send(Buffer.concat([header('203.0.113.9'), Buffer.from(ask)]))
    assert.is((await other.response()).status, 403)
    assert.equal(
      [await proxy.exchange(1), await proxy.exchange(2), await proxy.exchange(3)].map(({ ip, reason }) => [ip, reason]),
      [
        ['192.0.2.7', null],
        ['192.0.2.7', null],
        ['203.0.113.9', 'client_refused'],
      ],
    )
  }
  for (const { headers } of origin.requests) assert.is(headers['x-forwarded-for'], '192.0.2.7')
})

test('so does SOCKS, on a port of its own and on that of a forward proxy, in whatever pieces it comes', async () => {
  await using origin = await startOrigin(() => answer('in'))
  const opening = Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)])
  for (const start of [() => startSocks(origin.port), () => startProxy(forwarding({ ...behind, socks: true }, [origin.port]))]) {
    await using proxy = await start()
    const bytes = Buffer.concat([header('192.0.2.7'), opening])
    for (const cut of [0, 1, 20, 28, 29, 31]) {
      using c = await proxy.connect()
      if (cut > 0) await c.send(bytes.subarray(0, cut)).sent()
      await new Promise((resolve) => setImmediate(resolve))
      c.send(bytes.subarray(cut))
      assert.is((await c.bytes(12)).toString('hex').slice(0, 8), '05000500')
      c.reset()
    }
    assert.is((await proxy.tunnel()).ip, '192.0.2.7')
    using other = await proxy.connect()
    other.send(Buffer.concat([header('203.0.113.9'), opening]))
    assert.is(await other.closed(), 'reset')
  }
})

test('who sends no header, or is not trusted to, has no connection', async () => {
  await using proxy = await startSocks(1)
  using without = await proxy.connect()
  without.send(GREETING)
  await without.closed()
  assert.is((await proxy.handshakeFailed()).why, 'proxy_header')
  await using strict = await startSocks(1, '10.0.0.0/8')
  using untrusted = await strict.connect()
  untrusted.send(header('192.0.2.7'))
  await untrusted.closed()
  assert.is((await strict.handshakeFailed()).why, 'untrusted')
})

test.run()
