import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ListReader } from '../../core/blocking/list-reader.ts'
import { BELOW, SELF } from '../../core/blocking/name-set.ts'

test('a hosts file names hosts, and not those below them', () => {
  const { found } = read(
    '127.0.0.1 localhost\n::1\tlocalhost ip6-localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 ads.example.com # a comment\n0.0.0.0\tA.example  b.example#c\n',
  )
  assert.equal(found, ['ads.example.com', 'A.example', 'b.example'])
})

test('a line with one name is that name alone', () => {
  assert.equal(read('# a list\nads.example.com\n\n  tracker.example.  \r\nx.example # why\n').found, [
    'ads.example.com',
    'tracker.example',
    'x.example',
  ])
})

test('wildcards and rules stand for a name and all below it', () => {
  assert.equal(read('*.a.example\n.b.example\n||c.example^\n||*.d.example^\n||e.example\n||f.example^$all\n||zip^\n').found, [
    'a.example + below',
    'b.example + below',
    'c.example + below',
    'd.example + below',
    'e.example + below',
    'f.example + below',
    'zip + below',
  ])
})

test('exceptions are told apart', () => {
  assert.equal(read('! rules\n||a.example^\n@@||ok.a.example^\n@@||fine.example^$document\n').found, [
    'a.example + below',
    '@@ ok.a.example + below',
    '@@ fine.example + below',
  ])
})

test('rules that are about less than a host are counted, not told', () => {
  const lines = [
    '||a.example/banner.js',
    '||a.example^$third-party',
    '||a.example^$script,domain=b.example',
    '||ads*.example^',
    '|https://a.example/',
    '@@/banner/*',
    '/^ads[0-9]+\\./',
    'a.example##.ad',
    '##.ad',
    'a.example#@#.ad',
    'a.example#?#div:has(.ad)',
    '*banner*',
  ]
  const { found, reader } = read(lines.join('\n'))
  assert.equal(found, [])
  // A line that begins with # is a comment to whoever reads hosts files.
  assert.equal([reader.skipped, reader.bad], [lines.length - 1, 0])
})

test('in a list for browsers a bare word is a pattern, and no host', () => {
  const { found, reader } = read('[Adblock Plus 2.0]\nads.js\n&ad_box_\n||a.example^\n')
  assert.equal(found, ['a.example + below'])
  assert.is(reader.skipped + reader.bad, 2)
})

test('what cannot be understood is counted, and the first of it told by its line', () => {
  const { reader, found } = read(
    'a.example\n<html><body>Not found</body></html>\nexa mple.com\nnodots\n0.0.0.0 ex$mple.com\n||-..x^\nok.example',
  )
  assert.equal(found, ['a.example', 'ok.example'])
  assert.is(reader.bad, 5)
  assert.equal(
    reader.badLines.map(({ line }) => line),
    [2, 3, 4, 5, 6],
  )
  assert.is(reader.badLines[1]!.text, 'exa mple.com')
})

test('names that are not ASCII are put into it', () => {
  assert.equal(read('bücher.example\n||пример.example^\n').found, ['xn--bcher-kva.example', 'xn--e1afmkfd.example + below'])
})

test('a line without end is one bad line, and does not stay in memory', () => {
  const reader = new ListReader(() => {})
  for (let i = 0; i < 100; i++) reader.push(Buffer.alloc(60_000, 'a'))
  reader.push(Buffer.from('\nok.example\n'))
  reader.end()
  assert.equal([reader.names, reader.bad], [1, 1])
  assert.is(reader.badLines[0]!.line, 1)
})

test('a byte order mark is no part of the first name', () => {
  assert.equal(read('\ufeffa.example\nb.example').found, ['a.example', 'b.example'])
})

test('pieces of any size read as the whole', () => {
  const line = fc.constantFrom(
    '0.0.0.0 a.example b.example',
    '||c.example^',
    '@@||d.example^',
    'e.example',
    '',
    '# x',
    'bad line',
    '*.f.example',
    'bücher.example',
  )
  fc.assert(
    fc.property(
      fc.array(line),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
      fc.constantFrom('\n', '\r\n'),
      (lines, sizes, eol) => {
        const text = lines.join(eol)
        const whole = read(text)
        const parts = read(text, sizes)
        assert.equal(parts.found, whole.found)
        assert.equal(
          [parts.reader.bad, parts.reader.skipped, parts.reader.badLines],
          [whole.reader.bad, whole.reader.skipped, whole.reader.badLines],
        )
      },
    ),
  )
})

test('bytes of any kind are read to their end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const reader = new ListReader((from, start, end) => assert.ok(/^[\w.-]+$/.test(Buffer.from(from).latin1Slice(start, end))))
      reader.push(Buffer.from(bytes))
      reader.end()
    }),
  )
})

test.run()

function read(text: string, sizes: readonly number[] = [text.length * 4 + 1]) {
  const found: string[] = []
  const reader = new ListReader((bytes, from, to, { kinds, isException }) => {
    const name = Buffer.from(bytes).latin1Slice(from, to)
    assert.ok(kinds === SELF || kinds === (SELF | BELOW))
    found.push(`${isException ? '@@ ' : ''}${name}${kinds === SELF ? '' : ' + below'}`)
  })
  const bytes = Buffer.from(text)
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = at + sizes[i % sizes.length]!
    reader.push(Buffer.from(bytes.subarray(at, end)))
    at = end
  }
  reader.end()
  return { found, reader }
}
