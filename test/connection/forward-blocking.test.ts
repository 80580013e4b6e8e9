/** What block lists keep clients of a forward proxy from: hosts that they ask for, and names that TLS in a tunnel asks for. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blocklist } from '../../core/index.ts'
import { forwarding } from '../support/forward.ts'
import { makeHello } from '../support/hello.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const block = blocklist({ hosts: ['||blocked.test^', '*.localhost'], allow: 'fine.blocked.test', name: 'house rules' })

test('a host that is blocked is refused, by URL and by CONNECT, and the answer and the log say by what', async () => {
  await using proxy = await startProxy(forwarding({ block }, [443]))
  using c = await proxy.connect()
  const refused = await c.send('GET http://WWW.blocked.test/ HTTP/1.1\r\nHost: www.blocked.test\r\n\r\n').response()
  assert.is(refused.status, 403)
  assert.match(refused.text, 'reason: host_blocked')
  assert.is((await c.send('CONNECT blocked.test:443 HTTP/1.1\r\nHost: blocked.test:443\r\n\r\n').response()).status, 403)
  const [first, second] = [await proxy.exchange(1), await proxy.exchange(2)]
  assert.equal([first.reason, first.detail], ['host_blocked', '*.blocked.test in house rules'])
  assert.equal([second.reason, second.detail], ['host_blocked', 'blocked.test in house rules'])
})

test('what is allowed or on no list is reached', async () => {
  await using origin = await startOrigin(() => answer('reached'))
  await using proxy = await startProxy(forwarding({ block }))
  using c = await proxy.connect()
  const response = await c.send(`GET http://localhost:${origin.port}/ HTTP/1.1\r\nHost: localhost\r\n\r\n`).response()
  assert.is(response.text, 'reached')
  await c.send('GET http://fine.blocked.test/ HTTP/1.1\r\nHost: fine.blocked.test\r\n\r\n').response()
  assert.is.not((await proxy.exchange(2)).reason, 'host_blocked')
})

test('a tunnel ends when its TLS asks for a name that is blocked, whatever was asked of CONNECT', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({ block }, [origin.port]))
  const connect = `CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`
  const hello = makeHello({ serverName: 'ads.blocked.test' })
  for (const [i, isEarly] of [false, true].entries()) {
    using c = await proxy.connect()
    if (isEarly) c.send(Buffer.concat([Buffer.from(connect), hello]))
    else {
      await c.send(connect).response({ to: 'CONNECT' })
      c.send(hello)
    }
    assert.is(await c.closed(), 'reset')
    const { status, reason, detail } = await proxy.exchange(i + 1)
    assert.equal([status, reason, detail], [200, 'host_blocked', '*.blocked.test in house rules'])
    const connection = await origin.connection(i + 1)
    await connection.closed()
    assert.is(connection.received.length, 0)
  }
  await proxy.open(0)
})

test('other tunnels pass, early bytes and the end of the client too', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'ready' })
  await using proxy = await startProxy(forwarding({ block }, [origin.port]))
  const connect = `CONNECT 127.0.0.1:${origin.port} HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n\r\n`
  const hello = makeHello({ serverName: 'other.test' })
  using c = await proxy.connect()
  c.send(Buffer.concat([Buffer.from(connect), hello]))
  assert.match(await c.until('ready'), /^HTTP\/1\.1 200 /)
  c.send('more').end()
  const connection = await origin.connection()
  await connection.until('more')
  connection.end('bye')
  await c.until('bye')
  const { reason, bytesIn, bytesOut } = await proxy.exchange()
  assert.equal([reason, bytesIn, bytesOut], [null, hello.length + 4, 8])
})

test('another list is asked about from the next request on', async () => {
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  const ask = () => c.send('GET http://blocked.test/ HTTP/1.1\r\nHost: blocked.test\r\n\r\n').response()
  await ask()
  await proxy.reload(forwarding({ block }))
  await ask()
  const [before, after] = [await proxy.exchange(1), await proxy.exchange(2)]
  assert.is.not(before.reason, 'host_blocked')
  assert.is(after.reason, 'host_blocked')
})

test.run()
