/** The first message of TLS: read whole and in any pieces, and refused without a throw whatever it is. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readClientHello } from '../../core/net/client-hello.ts'
import { makeHello } from '../support/hello.ts'

const name = fc.stringMatching(/^[a-z0-9]{1,20}(\.[a-z0-9]{1,20}){0,3}$/)
const hello = fc.record({
  serverName: name,
  alpn: fc.array(fc.stringMatching(/^[a-z0-9/.]{1,10}$/), { maxLength: 4 }),
  padding: fc.nat(3_000),
  recordSize: fc.integer({ min: 1, max: 4_000 }),
})

test('says what was asked for, however many records it takes, and nothing before the last byte', () => {
  fc.assert(
    fc.property(hello, fc.double({ min: 0, max: 1, noNaN: true }), (options, share) => {
      const bytes = makeHello(options)
      const cut = Math.floor(share * (bytes.length - 1))
      assert.is(readClientHello(bytes, cut), null)
      const whole = { serverName: options.serverName, alpn: options.alpn, versions: [0x0304, 0x0303], isEch: false }
      assert.equal(readClientHello(bytes, bytes.length), whole)
    }),
  )
})

test('whatever comes, it is an answer and no throw', () => {
  fc.assert(
    fc.property(hello, fc.nat(), fc.nat(255), (options, at, byte) => {
      const bytes = makeHello(options)
      bytes[at % bytes.length] = byte
      const read = readClientHello(bytes, bytes.length)
      assert.ok(read === null || typeof read === 'string' || Array.isArray(read.alpn))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readClientHello(Uint8Array.of(22, 3, 1, ...bytes), bytes.length + 3)
    }),
  )
})

test('no hello is malformed, and one without end is too large', () => {
  assert.is(readClientHello(Buffer.from('GET / HTTP/1.1'), 14), 'malformed')
  assert.is(readClientHello(Uint8Array.of(22, 3, 1, 0, 4, 2, 0, 0, 0), 9), 'malformed')
  assert.is(readClientHello(Uint8Array.of(22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff), 9), 'too_large')
})

test.run()
