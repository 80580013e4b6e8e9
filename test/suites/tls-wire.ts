/** What wires of TLS keep to, whoever encrypts. Run by test/net/*-wire.test.ts. */
import type net from 'node:net'
import type tls from 'node:tls'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Wire } from '../../core/net/wire.ts'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { type Keeper, readAll } from '../support/keeper.ts'

export interface TlsPair extends AsyncDisposable {
  readonly wire: Wire
  readonly owner: Keeper
  readonly client: tls.TLSSocket
  /** Beneath the client's TLS, if that was asked for. */
  readonly below: net.Socket | null
}

/** The wire is past its handshake, and paused. */
export type MakeTlsPair = (made: Certificates, version?: tls.SecureVersion, isOver?: boolean) => Promise<TlsPair>

export function testTlsWires(pair: MakeTlsPair): void {
  const check = withCertificates(test)

  check('what is written in any pieces arrives whole and in order at a reader that is slow', async (made) => {
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
          p.wire.finish()
          const whole = Buffer.concat(expected)
          const got = await readAll(p.client)
          assert.ok(got.equals(whole), `${got.length} of ${whole.length}`)
        },
      ),
      { numRuns: 25 },
    )
  })

  check('a pause holds what was decrypted together with the read before it, and the end behind it', async (made) => {
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

  check('a client that closed its sending side gets its answer, and the close_notify', async (made) => {
    await using p = await pair(made)
    p.wire.resume()
    p.client.end('hello')
    await p.owner.has('end')
    p.wire.writeText('bye')
    p.wire.finish()
    assert.is((await readAll(p.client)).latin1Slice(), 'bye')
    p.wire.destroy()
    assert.equal(
      p.owner.told.filter((what) => what !== 'drain'),
      ['end', 'close null'],
    )
  })

  check('a record that is none is told by its name, and ends the connection', async (made) => {
    await using p = await pair(made, 'TLSv1.3', true)
    p.wire.resume()
    p.below!.write('GET / HTTP/1.1\r\n\r\n')
    await p.owner.waiting.until(
      () => (p.owner.told.some((what) => what.startsWith('close ERR_SSL')) ? true : undefined),
      () => p.owner.told.join(),
    )
  })

  check('a client that only ends is told as an end, and one that is gone as closed', async (made) => {
    await using p = await pair(made, 'TLSv1.3', true)
    p.wire.resume()
    p.below!.end()
    await p.owner.has('end')
    p.below!.destroy()
    p.wire.destroy()
    assert.equal(p.owner.told, ['end', 'close null'])
  })

  check('what comes in turn with what goes out is neither lost nor mixed up', async (made) => {
    await using p = await pair(made)
    p.owner.reads = (bytes) => {
      p.wire.writeText(bytes.latin1Slice().toUpperCase())
    }
    p.wire.resume()
    const wanted = 300
    let got = ''
    const done = new Promise<void>((resolve) => {
      p.client.on('data', (part: Buffer) => {
        got += part.latin1Slice()
        if (got.length === wanted * 3) resolve()
        else if (got.length % 3 === 0) p.client.write('xyz')
      })
    })
    p.client.write('xyz')
    await done
    assert.is(got, 'XYZ'.repeat(wanted))
  })
}
