/** The sandbox's own TextEncoder and TextDecoder beside those of Node. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as guest from '../../core/sandbox/guest/encoding.ts'

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('\ud800', '\udc00', 'a', 'é', '€', '😀') }),
)
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  anyText.map((text) => new TextEncoder().encode(text)),
  fc
    .array(fc.constantFrom(0x61, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xef, 0xbb, 0xbf, 0xed, 0xa0, 0xf4, 0x90), {
      maxLength: 40,
    })
    .map((list) => Uint8Array.from(list)),
)

test('text becomes the same bytes', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      assert.equal([...new guest.TextEncoder().encode(text)], [...new TextEncoder().encode(text)])
    }),
    { numRuns: 2000 },
  )
})

test('bytes become the same text, malformed ones too', () => {
  fc.assert(
    fc.property(anyBytes, fc.boolean(), (bytes, ignoreBOM) => {
      assert.is(new guest.TextDecoder('utf-8', { ignoreBOM }).decode(bytes), new TextDecoder('utf-8', { ignoreBOM }).decode(bytes))
    }),
    { numRuns: 5000 },
  )
})

test('a stream of well-formed pieces reads as the whole does', () => {
  fc.assert(
    fc.property(anyText, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (text, sizes) => {
      const bytes = new TextEncoder().encode(text)
      const decoder = new guest.TextDecoder()
      let out = ''
      for (let at = 0, n = 0; at < bytes.length; n++) {
        const to = at + sizes[n % sizes.length]!
        out += decoder.decode(bytes.subarray(at, to), { stream: true })
        at = to
      }
      assert.is(out + decoder.decode(), new TextDecoder().decode(bytes))
    }),
    { numRuns: 2000 },
  )
})

test('long text and latin1 are whole', () => {
  const text = 'x'.repeat(10_000) + 'é€😀'.repeat(3000)
  assert.is(new guest.TextDecoder().decode(new guest.TextEncoder().encode(text)), text)
  const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i & 255)
  assert.is(new guest.TextDecoder('latin1').decode(bytes), Buffer.from(bytes).toString('latin1'))
})

test.run()
