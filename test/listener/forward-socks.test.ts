/** One port for HTTP, CONNECT and SOCKS: told apart by the first byte, under one set of rules. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { forwarding } from '../support/forward.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { connectTo, connectTo4, credentials, GRANTED, GREETING, replyOf } from '../support/socks.ts'

test('HTTP, CONNECT, SOCKS4 and SOCKS5 on one port', async () => {
  await using origin = await startOrigin((request) => answer(`${request.method} ${request.target}`))
  await using proxy = await startProxy(forwarding({ socks: true }, [origin.port]))
  const ask = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'
  using http = await proxy.connect()
  assert.is((await http.send(`GET http://${origin.address}/a HTTP/1.1\r\nHost: x\r\n\r\n`).response()).text, 'GET /a')
  using connect = await proxy.connect()
  await connect.send(`CONNECT ${origin.address} HTTP/1.1\r\nHost: ${origin.address}\r\n\r\n`).response({ to: 'CONNECT' })
  assert.is((await connect.send(ask).response()).text, 'GET /a')
  using five = await proxy.connect()
  five.send(GREETING)
  await five.bytes(2)
  five.send(connectTo('localhost', origin.port))
  assert.is(await replyOf(five), GRANTED)
  assert.is((await five.send(ask).response()).text, 'GET /a')
  using four = await proxy.connect()
  four.send(Buffer.concat([connectTo4('127.0.0.1', origin.port), Buffer.from(ask)]))
  assert.is((await four.bytes(8)).toString('hex'), '005a000000000000')
  assert.is((await four.response()).text, 'GET /a')
  for (const c of [five, four]) c.reset()
  const [first, second] = [await proxy.tunnel(1), await proxy.tunnel(2)]
  assert.equal([first.listener, second.listener], ['out', 'out'])
  assert.equal([first.protocol, second.protocol].sort(), ['SOCKS4', 'SOCKS5'])
})

test('the rules and the users are the same', async () => {
  await using origin = await startOrigin(() => answer('in'))
  await using proxy = await startProxy(forwarding({ socks: true, auth: { users: { ann: 'pw' } } }, [origin.port]))
  using without = await proxy.connect()
  without.send(GREETING)
  assert.is((await without.bytes(2)).toString('hex'), '05ff')
  using c = await proxy.connect()
  c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials('ann', 'pw'), connectTo('127.0.0.1', 22)]))
  assert.is((await c.bytes(14)).toString('hex'), '0502010005020001000000000000')
  using d = await proxy.connect()
  assert.is((await d.send(`GET http://${origin.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`).response()).status, 407)
})

test('hooks of the log are told of what came by SOCKS, too', async () => {
  await using origin = await startOrigin(() => answer('in'))
  const use = [{ onLog: () => undefined }]
  await using proxy = await startProxy(forwarding({ socks: true, use }, [origin.port]))
  using c = await proxy.connect()
  c.send(Buffer.concat([GREETING, connectTo('localhost', origin.port)]))
  await c.bytes(12)
  c.reset()
  const { logHooks, serial, id, generation } = await proxy.tunnel()
  assert.equal([logHooks?.length, id.endsWith(`-${serial.toString(36)}`), generation], [1, true, 1])
})

test('without the option, SOCKS is no HTTP', async () => {
  await using proxy = await startProxy(forwarding())
  using c = await proxy.connect()
  c.send(Buffer.concat([GREETING, Buffer.from('\r\n\r\n')]))
  assert.is((await c.response()).status, 400)
})

test('a client that says nothing is closed, and counted where it was', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({ socks: true }, [origin.port]))
  using silent = await proxy.connect()
  silent.socket.end()
  await silent.closed()
  await proxy.open(0)
  using c = await proxy.connect()
  c.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
  await c.bytes(12)
  assert.is(proxy.descriptors, 2)
  c.reset()
  await proxy.tunnel()
  await proxy.open(0)
})

test('tunnels and unsaid connections live through a reload that takes SOCKS away, and brings it', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy(forwarding({ socks: true }, [origin.port]))
  using tunnel = await proxy.connect()
  tunnel.send(Buffer.concat([GREETING, connectTo('127.0.0.1', origin.port)]))
  await tunnel.bytes(12)
  using unsaid = await proxy.connect()
  await proxy.open(3)
  proxy.use(forwarding({}, [origin.port]))
  tunnel.send('still there')
  await (await origin.connection()).until('there')
  unsaid.send(Buffer.concat([GREETING, Buffer.from('\r\n\r\n')]))
  assert.is((await unsaid.response()).status, 400)
  proxy.use(forwarding({ socks: true }, [origin.port]))
  using again = await proxy.connect()
  again.send(GREETING)
  assert.is((await again.bytes(2)).toString('hex'), '0500')
})

test.run()
