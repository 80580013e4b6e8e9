/** Wires over the handles of TLS sockets, against Node's own client. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { canUseHandles } from '../../core/net/bindings.ts'
import { answerTls, ready } from '../../core/net/tls.ts'
import { wireOverTls } from '../../core/net/tls-wire.ts'
import type { Wire } from '../../core/net/wire.ts'
import { type TlsPair, testTlsWires } from '../suites/tls-wire.ts'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { Keeper } from '../support/keeper.ts'

const secured = withCertificates(test)

async function pair({ server: { cert, key } }: Certificates, version: tls.SecureVersion = 'TLSv1.3', isOver = false): Promise<TlsPair> {
  const context = tls.createSecureContext({ cert, key, maxVersion: version })
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const secured = new Promise<Wire>((resolve) => {
    server.once('connection', (below) => {
      const socket = answerTls(below, { context, alpn: ['http/1.1'], clientCertificate: null, staple: null, keyLog: null })
      socket.once('secure', () => {
        ready(socket)
        resolve(wireOverTls(socket))
      })
    })
  })
  const { port } = server.address() as net.AddressInfo
  const below = isOver ? net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }) : null
  const client = tls.connect({ rejectUnauthorized: false, ...(below === null ? { port, host: '127.0.0.1' } : { socket: below }) })
  client.allowHalfOpen = true
  client.on('error', () => {})
  const wire = await secured
  const owner = new Keeper()
  wire.owner = owner
  return {
    wire,
    owner,
    client,
    below,
    async [Symbol.asyncDispose]() {
      client.destroy()
      below?.destroy()
      wire.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

secured('the handle of the TLS socket is used where handles can be', async (made) => {
  await using p = await pair(made)
  assert.is(p.wire.constructor.name === 'TlsWire', canUseHandles)
})

testTlsWires(pair)

test.run()
