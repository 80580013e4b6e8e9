/** Answers to ranges, kept and joined (RFC 9111 §3.3, §3.4): never a byte that is not the origin's at that validator. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BodySource } from '../../core/cache/body-source.ts'
import { readContentRange } from '../../core/cache/conditions.ts'
import { Pieces } from '../../core/cache/pieces.ts'
import { compress } from '../../core/index.ts'
import { type CachedOptions, requestOf, startCached } from '../support/cache.ts'
import { answer, type OriginRequest } from '../support/origin.ts'

const status = 'cache-status'
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'

/** As nginx answers, of what `body` is now. */
function rangesOf(body: () => { text: string; lines: readonly string[] }) {
  return ({ headers }: OriginRequest) => {
    const { text, lines } = body()
    const all = ['Cache-Control: max-age=60', ...lines]
    const tag = lines.find((line) => line.startsWith('ETag'))?.slice(6)
    if (tag !== undefined && headers['if-none-match'] === tag) return `HTTP/1.1 304 Not Modified\r\n${all.join('\r\n')}\r\n\r\n`
    const [, first, last, suffix] = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/.exec(headers.range ?? '') ?? []
    if (headers['if-range'] !== undefined && headers['if-range'] !== tag) return answer(text, 200, all)
    if (first === undefined && suffix === undefined) return answer(text, 200, all)
    const from = first === undefined ? Math.max(0, text.length - Number(suffix)) : Number(first)
    const to = last ? Math.min(text.length, Number(last) + 1) : text.length
    if (from >= to) return answer('', 416, [`Content-Range: bytes */${text.length}`])
    return answer(text.slice(from, to), 206, [...all, `Content-Range: bytes ${from}-${to - 1}/${text.length}`])
  }
}

async function startParts(lines: readonly string[] = ['ETag: "1"'], options: CachedOptions = {}) {
  const body = { text: LETTERS, lines }
  const cached = await startCached(
    rangesOf(() => body),
    { partial: true, ...options },
  )
  const part = async (range: string, more: readonly string[] = []) => {
    const { status: code, text, headers } = await cached.get('/', [`Range: bytes=${range}`, ...more])
    return `${code} ${text} ${headers['content-range'] ?? ''} ${headers[status]?.replace('sluice; ', '')}`
  }
  return { cached, part, body, [Symbol.asyncDispose]: () => cached[Symbol.asyncDispose]() }
}

test('parts are kept and joined, and a range within them is a hit; once all are there the answer is whole', async () => {
  await using p = await startParts()
  assert.is(await p.part('0-4'), '206 abcde bytes 0-4/26 fwd=uri-miss; stored')
  assert.is(await p.part('1-3'), '206 bcd bytes 1-3/26 hit; ttl=60')
  assert.is(await p.part('10-14'), '206 klmno bytes 10-14/26 fwd=partial; stored')
  assert.is(await p.part('3-11'), '206 defghijkl bytes 3-11/26 fwd=partial; stored')
  assert.is(await p.part('0-14'), '206 abcdefghijklmno bytes 0-14/26 hit; ttl=60')
  assert.is(p.cached.asked, 3)
  assert.equal(
    (await p.cached.proxy.caches.of(null)[0]!.list('', 9)).map((one) => [one.status, one.bytes]),
    [[206, 15]],
  )
  assert.is(await p.part('-11'), '206 pqrstuvwxyz bytes 15-25/26 fwd=partial; stored')
  const whole = await p.cached.get()
  assert.equal([whole.status, whole.text, whole.headers[status]], [200, LETTERS, 'sluice; hit; ttl=60'])
  assert.equal([whole.headers['content-range'], whole.headers['content-length']], [undefined, '26'])
  assert.is((await p.cached.get('/', [], 'HEAD')).headers['content-length'], '26')
  assert.is(await p.part('20-'), '206 uvwxyz bytes 20-25/26 hit; ttl=60')
  assert.is(p.cached.asked, 4)
})

test('without the option a range goes on as it is and nothing of it is kept', async () => {
  await using p = await startParts(['ETag: "1"'], { partial: false })
  assert.is(await p.part('0-4'), '206 abcde bytes 0-4/26 fwd=uri-miss; detail=range')
  assert.is(await p.part('0-4'), '206 abcde bytes 0-4/26 fwd=uri-miss; detail=range')
})

test('what is not there in part is asked for; a whole answer needs all of it', async () => {
  await using p = await startParts()
  await p.part('0-19')
  const whole = await p.cached.get()
  assert.equal([whole.status, whole.text, whole.headers[status]], [200, LETTERS, 'sluice; fwd=partial; stored'])
  assert.is(p.cached.origin.requests[1]!.headers.range, undefined)
  assert.is(await p.part('5-6'), '206 fg bytes 5-6/26 hit; ttl=60')
})

test('another version puts out all parts of the one before, whole or in part', async () => {
  for (const range of ['20-21', null]) {
    await using p = await startParts()
    await p.part('0-9')
    p.body.text = LETTERS.toUpperCase()
    p.body.lines = ['ETag: "2"']
    assert.is(await p.part('3-4'), '206 de bytes 3-4/26 hit; ttl=60')
    if (range === null) await p.cached.get()
    else assert.is(await p.part(range), '206 UV bytes 20-21/26 fwd=partial; stored')
    assert.match(await p.part('3-4'), /^206 DE bytes 3-4\/26/)
  }
})

test('what is stale is asked about by its validator: a 304 renews all parts, another version takes their place', async () => {
  await using p = await startParts()
  await p.part('0-9')
  p.cached.pass(61)
  assert.is(await p.part('2-3'), '206 cd bytes 2-3/26 fwd=stale; fwd-status=304; stored')
  assert.equal([p.cached.origin.requests[1]!.headers['if-none-match'], p.cached.origin.requests[1]!.headers.range], ['"1"', 'bytes=2-3'])
  assert.is(await p.part('4-9'), '206 efghij bytes 4-9/26 hit; ttl=60')
  p.cached.pass(61)
  p.body.text = LETTERS.toUpperCase()
  p.body.lines = ['ETag: "2"']
  assert.is(await p.part('2-3'), '206 CD bytes 2-3/26 fwd=stale; fwd-status=206; stored')
  assert.is(await p.part('2-3'), '206 CD bytes 2-3/26 hit; ttl=60')
  assert.match(await p.part('4-9'), /^206 EFGHIJ .* fwd=partial; stored/)
})

test('a range of what is kept whole and stale is asked about, too, whatever is kept of ranges', async () => {
  await using p = await startParts(['ETag: "1"'], { partial: false })
  await p.cached.get()
  p.cached.pass(61)
  assert.is(await p.part('2-3'), '206 cd bytes 2-3/26 fwd=stale; fwd-status=304; stored')
  assert.is((await p.cached.get()).headers[status], 'sluice; hit; ttl=60')
  p.cached.pass(61)
  p.body.lines = ['ETag: "2"']
  assert.is(await p.part('2-3'), '206 cd bytes 2-3/26 fwd=stale; detail=status')
  assert.is((await p.cached.get()).headers[status], 'sluice; fwd=uri-miss; stored')
})

test('what has no strong validator, or no length, is several parts or of another length than it says, is not kept', async () => {
  const cases: readonly [lines: readonly string[], detail: string | null][] = [
    [['Content-Range: bytes 0-4/26'], 'no-validator'],
    [['Content-Range: bytes 0-4/26', 'ETag: W/"1"', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'], 'no-validator'],
    [
      ['Content-Range: bytes 0-4/26', 'Date: Thu, 01 Jan 2026 00:00:00 GMT', 'Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT'],
      'no-validator',
    ],
    [['Content-Range: bytes 0-4/26', 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT'], null],
    [['Content-Range: bytes 0-4/*', 'ETag: "1"'], 'status'],
    [['Content-Range: bytes 0-5/26', 'ETag: "1"'], 'range'],
    [['Content-Range: bytes 0-4/26', 'ETag: "1"', 'Set-Cookie: a=b'], 'set-cookie'],
    [['Content-Range: bytes 0-4/26', 'ETag: "1"', 'Vary: *'], 'vary'],
    [['Content-Type: multipart/byteranges; boundary=x', 'ETag: "1"'], 'status'],
  ]
  await using cached = await startCached(
    ({ target }) => answer('abcde', 206, ['Cache-Control: max-age=60', ...cases[Number(target.slice(1))]![0]]),
    { partial: true },
  )
  for (const [i, [lines, detail]] of cases.entries()) {
    const said = (await cached.get(`/${i}`, ['Range: bytes=0-4'])).headers[status]
    assert.is(said, detail === null ? 'sluice; fwd=uri-miss; stored' : `sluice; fwd=uri-miss; detail=${detail}`, lines.join())
    const again = (await cached.get(`/${i}`, ['Range: bytes=0-4'])).headers[status]!
    assert.is(again.includes('; hit'), detail === null, lines.join())
  }
})

test('several ranges, other units and conditions of the client go on as they are', async () => {
  await using p = await startParts()
  await p.part('0-9')
  assert.match(await p.part('0-1,4-5'), /^200 abc.*detail=range$/)
  assert.match(await p.part('12-11'), /^200 abc.*detail=range$|^416/)
  assert.match(await p.part('20-21', ['If-None-Match: "9"']), /^206 uv .*detail=range$/)
  assert.is(p.cached.origin.requests[3]!.headers['if-none-match'], '"9"')
  // Of what is kept they are answered.
  assert.match(await p.part('2-3', ['If-None-Match: "1"']), /^304 .*hit/)
  assert.match(await p.part('2-3', ['If-Range: "1"']), /^206 cd .*hit/)
  assert.match(await p.part('26-'), /^416 .*hit/)
  assert.is(p.cached.asked, 4)
})

test('If-Range of another version brings all of it, and of the same one a part that tells less is joined', async () => {
  await using p = await startParts(['ETag: "1"', 'Content-Type: text/plain'])
  await p.part('0-9')
  p.body.lines = ['ETag: "1"']
  assert.match(await p.part('10-19', ['If-Range: "1"']), /^206 klmnopqrst .*stored$/)
  const part = await p.cached.get('/', ['Range: bytes=5-14'])
  assert.equal([part.text, part.headers['content-type'], part.headers[status]], ['fghijklmno', 'text/plain', 'sluice; hit; ttl=60'])
  assert.match(await p.part('0-1', ['If-Range: "0"']), /^200 abcdefghijklmnopqrstuvwxyz .*stored$/)
  assert.match(await p.part('20-21'), /hit/)
  await using other = await startParts()
  assert.match(await other.part('0-4', ['If-Range: "1"']), /^206 abcde .*detail=range$/)
})

test('parts are kept apart by Vary and by key, go by a purge and by a POST, and count in the memory', async () => {
  await using p = await startParts(['ETag: "1"', 'Vary: X-A'])
  await p.part('0-4', ['X-A: a'])
  assert.match(await p.part('0-4', ['X-A: b']), /stored$/)
  assert.match(await p.part('0-4', ['X-A: a']), /hit/)
  const [cache] = p.cached.proxy.caches.of(null)
  assert.is(cache!.counts.objects, 2)
  assert.is(await cache!.purge({ kind: 'url', url: 'http://example.com/', soft: false }, assert.unreachable), 2)
  assert.equal([cache!.counts.objects, cache!.counts.bytes], [0, 0])
  await p.part('0-4', ['X-A: a'])
  await p.cached.get('/', [], 'POST')
  assert.match(await p.part('0-4', ['X-A: a']), /stored$/)
  await cache!.purge({ kind: 'all', soft: true }, assert.unreachable)
  assert.match(await p.part('0-4', ['X-A: a']), /fwd=stale; fwd-status=304/)
})

test('of one URL no more than maxObject is kept, and what is longer in all is kept in part', async () => {
  const text = 'x'.repeat(30_000)
  await using p = await startParts(['ETag: "1"'], { maxObject: '20kb' })
  p.body.text = text
  assert.match(await p.part('0-9999'), /stored$/)
  assert.match(await p.part('15000-24999'), /stored$/)
  assert.match(await p.part('10000-10999'), /detail=too-large$/)
  assert.match(await p.part('20000-20009'), /hit/)
  assert.match((await p.cached.get()).headers[status]!, /detail=too-large$/)
  assert.match(await p.part('20000-20009'), /hit/)
})

test('equal ranges that are asked for at once are fetched once, others beside them', async () => {
  const open: (() => void)[] = []
  const body = { text: LETTERS, lines: ['ETag: "1"'] }
  const respond = rangesOf(() => body)
  await using cached = await startCached(
    async (request) => {
      await new Promise<void>((resolve) => open.push(resolve))
      return respond(request)
    },
    { partial: true },
  )
  const ask = async (range: string) => {
    using client = await cached.proxy.connect()
    client.send(requestOf('/', [`Range: bytes=${range}`]))
    const { text, headers } = await client.response()
    return `${text} ${headers[status]}`
  }
  const answers = [ask('0-4'), ask('0-4'), ask('2-6')]
  await cached.proxy.settled()
  await cached.origin.request(2)
  for (const go of open) go()
  assert.equal((await Promise.all(answers)).sort(), [
    'abcde sluice; fwd=uri-miss; collapsed',
    'abcde sluice; fwd=uri-miss; stored',
    'cdefg sluice; fwd=uri-miss; stored',
  ])
  assert.is(cached.asked, 2)
})

test('who waits for what is asked about, and wants bytes that are not there, asks for them', async () => {
  const open: (() => void)[] = []
  let isOpen = true
  const body = { text: LETTERS, lines: ['ETag: "1"'] }
  const respond = rangesOf(() => body)
  await using cached = await startCached(
    async (request) => {
      if (!isOpen) await new Promise<void>((resolve) => open.push(resolve))
      return respond(request)
    },
    { partial: true },
  )
  await cached.get('/', ['Range: bytes=0-4'])
  cached.pass(61)
  isOpen = false
  using first = await cached.proxy.connect()
  using second = await cached.proxy.connect()
  // It has them: of what is kept that much is known.
  first.send(requestOf('/', ['Range: bytes=10-14', 'If-None-Match: "1"']))
  await cached.origin.request(2)
  second.send(requestOf('/', ['Range: bytes=10-14']))
  await cached.proxy.settled()
  isOpen = true
  for (const go of open) go()
  assert.is((await first.response()).status, 304)
  const { status: code, text } = await second.response()
  assert.equal([code, text], [206, 'klmno'])
})

test('a 304 that tells another date than before does not take bytes from who was answered by that date', async () => {
  const before = 'Thu, 01 Jan 2015 00:00:00 GMT'
  let modified = before
  await using cached = await startCached(
    ({ headers }) => {
      const lines = ['Cache-Control: max-age=60', 'ETag: "1"', `Last-Modified: ${modified}`]
      if (headers['if-none-match'] !== undefined) return `HTTP/1.1 304 Not Modified\r\n${lines.join('\r\n')}\r\n\r\n`
      return answer('abcde', 206, [...lines, 'Content-Range: bytes 0-4/26'])
    },
    { partial: true },
  )
  for (const lines of [
    ['Range: bytes=1-2', `If-Range: ${before}`],
    ['Range: bytes=10-12', `If-Modified-Since: ${before}`],
  ]) {
    modified = before
    await cached.proxy.caches.of(null)[0]!.purge({ kind: 'all', soft: false }, assert.unreachable)
    await cached.get('/', ['Range: bytes=0-4'])
    cached.pass(61)
    modified = 'Thu, 01 Jan 2016 00:00:00 GMT'
    const { status: code, text } = await cached.get('/', lines)
    assert.equal([code, text], lines.length === 2 && lines[1]!.startsWith('If-Range') ? [206, 'bc'] : [304, ''])
  }
})

test('tags that a part or a 304 does not tell anew stay, and those that it tells count', async () => {
  await using p = await startParts(['ETag: "1"', 'Cache-Tag: a'])
  await p.part('0-9')
  p.body.lines = ['ETag: "1"']
  assert.match(await p.part('10-19', ['If-Range: "1"']), /stored$/)
  const [cache] = p.cached.proxy.caches.of(null)
  p.cached.pass(61)
  p.body.lines = ['ETag: "1"', 'Cache-Tag: b']
  assert.match(await p.part('2-3'), /fwd-status=304; stored$/)
  assert.is(await cache!.purge({ kind: 'tag', tag: 'a', soft: false }, assert.unreachable), 0)
  assert.is(await cache!.purge({ kind: 'tag', tag: 'b', soft: false }, assert.unreachable), 1)
  await p.part('0-9')
  p.body.lines = ['ETag: "1"']
  assert.match(await p.part('10-19', ['If-Range: "1"']), /stored$/)
  assert.is(await cache!.purge({ kind: 'tag', tag: 'b', soft: false }, assert.unreachable), 1)
})

test('with compress on the way parts are of the answer as it came, and say that others may get it coded', async () => {
  await using p = await startParts(['ETag: "1"', 'Content-Type: text/plain'], { inner: [compress({ minSize: '1b' })] })
  await p.part('0-9', ['Accept-Encoding: gzip'])
  const part = await p.cached.get('/', ['Range: bytes=2-3', 'Accept-Encoding: gzip'])
  assert.equal([part.text, part.headers['content-encoding'], part.headers.vary], ['cd', undefined, 'Accept-Encoding'])
})

test('a long body whose parts are all there is put together over several turns', async () => {
  const text = Array.from({ length: 300_000 }, (_, i) => String(i).padStart(8, '.')).join('')
  await using p = await startParts(['ETag: "1"'])
  p.body.text = text
  for (const at of [1_600_000, 0, 800_000]) await p.part(`${at}-${at + 799_999}`)
  const [cache] = p.cached.proxy.caches.of(null)
  while (cache!.store.find([...cache!.store.records()][0]!.key)!.parts !== null) await new Promise((resolve) => setImmediate(resolve))
  const { text: got, headers } = await p.cached.get()
  assert.ok(got === text)
  assert.match(headers[status]!, 'hit')
  assert.is(p.cached.asked, 3)
  assert.is(cache!.store.hasRoom(8 * 1024 ** 2), true)
})

test('a slow client gets its range whole, whatever becomes of the parts meanwhile', async () => {
  const text = Array.from({ length: 40_000 }, (_, i) => String(i).padStart(8, '.')).join('')
  await using p = await startParts(['ETag: "1"'], { maxObject: '4mb' })
  p.body.text = text
  for (let at = 0; at < 300_000; at += 60_000) await p.part(`${at}-${at + 59_999}`)
  using client = await p.cached.proxy.connect()
  client.pause()
  for (let i = 0; i < 30; i++) client.send(requestOf('/', ['Range: bytes=1000-299999']))
  await p.cached.proxy.settled()
  await p.cached.proxy.caches.of(null)[0]!.purge({ kind: 'all', soft: false }, assert.unreachable)
  client.resume()
  for (let i = 0; i < 30; i++) assert.ok((await client.response()).text === text.slice(1000, 300_000))
})

test('whatever ranges of whatever versions are asked for, each answer is the origin’s of one version', async () => {
  const step = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({ from: fc.nat(60), length: fc.integer({ min: 1, max: 30 }), kind: fc.constantFrom('plain', 'open', 'last') }),
    },
    { weight: 1, arbitrary: fc.constantFrom('change' as const, 'whole' as const, 'later' as const, 'post' as const) },
  )
  let version = 0
  const bodyOf = (number: number) =>
    Array.from({ length: 40 + ((number * 7) % 23) }, (_, i) => LETTERS[(number * 11 + i * (1 + (number % 5))) % 26]).join('')
  await using cached = await startCached(
    rangesOf(() => ({ text: bodyOf(version), lines: [`ETag: "${version}"`, 'Cache-Control: stale-while-revalidate=30'] })),
    { partial: true },
  )
  let hits = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const path = `/${++version}`
      for (const one of steps) {
        if (one === 'change') version++
        else if (one === 'later') cached.pass(61)
        else if (one === 'post') await cached.get(path, [], 'POST')
        else {
          const range =
            one === 'whole'
              ? []
              : [
                  `Range: bytes=${one.kind === 'last' ? `-${one.length}` : `${one.from}-${one.kind === 'open' ? '' : one.from + one.length - 1}`}`,
                ]
          const { status: code, text, headers } = await cached.get(path, range)
          if (headers[status]!.includes('hit')) hits++
          if (code === 416) continue
          const body = bodyOf(Number(headers.etag!.slice(1, -1)))
          const told = readContentRange(headers['content-range'] ?? null)
          assert.is(code, one === 'whole' ? 200 : 206)
          assert.is(text, told === null ? body : body.slice(told.from, told.to))
          if (told !== null) assert.is(told.of, body.length)
        }
      }
    }),
    { numRuns: 60 },
  )
  assert.ok(hits > 50, `${hits} hits`)
})

test('pieces are what a plain array would be, in no more of them than is needed', () => {
  const range = fc.record({ from: fc.nat(99), length: fc.integer({ min: 1, max: 40 }) })
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
      const whole = Buffer.from(Array.from({ length: 140 }, (_, i) => i))
      const pieces = new Pieces(whole.length)
      const known = new Array<boolean>(whole.length).fill(false)
      for (const { from, length } of ranges) {
        const body = new BodySource(length)
        body.push(whole, from, from + length)
        body.complete()
        pieces.add(from, body)
        known.fill(true, from, from + length)
        assert.is(pieces.bytes, known.filter(Boolean).length)
      }
      const runs = known.filter((is, i) => is && known[i - 1] !== true).length
      assert.is(pieces.count, runs)
      for (const { from, length } of ranges)
        for (const [start, end] of [
          [from, from + length],
          [from, Math.min(140, from + length + 1)],
          [Math.max(0, from - 1), from + length],
        ] as const) {
          assert.is(pieces.covers(start, end), known.slice(start, end).every(Boolean))
          for (const piece of pieces.between(start, end))
            assert.ok(piece.body.bytes.subarray(0, piece.to - piece.from).equals(whole.subarray(piece.from, piece.to)))
        }
    }),
  )
})

test.run()
