/** Ways into and out of tunnels that end at a forward proxy: SOCKS on the same port, WebSockets inside, and a parent behind. */
import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { contentFilter } from '../../core/index.ts'
import { forwarding } from '../support/forward.ts'
import { askOn, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { startProxy } from '../support/proxy.ts'
import { connectTo, credentials, GRANTED } from '../support/socks.ts'

const GET = (host: string): string => `GET /a HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

test('a WebSocket inside is a tunnel to its server, and messages pass both ways', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(() => {})
  origin.server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n')
    socket.on('data', (bytes: Buffer) => socket.end(`echo ${bytes.toString()}`))
  })
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const host = `localhost:${origin.port}`
  const client = await secureTunnel(await openTunnel(proxy.port, host), { ca: authority.cert, servername: 'localhost' })
  client.write(
    `GET /chat HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n`,
  )
  assert.match(String((await once(client, 'data'))[0]), /^HTTP\/1\.1 101 /)
  client.write('hello')
  assert.is(String((await once(client, 'data'))[0]), 'echo hello')
  client.destroy()
  const { path, status, tunnel, scheme } = await proxy.exchange(2)
  assert.equal([path, status, tunnel, scheme], ['/chat', 101, true, 'https'])
  await proxy.open(0)
})

test('who comes by SOCKS on that port is read, too', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('inside'))
  const users = { ann: 'pw' }
  await using proxy = await startProxy(
    forwarding({ ...authority.options({ except: ['127.0.0.1'] }), socks: true, auth: { users } }, [origin.port]),
  )
  const through = async (host: string) => {
    const c = await proxy.connect()
    c.send(Buffer.concat([Buffer.of(5, 1, 2), credentials('ann', 'pw'), connectTo(host, origin.port)]))
    assert.is((await c.bytes(14)).subarray(4).toString('hex'), GRANTED)
    return secureTunnel(c.socket, { rejectUnauthorized: false, servername: host === 'localhost' ? host : '' })
  }
  const read = await through('localhost')
  assert.match(String(read.getPeerCertificate().issuer.CN), 'Sluice interception CA')
  assert.match(await askOn(read, GET(`localhost:${origin.port}`)), /inside$/)
  const { user, scheme } = await proxy.exchange(1)
  assert.equal([user, scheme], ['ann', 'https'])
  const { protocol, destination, sni, reason } = await proxy.tunnel(1)
  assert.equal([protocol, destination, sni, reason], ['SOCKS5', `localhost:${origin.port}`, 'localhost', null])
  const passed = await through('127.0.0.1')
  assert.is(String(passed.getPeerCertificate().issuer.CN), 'The servers')
  passed.destroy()
  // The one to the server that is kept.
  await proxy.open(1)
})

test('contents are filtered inside as they are in plain traffic', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end('<p>Willkommen im CASINO</p>')
  })
  const use = [contentFilter({ keywords: 'casino', extensions: 'exe' })]
  await using proxy = await startProxy(forwarding({ ...authority.options(), use }, [origin.port]))
  const host = `localhost:${origin.port}`
  for (const [path, rule] of [
    ['/page', 'keyword casino'],
    ['/setup.exe', 'extension exe'],
  ]) {
    const client = await secureTunnel(await openTunnel(proxy.port, host), { ca: authority.cert, servername: 'localhost' })
    const text = await askOn(client, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
    assert.match(text, /^HTTP\/1\.1 403 /)
    assert.match(text, `${rule}\nreason: content_blocked`)
    assert.not.match(text, 'Willkommen')
  }
})

for (const kind of ['http', 'socks5'])
  test(`by way of a parent that speaks ${kind}, whose tunnel carries our TLS to the server`, async () => {
    using authority = new OwnAuthority()
    await using origin = await startSecureOrigin((_, response) => response.end('inside'))
    await using parent = await startProxy(forwarding({ socks: true }, [origin.port]))
    const own = forwarding({ ...authority.options(), parent: `${kind}://127.0.0.1:${parent.port}` }, [origin.port])
    await using proxy = await startProxy(own)
    const host = `localhost:${origin.port}`
    for (let i = 0; i < 2; i++) {
      const client = await secureTunnel(await openTunnel(proxy.port, host), { ca: authority.cert, servername: 'localhost' })
      assert.match(await askOn(client, GET(host)), /inside$/)
    }
    assert.is(origin.connections, 1, 'the connection is kept')
  })

test.run()
