/** Several certificates behind one listener: the client's SNI chooses, before the handshake, and whoever names none gets the first. */
import { writeFileSync } from 'node:fs'
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Certificates, issue, type Pair, terminate, withCertificates } from '../support/certificates.ts'
import { startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n'

/** The common name of the certificate that is served for that name. */
async function served(proxy: RunningProxy, servername: string, options: tls.ConnectionOptions = {}): Promise<string> {
  using client = await proxy.connect({ tls: { servername, ...options } })
  return String((client.socket as tls.TLSSocket).getPeerCertificate().subject.CN)
}

secure('the names in the certificates choose: exact before wildcard, the first for all others', async (made) => {
  const exact = issue('exact', { names: 'DNS:api.example.com', issuer: made.ca })
  await using proxy = await startProxy({ listener: { tls: terminate([made.other, made.server, exact]) } })
  assert.is(await served(proxy, 'example.com'), 'server')
  assert.is(await served(proxy, 'www.example.com'), 'server')
  assert.is(await served(proxy, 'API.example.com'), 'exact')
  assert.is(await served(proxy, 'a.b.example.com'), 'other')
  assert.is(await served(proxy, 'other.test'), 'other')
  assert.is(await served(proxy, 'nobody.test'), 'other')
  assert.is(await served(proxy, ''), 'other', 'no SNI')
})

secure('requests are served over each of them, also when the hello comes in two parts', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, listener: { tls: terminate([made.other, made.server]) } })
  using client = await proxy.connect({ tls: { ca: made.ca.cert, servername: 'example.com', rejectUnauthorized: true } })
  client.send(GET)
  assert.is((await client.final()).status, 200)

  using slow = await proxy.connect()
  slow.send('\x16\x03\x01\x00\x05\x01')
  await slow.sent()
  slow.send('\x00\x00\x01\xff')
  await slow.closed()
  assert.match((await proxy.handshakeFailed()).detail ?? '', /^ERR_SSL/)
})

secure('half a hello has the time of a request head, and a client that goes is told as gone', async (made) => {
  const listener = { tls: terminate([made.other, made.server]) }
  await using hasty = await startProxy({ listener, times: { requestHead: 100 } })
  using silent = await hasty.connect()
  silent.send('\x16\x03\x01\x02\x00\x01')
  await silent.closed()
  assert.equal(await hasty.handshakeFailed(), { why: 'timeout', detail: null })
  await hasty.open(0)
  await using proxy = await startProxy({ listener })
  using gone = await proxy.connect()
  gone.send('\x16\x03\x01\x02\x00\x01').end()
  await gone.closed()
  assert.is((await proxy.handshakeFailed()).why, 'gone')
  await proxy.open(0)
})

secure('an ECDSA and an RSA certificate for one name: each client gets the one it can use', async (made) => {
  const rsa = issue('rsa', { names: 'DNS:example.com,DNS:rsa.test', issuer: made.ca, rsa: true })
  await using proxy = await startProxy({ listener: { tls: terminate([made.server, rsa]) } })
  const only = (kind: 'ECDSA' | 'RSA'): tls.ConnectionOptions => ({ maxVersion: 'TLSv1.2', ciphers: `ECDHE-${kind}-AES128-GCM-SHA256` })
  assert.is(await served(proxy, 'example.com'), 'server')
  assert.is(await served(proxy, 'example.com', only('ECDSA')), 'server')
  assert.is(await served(proxy, 'example.com', only('RSA')), 'rsa')
  assert.is(await served(proxy, 'example.com', { sigalgs: 'rsa_pss_rsae_sha256' }), 'rsa')
  assert.is(await served(proxy, 'rsa.test'), 'rsa')
  assert.is(await served(proxy, '', only('RSA')), 'rsa', 'the default, too')
})

secure('each of two kinds comes with the chain of its own', async (made) => {
  const middle = (name: string): Pair => issue(name, { issuer: made.ca, extensions: ['basicConstraints=critical,CA:TRUE'] })
  const chained = (pair: Pair, by: Pair): Pair => {
    writeFileSync(pair.certFile, pair.cert + by.cert)
    return pair
  }
  const [one, two] = [middle('middle-one'), middle('middle-two')]
  const ec = chained(issue('chained-ec', { names: 'DNS:chain.test', issuer: one }), one)
  const rsa = chained(issue('chained-rsa', { names: 'DNS:chain.test', issuer: two, rsa: true }), two)
  await using proxy = await startProxy({ listener: { tls: terminate([made.server, ec, rsa]) } })
  const verified = { ca: made.ca.cert, rejectUnauthorized: true }
  assert.is(await served(proxy, 'chain.test', verified), 'chained-ec')
  const rsaOnly = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' } as const
  assert.is(await served(proxy, 'chain.test', { ...verified, ...rsaOnly }), 'chained-rsa')
})

secure('each has its own protocols', async (made) => {
  const tlsPlan = [...terminate(made.other), ...terminate(made.server, { alpn: ['h2', 'http/1.1'] })]
  await using proxy = await startProxy({ listener: { tls: tlsPlan } })
  const chosen = async (servername: string): Promise<unknown> => {
    using client = await proxy.connect({ tls: { servername, ALPNProtocols: ['h2', 'http/1.1'] } })
    return (client.socket as tls.TLSSocket).alpnProtocol
  }
  assert.is(await chosen('other.test'), 'http/1.1')
  assert.is(await chosen('example.com'), 'h2')
})

secure('certificates come and go with a plan; open connections go on', async (made) => {
  await using origin = await startOrigin()
  const options = (pairs: readonly Pair[]) => ({ origin, listener: { tls: terminate(pairs) } })
  await using proxy = await startProxy(options([made.other, made.server]))
  using before = await trusting(proxy, made)
  proxy.use(options([made.other]))
  assert.is(await served(proxy, 'example.com'), 'other')
  proxy.use(options([made.other, made.selfSigned]))
  assert.is(await served(proxy, 'example.com'), 'self-signed')
  before.send(GET)
  assert.is((await before.final()).status, 200)
  assert.equal(
    proxy.handshakesFailed.filter(({ why }) => why !== 'gone'),
    [],
    'the probes leave early',
  )
})

test.run()

function trusting(proxy: RunningProxy, made: Certificates) {
  return proxy.connect({ tls: { ca: made.ca.cert, servername: 'example.com', rejectUnauthorized: true } })
}
