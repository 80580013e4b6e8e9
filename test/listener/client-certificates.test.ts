/** Mutual TLS: who may come in, what is known of them, and what endpoints are told. */
import { X509Certificate } from 'node:crypto'
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inlineHook } from '../../core/http/inline.ts'
import type { TlsPlan } from '../../core/plan/plan.ts'
import type { ClientCertificate, Request } from '../../core/plugin.ts'
import { type Certificates, issue, type Pair, terminate, withCertificates } from '../support/certificates.ts'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { connectFrames, END_STREAM } from '../support/http2-frames.ts'
import { startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'

function asks(made: Certificates, clients: Partial<NonNullable<TlsPlan['clients']>> = {}): Partial<TlsPlan> {
  return { clients: { mode: 'require', ca: made.ca.certFile, forward: false, ...clients } }
}

function start(made: Certificates, options: ProxyOptions, clients: Partial<NonNullable<TlsPlan['clients']>> = {}): Promise<RunningProxy> {
  return startProxy({ ...options, listener: { tls: terminate(made.server, asks(made, clients)), ...options.listener } })
}

function come(proxy: RunningProxy, pair: Pair | null, options: tls.ConnectionOptions = {}): Promise<Client> {
  const shown = pair === null ? {} : { cert: pair.cert, key: pair.key }
  return proxy.connect({ tls: { servername: 'example.com', ...shown, ...options } })
}

secure('require: without a certificate the handshake ends with an alert, and is told', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  using client = await come(proxy, null)
  const alert = new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once('error', resolve))
  client.send(GET)
  assert.is((await alert).code, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED')
  const told = { why: 'client_certificate', detail: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' }
  assert.equal(await proxy.handshakeFailed(), told)

  const old = await come(proxy, null, { maxVersion: 'TLSv1.2' }).then(
    () => null,
    (error: NodeJS.ErrnoException) => error.code,
  )
  assert.match(String(old), /ALERT_HANDSHAKE_FAILURE/)
  assert.equal(await proxy.handshakeFailed(2), told)
  assert.is(origin.requests.length, 0)
  await proxy.open(0)
})

secure('require: a certificate of another authority, or for servers only, lets nobody in, and the alert says why', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  const serverOnly = issue('server-only', { issuer: made.ca, extensions: ['extendedKeyUsage=serverAuth'] })
  for (const [i, [pair, cipher, detail, alert]] of (
    [
      [made.selfSigned, 'AES_256_GCM_SHA384', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'],
      [
        issue('stranger', { issuer: issue('other-ca', { extensions: ['basicConstraints=critical,CA:TRUE'] }) }),
        'CHACHA20_POLY1305_SHA256',
        'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
        'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
      ],
      [serverOnly, 'AES_128_GCM_SHA256', 'INVALID_PURPOSE', 'ERR_SSL_SSL/TLS_ALERT_UNSUPPORTED_CERTIFICATE'],
    ] as const
  ).entries()) {
    using client = await come(proxy, pair, { ciphers: `TLS_${cipher}` })
    const told = new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once('error', resolve))
    client.send(GET)
    assert.is((await told).code, alert)
    assert.equal(await proxy.handshakeFailed(i + 1), { why: 'client_certificate', detail })
    assert.is(client.rest, '')
  }
  assert.is(origin.requests.length, 0)
  await proxy.open(0)
})

secure('require: with TLS 1.2 a wrong certificate ends the handshake without a word', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  const came = come(proxy, made.selfSigned, { maxVersion: 'TLSv1.2' }).then((client) => client.send(GET).closed())
  await came.catch(() => {})
  assert.equal(await proxy.handshakeFailed(), { why: 'client_certificate', detail: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  assert.is(origin.requests.length, 0)
  await proxy.open(0)
})

secure('require: the right one is let in, and its facts are told', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  const ann = issue('ann', { issuer: made.ca, names: 'DNS:ann.test,URI:spiffe://test/ann,email:ann@test', subject: '/O=Us\\, them' })
  using client = await come(proxy, ann)
  client.send(GET)
  assert.is((await client.final()).status, 200)
  const own = new X509Certificate(ann.cert)
  assert.equal(
    { ...(await proxy.exchange()).clientCertificate },
    {
      subject: 'O=Us\\, them,CN=ann',
      issuer: 'CN=ca',
      serial: own.serialNumber,
      names: ['DNS:ann.test', 'URI:spiffe://test/ann', 'email:ann@test'],
      fingerprint: own.fingerprint256.replaceAll(':', '').toLowerCase(),
      verified: true,
    },
  )
  assert.is(origin.requests[0]!.headers['client-cert'], undefined, 'nothing was said of telling endpoints')
})

secure('request: whoever shows none is served, and a wrong one is known as such', async (made) => {
  await using origin = await startOrigin()
  const seen: (ClientCertificate | null)[] = []
  const hook = inlineHook('use[0]', {
    onRequest: (req: Request) => {
      seen.push(req.clientCertificate)
    },
  })
  await using proxy = await start(made, { origin, routes: [{ hooks: [hook] }] }, { mode: 'request', forward: true })
  for (const pair of [null, made.selfSigned, made.client]) {
    using client = await come(proxy, pair)
    client.send(GET)
    assert.is((await client.final()).status, 200)
  }
  assert.equal(
    seen.map((certificate) => certificate && [certificate.subject, certificate.verified]),
    [null, ['CN=self-signed', false], ['CN=client', true]],
  )
  assert.equal(
    origin.requests.map(({ headers }) => headers['client-cert'] !== undefined),
    [false, false, true],
    'endpoints are told of verified ones',
  )
})

secure('endpoints are told by RFC 9440, and what a client says of itself never counts', async (made) => {
  await using origin = await startOrigin()
  const middle = issue('middle', { issuer: made.ca, extensions: ['basicConstraints=critical,CA:TRUE'] })
  const bob = issue('bob', { issuer: middle })
  await using proxy = await start(made, { origin }, { forward: true })
  using client = await come(proxy, { ...bob, cert: bob.cert + middle.cert })
  const forged = 'Client-Cert: :AA==:\r\nclient_cert: x\r\nCLIENT-CERT_CHAIN: x\r\nClient-Cert-Chain: :AA==:\r\n'
  client.send(GET).send(`GET /b HTTP/1.1\r\nHost: example.com\r\n${forged}\r\n`)
  await client.final()
  await client.final()
  const base64 = ({ cert }: Pair): string => `:${new X509Certificate(cert).raw.toString('base64')}:`
  for (const { headers } of origin.requests) {
    assert.is(headers['client-cert'], base64(bob))
    assert.is(headers['client-cert-chain'], base64(middle), 'without the root')
    assert.is(headers.client_cert, undefined)
    assert.is(headers['client-cert_chain'], undefined)
  }
})

secure('the fields of a client go also where nobody is asked for a certificate, from trusted proxies too', async (made) => {
  await using origin = await startOrigin()
  const { CidrSet } = await import('../../core/net/cidr.ts')
  for (const trust of [null, new CidrSet(['127.0.0.0/8'])])
    for (const tlsPlan of [null, terminate(made.server)]) {
      await using proxy = await startProxy({ origin, listener: { trust, tls: tlsPlan } })
      using client = await (tlsPlan === null ? proxy.connect() : come(proxy, null))
      client.send('GET / HTTP/1.1\r\nHost: a\r\nclient-cert: x\r\nClient_Cert_Chain: y\r\nX-Client-Cert: z\r\n\r\n')
      await client.final()
      const { headers } = origin.requests.at(-1)!
      assert.equal([headers['client-cert'], headers.client_cert_chain, headers['x-client-cert']], [undefined, undefined, 'z'])
    }
})

secure('a host that asks for another certificate is not to be had on this connection: 421', async (made) => {
  await using origin = await startOrigin()
  const tlsPlan = [...terminate(made.other), ...terminate(made.server, asks(made))]
  await using proxy = await startProxy({ origin, listener: { tls: tlsPlan } })
  using anybody = await come(proxy, null, { servername: 'other.test' })
  const ask = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`
  anybody.send(ask('example.com'))
  assert.is((await anybody.final()).status, 421)
  anybody.send(ask('WWW.Example.com:443'))
  assert.is((await anybody.final()).status, 421)
  anybody.send(ask('other.test'))
  assert.is((await anybody.final()).status, 200)
  assert.equal(
    proxy.ended.map(({ reason }) => reason),
    ['misdirected_request', 'misdirected_request', null],
  )

  using known = await come(proxy, made.client)
  known.send(ask('a.example.com'))
  assert.is((await known.final()).status, 200)
  known.send(ask('other.test'))
  assert.is((await known.final()).status, 421)
  assert.is(origin.requests.length, 2)
})

secure('whoever came before a certificate was asked for has to come again', async (made) => {
  await using origin = await startOrigin()
  const options = (more: Partial<TlsPlan>): ProxyOptions => ({ origin, listener: { tls: terminate(made.server, more) } })
  await using proxy = await startProxy(options({}))
  using before = await come(proxy, null)
  before.send(GET)
  assert.is((await before.final()).status, 200)
  proxy.use(options(asks(made)))
  before.send(GET)
  assert.is((await before.final()).status, 421)
})

secure('a certificate is shown at each handshake: no ticket stands for it, and none of another name', async (made) => {
  await using origin = await startOrigin()
  const tlsPlan = [...terminate(made.other), ...terminate(made.server, asks(made))]
  await using proxy = await startProxy({ origin, listener: { tls: tlsPlan } })
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const old = { minVersion: version, maxVersion: version }
    const ticketOf = async (servername: string, pair: Pair | null): Promise<Buffer> => {
      using client = await come(proxy, pair, { servername, ...old })
      const socket = client.socket as tls.TLSSocket
      let ticket: Buffer | undefined
      socket.on('session', (session) => {
        ticket = session
      })
      client.send(`GET / HTTP/1.1\r\nHost: ${servername}\r\n\r\n`)
      assert.is((await client.final()).status, 200)
      return (await eventually(() => ticket ?? socket.getSession(), 'no session'))!
    }
    using again = await come(proxy, made.client, { ...old, session: await ticketOf('example.com', made.client) })
    assert.not((again.socket as tls.TLSSocket).isSessionReused(), version)
    again.send(GET)
    assert.is((await again.final()).status, 200)

    const failures = proxy.handshakesFailed.length
    const ticket = await ticketOf('other.test', null)
    const sneaking = await come(proxy, null, { ...old, session: ticket }).catch(() => null)
    sneaking?.send(GET)
    assert.is((await proxy.handshakeFailed(failures + 1)).why, 'client_certificate', version)
    sneaking?.destroy()
  }
})

secure('HTTP/2: the same facts and fields, and 421 for a stream', async (made) => {
  await using origin = await startOrigin()
  const tlsPlan = [...terminate(made.other), ...terminate(made.server, { alpn: ['h2'], ...asks(made, { forward: true }) })]
  await using proxy = await startProxy({ origin, listener: { tls: tlsPlan } })
  const { connect } = await import('node:http2')
  const session = connect(`https://127.0.0.1:${proxy.port}`, { ...made.client, ca: made.ca.cert, servername: 'example.com' })
  const status = (authority: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':authority': authority, 'client-cert': 'forged', client_cert: 'forged' })
      stream.once('response', (fields) => resolve(fields[':status'])).once('error', reject)
      stream.resume().end()
    })
  assert.is(await status('example.com'), 200)
  assert.is(await status('other.test'), 421)
  session.destroy()
  const { headers } = origin.requests[0]!
  assert.is(headers['client-cert'], `:${new X509Certificate(made.client.cert).raw.toString('base64')}:`)
  assert.is(headers.client_cert, undefined)
  assert.is((await proxy.exchange()).clientCertificate?.subject, 'CN=client')
})

secure('HTTP/2: what another certificate is for is not to be had on this connection; HTTP/1.1 clients may ask for it', async (made) => {
  await using origin = await startOrigin()
  const tlsPlan = [...terminate(made.other), ...terminate(made.server)]
  for (const plan of [tlsPlan, terminate(made.server)]) {
    await using proxy = await startProxy({ origin, listener: { tls: plan.map((one) => ({ ...one, alpn: ['h2', 'http/1.1'] })) } })
    using session = await connectFrames(proxy.port, { ca: made.ca.cert, servername: 'example.com' })
    const hosts = ['example.com', 'www.example.com:443', 'nobody.test', 'other.test']
    const statuses = []
    for (const [i, host] of hosts.entries()) {
      session.headers(1 + 2 * i, [':method', 'GET', ':scheme', 'https', ':authority', host, ':path', '/'], END_STREAM)
      statuses.push((await session.head(1 + 2 * i)).status)
    }
    // Where there is no other certificate, a connection of its own would be no better.
    assert.equal(statuses, [200, 200, 200, plan === tlsPlan ? 421 : 200])
    using http1 = await come(proxy, null, { servername: 'example.com' })
    http1.send('GET / HTTP/1.1\r\nHost: other.test\r\n\r\n')
    assert.is((await http1.final()).status, 200)
  }
})

test.run()
