/** One form of a path: what two servers could read in two ways is refused or made plain, so that nothing slips past a prefix. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { escapeRawBytes, normalisePath } from '../../core/net/path.ts'

const strict = { encodedSlashes: false }
const loose = { encodedSlashes: true }

test('needless escapes, dot segments and runs of slashes are resolved (RFC 3986 §6.2.2)', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['/', '/'],
    ['/a/b.c/d', '/a/b.c/d'],
    ['/%61dmin', '/admin'],
    ['/%41%2d%2E%5f%7E', '/A-._~'],
    ['//admin', '/admin'],
    ['/a//b///c//', '/a/b/c/'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2e/b', '/b'],
    ['/a/%2E/b/.%2e/c/%2e.', '/a/'],
    ['/..', '/'],
    ['/../../a', '/a'],
    ['/a/..', '/'],
    ['/a/.', '/a/'],
    ['/a//../b', '/b'],
    ['/...', '/...'],
    ['/.a/..b', '/.a/..b'],
    ['/%e4%c3', '/%E4%C3'],
    ['/\xe4', '/%E4'],
    ['/a%20b%3f%23', '/a%20b%3F%23'],
    ['/%252e%252e/', '/%252e%252e/'],
    ['/a;b=c/d', '/a;b=c/d'],
    ['/*', '/*'],
  ]
  for (const [path, expected] of cases) assert.is(normalisePath(path, strict), expected, path)
})

test('what some servers read otherwise is refused', () => {
  const refused = [
    '/a%2fb',
    '/a%2Fb',
    '/a%5cb',
    '/a\\b',
    '/%00',
    '/a%00.png',
    '/%',
    '/%4',
    '/%zz',
    '/%u0041',
    '/%2',
    '/admin/..;/',
    '/..;x/a',
    '/.;/a',
    '/a/%2e%2e;/b',
  ]
  for (const path of [...refused, '/a/..%3b/b', '/a/..%3Bx/b', '/.%3b/', '/a/%2e%2e%3b/b'])
    assert.is(normalisePath(path, strict), null, path)
  assert.is(normalisePath('/a%2fb%5cc', loose), '/a%2Fb%5Cc')
  assert.is(normalisePath('/a%00', loose), null)
  assert.is(normalisePath('/a\\b', loose), null)
})

const piece = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2E',
  'a',
  'A',
  '%61',
  '%41',
  ';',
  '%3b',
  '%25',
  '%2',
  '%',
  '%2f',
  '%5C',
  '\\',
  '%00',
  '\xff',
  '%ff',
  '~',
  ':',
  '?',
)
const path = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)

test('the normal form of a normal form is itself, and holds no dot segment, no run of slashes, and no needless escape', () => {
  for (const rules of [strict, loose]) {
    fc.assert(
      fc.property(path, (one) => {
        const normal = normalisePath(one, rules)
        if (normal === null) return
        assert.is(normalisePath(normal, rules), normal)
        assert.match(normal, /^\/[\x21-\x7e]*$/)
        for (const segment of normal.slice(1).split('/').slice(0, -1)) assert.not.match(segment, /^(?:\.{0,2}|\.{1,2};.*)$/)
        assert.not.match(normal, /\/\.{1,2}$|\/\//)
        for (const [one] of normal.matchAll(/%../g))
          assert.match(String.fromCharCode(Number.parseInt(one.slice(1), 16)), /[^A-Za-z0-9\-._~]/)
      }),
      { numRuns: 5000 },
    )
  }
})

test('a path that reaches a folder, however it is spelt, begins with it', () => {
  const spelt = (text: string) =>
    fc.tuple(...[...text].map((char) => fc.constantFrom(char, `%${char.charCodeAt(0).toString(16)}`))).map((chars) => chars.join(''))
  const detour = fc.constantFrom('', '/', './', 'x/../', '%2e/', 'x/%2E%2e/', '//')
  fc.assert(
    fc.property(detour, spelt('admin'), detour, spelt('users'), (a, first, b, second) => {
      assert.is(normalisePath(`/${a}${first}/${b}${second}`, strict), '/admin/users')
    }),
  )
})

test('raw bytes of a query are escaped, everything else stays', () => {
  assert.is(escapeRawBytes('?a=%61&b=../\\\xe9'), '?a=%61&b=../\\%E9')
})

test.run()
