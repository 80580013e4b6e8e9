/** Tunnels of a forward proxy that end at it: what is shown to clients, what goes on to servers, and what passes unread. */

import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import net from 'node:net'
import { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bandwidth, blocklist, type ForwardOptions } from '../../core/index.ts'
import { makeAuthority } from '../../core/net/certificate.ts'
import type { Issued } from '../../core/net/certificate-issuer.ts'
import { eventually } from '../support/deadline.ts'
import { forwarding, strictly } from '../support/forward.ts'
import { makeHello } from '../support/hello.ts'
import { askOn, certificateFor, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = (host: string, path = '/', more = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`
const told = (_: unknown, response: { end(text: string): void }): void => response.end('inside')

test('a request in a tunnel is seen, changed and logged as any other, and its server is verified', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(({ url, headers }, response) => {
    response.setHeader('Alt-Svc', 'h3=":443"')
    response.end(`${url} ${headers['x-seen']} ${headers.via}`)
  })
  const use: ForwardOptions['use'] = [
    { onRequest: (req) => void req.headers.set('x-seen', req.path), onResponse: (res) => void res.headers.set('x-read', 'yes') },
  ]
  await using proxy = await startProxy(forwarding({ ...authority.options(), use }, [origin.port]))
  const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ca: authority.cert,
    servername: 'localhost',
  })
  assert.match(String(client.getPeerCertificate().issuer.CN), 'Sluice interception CA')
  assert.is(client.getPeerCertificate().subjectaltname, 'DNS:localhost')
  const text = await askOn(client, GET(`localhost:${origin.port}`, '/a%2Fb/../c?d'))
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*x-read: yes/is)
  assert.not.match(text, /alt-svc/i)
  assert.match(text, /\/a%2Fb\/\.\.\/c\?d \/a%2Fb\/\.\.\/c 1\.1 sluice-/)
  const [tunnel, inside] = [await proxy.exchange(1), await proxy.exchange(2)]
  assert.equal([tunnel.method, tunnel.status, tunnel.reason, tunnel.endpoint], ['CONNECT', 200, null, null])
  assert.equal([inside.scheme, inside.method, inside.path, inside.search, inside.status], ['https', 'GET', '/a%2Fb/../c', '?d', 200])
  assert.is(inside.host, `localhost:${origin.port}`)
  await proxy.open(1)
})

test('a tunnel is read whose client has said its hello, and more than one read gives, before anybody has asked it to', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const place = `localhost:${origin.port}`
  // Where the first read ends: in front of the hello, inside of it, right behind it, and before what the client says next.
  for (const [readTo, hasEnded] of [[-100], [-1], [0], [0, true], [-100, true]] as const) {
    const socket = net.connect(proxy.port, '127.0.0.1')
    socket.on('error', () => {})
    let isOpen = false
    const below = new Duplex({
      read() {},
      write(bytes: Buffer, _, done) {
        if (isOpen) return hasEnded ? done() : socket.write(bytes, () => done())
        isOpen = true
        const head = `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\nX-Long: `
        const length = 16384 - readTo - bytes.length - head.length - 4
        // A change of cipher, which means nothing here (RFC 8446 appendix D.4).
        const next = Buffer.from('140303000101', 'hex')
        socket.write(Buffer.concat([Buffer.from(`${head}${'x'.repeat(length)}\r\n\r\n`), bytes, next]), () => done())
        if (hasEnded) socket.end()
      },
    })
    let granted = ''
    socket.on('data', (bytes: Buffer) => {
      if (granted.includes('\r\n\r\n')) return below.push(bytes)
      granted += bytes.latin1Slice()
      const end = granted.indexOf('\r\n\r\n') + 4
      return end < 4 || below.push(Buffer.from(granted.slice(end), 'latin1'))
    })
    socket.on('close', () => below.destroy())
    const client = tls.connect({ socket: below, ca: authority.cert, servername: 'localhost' })
    client.on('error', () => {})
    if (hasEnded) await once(socket, 'close')
    else {
      await once(client, 'secureConnect')
      assert.match(await askOn(client, GET(place)), /inside$/)
    }
    client.destroy()
    socket.destroy()
  }
})

test('a client that ends, or goes on, right behind its hello takes nobody down, wherever its requests came before', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  await using plain = await startOrigin()
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const hello = makeHello({ serverName: 'localhost', alpn: ['http/1.1'] })
  const opening = Buffer.concat([Buffer.from(`CONNECT localhost:${origin.port} HTTP/1.1\r\nHost: x\r\n\r\n`), hello])
  for (const how of ['end', 'reset', 'more'] as const) {
    using c = await proxy.connect()
    for (let i = 0; i < 5; i++) await c.send(`GET http://${plain.address}/ HTTP/1.1\r\nHost: x\r\n\r\n`).response()
    c.send(opening)
    if (how === 'end') c.socket.end()
    else if (how === 'reset') c.reset()
    else c.send('\x14\x03\x03\x00\x01\x01').send('no record at all')
    await c.closed()
    // The one to the origin.
    await proxy.open(1)
  }
})

test('HTTP/2 is spoken to who wants it, and one tunnel carries many requests over few connections to the server', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(({ url }, response) => response.end(`got ${url}`))
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const place = `localhost:${origin.port}`
  const socket = await secureTunnel(await openTunnel(proxy.port, place), {
    ca: authority.cert,
    servername: 'localhost',
    ALPNProtocols: ['h2'],
  })
  assert.is(socket.alpnProtocol, 'h2')
  const session = connectHttp2(`https://${place}`, { createConnection: () => socket })
  const ask = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = ''
      session
        .request({ ':path': path })
        .on('response', (fields) => (text += `${fields[':status']} `))
        .on('data', (bytes: Buffer) => (text += bytes.toString()))
        .on('end', () => resolve(text))
        .on('error', reject)
        .end()
    })
  const answers = await Promise.all(['/a', '/b', '/c'].map(ask))
  assert.equal(answers, ['200 got /a', '200 got /b', '200 got /c'])
  assert.is(await ask('/d'), '200 got /d')
  assert.ok(origin.connections <= 3)
  session.destroy()
  await proxy.exchange(5)
  assert.equal(
    proxy.ended.slice(1).map(({ protocol, scheme }) => `${protocol} ${scheme}`),
    Array(4).fill('HTTP/2 https'),
  )
})

test('a server whose certificate is no good is told by an error page with the reason, and gets no request', async () => {
  using authority = new OwnAuthority()
  const yesterday = new Date(Date.now() - 3_600_000)
  for (const [certificate, why] of [
    [certificateFor(['localhost'], { to: yesterday }), 'certificate has expired'],
    [certificateFor(['other.test']), /Host: localhost\. is not in the cert's altnames: DNS:other\.test/],
    [certificateFor(['localhost'], { issuer: strangers() }), /self-signed|unable to (?:get|verify)/],
  ] as const) {
    let asked = 0
    await using origin = await startSecureOrigin(() => asked++, { ...certificate })
    await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
    const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
      ca: authority.cert,
      servername: 'localhost',
    })
    const text = await askOn(client, GET(`localhost:${origin.port}`))
    assert.match(text, /^HTTP\/1\.1 502 /)
    assert.match(text, 'error=tls_certificate_error')
    assert.match(text, 'reason: tls_certificate')
    assert.match(text, why)
    assert.is(asked, 0)
    assert.is((await proxy.exchange(2)).reason, 'tls_certificate')
  }
})

test('verifyUpstream: false believes whoever answers', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told, { ...certificateFor(['other.test']) })
  await using proxy = await startProxy(forwarding(authority.options({ verifyUpstream: false }), [origin.port]))
  const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ca: authority.cert,
    servername: 'localhost',
  })
  assert.match(await askOn(client, GET(`localhost:${origin.port}`)), /inside$/)
})

test('hosts of except pass unread, by the name of CONNECT or of TLS, and so does what the authority may not sign for', async () => {
  using authority = new OwnAuthority()
  using narrow = new OwnAuthority(['corp.example'])
  await using origin = await startSecureOrigin(told)
  for (const [options, place, servername] of [
    [authority.options({ except: ['localhost'] }), 'localhost', 'localhost'],
    [authority.options({ except: ['localhost'] }), '127.0.0.1', 'localhost'],
    [narrow.options(), 'localhost', 'localhost'],
  ] as const) {
    await using proxy = await startProxy(forwarding(options, [origin.port]))
    const client = await secureTunnel(await openTunnel(proxy.port, `${place}:${origin.port}`), { rejectUnauthorized: false, servername })
    assert.is(String(client.getPeerCertificate().issuer.CN), 'The servers')
    assert.match(await askOn(client, GET('localhost')), /inside$/)
    const { status, reason, endpoint, bytesIn, bytesOut } = await proxy.exchange(1)
    assert.equal([status, reason, endpoint], [200, null, `${place}:${origin.port}`])
    assert.ok(bytesIn > 0 && bytesOut > 0)
    assert.is(proxy.ended.length, 1)
  }
})

test('what is no TLS passes unread, and so does TLS that says it is not HTTP', async () => {
  using authority = new OwnAuthority()
  await using plain = await startOrigin(undefined, { raw: true, onConnection: () => 'ready' })
  const mail = certificateFor(['localhost'])
  await using origin = await startSecureOrigin(told, { ...mail, ALPNProtocols: ['imap'] })
  await using proxy = await startProxy(forwarding(authority.options(), [plain.port, origin.port]))
  using c = await proxy.connect()
  c.send(`CONNECT 127.0.0.1:${plain.port} HTTP/1.1\r\nHost: 127.0.0.1:${plain.port}\r\n\r\nSSH-2.0-x\r\n`)
  assert.match(await c.until('ready'), /^HTTP\/1\.1 200 /)
  await (await plain.connection()).until('SSH-2.0-x')
  c.destroy()
  const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ...{ rejectUnauthorized: false, servername: 'localhost', ALPNProtocols: ['imap'] },
  })
  assert.is(String(client.getPeerCertificate().issuer.CN), 'The servers')
  client.destroy()
})

test('what passes unread goes no faster than its tunnel may', async () => {
  using authority = new OwnAuthority()
  const { deadlines, turn } = turnable()
  await using plain = await startOrigin(undefined, { raw: true, onConnection: () => 'x'.repeat(5000) })
  const options = { ...authority.options(), use: [bandwidth({ response: '1kb' })] }
  await using proxy = await startProxy({ ...forwarding(options, [plain.port]), deadlines })
  using c = await proxy.connect()
  c.send(`CONNECT 127.0.0.1:${plain.port} HTTP/1.1\r\nHost: 127.0.0.1:${plain.port}\r\n\r\nSSH-2.0-x\r\n`)
  await c.until('x'.repeat(1000))
  assert.not.match(Buffer.concat(c.received).latin1Slice(), 'x'.repeat(2000))
  await eventually(() => {
    turn(1000)
    return Buffer.concat(c.received).latin1Slice().endsWith('x'.repeat(5000)) || undefined
  }, 'the rest has not come')
})

test('without a server name the certificate is for the host of CONNECT', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const client = await secureTunnel(await openTunnel(proxy.port, `127.0.0.1:${origin.port}`), { rejectUnauthorized: false, servername: '' })
  assert.is(client.getPeerCertificate().subjectaltname, 'IP Address:127.0.0.1')
  assert.match(await askOn(client, GET(`127.0.0.1:${origin.port}`)), /inside$/)
})

test('a request for another host than that of its certificate is misdirected, and goes nowhere', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const client = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ca: authority.cert,
    servername: 'localhost',
  })
  assert.match(await askOn(client, GET('evil.test')), /^HTTP\/1\.1 421 /)
  assert.equal([(await proxy.exchange(2)).reason, origin.connections], ['misdirected_request', 0])
})

test('lists and rules hold inside, for the name that TLS asks for, and the page says by which', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  const block = blocklist({ hosts: '||blocked.test^', name: 'house rules' })
  await using proxy = await startProxy(forwarding({ ...authority.options(), block }, [origin.port]))
  const blocked = await secureTunnel(await openTunnel(proxy.port, `127.0.0.1:${origin.port}`), {
    ca: authority.cert,
    servername: 'www.blocked.test',
  })
  const text = await askOn(blocked, GET('www.blocked.test'))
  assert.match(text, /^HTTP\/1\.1 403 /)
  assert.match(text, 'blocked.test in house rules')
  await proxy.reload(forwarding({ ...authority.options(), allow: { hosts: ['localhost'] } }, [origin.port]))
  const other = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ca: authority.cert,
    servername: 'other.test',
  })
  assert.match(await askOn(other, GET('other.test')), /^HTTP\/1\.1 403 .*reason: host_refused/s)
  await proxy.reload(strictly({ ...authority.options(), allow: { ports: [origin.port] } }))
  const local = await secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`), {
    ca: authority.cert,
    servername: 'localhost',
  })
  assert.match(await askOn(local, GET(`localhost:${origin.port}`)), /^HTTP\/1\.1 403 .*destination_ip_prohibited/s)
  assert.is(origin.connections, 0)
})

test('a user is asked for the tunnel and stands with each request in it; one that is no user any more gets no further', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  const with_ = (users: Record<string, string>) => forwarding({ ...authority.options(), auth: { users } }, [origin.port])
  await using proxy = await startProxy(with_({ ann: 'pw' }))
  const place = `localhost:${origin.port}`
  let refused = ''
  await openTunnel(proxy.port, place).catch((error: Error) => (refused = error.message))
  assert.match(refused, /^HTTP\/1\.1 407 /)
  const fields = `Proxy-Authorization: Basic ${btoa('ann:pw')}\r\n`
  const client = await secureTunnel(await openTunnel(proxy.port, place, fields), { ca: authority.cert, servername: 'localhost' })
  const later = await secureTunnel(await openTunnel(proxy.port, place, fields), { ca: authority.cert, servername: 'localhost' })
  assert.match(await askOn(client, GET(place)), /inside$/)
  assert.is((await proxy.exchange(4)).user, 'ann')
  await proxy.reload(with_({ bob: 'pw' }))
  assert.match(await askOn(later, GET(place)), /^HTTP\/1\.1 403 .*reason: client_refused/s)
})

test('a client that refuses the certificate is told in the log, with what to do; after so many times its address has its way, to that host', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  const options = { ...authority.options({ exceptAfter: 2 }), trust: '127.0.0.1', proxyProtocol: 'require' } as const
  await using proxy = await startProxy(forwarding(options, [origin.port]))
  const from = (ip: string): string => `PROXY TCP4 ${ip} 10.0.0.1 1 2\r\n`
  const refuse = async (): Promise<string> =>
    secureTunnel(await openTunnel(proxy.port, `localhost:${origin.port}`, '', from('10.0.0.7')), { servername: 'localhost' }).then(
      (client) => String(client.getPeerCertificate().issuer.CN),
      (error: { code: string }) => error.code,
    )
  assert.match(await refuse(), /UNABLE_TO|SELF_SIGNED/)
  assert.match(await refuse(), /UNABLE_TO|SELF_SIGNED/)
  const [first, second] = [await proxy.exchange(1), await proxy.exchange(2)]
  assert.equal([first.status, first.reason], [200, 'interception_refused'])
  assert.match(first.detail!, /it left during the handshake; .*sluice ca trust-help.*except: \['localhost'\]/)
  assert.match(second.detail!, /refused 2 times: tunnels of this client to there pass unread from now on/)
  const issuerOf = async (host: string, ip: string): Promise<string> => {
    const client = await secureTunnel(await openTunnel(proxy.port, `${host}:${origin.port}`, '', from(ip)), { rejectUnauthorized: false })
    using _ = { [Symbol.dispose]: () => client.destroy() }
    return String(client.getPeerCertificate().issuer.CN)
  }
  assert.is(await issuerOf('localhost', '10.0.0.7'), 'The servers')
  assert.match(await issuerOf('localhost', '10.0.0.8'), /interception CA/)
  assert.match(await issuerOf('127.0.0.1', '10.0.0.7'), /interception CA/)
})

test('a connection goes on through a reload, and ends after its next answer if it would not be read any more', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  await using proxy = await startProxy(forwarding(authority.options(), [origin.port]))
  const place = `localhost:${origin.port}`
  const client = await secureTunnel(await openTunnel(proxy.port, place), { ca: authority.cert, servername: 'localhost' })
  const ask = async (): Promise<string> => {
    client.write(`GET / HTTP/1.1\r\nHost: ${place}\r\n\r\n`)
    let text = ''
    while (!text.includes('inside')) text += String(await new Promise<Buffer>((resolve) => client.once('data', resolve)))
    return text
  }
  assert.not.match(await ask(), 'Connection: close')
  await proxy.reload(forwarding(authority.options({ except: ['other.test'] }), [origin.port]))
  assert.not.match(await ask(), 'Connection: close')
  await proxy.reload(forwarding(authority.options({ except: ['localhost'] }), [origin.port]))
  assert.match(await ask(), 'Connection: close')
})

test('a key that others can read is not used', async () => {
  using authority = new OwnAuthority()
  chmodSync(authority.files.key, 0o644)
  let why = ''
  await startProxy(forwarding(authority.options())).catch((error: Error) => (why = error.message))
  assert.match(why, /the authority of out in .*ca\.pem cannot be used: its key can be read or changed by others \(0644\)/)
})

test.run()

/** An authority that nobody has been told of. */
function strangers(): Issued {
  return makeAuthority({ name: 'Strangers', from: new Date(Date.now() - 60_000), to: new Date(Date.now() + 3_600_000) })
}
