import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { domainsRewritten } from './cookies.ts'
import { fromLatin1, Links, LOOK_BEHIND, toLatin1 } from './links.ts'

const links = new Links([
  { host: 'app.internal:8080', scheme: 'https', outside: 'www.example.com' },
  { host: 'app.internal', scheme: 'https', outside: 'www.example.com' },
  { host: 'app.internal-too.example', scheme: 'https', outside: 'too.example.com:8443' },
  { host: 'w', scheme: 'http', outside: 'plain.example.com' },
])

/** As the plugin does it, piece by piece. */
function inPieces(pieces: readonly string[]): string {
  let [out, rest, before] = ['', '', '']
  for (const [i, piece] of [...pieces, ''].entries()) {
    const text = rest + piece
    const done = links.piece(text, before, i === pieces.length)
    out += done?.out ?? text
    rest = done?.rest ?? ''
    before = done?.before ?? (before + text).slice(-LOOK_BEHIND)
  }
  return out
}

const EXAMPLES: Readonly<Record<string, string>> = {
  '<a href="http://app.internal:8080/x">': '<a href="https://www.example.com/x">',
  'url(//app.internal/x.png)': 'url(//www.example.com/x.png)',
  '{"a":"http:\\/\\/app.internal:8080\\/x"}': '{"a":"https:\\/\\/www.example.com\\/x"}',
  '"\\/\\/app.internal"': '"\\/\\/www.example.com"',
  '?next=http%3A%2F%2Fapp.internal%3A8080%2Fx': '?next=https%3A%2F%2Fwww.example.com%2Fx',
  '?next=http%3A%2F%2Fapp.internal-too.example%2Fx': '?next=https%3A%2F%2Ftoo.example.com%3A8443%2Fx',
  'HTTP://App.Internal/': 'https://www.example.com/',
  'ws://app.internal:8080/live wss://app.internal/live': 'wss://www.example.com/live wss://www.example.com/live',
  'http://w/ https://w ws://w': 'http://plain.example.com/ http://plain.example.com ws://plain.example.com',
  'http://app.internal:80/ https://app.internal:443/': 'https://www.example.com/ https://www.example.com/',
  'See http://app.internal. Then': 'See https://www.example.com. Then',
  'http://app.internal': 'https://www.example.com',
  '"one\\nhttp://app.internal"': '"one\\nhttps://www.example.com"',
  'http://app.internal-too.example/': 'https://too.example.com:8443/',
}
const UNTOUCHED = [
  'http://app.internal:9090/',
  'http://app.internal:443/',
  'https://app.internal:80/',
  'http://app.internal%3A9090',
  'http://app.internal.evil.example/',
  'http://app.internals/',
  'http://app.internal-evil.example/',
  'http://other/app.internal/',
  'ftp://app.internal/ ftp%3A%2F%2Fapp.internal/',
  'app.internal',
  'http://evil.app.internal/',
]

test('links of the origin get the outside name, in every way they are written', () => {
  for (const [text, wanted] of Object.entries(EXAMPLES)) assert.is(links.replace(text), wanted, text)
})

test('what is another origin stays', () => {
  for (const text of UNTOUCHED) assert.is(links.replace(text), text)
})

test('every cut of every example gives the same', () => {
  for (const text of [...Object.keys(EXAMPLES), ...UNTOUCHED]) {
    const wanted = links.replace(text)
    for (let i = 0; i <= text.length; i++)
      assert.is(inPieces([text.slice(0, i), text.slice(i)]), wanted, `${text.slice(0, i)} | ${text.slice(i)}`)
    assert.is(inPieces([...text]), wanted, text)
  }
})

const shreds = fc.constantFrom(
  ...['http', 'https', 'ws', 's', ':', '%3A', '//', '\\/\\/', '/', '\\', '%2F%2F', '%', '2f', 'app.internal', 'app', '.internal', '-too'],
  ...['.example', ':8080', '%3A8080', ':80', ':', '8', 'w', 'h', '.', '-', ' ', '"', 'é', '😀', 'HTTP', 'App.Internal'],
)
const texts = fc.array(shreds, { maxLength: 40 }).map((parts) => toLatin1(new TextEncoder().encode(parts.join(''))))

test('any split gives the same as the whole', () => {
  fc.assert(
    fc.property(texts, fc.array(fc.nat(200), { maxLength: 12 }), (text, cuts) => {
      const places = [0, ...cuts.map((cut) => cut % (text.length + 1)), text.length].sort((a, b) => a - b)
      const pieces = places.slice(1).map((end, i) => text.slice(places[i]!, end))
      assert.is(inPieces(pieces), links.replace(text))
    }),
    { numRuns: 3000 },
  )
})

test('what cannot be the beginning of a link is not kept back', () => {
  assert.is(links.piece('data: {"a":1}\n\n', '', false), null)
  assert.equal(links.piece('x http://app.int', '', false), { out: 'x ', rest: 'http://app.int', before: 'x ' })
})

test('bytes come out as they went in', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 20_000 }), (bytes) => assert.equal(fromLatin1(toLatin1(bytes)), bytes)))
})

test('hostile text costs no more than plain text of its size, times a few', () => {
  const size = 1 << 20
  const timeOf = (unit: string): number => {
    const text = unit.repeat(Math.ceil(size / unit.length)).slice(0, size)
    links.piece(text, '', true)
    const began = performance.now()
    for (let i = 0; i < 3; i++) links.piece(text, '', true)
    return performance.now() - began
  }
  const plain = timeOf('the quick brown fox ')
  for (const unit of ['http:', 'http://app.internal-', '//', '\\/', '%2f', 'hhhh', '%3a%2f%2fapp.internal.a'])
    assert.ok(timeOf(unit) < 60 * plain + 200, unit)
})

test('the domain of a cookie follows, other parts of it stay', () => {
  const two = 'a=1; Domain=.app.internal; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT, b=2; domain=other.example, c=3'
  assert.equal(domainsRewritten(two, links), [
    'a=1; Domain=www.example.com; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT',
    'b=2; domain=other.example',
    'c=3',
  ])
  assert.is(domainsRewritten('a=domain=app.internal; Path=/', links), null)
})

test.run()
