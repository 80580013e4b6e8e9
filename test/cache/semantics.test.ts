/** The rules of a shared cache, clause by clause: what may be kept, for how long, for whom, and how that is written. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cacheName, forwardedStatus } from '../../core/cache/cache-status.ts'
import { isUnchanged, wantedRange } from '../../core/cache/conditions.ts'
import { eachDirective, readRequestDirectives, readResponseDirectives } from '../../core/cache/directives.ts'
import { type FreshnessRules, readFreshness } from '../../core/cache/freshness.ts'
import { parseHttpDate } from '../../core/cache/http-dates.ts'
import { keyedQuery, urlOf } from '../../core/cache/key.ts'
import { readTags } from '../../core/cache/purge.ts'
import { refusalOf } from '../../core/cache/storable.ts'
import { updatedLines } from '../../core/cache/stored-lines.ts'
import { makeHead } from '../../core/cache/stored-response.ts'
import { readTargeted } from '../../core/cache/targeted.ts'
import { readVary, variantOf } from '../../core/cache/vary.ts'

const NOW = Date.UTC(2026, 0, 1)
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString()
const NO_RULES: FreshnessRules = { ttl: new Map(), heuristic: 0, staleWhileRevalidate: 0, staleIfError: 0 }

function freshness(lines: readonly string[], rules: Partial<FreshnessRules> = {}, status = 200) {
  const head = makeHead(status, lines.map((line) => `${line}\r\n`).join(''), 0)
  return readFreshness(head, NOW, NOW, { ...NO_RULES, ...rules })
}

test('a lifetime is s-maxage, max-age or Expires, in that order (RFC 9111 §4.2.1)', () => {
  const cases: readonly [lines: readonly string[], lifetime: number][] = [
    [['Cache-Control: max-age=60'], 60],
    [['Cache-Control: MAX-AGE="60"'], 60],
    [['Cache-Control: max-age = 60'], 60],
    [['Cache-Control: s-maxage=10, max-age=60'], 10],
    [['Cache-Control: max-age=60, max-age=30'], 30],
    [['Cache-Control: max-age=60', 'Cache-Control: s-maxage=5'], 5],
    [['Cache-Control: max-age=-1'], 0],
    [['Cache-Control: max-age=1.5'], 0],
    [['Cache-Control: max-age'], 0],
    [['Cache-Control: max-age=99999999999999999999'], 2147483648],
    [['Cache-Control: max-age=60', `Expires: ${at(5)}`], 60],
    [[`Date: ${at(0)}`, `Expires: ${at(90)}`], 90],
    [[`Expires: ${at(-90)}`], 0],
    [['Expires: 0'], 0],
    [['Cache-Control: x="max-age=60"'], 0],
    [['Cache-Control: no-cache, max-age=60'], 0],
    [['CDN-Cache-Control: max-age=7', 'Cache-Control: s-maxage=60'], 7],
    [['CDN-Cache-Control: max-age=', 'Cache-Control: s-maxage=60'], 60],
    [['CDN-Cache-Control: public', `Expires: ${at(90)}`], 0],
  ]
  for (const [lines, lifetime] of cases) assert.is(freshness(lines).lifetime, lifetime, lines.join(' | '))
})

test('the config speaks where an answer does not, and a guess is a share of its age (RFC 9111 §4.2.2)', () => {
  const ttl = new Map([[404, 10]])
  assert.is(freshness([], { ttl }, 404).lifetime, 10)
  assert.is(freshness([], { ttl }, 200).lifetime, 0)
  assert.is(freshness(['Cache-Control: max-age=3'], { ttl }, 404).lifetime, 3)
  assert.is(freshness(['Cache-Control: no-cache'], { ttl }, 404).lifetime, 0)
  const guess = { heuristic: 0.1 }
  assert.is(freshness([`Last-Modified: ${at(-1000)}`], guess).lifetime, 100)
  assert.is(freshness([`Last-Modified: ${at(-1000)}`], guess, 302).lifetime, 0)
  assert.is(freshness([`Last-Modified: ${at(1000)}`], guess).lifetime, 0)
  assert.is(freshness(['Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT'], guess).lifetime, 86_400)
})

test('the age counts what other caches and the way have taken (RFC 9111 §4.2.3)', () => {
  const born = (lines: readonly string[], askedAt = NOW) =>
    (NOW - readFreshness(makeHead(200, lines.map((l) => `${l}\r\n`).join(''), 0), askedAt, NOW, NO_RULES).bornAt) / 1000
  assert.is(born([`Date: ${at(0)}`]), 0)
  assert.is(born([`Date: ${at(-20)}`]), 20)
  assert.is(born([`Date: ${at(20)}`]), 0)
  assert.is(born([`Date: ${at(-20)}`, 'Age: 50']), 50)
  assert.is(born(['Age: 50, 60']), 50)
  assert.is(born(['Age: -5']), 0)
  assert.is(born(['Age: 50'], NOW - 3000), 53)
})

test('stale answers serve as far as they say themselves, or the config, and never against must-revalidate (RFC 5861, RFC 9111 §4.2.4)', () => {
  const rules = { staleWhileRevalidate: 7, staleIfError: 9 }
  const spans = (control: string) => {
    const { staleWhileRevalidate, staleIfError } = freshness([`Cache-Control: ${control}`], rules)
    return [staleWhileRevalidate, staleIfError]
  }
  assert.equal(spans('max-age=1'), [7, 9])
  assert.equal(spans('max-age=1, stale-while-revalidate=30, stale-if-error=0'), [30, 0])
  assert.equal(spans('s-maxage=1'), [0, 0])
  assert.equal(spans('s-maxage=1, stale-while-revalidate=30'), [30, 0])
  assert.equal(spans('max-age=1, must-revalidate, stale-while-revalidate=30'), [0, 0])
  assert.equal(spans('max-age=1, proxy-revalidate'), [0, 0])
})

test('what may be kept (RFC 9111 §3, §3.5, §5.2.2.3)', () => {
  const cases: readonly [lines: readonly string[], refusal: string | null, status?: number, asked?: object][] = [
    [['Cache-Control: max-age=1'], null],
    [['Cache-Control: max-age=1'], null, 302],
    [['Cache-Control: max-age=1'], null, 599],
    [['Cache-Control: max-age=1, must-understand'], 'status', 599],
    [['Cache-Control: no-store, must-understand, max-age=1'], null, 200],
    [['Cache-Control: no-store, must-understand, max-age=1'], 'status', 599],
    [['Cache-Control: max-age=1'], 'status', 206],
    ...[400, 407, 413, 416, 429, 431].map((code): [string[], string, number] => [['Cache-Control: max-age=1'], 'status', code]),
    [['Cache-Control: max-age=1'], null, 429, { namesStatus: true }],
    [['Cache-Control: max-age=1'], 'method', 200, { method: 'HEAD' }],
    [['Cache-Control: max-age=1'], 'authorization', 200, { hasAuthorization: true }],
    [['Cache-Control: s-maxage=1'], null, 200, { hasAuthorization: true }],
    [['Cache-Control: max-age=1, public'], null, 200, { hasAuthorization: true }],
    [['Cache-Control: max-age=1, must-revalidate'], null, 200, { hasAuthorization: true }],
    [['Cache-Control: public, max-age=1', 'Set-Cookie: a=b'], 'set-cookie'],
    [['ETag: "1"'], 'no-freshness'],
    [['ETag: "1"', 'Cache-Control: no-cache'], null],
    [['ETag: "1"', 'Cache-Control: max-age=0'], null],
    [['Cache-Control: max-age=0'], 'no-freshness'],
    [['Cache-Control: max-age=0, stale-while-revalidate=5'], null],
  ]
  for (const [lines, refusal, status = 200, asked = {}] of cases) {
    const head = makeHead(status, lines.map((line) => `${line}\r\n`).join(''), 0)
    const whole = { method: 'GET', noStore: false, hasAuthorization: false, inPart: false, namesStatus: false, ...asked }
    assert.is(refusalOf(whole, head, freshness(lines, {}, status)), refusal, `${status} ${lines.join(' | ')}`)
  }
})

test('a targeted field is a dictionary, or nothing at all (RFC 9213 §2.1)', () => {
  const read = (text: string) => readTargeted(text)
  // In time that grows with its length.
  assert.is(read(`max-age=1${' '.repeat(2_000_000)}b`), null)
  assert.is(read('max-age=60, stale-while-revalidate=5')!.staleWhileRevalidate, 5)
  assert.is(read('max-age=60;x=1, max-age=30')!.maxAge, 30)
  assert.is(read('no-store=?0, max-age=1')!.noStore, false)
  assert.is(read('max-age=1.5, public')!.maxAge, -1)
  assert.is(read('max-age="60", public')!.maxAge, -1)
  assert.is(read('private="a, b"')!.isPrivate, true)
  assert.is(read('x=(a "b";c=1 2), y=:aGk=:, z=@1, max-age=3')!.maxAge, 3)
  for (const wrong of [
    '',
    '  ',
    'Max-Age=60',
    'max-age=60,',
    'max-age = 60',
    'max-age=60 x',
    'a="b',
    'a=(1',
    '=1',
    'max-age=60;;x',
    'a=1,,b',
  ])
    assert.is(read(wrong), null, wrong)
  fc.assert(fc.property(fc.string(), (text) => void read(text)))
})

test('directives of any text are read, whatever it is, and never as fresher than one of them says', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100), { minLength: 1 }), fc.string(), (ages, noise) => {
      const clean = noise.replace(/["\\,=]/g, '')
      const text = ages.map((age) => `max-age=${age}`).join(`,${clean},`)
      assert.is(readResponseDirectives(text).maxAge, Math.min(...ages))
    }),
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      eachDirective(text, () => {})
      readRequestDirectives(text)
    }),
  )
  const { maxStale, minFresh } = readRequestDirectives('max-stale, min-fresh=x')
  assert.equal([maxStale, minFresh], [Number.POSITIVE_INFINITY, 2147483648])
})

test('dates have three forms and no other (RFC 9110 §5.6.7)', () => {
  const expected = Date.UTC(1994, 10, 6, 8, 49, 37)
  for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
    assert.is(parseHttpDate(text, NOW), expected, text)
  assert.is(parseHttpDate('Sunday, 06-Nov-44 08:49:37 GMT', NOW), Date.UTC(2044, 10, 6, 8, 49, 37))
  for (const text of [
    '0',
    '',
    '1994-11-06',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:49:37 GMT',
  ])
    assert.ok(Number.isNaN(parseHttpDate(text, NOW)), text)
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e9 }), (second) =>
      assert.is(parseHttpDate(new Date(second * 1000).toUTCString(), NOW), second * 1000),
    ),
  )
})

test('what clients accept is read the same again, whatever others have said meanwhile', () => {
  const accepted = (value: string) => variantOf(['accept-encoding'], { get: () => value })
  const check = (i: number): void => {
    const isLong = i % 5 === 0
    const value = `x${i},${' '.repeat(isLong ? 300 : 1)}gzip;q=${i % 2}`
    assert.is(accepted(value), `=${i % 2 === 1 ? '' : '-'}gzip,x${i}\n`)
  }
  for (let round = 0; round < 3; round++) for (let i = 0; i < 20; i++) check(i)
  for (const i of [3, 3, 7, 5, 3, 5, 7]) check(i)
})

test('Vary is a set of names, however it is written, and requests that differ in one of them differ (RFC 9111 §4.1)', () => {
  assert.equal(readVary('B, a ,A,'), ['a', 'b'])
  assert.is(readVary(' , '), null)
  assert.is(readVary('a, *'), '*')
  assert.is(readVary(Array.from({ length: 20 }, (_, i) => `x${i}`).join()), '*')
  const request = (fields: Readonly<Record<string, string>>) => ({ get: (name: string) => fields[name] ?? null })
  const of = (fields: Readonly<Record<string, string>>, ...names: string[]) => variantOf(names, request(fields))
  assert.is.not(of({}, 'a'), of({ a: '' }, 'a'))
  assert.is(of({ a: 'x ,  y' }, 'a'), of({ a: 'x,y' }, 'a'))
  // In time that grows with its length.
  assert.is(of({ a: `x${' '.repeat(2_000_000)}y` }, 'a'), of({ a: 'x y' }, 'a'))
  assert.is(of({ 'accept-encoding': 'GZIP;q=1.0, br' }, 'accept-encoding'), of({ 'accept-encoding': 'br,,gzip' }, 'accept-encoding'))
  assert.is.not(of({ 'accept-encoding': 'br;q=0' }, 'accept-encoding'), of({ 'accept-encoding': 'br' }, 'accept-encoding'))
  fc.assert(
    fc.property(fc.tuple(fc.stringMatching(/^[ -~]*$/), fc.stringMatching(/^[ -~]*$/)), ([a, b]) => {
      // No value can be taken for two.
      assert.is(of({ a, b }, 'a', 'b') === of({ a: b, b: a }, 'a', 'b'), of({ a }, 'a') === of({ a: b }, 'a'))
    }),
  )
})

test('a key has what the config says of the query, in one order', () => {
  const without = { kind: 'without', names: ['utm_*', 'fbclid'] } as const
  assert.is(keyedQuery('?b=2&a=1&utm_x=3&%75tm_y=4&fbclid=5', without), '?a=1&b=2')
  assert.is(keyedQuery('?utm_x=3', without), '')
  assert.is(keyedQuery('?a=2&b&a=1', { kind: 'sorted' }), '?a=2&a=1&b')
  assert.is(keyedQuery('?a=2&b=1', { kind: 'only', names: ['b'] }), '?b=1')
  assert.is(keyedQuery('?b&a', { kind: 'all' }), '?b&a')
  const url = (scheme: string, host: string) => urlOf(scheme, { host, path: '/', search: '' }, { kind: 'all' })
  assert.equal(
    [url('http', 'A.b:80'), url('https', 'a.b:443'), url('https', 'a.b:80'), url('http', 'a.b:443')],
    [...['http://a.b/', 'https://a.b/', 'https://a.b:80/', 'http://a.b:443/']],
  )
})

test('ranges and conditions never reach behind the body, whatever is asked', () => {
  const validators = { etag: '"1"', lastModified: Number.NaN, date: NOW }
  fc.assert(
    fc.property(fc.nat(100), fc.stringMatching(/^bytes=\d{0,3}-\d{0,3}$/), (length, range) => {
      const wanted = wantedRange({ noneMatch: null, modifiedSince: null, range, ifRange: null }, length, validators, NOW)
      if (typeof wanted === 'object') assert.ok(0 <= wanted.from && wanted.from < wanted.to && wanted.to <= length, `${range} of ${length}`)
    }),
  )
  const unchanged = (noneMatch: string) => isUnchanged({ noneMatch, modifiedSince: null, range: null, ifRange: null }, validators, NOW)
  for (const list of ['"1"', 'W/"1"', '"a,b", "1"', '*']) assert.ok(unchanged(list), list)
  for (const list of ['', '1', '"2"', '"1', 'x"1"', 'w/"1"']) assert.not(unchanged(list), list)
  fc.assert(fc.property(fc.string(), (list) => void unchanged(list)))
})

test('a 304 writes over what it names, and not what is about the body (RFC 9111 §3.2)', () => {
  const lines = 'A: 1\r\nContent-Type: text/plain\r\nB: 2\r\na: 3\r\nDate: x\r\n'
  const update = makeHead(304, 'a: 4\r\nContent-Type: no\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n', 0)
  assert.is(updatedLines(lines, update, 'now'), 'Content-Type: text/plain\r\nB: 2\r\na: 4\r\nDate: now\r\n')
})

test('Cache-Status is a list member of structured fields (RFC 9211)', () => {
  assert.is(
    forwardedStatus('me', { why: 'stale', status: 304, stored: true, collapsed: true, detail: 'x' }),
    'me; fwd=stale; fwd-status=304; stored; collapsed; detail=x',
  )
  assert.equal([cacheName('edge.example'), cacheName('1 "a"')], ['edge.example', '"1 \\"a\\""'])
})

test('tags are separated by commas in one field and by blanks in the other', () => {
  assert.equal(readTags('a b, c', 'd e,f'), ['a b', 'c', 'd', 'e', 'f'])
  assert.is(
    readTags(
      Array(99)
        .fill(0)
        .map((_, i) => `t${i}`)
        .join(),
      null,
    ).length,
    64,
  )
})

test.run()
