/** TLS to endpoints: verified unless the certificate is right, and each way to be wrong is told apart. */
import { once } from 'node:events'
import * as https from 'node:https'
import type { AddressInfo } from 'node:net'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Pair, withCertificates } from '../support/certificates.ts'
import { request } from '../support/client.ts'
import { startOrigin } from '../support/origin.ts'
import { type ProxyOptions, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const GET = 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n'
const unset = { servername: null, ca: null, cert: null, key: null }

secure('an endpoint is trusted by the authority given, and its connection is kept', async ({ ca, server }) => {
  await using origin = await startTlsOrigin(server)
  await using proxy = await startProxy({ origin, tls: { ...unset, ca: ca.certFile } })
  using client = await proxy.connect()
  for (const _ of [1, 2]) {
    client.send(GET)
    assert.is((await client.final()).text, 'false none http/1.1')
  }
  assert.is(proxy.dialled.length, 1)
})

secure('the name asked for is sent, and verified', async ({ ca, server }) => {
  await using origin = await startTlsOrigin(server)
  await using proxy = await startProxy({ origin, tls: { ...unset, ca: ca.cert, servername: 'api.example.com' } })
  assert.is((await request(proxy.port, GET)).text, 'api.example.com none http/1.1')
})

secure('a wrong certificate is a 502 with tls_certificate, whatever is wrong with it', async ({ ca, server, other, selfSigned }) => {
  const wrong: readonly [string, Pair, ProxyOptions['tls'] & object, RegExp][] = [
    ['an unknown authority', server, { ...unset }, /unable to (?:verify|get)/],
    ['signed by itself', selfSigned, { ...unset, ca: ca.cert }, /self-signed/],
    ['for another name', other, { ...unset, ca: ca.cert, servername: 'example.com' }, /other\.test/],
    ['for no address', other, { ...unset, ca: ca.cert }, /127\.0\.0\.1/],
    ['for a name, when an address is asked for', server, { ...unset, ca: ca.cert, servername: '127.0.0.2' }, /127\.0\.0\.2/],
  ]
  // Somebody's environment does not decide what is trusted.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  try {
    for (const [name, pair, options, detail] of wrong) {
      await using origin = await startTlsOrigin(pair)
      await using proxy = await startProxy({ origin, tls: options, attempts: 3 })
      const response = await request(proxy.port, GET)
      assert.is(response.status, 502, name)
      assert.match(response.headers['proxy-status'] ?? '', 'error=tls_certificate_error')
      const ended = await proxy.exchange()
      assert.is(ended.reason, 'tls_certificate')
      assert.match(ended.detail ?? '', detail)
      assert.is(ended.attempts, 1, 'another try would not help')
    }
  } finally {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
  }
})

secure('a certificate of our own is shown to an endpoint that asks for one', async ({ ca, server, client }) => {
  await using origin = await startTlsOrigin(server, { requestCert: true, ca: ca.cert })
  await using proxy = await startProxy({ origin, tls: { ...unset, ca: ca.cert, cert: client.certFile, key: client.keyFile } })
  assert.is((await request(proxy.port, GET)).text, 'false client http/1.1')
  await using without = await startProxy({ origin, tls: { ...unset, ca: ca.cert } })
  assert.is((await request(without.port, GET)).status, 502)
})

secure('an endpoint that does not speak TLS is a 502 with tls_error', async ({ ca }) => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'SSH-2.0-OpenSSH_9.2\r\n' })
  await using proxy = await startProxy({ origin, tls: { ...unset, ca: ca.cert } })
  const response = await request(proxy.port, GET)
  assert.is(response.status, 502)
  assert.is((await proxy.exchange()).reason, 'tls_error')
})

secure('an endpoint that is not there is refused, not a failure of TLS', async ({ ca }) => {
  const origin = await startOrigin()
  const { address } = origin
  await origin.close()
  await using proxy = await startProxy({ endpoints: [address], tls: { ...unset, ca: ca.cert } })
  assert.is((await request(proxy.port, GET)).status, 502)
  assert.is((await proxy.exchange()).reason, 'connect_refused')
})

secure('an endpoint that never shakes hands is given up in time', async ({ ca }) => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startProxy({ origin, tls: { ...unset, ca: ca.cert }, timeouts: { connect: 100 } })
  assert.is((await request(proxy.port, GET)).status, 504)
  assert.is((await proxy.exchange()).reason, 'connect_timeout')
  assert.is(await (await origin.connection()).closed(), 'fin')
})

secure('what a slow client has not taken of an answer over TLS is not overwritten by answers to others', async ({ ca, server }) => {
  // Mechanism: connections over TLS read into one buffer, and what was read of it was lent to the writes of clients.
  const size = 5_000_000
  const origin = https.createServer({ cert: server.cert, key: server.key }, ({ url }, response) => {
    response.end(Buffer.alloc(size, url![1]))
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  try {
    const { port } = origin.address() as AddressInfo
    await using proxy = await startProxy({ endpoints: [`127.0.0.1:${port}`], tls: { ...unset, ca: ca.cert } })
    const clients = []
    for (const letter of 'abcde') {
      const c = await proxy.connect({ deadlineMs: 20_000 })
      clients.push({ c, letter })
      c.pause().send(`GET /${letter} HTTP/1.1\r\nHost: x\r\n\r\n`)
    }
    // None of them fits into what the kernel holds: all are under way at a time, and wait.
    for (let i = 0; i < 30; i++) await proxy.settled()
    for (const { c, letter } of clients) {
      const { body } = await c.resume().response()
      assert.ok(body.equals(Buffer.alloc(size, letter)), `${letter} got ${[...new Set(body.latin1Slice())].join('')}`)
      c.destroy()
    }
  } finally {
    origin.closeAllConnections()
    origin.close()
  }
})

test.run()

/** Answers with the name it was asked for, the client's certificate, and the protocol agreed on. */
async function startTlsOrigin(pair: Pair, options: tls.TlsOptions = {}): Promise<{ address: string } & AsyncDisposable> {
  const sockets = new Set<tls.TLSSocket>()
  const server = tls.createServer({ cert: pair.cert, key: pair.key, ALPNProtocols: ['h2', 'http/1.1'], ...options }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => {
      const name = (socket as { servername?: string | false }).servername
      const text = `${name} ${socket.getPeerCertificate().subject?.CN ?? 'none'} ${socket.alpnProtocol}`
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
