/** A body that comes in pieces: whoever reads it, and whenever, sees the bytes that were pushed. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BodySource } from '../../core/cache/body-source.ts'

const pieces = fc.array(fc.record({ bytes: fc.uint8Array({ maxLength: 3000 }), isText: fc.boolean() }), { maxLength: 6 })

test('what was pushed is what is read, as text or as bytes, with its length told before or not', () => {
  fc.assert(
    fc.property(pieces, fc.boolean(), (pushed, isTold) => {
      const all = Buffer.concat(pushed.map(({ bytes }) => bytes))
      const body = new BodySource(isTold ? all.length : -1)
      for (const { bytes, isText } of pushed) {
        const piece = Buffer.from(bytes)
        if (isText) body.pushText(piece.latin1Slice())
        else body.push(piece, 0, piece.length)
        assert.ok(body.bytes.subarray(0, body.filled).equals(all.subarray(0, body.filled)))
        if (body.text !== null) assert.is(body.text, all.latin1Slice(0, body.filled))
      }
      body.complete()
      assert.is(body.filled, all.length)
      assert.ok(body.bytes.subarray(0, body.filled).equals(all))
      assert.ok(body.room >= all.length)
    }),
  )
})

test('a short one that comes in one piece stays text', () => {
  const read = `${'h'.repeat(300)}${'x'.repeat(95)}`
  const body = new BodySource(95)
  body.pushText(read.slice(300))
  body.complete()
  assert.is(body.text, 'x'.repeat(95))
  assert.is(body.bytes.latin1Slice(), 'x'.repeat(95))
  assert.is(body.room, 95)
})

test('more than was told does not lose what came before', () => {
  const body = new BodySource(20)
  body.pushText('a'.repeat(20))
  body.pushText('b'.repeat(5))
  body.complete()
  assert.is(body.bytes.latin1Slice(0, body.filled), 'a'.repeat(20) + 'b'.repeat(5))
})

test.run()
