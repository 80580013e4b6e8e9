/** Wires over the handles of TLS sockets, against Node's own client. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { canUseHandles } from '../../core/net/bindings.ts'
import { answerTls, ready } from '../../core/net/tls.ts'
import { wireOverTls } from '../../core/net/tls-wire.ts'
import type { Wire } from '../../core/net/wire.ts'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { Keeper, readAll } from '../support/keeper.ts'

const secured = withCertificates(test)

interface Pair extends AsyncDisposable {
  readonly wire: Wire
  readonly owner: Keeper
  readonly client: tls.TLSSocket
  /** Beneath the client's TLS, if that was asked for. */
  readonly below: net.Socket | null
}

async function pair({ server: { cert, key } }: Certificates, version: tls.SecureVersion = 'TLSv1.3', isOver = false): Promise<Pair> {
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

secured('what is written in any pieces arrives whole and in order at a reader that is slow', async (made) => {
  assert.is((await pair(made).then((p) => p[Symbol.asyncDispose]().then(() => p.wire.constructor.name))) === 'TlsWire', canUseHandles)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ head: fc.nat(9000), body: fc.nat(70_000), asText: fc.boolean() }), { minLength: 1, maxLength: 12 }),
      fc.constantFrom<tls.SecureVersion>('TLSv1.2', 'TLSv1.3'),
      async (writes, version) => {
        await using p = await pair(made, version)
        const expected: Buffer[] = []
        for (const [i, { head, body, asText }] of writes.entries()) {
          const text = String.fromCharCode(65 + i).repeat(head)
          const bytes = Buffer.alloc(body + 7, 97 + i)
          const flowing = asText ? p.wire.writeText(text) : p.wire.write(text, bytes, 3, body + 3)
          assert.is(flowing, !p.wire.congested)
          expected.push(Buffer.from(text, 'latin1'), asText ? Buffer.alloc(0) : Buffer.from(bytes.subarray(3, body + 3)))
          // Nothing stays lent beyond what was said.
          if (flowing) bytes.fill(0)
        }
        p.wire.end()
        const whole = Buffer.concat(expected)
        const got = await readAll(p.client)
        assert.ok(got.equals(whole), `${got.length} of ${whole.length}`)
        await p.owner.has('drain')
      },
    ),
    { numRuns: 25 },
  )
})

secured('a pause holds what was decrypted together with the read before it, and the end behind it', async (made) => {
  await using p = await pair(made)
  const sent = Buffer.alloc(1_000_000, 'abcdefghij')
  let paused = false
  p.owner.reads = () => {
    assert.not(paused, 'read while paused')
    paused = true
    p.wire.pause()
    setImmediate(() => {
      paused = false
      p.wire.resume()
    })
  }
  p.wire.resume()
  p.client.end(sent)
  await p.owner.has('end')
  assert.is(p.owner.text, sent.latin1Slice())
})

secured('a client that closed its sending side gets its answer, and the close_notify', async (made) => {
  await using p = await pair(made)
  p.wire.resume()
  p.client.end('hello')
  await p.owner.has('end')
  p.wire.writeText('bye')
  p.wire.finish()
  assert.is((await readAll(p.client)).latin1Slice(), 'bye')
  await p.owner.has('drain')
  p.wire.destroy()
  assert.equal(p.owner.told, ['end', 'drain', 'close null'])
})

secured('a record that is none is told by its name, and ends the connection', async (made) => {
  await using p = await pair(made, 'TLSv1.3', true)
  p.wire.resume()
  p.below!.write('GET / HTTP/1.1\r\n\r\n')
  await p.owner.waiting.until(
    () => (p.owner.told.some((what) => what.startsWith('close ERR_SSL')) ? true : undefined),
    () => p.owner.told.join(),
  )
})

test.run()
