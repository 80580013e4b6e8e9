/** What hooks of the log may change in a line, in each format, and what is written when one fails. */
import * as fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Hook, type LogFields, makeHook, type Verdict } from '../../core/hooks.ts'
import { inlineHook } from '../../core/http/inline.ts'
import { maxLineBytes } from '../../core/observe/line-sink.ts'
import type { LogEntry } from '../../core/plugin.ts'
import { anExchange } from '../support/exchange.ts'
import { logging, Told, turn } from '../support/told.ts'

const SECRET = '?token=s3cr3t'

test('a hook sees exactly the fields of an entry, and a line it says nothing about is written as without it', () => {
  using it = new Told()
  const seen: LogFields[] = []
  const x = anExchange({ referer: 'http://a/', durationMs: 1.26789, decidedBy: 'tag' })
  it.end(x, [logging((entries) => void seen.push(...entries))])
  it.end(x)
  it.passMs(50)
  const [asked, plain] = it.lines()
  assert.is(asked, plain)
  assert.equal(seen, [
    {
      kind: 'exchange',
      ...{ time: '2026-09-21T14:13:20.123Z', id: '0123456789abcdef', listener: 'web', route: 'web[0]', upstream: 'api' },
      ...{ endpoint: '127.0.0.1:3001', protocol: 'HTTP/1.1', method: 'GET', status: 200, host: 'example.com', path: '/v1/me' },
      ...{
        query: '?a=1',
        ip: '10.0.0.1',
        peer: '10.0.0.1',
        userAgent: 'curl/8.1',
        referer: 'http://a/',
        clientSubject: null,
        user: null,
        destination: null,
        sni: null,
        cache: null,
        reason: null,
      },
      ...{ decidedBy: 'tag', bytesIn: 0, bytesOut: 95, datagramsIn: 0, datagramsOut: 0, durationMs: 1.268 },
    } satisfies LogEntry,
  ])
})

test("whoever takes the subject of a client's certificate out, or writes another, takes out all of it", () => {
  const clientCertificate = { subject: 'CN=ann', issuer: 'CN=ca', serial: '1F', names: [], fingerprint: 'ab', verified: true }
  const subjects: Record<string, (entry: LogFields) => LogFields> = {
    kept: (entry) => ({ ...entry, path: '/' }),
    hidden: (entry) => ({ ...entry, clientSubject: null }),
    written: (entry) => ({ ...entry, clientSubject: 'somebody' }),
  }
  for (const [name, change] of Object.entries(subjects)) {
    using it = new Told('json')
    it.end(anExchange({ clientCertificate }), [logging((entries) => entries.map(change))])
    it.passMs(50)
    assert.is(JSON.parse(it.lines()[0]!).clientCertificate?.subject, name === 'kept' ? 'CN=ann' : undefined, name)
  }
})

for (const format of ['json', 'combined', 'pretty'] as const) {
  test(`a token in a query is redacted in the ${format} format`, () => {
    using it = new Told(format)
    it.end(anExchange({ search: SECRET }), [redactor])
    it.passMs(50)
    const [line = ''] = it.lines()
    assert.match(line, '/v1/me?token=-')
    assert.not.match(line, 's3cr3t')
  })

  test(`in the ${format} format nothing that a hook writes breaks out of its line`, () => {
    using it = new Told(format)
    let written = 0
    fc.assert(
      fc.property(fc.record({ path: fc.string({ unit: 'binary' }), userAgent: fc.string({ unit: 'binary' }) }), (texts) => {
        it.end(anExchange(), [logging((entries) => entries.map((entry) => ({ ...entry, ...texts })))])
        it.passMs(50)
        const lines = it.lines()
        assert.is(lines.length, ++written)
        const line = lines.at(-1)!
        assert.match(line, /^[\x20-\x7e]+$/)
        if (format === 'json') assert.equal(pick(JSON.parse(line)), { path: `${texts.path}?a=1`, userAgent: texts.userAgent })
      }),
      { numRuns: 200 },
    )
  })
}

test('however much a hook writes, its line stays whole on a pipe', () => {
  for (const format of ['json', 'combined', 'pretty'] as const) {
    using it = new Told(format)
    const much = '\u2028'.repeat(100_000)
    const texts = { host: much, path: much, query: much, userAgent: much, referer: much, ip: much, peer: much }
    it.end(anExchange({ detail: much }), [logging((entries) => entries.map((entry) => ({ ...entry, ...texts })))])
    it.passMs(50)
    const [line = ''] = it.lines()
    assert.ok(line.length < maxLineBytes && line.length > 500, `${line.length} characters`)
  }
})

test('all the texts are taken over, and nothing else', () => {
  using it = new Told()
  const texts = { host: 'h', path: '/p', query: 'q=1', userAgent: null, referer: 'r', ip: '::', peer: '::1' }
  const others = { status: 500, id: 'x', bytesOut: 7, listener: 'other', route: null, method: 'PUT', time: 'never' }
  it.end(anExchange(), [logging((entries) => entries.map((entry) => ({ ...entry, ...texts, ...others })))])
  it.passMs(50)
  const line = JSON.parse(it.lines()[0]!)
  const { host, path, referer, ip, peer } = line
  assert.equal({ host, path, referer, ip, peer }, { host: 'h', path: '/p?q=1', referer: 'r', ip: '::', peer: '::1' })
  assert.not('userAgent' in line)
  assert.equal(
    [line.status, line.id, line.out, line.listener, line.route, line.method],
    [200, '0123456789abcdef', 95, 'web', 'web[0]', 'GET'],
  )
  assert.is(line.time, '2026-09-21T14:13:20.123Z')
})

test('a client whose address was hidden is not told as the peer', () => {
  using it = new Told()
  it.end(anExchange(), [logging((entries) => entries.map((entry) => ({ ...entry, ip: '10.0.0.0' })))])
  it.passMs(50)
  assert.not.match(it.lines()[0]!, '10.0.0.1')
})

test('a text that was taken out of an entry is not in the line', () => {
  using it = new Told()
  const bare = logging((entries) => entries.map(({ id }) => ({ id: id ?? '' })))
  it.end(anExchange({ search: SECRET, referer: 'http://a/' }), [bare])
  it.passMs(50)
  const line = JSON.parse(it.lines()[0]!)
  assert.equal([line.host, line.path, line.ip, line.peer, line.userAgent, line.referer], ['-', '-', '-', undefined, undefined, undefined])
})

test('a line that a hook leaves out is not written, not shown to the next hook, and counted', () => {
  using it = new Told()
  const seen: number[] = []
  const hooks = [
    logging((entries) => entries.map((entry) => (entry.path === '/health' ? null : entry))),
    logging((entries) => void seen.push(entries.length)),
  ]
  for (const path of ['/a', '/health', '/b']) it.end(anExchange({ path, search: '' }), hooks)
  it.passMs(50)
  assert.equal(it.paths(), ['/a', '/b'])
  assert.equal(seen, [2])
  assert.is(it.count('log_left_out_total'), 1)
  it.end(anExchange({ path: '/health' }), hooks)
  it.passMs(50)
  assert.equal(seen, [2], 'nobody is asked about nothing')
})

test('each hook sees what the one before it left', () => {
  using it = new Told()
  const append = (text: string) => logging((entries) => entries.map((entry) => ({ ...entry, path: `${entry.path}${text}` })))
  it.end(anExchange({ path: '/', search: '' }), [append('a'), append('b'), append('c')])
  it.passMs(50)
  assert.equal(it.paths(), ['/abc'])
})

test('the lines of a hook that throws are written masked, with one warning a second', () => {
  using it = new Told()
  const x = anExchange({ search: SECRET, referer: SECRET, userAgent: 's3cr3t', host: 's3cr3t', ip: '6.6.6.6', peer: '7.7.7.7' })
  const hooks = [throwing('redact')]
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 2; i++) it.end(x, hooks)
    it.passMs(50)
  }
  assert.is(it.lines().length, 6)
  for (const line of it.lines()) {
    assert.not.match(line, /s3cr3t|6\.6\.6\.6|7\.7\.7\.7|v1/)
    const { host, path, ip, userAgent, referer, status } = JSON.parse(line)
    assert.equal(
      { host, path, ip, userAgent, referer, status },
      { host: '-', path: '-', ip: '-', userAgent: '-', referer: '-', status: 200 },
    )
  }
  assert.is(it.count('log_masked_total'), 6)
  assert.equal(it.warnings, [{ plugin: 'redact', level: 'warn', text: 'onLog failed, so its access lines are written masked: broken' }])
  it.passMs(1_000)
  it.end(x, hooks)
  it.passMs(50)
  assert.is(it.warnings.length, 2)
})

test('a hook after one that failed sees masked lines, and cannot bring back what they hid', () => {
  using it = new Told('combined')
  const seen: LogFields[] = []
  it.end(anExchange({ search: SECRET }), [throwing('redact'), logging((entries) => void seen.push(...entries))])
  it.passMs(50)
  assert.equal([seen[0]!.path, seen[0]!.query, seen[0]!.ip, seen[0]!.userAgent, seen[0]!.referer], ['-', '', '-', '-', null])
  assert.match(it.lines()[0]!, /^- - - \[.*\] "GET - HTTP\/1\.1" 200 95 "-" "-"$/)
})

const wrong: readonly (readonly [what: string, answer: unknown, says: RegExp])[] = [
  ['a parked plugin', { kind: 'fail', error: new Error('redact is parked') }, /: redact is parked$/],
  ['fewer entries', { kind: 'entries', entries: [] }, /it returned 0 entries for 1$/],
  ['more entries', { kind: 'entries', entries: [null, null] }, /it returned 2 entries for 1$/],
  ['no list', { kind: 'entries', entries: 'x' }, /it returned no list of entries$/],
  ['an entry that is none', { kind: 'entries', entries: ['x'] }, /entry 0 is neither an entry/],
  ['an entry that was forgotten', { kind: 'entries', entries: [undefined] }, /entry 0 is neither an entry/],
  ['a text that is a number', { kind: 'entries', entries: [{ path: 5 }] }, /entry 0 is neither an entry/],
  ['a verdict of another hook', { kind: 'respond', status: 200, body: '', headers: {} }, /an answer of the wrong kind: respond$/],
]
for (const [what, answer, says] of wrong) {
  test(`${what} counts as a failure: the line is masked`, () => {
    using it = new Told()
    it.end(anExchange({ search: SECRET }), [makeHook('redact', { onLog: () => answer as Verdict })])
    it.passMs(50)
    assert.equal(it.paths(), ['-'])
    assert.match(it.warnings[0]!.text, says)
  })
}

test('with the access log off hooks are asked, and nothing is written', () => {
  using it = new Told('json', false)
  let seen = 0
  const hooks = [
    logging((entries) => {
      seen += entries.length
    }),
  ]
  for (let i = 0; i < 3; i++) it.end(anExchange(), hooks)
  it.passMs(50)
  assert.is(seen, 3)
  assert.equal(it.lines(), [])
})

test('a hook of the config may answer at once or later, with entries or nothing', async () => {
  using it = new Told()
  const end = (path: string, onLog: (entries: readonly LogEntry[]) => unknown): void =>
    it.end(anExchange({ path, search: '' }), [inlineHook('use[0]', { onLog: onLog as (entries: readonly LogEntry[]) => undefined })])
  end('/1', (entries) => entries.map((entry) => ({ ...entry, path: '/one' })))
  end('/2', async (entries) => entries.map((entry) => ({ ...entry, path: '/two' })))
  end('/3', () => undefined)
  end('/4', async () => undefined)
  it.passMs(50)
  await turn()
  assert.equal(it.paths().sort(), ['/3', '/4', '/one', '/two'])
  assert.equal(it.warnings, [])
})

test('a hook of the config that changes entries in place, rejects, or returns something else fails, and masks', async () => {
  const failing: readonly ((entries: readonly LogEntry[]) => unknown)[] = [
    (entries) => {
      for (const entry of entries) (entry as { path: string }).path = '/changed'
    },
    (entries) => {
      ;(entries as LogEntry[]).length = 0
    },
    async () => {
      throw new Error('no')
    },
    () => ({ path: '/' }),
  ]
  for (const onLog of failing) {
    using it = new Told()
    it.end(anExchange({ search: SECRET }), [inlineHook('use[0]', { onLog: onLog as () => undefined })])
    it.passMs(50)
    await turn()
    assert.equal(it.paths(), ['-'], String(onLog))
    assert.is(it.warnings.length, 1)
  }
})

test.run()

const redactor = logging((entries) => entries.map((entry) => ({ ...entry, query: String(entry.query).replace(/token=[^&]*/, 'token=-') })))

function throwing(name: string): Hook {
  return makeHook(name, {
    onLog: () => {
      throw new Error('broken')
    },
  })
}

function pick({ path, userAgent }: { path: string; userAgent: string }): { path: string; userAgent: string } {
  return { path, userAgent }
}
