/** Ways into and out of tunnels that end at a forward proxy: SOCKS on the same port, WebSockets inside, and a parent behind. */
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blocklist, type Config, cache, contentFilter, defineConfig, type ForwardOptions, http, respond, socks } from '../../core/index.ts'
import { eventually } from '../support/deadline.ts'
import { forwarding, local, strictly } from '../support/forward.ts'
import { askOn, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { connectTo, credentials, GRANTED } from '../support/socks.ts'
import { turnable } from '../support/turnable.ts'

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

test('inside of a tunnel a client is whom the PROXY header names, too', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('inside'))
  const allow = { ...local, ports: [origin.port], clients: '203.0.113.7' }
  await using proxy = await startProxy(
    strictly({ ...authority.options(), allow, socks: true, proxyProtocol: 'require', trust: '127.0.0.1' }),
  )
  const header = 'PROXY TCP4 203.0.113.7 192.0.2.1 4000 3128\r\n'
  const host = `localhost:${origin.port}`
  const options = { ca: authority.cert, servername: 'localhost' }
  const client = await secureTunnel(await openTunnel(proxy.port, host, '', header), options)
  assert.match(await askOn(client, GET(host)), /inside$/)
  const c = await proxy.connect()
  c.send(Buffer.concat([Buffer.from(header), Buffer.of(5, 1, 0), connectTo('localhost', origin.port)]))
  await c.bytes(12)
  assert.match(await askOn(await secureTunnel(c.socket, options), GET(host)), /inside$/)
  assert.equal([(await proxy.exchange(2)).ip, (await proxy.exchange(3)).ip], ['203.0.113.7', '203.0.113.7'])
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
    const whole = `${kind}://127.0.0.1:${parent.port}`
    const own = (by: NonNullable<ForwardOptions['parent']>) => forwarding({ ...authority.options(), parent: by }, [origin.port])
    await using proxy = await startProxy(own(whole))
    const host = `localhost:${origin.port}`
    for (let i = 0; i < 2; i++) {
      const client = await secureTunnel(await openTunnel(proxy.port, host), { ca: authority.cert, servername: 'localhost' })
      assert.match(await askOn(client, GET(host)), /inside$/)
    }
    assert.is(origin.connections, 1, 'the connection is kept')
    // The same where another one, which closes each connection without a word, is asked first.
    await using mute = await startOrigin(undefined, { raw: true, onConnection: (connection) => void connection.end() })
    proxy.use(own([`${kind}://${mute.address}`, whole]))
    const client = await secureTunnel(await openTunnel(proxy.port, host), { ca: authority.cert, servername: 'localhost' })
    assert.match(await askOn(client, GET(host)), /inside$/)
    assert.equal([mute.connections.length, origin.connections], [1, 2])
  })

test('a hello that comes when its tunnel passes unread already ends it, if it would have been read or is not to pass', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('unread'))
  const { deadlines, turn } = turnable()
  const block = blocklist({ hosts: 'blocked.test' })
  const options = { ...authority.options({ except: ['blocked.test'] }), block }
  await using proxy = await startProxy({ ...forwarding(options, [origin.port]), deadlines })
  for (const [i, [servername, reason]] of [
    ['localhost', 'hello_timeout'],
    ['', 'hello_timeout'],
    ['blocked.test', 'host_blocked'],
  ].entries()) {
    const socket = await openTunnel(proxy.port, `127.0.0.1:${origin.port}`)
    for (const _ of [1, 2]) turn(3_100)
    const failed = await secureTunnel(socket, { servername: servername!, rejectUnauthorized: false }).catch((error: Error) => error)
    assert.instance(failed, Error)
    assert.is((await proxy.exchange(i + 1)).reason, reason)
  }
  assert.is(origin.connections, 0)
})

test('connections inside end with a reload by which their listener is no forward proxy', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin((_, response) => response.end('inside'))
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const place = `localhost:${origin.port}`
  const options = { ca: authority.cert, servername: 'localhost' }
  const client = await secureTunnel(await openTunnel(proxy.port, place), options)
  const silent = await openTunnel(proxy.port, place)
  const closed = once(client, 'close')
  const routes = [{ path: '/', to: respond(200, 'plain') }]
  await proxy.reload({ config: defineConfig({ listeners: { out: http({ listen: '127.0.0.1:0', routes }) } }) as Config })
  client.write(`GET / HTTP/1.1\r\nHost: ${place}\r\n\r\n`)
  await closed
  assert.instance(await secureTunnel(silent, options).catch((error: Error) => error), Error)
  using c = await proxy.connect()
  assert.is((await c.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n').response()).text, 'plain')
  assert.is(origin.connections, 0)
})

test('a handshake that is done when its listener is no forward proxy any more ends its connection alone', async () => {
  using authority = new OwnAuthority()
  await using proxy = await startProxy(forwarding(authority.options(), [443]))
  const socket = await openTunnel(proxy.port, 'localhost:443')
  // What the client says after its hello waits.
  const held: Buffer[] = []
  let isHello = true
  const between = new Duplex({
    read() {},
    write(bytes: Buffer, _, done) {
      if (isHello) socket.write(bytes)
      else held.push(bytes)
      isHello = false
      done()
    },
  })
  socket.on('data', (bytes: Buffer) => between.push(bytes))
  connectTls({ socket: between, ca: authority.cert, servername: 'localhost' }).on('error', () => {})
  await eventually(() => held[0], 'no answer to the hello of the proxy')
  const routes = [{ path: '/', to: respond(200, 'plain') }]
  await proxy.reload({ config: defineConfig({ listeners: { out: http({ listen: '127.0.0.1:0', routes }) } }) as Config })
  const closed = once(socket, 'close')
  for (const bytes of held) socket.write(bytes)
  await closed
  assert.equal([(await proxy.exchange(1)).reason, proxy.ended.length], ['no_route', 1])
})

test('a client of SOCKS whose listener went during its opening is let go', async () => {
  using authority = new OwnAuthority()
  await using proxy = await startProxy(forwarding({ ...authority.options(), socks: true }, [443]))
  using c = await proxy.connect()
  c.send(Buffer.of(5, 1, 0))
  await c.bytes(2)
  await proxy.reload({ config: defineConfig({ listeners: { other: socks({ listen: '127.0.0.1:0' }) } }) as Config })
  // No plan is kept for the one that went.
  await new Promise((resolve) => setImmediate(resolve))
  c.send(connectTo('localhost', 443))
  await c.closed()
  assert.is((await proxy.tunnel(1)).detail, 'the listener is gone')
})

test('what a cache keeps of one port is not given to who asks at another, whatever Host says', async () => {
  using authority = new OwnAuthority()
  const answering = (text: string) => startSecureOrigin((_, response) => response.setHeader('Cache-Control', 'max-age=60').end(text))
  await using one = await answering('one')
  await using other = await answering('other')
  await using proxy = await startProxy(forwarding({ ...authority.options(), use: [cache({})] }, [one.port, other.port]))
  const texts: string[] = []
  for (const { port } of [one, other, one]) {
    const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${port}`), { ca: authority.cert, servername: 'localhost' })
    texts.push(/\w+$/.exec(await askOn(client, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'))![0])
  }
  assert.equal(texts, ['one', 'other', 'one'])
  assert.equal([one.connections, other.connections, (await proxy.exchange(6)).cache], [1, 1, 'hit'])
})

test.run()
