/** What authorities are shown: whoever asks for it in the right way gets it, and nobody else notices. */
import { X509Certificate } from 'node:crypto'
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Challenges } from '../../core/listener/challenges.ts'
import type { AcmePlan } from '../../core/plan/plan.ts'
import { issue, terminate, withCertificates } from '../support/certificates.ts'
import { connect } from '../support/client.ts'
import { startOrigin } from '../support/origin.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const PROTOCOL = 'acme-tls/1'

function acme(file: string): AcmePlan {
  const rest = { directoryCa: null, email: null, challenge: 'tls-alpn-01', externalAccount: null, dnsWait: 0 } as const
  return { names: ['example.com'], file, accountFile: '/none', directory: 'https://authority.test/dir', ...rest }
}

async function served(proxy: RunningProxy, servername: string, ...protocols: string[]): Promise<string> {
  using client = await proxy.connect({ tls: { servername, ALPNProtocols: protocols } })
  const socket = client.socket as tls.TLSSocket
  const { subject } = new X509Certificate(socket.getPeerCertificate().raw)
  return `${subject.replace(/^CN=/, '')} by ${socket.alpnProtocol || 'nothing'}`
}

secure('a challenge by TLS is for those that speak its protocol and ask for its name; others get what they always got', async (made) => {
  await using origin = await startOrigin()
  const challenges = new Challenges()
  const tlsPlans = terminate(made.server, { acme: acme(made.server.certFile) })
  await using proxy = await startProxy({ origin, challenges, listener: { tls: tlsPlans } })
  assert.is(await served(proxy, 'example.com', 'http/1.1'), 'server by http/1.1')
  const look = issue('look', { names: 'DNS:example.com' })
  challenges.replace([{ kind: 'tls-alpn-01', name: 'example.com', cert: look.cert, key: look.key }])
  assert.is(await served(proxy, 'EXAMPLE.com', PROTOCOL), `look by ${PROTOCOL}`)
  assert.is(await served(proxy, 'example.com', 'http/1.1'), 'server by http/1.1')
  assert.is(await served(proxy, 'example.com', PROTOCOL, 'http/1.1'), 'server by http/1.1', 'a client that also speaks something else')
  await refused(proxy, 'www.example.com')
  challenges.replace([])
  await refused(proxy, 'example.com')
  assert.is(proxy.ended.length, 0, 'whoever looked asked for nothing')
})

/** No certificate for that protocol. */
async function refused(proxy: RunningProxy, servername: string): Promise<void> {
  await served(proxy, servername, PROTOCOL).then(
    (found) => assert.unreachable(found),
    (error: NodeJS.ErrnoException) => assert.match(String(error.code), /ALERT|ECONNRESET/),
  )
}

secure('after the look the connection ends, whatever else the client sends', async (made) => {
  await using origin = await startOrigin()
  const challenges = new Challenges()
  const look = issue('look', { names: 'DNS:example.com' })
  challenges.replace([{ kind: 'tls-alpn-01', name: 'example.com', cert: look.cert, key: look.key }])
  const plans = terminate(made.server, { acme: acme(made.server.certFile) })
  await using proxy = await startProxy({ origin, challenges, listener: { tls: plans } })
  using client = await proxy.connect({ tls: { servername: 'example.com', ALPNProtocols: [PROTOCOL] } })
  client.send('GET / HTTP/1.1\r\nHost: example.com\r\n\r\n')
  await client.closed()
  await proxy.open(0)
  assert.is(origin.requests.length, 0)
})

test('a challenge over plain HTTP is answered before all hooks and routes; what is none of ours goes on to them', async () => {
  await using origin = await startOrigin()
  const challenges = new Challenges()
  await using proxy = await startProxy({ origin, listener: { hooks: [challenges.hook] } })
  challenges.replace([{ kind: 'http-01', token: 'abc', keyAuthorization: 'abc.thumbprint' }])
  const ask = async (method: string, path: string): Promise<string> => {
    using client = await connect(proxy.port)
    const { body } = await client.send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`).response()
    return body.toString()
  }
  assert.is(await ask('GET', '/.well-known/acme-challenge/abc'), 'abc.thumbprint')
  assert.is(origin.requests.length, 0)
  for (const [method, path] of [
    ['GET', '/.well-known/acme-challenge/other'],
    ['GET', '/.well-known/acme-challenge/'],
    ['POST', '/.well-known/acme-challenge/abc'],
  ] as const)
    await ask(method, path)
  assert.is(origin.requests.length, 3)
})

test.run()
