/** Wires of TLS that OpenSSL reads and writes by itself, against Node's own client. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeTermination } from '../../core/listener/termination.ts'
import type { BareSecured } from '../../core/net/bare-tls.ts'
import type { StreamHandle } from '../../core/net/bindings.ts'
import { getKernel } from '../../core/net/kernel.ts'
import { KernelWire } from '../../core/net/kernel-wire.ts'
import { getOpenSsl, type OpenSsl, SSL_ERROR_WANT_WRITE } from '../../core/net/openssl.ts'
import { answerOnDescriptor } from '../../core/net/openssl-handshake.ts'
import { OpenSslWire } from '../../core/net/openssl-wire.ts'
import { peek } from '../../core/net/peek.ts'
import { makeTicketKey, TicketKeys } from '../../core/net/ticket-keys.ts'
import type { Wire } from '../../core/net/wire.ts'
import { type TlsPair, testTlsWires } from '../suites/tls-wire.ts'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { Keeper } from '../support/keeper.ts'
import { OpenSslClient } from '../support/openssl-client.ts'

const kernel = getKernel()
const secured = withCertificates(test)

test('OpenSSL can be called where system calls can, unless they are refused', () => {
  assert.is(getOpenSsl() !== null, kernel !== null)
})

type Told = { readonly wire: Wire; readonly told: BareSecured }

/** A server whose handshakes are OpenSSL's own; `next` has the wire of the next one, or its failure. */
async function serve({ server: { cert, key } }: Certificates, tickets: TicketKeys | null = null) {
  const context = makeTermination({ cert, key, alpn: ['h2', 'http/1.1'] }, tickets).serverContext()!
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  let settle: ((told: Told | string | null) => void) | null = null
  const { _handle } = server as unknown as { _handle: { onconnection: (error: number, handle: StreamHandle) => void } }
  _handle.onconnection = (_, handle) => {
    const wire = new KernelWire(kernel!, handle, false)
    const onRecognised = (_protocol: string, bytes: Buffer): void => {
      answerOnDescriptor(wire.detachDescriptor(), bytes, context, {
        secured: (over, told) => settle?.({ wire: over, told }),
        failed: (code) => settle?.(code),
      })
    }
    peek(wire, { onRecognised, onGone: (error) => settle?.(error) })
  }
  return {
    port: (server.address() as net.AddressInfo).port,
    next: () =>
      new Promise<Told | string | null>((resolve) => {
        settle = resolve
      }),
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

async function pair(made: Certificates, version: tls.SecureVersion = 'TLSv1.3', isOver = false): Promise<TlsPair> {
  const server = await serve(made)
  const { port } = server
  const next = server.next()
  const below = isOver ? net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }) : null
  const place = below === null ? { port, host: '127.0.0.1' } : { socket: below }
  const client = tls.connect({ rejectUnauthorized: false, maxVersion: version, ...place })
  client.allowHalfOpen = true
  client.on('error', () => {})
  const { wire } = (await next) as Told
  const owner = new Keeper()
  wire.owner = owner
  return {
    ...{ wire, owner, client, below },
    async [Symbol.asyncDispose]() {
      client.destroy()
      below?.destroy()
      wire.destroy()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

if (kernel !== null) {
  testTlsWires(pair)

  secured('what both sides agreed on is told', async (made) => {
    await using server = await serve(made)
    for (const [version, cipher] of [
      ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
      ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
    ] as const) {
      const next = server.next()
      const options = { servername: 'www.example.com', ALPNProtocols: ['x', 'http/1.1', 'h2'], maxVersion: version }
      const client = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      const { wire, told } = (await next) as Told
      assert.equal(told, { servername: 'www.example.com', alpn: 'h2', isResumed: false })
      const { tls: facts, source } = wire.facts()
      assert.equal(facts, { serverName: 'www.example.com', alpn: 'h2', version, cipher, commonName: null })
      assert.is(source?.port, client.localPort)
      client.destroy()
      wire.destroy()
      assert.is(wire.facts().tls, null, 'of a connection that is closed nothing is asked of OpenSSL')
    }
  })

  secured('a client that speaks no protocol of ours, and one that ends in its midst, are told by what they did', async (made) => {
    await using server = await serve(made)
    const failed = async (client: net.Socket): Promise<unknown> => {
      client.on('error', () => {})
      return await server.next()
    }
    const at = { port: server.port, host: '127.0.0.1' }
    const alien = tls.connect({ ...at, rejectUnauthorized: false, ALPNProtocols: ['x'] })
    assert.is(await failed(alien), 'ERR_SSL_NO_APPLICATION_PROTOCOL')
    const old = tls.connect({ ...at, rejectUnauthorized: false, maxVersion: 'TLSv1.1', minVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' })
    assert.is(await failed(old), 'ERR_SSL_UNSUPPORTED_PROTOCOL')
    const half = net.connect(at)
    half.end('\x16\x03\x01\x02\x00')
    assert.is(await failed(half), null)
    for (const client of [alien, old, half]) client.destroy()
  })

  secured('a ticket of the key before still opens, one of a key that is gone does not', async (made) => {
    const [first, second, third] = [makeTicketKey(), makeTicketKey(), makeTicketKey()]
    const keys = new TicketKeys([first])
    await using server = await serve(made, keys)
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      keys.replace([first])
      const visit = async (session?: Buffer): Promise<{ isResumed: boolean; ticket: Buffer | null }> => {
        const next = server.next()
        const client = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, maxVersion, session })
        const got = session === undefined ? once(client, 'session') : [null]
        const { wire, told } = (await next) as Told
        const [ticket] = (await got) as [Buffer | null]
        client.destroy()
        wire.destroy()
        return { isResumed: told.isResumed, ticket }
      }
      const { ticket, isResumed } = await visit()
      assert.is(isResumed, false)
      keys.replace([second, first])
      assert.is((await visit(ticket!)).isResumed, true, maxVersion)
      keys.replace([third])
      assert.is((await visit(ticket!)).isResumed, false, maxVersion)
    }
  })

  secured('what comes with the last message of the handshake is told without waiting for more', async (made) => {
    await using server = await serve(made)
    const next = server.next()
    using _client = await OpenSslClient.connect(server.port, 'hello')
    const { wire } = (await next) as Told
    const owner = new Keeper()
    wire.owner = owner
    wire.resume()
    await owner.waiting.until(
      () => (owner.text === 'hello' ? true : undefined),
      () => owner.text,
    )
    wire.destroy()
  })

  secured('a flood of key updates, which are no bytes to anybody, leaves turns to others', async (made) => {
    await using server = await serve(made)
    const next = server.next()
    using client = await OpenSslClient.connect(server.port)
    const { wire } = (await next) as Told
    const owner = new Keeper()
    wire.owner = owner
    // As much as the kernel holds, before anything of it is read.
    const flood = Buffer.concat(Array.from({ length: 12_000 }, () => client.keyUpdate(false)))
    client.socket.write(flood)
    client.socket.write(client.seal(Buffer.from('hello')))
    await turns(50)
    const before = kernel!.turns
    wire.resume()
    await owner.waiting.until(
      () => (owner.text === 'hello' ? true : undefined),
      () => owner.text,
    )
    const taken = kernel!.turns - before
    assert.ok(taken > flood.length / 65_536, `${flood.length} bytes in ${taken} turns`)
    wire.destroy()
  })

  secured('a client that begins a key update and leaves it there has a write wait for it, not ask again and again', async (made) => {
    await using server = await serve(made)
    const next = server.next()
    using client = await OpenSslClient.connect(server.port)
    const { wire } = (await next) as Told
    const owner = new Keeper()
    wire.owner = owner
    wire.resume()
    const [begun, rest] = client.handshakeRecords(Buffer.of(24, 0, 0, 1), Buffer.of(0))
    client.socket.write(begun!)
    await turns(20)
    assert.is(wire.writeText('hello'), false)
    await turns(5)
    const before = kernel!.turns
    await turns(50)
    assert.ok(kernel!.turns - before < 5, `${kernel!.turns - before} turns`)
    client.socket.write(rest!)
    await owner.has('drain')
    assert.is(wire.closed, false)
    wire.destroy()
  })

  secured('who sends one byte a record, as fast as it can, leaves turns to others', async (made) => {
    await using server = await serve(made)
    const next = server.next()
    using client = await OpenSslClient.connect(server.port)
    const { wire } = (await next) as Told
    const owner = new Keeper()
    wire.owner = owner
    const total = 60_000
    client.socket.write(Buffer.concat(Array.from({ length: total }, () => client.seal(Buffer.from('a')))))
    await turns(50)
    let [inTurn, most, isOver] = [0, 0, false]
    owner.reads = (bytes) => {
      inTurn += bytes.length
    }
    const look = (): void => {
      most = Math.max(most, inTurn)
      inTurn = 0
      if (!isOver) setImmediate(look)
    }
    look()
    wire.resume()
    await owner.waiting.until(
      () => (owner.text.length === total ? true : undefined),
      () => String(owner.text.length),
    )
    isOver = true
    assert.ok(most <= 500, `${most} records in a turn`)
    wire.destroy()
  })

  test('a read that has to write first waits until it can, and does not ask again and again', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const accepted = new Promise<StreamHandle>((resolve) => {
      const { _handle } = server as unknown as { _handle: { onconnection: (error: number, handle: StreamHandle) => void } }
      _handle.onconnection = (_, handle) => resolve(handle)
    })
    const client = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' }).pause()
    const handle = await accepted
    const full = Buffer.alloc(65536)
    while (kernel!.write(handle.fd, kernel!.pointerTo(full), full.length) > 0);
    let reads = 0
    const read = (): number => {
      reads++
      return -1
    }
    const calls = { SSL_read: read, SSL_has_pending: () => 0, SSL_free() {} }
    const openSsl = { calls, errorOf: () => SSL_ERROR_WANT_WRITE } as unknown as OpenSsl
    const wire = new OpenSslWire({ kernel: kernel!, handle, fd: handle.fd, mask: -1, peer: null }, 1n, openSsl, null)
    wire.resume()
    client.write('something to read')
    while (reads === 0) await turns(1)
    await turns(50)
    assert.is(reads, 1)
    client.resume()
    while (reads < 2) await turns(1)
    wire.destroy()
    client.destroy()
    server.close()
    await once(server, 'close')
  })
}

test.run()
