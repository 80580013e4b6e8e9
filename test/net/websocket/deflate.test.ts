/** RFC 7692: both ways to zlib read what a stream of node:zlib compressed and write what one can read, and neither can be blown up. */
// Runs alone: it looks at the memory of its process.

import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Deflater, Inflater } from '../../../core/net/websocket/deflate.ts'
import type { DeflateSide } from '../../../core/net/websocket/extensions.ts'
import { DictionaryDeflater, DictionaryInflater } from '../../../core/net/websocket/zlib-dictionary.ts'
import { canUseZlibHandles, HandleDeflater, HandleInflater } from '../../../core/net/websocket/zlib-handle.ts'
import { StreamDeflate } from '../../support/websocket.ts'

const LIMIT = 1 << 20
const ways: Record<string, { inflater(side: DeflateSide, max: number): Inflater; deflater(side: DeflateSide): Deflater }> = {
  handle: { inflater: (side, max) => new HandleInflater(side, max), deflater: (side) => new HandleDeflater(side) },
  dictionary: { inflater: (side, max) => new DictionaryInflater(side, max), deflater: (side) => new DictionaryDeflater(side) },
}
const full: DeflateSide = { windowBits: 15, takesOver: true }
const sides = [8, 9, 12, 15].flatMap((windowBits) => [true, false].map((takesOver) => ({ windowBits, takesOver })))
const words = fc.array(fc.constantFrom('{"id":', 'message', 'user', ' 12', '€', '\n'), { minLength: 1, maxLength: 400 })
const message = fc.oneof(
  words.map((all) => Buffer.from(all.join(''))),
  fc.uint8Array({ minLength: 1, maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
)
const messages = fc.array(message, { minLength: 1, maxLength: 5 })

test('the handles of zlib are what is used in this Node', () => {
  assert.is(canUseZlibHandles, process.env.SLUICE_NO_HANDLES !== '1')
})

for (const [name, { inflater, deflater }] of Object.entries(ways)) {
  test(`${name}: what a stream of zlib compressed is read, message by message, and the other way round`, async () => {
    for (const side of sides) {
      await fc.assert(
        fc.asyncProperty(messages, async (all) => {
          const [own, ownIn] = [deflater(side), inflater(side, LIMIT)]
          let stream = new StreamDeflate({ windowBits: side.windowBits })
          for (const one of all) {
            assert.ok((await stream.inflate(own.deflate(one))).equals(one))
            const read = ownIn.inflate(await stream.deflate(one))
            assert.ok(typeof read !== 'string' && read.equals(one))
            assert.is(ownIn.sawFinalBlock, false)
            if (side.takesOver) continue
            stream[Symbol.dispose]()
            stream = new StreamDeflate({ windowBits: side.windowBits })
          }
          stream[Symbol.dispose]()
          own.close()
          ownIn.close()
        }),
        { numRuns: 6 },
      )
    }
  })

  test(`${name}: a message of a megabyte goes both ways, compressible or not`, () => {
    const random = Buffer.from(Array.from({ length: LIMIT }, (_, i) => Math.imul(i, 2_654_435_761) >>> 13))
    for (const one of [Buffer.alloc(LIMIT, 'abc'), random]) {
      const [out, back] = [deflater(full), inflater(full, LIMIT)]
      for (let i = 0; i < 2; i++) {
        const read = back.inflate(out.deflate(one))
        assert.ok(typeof read !== 'string' && read.equals(one))
      }
      out.close()
      back.close()
    }
  })

  test(`${name}: context takeover makes the second of two equal messages small, without it it is not`, () => {
    const text = Buffer.from(Array.from({ length: 40 }, (_, i) => `field${i}=${i * 7919}`).join('&'))
    const sizes = [true, false].map((takesOver) => {
      const out = deflater({ windowBits: 15, takesOver })
      const [first, second] = [out.deflate(text).length, out.deflate(text).length]
      out.close()
      return second / first
    })
    assert.ok(sizes[0]! < 0.2 && sizes[1]! === 1, sizes.join())
  })

  test(`${name}: a bomb is given up at the limit and a chunk`, () => {
    const bomb = deflateRawSync(Buffer.alloc(64 << 20), { finishFlush: constants.Z_SYNC_FLUSH })
    assert.ok(bomb.length < LIMIT)
    const small = inflater(full, LIMIT)
    const before = process.memoryUsage()
    assert.is(small.inflate(bomb), 'tooLarge')
    const after = process.memoryUsage()
    const grown = after.external + after.arrayBuffers - before.external - before.arrayBuffers
    assert.ok(grown < 4 * LIMIT, `${grown} bytes`)
    small.close()
    const exact = inflater(full, 1000)
    const read = exact.inflate(deflateRawSync(Buffer.alloc(1000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4))
    assert.ok(typeof read !== 'string' && read.length === 1000)
    exact.close()
    const less = inflater(full, 999)
    assert.is(less.inflate(deflateRawSync(Buffer.alloc(1000), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)), 'tooLarge')
    less.close()
  })

  test(`${name}: whatever cannot be inflated is malformed, and nothing throws`, () => {
    let malformed = 0
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), (payloads) => {
        const one = inflater(full, 4096)
        for (const payload of payloads) {
          const read = one.inflate(Buffer.from(payload))
          if (typeof read === 'string') {
            malformed++
            break
          }
        }
        one.close()
      }),
      { numRuns: 500 },
    )
    assert.ok(malformed > 100, `${malformed} were malformed`)
    const bad = inflater(full, 100)
    assert.is(bad.inflate(Buffer.from([0xff, 0xff])), 'malformed')
    bad.close()
    // Each final block costs a start: a message of nothing else must not go on for long.
    const finals = inflater(full, 100)
    assert.is(finals.inflate(Buffer.alloc(1000, Buffer.from([3, 0]))), 'malformed')
    finals.close()
  })

  test(`${name}: final blocks are read to the end of the message, and told`, () => {
    const one = inflater(full, 100)
    // RFC 7692 §7.2.3.5: "Hello" in a final block, and an empty one that is none.
    const hello = Buffer.from([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00])
    for (let i = 0; i < 2; i++) {
      assert.equal(one.inflate(hello).toString(), 'Hello')
      assert.is(one.sawFinalBlock, true)
    }
    const two = Buffer.concat([hello.subarray(0, 7), hello])
    assert.equal(one.inflate(two).toString(), 'HelloHello')
    // §7.2.3.2: the same without one.
    assert.equal(one.inflate(Buffer.from([0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00])).toString(), 'Hello')
    assert.is(one.sawFinalBlock, false)
    assert.equal(one.inflate(Buffer.from([0xf2, 0x00, 0x11, 0x00, 0x00])).toString(), 'Hello')
    one.close()
  })
}

test.run()
