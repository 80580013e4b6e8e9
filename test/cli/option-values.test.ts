/** Values of options: what they mean, and what is said about one that cannot be. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as values from '../../core/cli/option-values.ts'

test('what is written is read', () => {
  assert.is(values.readWorkers('auto'), 'auto')
  assert.is(values.readWorkers('16'), 16)
  assert.is(values.readDuration('500ms'), 500)
  assert.is(values.readDuration('2m'), 120_000)
  assert.is(values.readUrl('http://localhost:3000'), 'http://localhost:3000')
  assert.is(values.readAddress('::1'), '::1')
  assert.equal(values.readHeader('X-A:  b: c '), ['X-A', 'b: c'])
  assert.equal(values.readHeader('X-Empty:'), ['X-Empty', ''])
  assert.is(values.readFormat({}, {}), 'text')
  assert.is(values.readFormat({}, { GITHUB_ACTIONS: 'true' }), 'github')
  assert.is(values.readFormat({ json: true }, { GITHUB_ACTIONS: 'true' }), 'json')
})

test('what is purged is a URL, all that begin so, or what an option names', () => {
  const rest = { host: undefined, tag: undefined, all: false, soft: false }
  assert.equal(values.readPurge('http://x/a', {}), { ...rest, url: 'http://x/a' })
  assert.equal(values.readPurge('http://x/a*', { soft: true }), { ...rest, prefix: 'http://x/a', soft: true })
  assert.equal(values.readPurge(undefined, { tag: 'a' }), { ...rest, tag: 'a' })
  assert.equal(values.readPurge(undefined, { all: true }), { ...rest, all: true })
})

test('a question is a method and a URL, also as one word, or one of URL and id', () => {
  assert.equal(values.readQuestion(['post', '/a']), ['post', '/a'])
  assert.equal(values.readQuestion(['/a b']), ['/a b', undefined])
  assert.equal(values.readQuestion(['mf3k2a9xq1-2k']), ['mf3k2a9xq1-2k', undefined])
  for (const line of ['GET http://x/a', ' GET  http://x/a HTTP/1.1 ']) assert.equal(values.readQuestion([line]), ['GET', 'http://x/a'])
})

test('what cannot be is told with the option and what it takes', () => {
  const cases: readonly (readonly [() => unknown, RegExp])[] = [
    [() => values.readWorkers('0'), /^--workers takes auto or a number from 1 to 1024, not 0$/],
    [() => values.readWorkers('1025'), /not 1025/],
    [() => values.readPurge(undefined, {}), /^say what to purge: exactly one of a URL \(.*\), --host, --tag and --all$/],
    [() => values.readPurge('http://x/*', { all: true }), /^say what to purge/],
    [() => values.readWorkers('2x'), /not 2x/],
    [() => values.readDuration('soon'), /^--drain takes a duration such as 500ms, 30s or 2m, not soon$/],
    [() => values.readDuration('99999d'), /not 99999d/],
    [() => values.readUrl('http://localhost:3000/path'), /no address to send requests to/],
    [() => values.readAddress('localhost'), /^--from takes an IP address/],
    [() => values.readQuestion(['']), /^explain needs a URL, a path or the id of a request$/],
    [() => values.readQuestion(['delete']), /^explain needs a URL, too: sluice explain delete \/path$/],
    [() => values.readHeader('no colon'), /^-H takes 'name: value', not no colon$/],
    [() => values.readHeader('a b: c'), /^-H takes/],
    [() => values.readFormat({ format: 'xml' }, {}), /^--format takes text, json or github, not xml$/],
    [() => values.readFormat({ format: 'github', json: true }, {}), /contradict each other/],
    [() => values.choiceOf({ pid: '-1' }, {}), /^--pid takes a process id, not -1$/],
  ]
  for (const [read, message] of cases) {
    assert.throws(read, (error: unknown) => error instanceof values.UsageError && message.test(error.message), String(message))
  }
})

test('SLUICE_CONTROL stands for --control, unless a proxy is named', () => {
  const env = { SLUICE_CONTROL: '/run/a' }
  assert.is(values.controlOf({}, env), '/run/a')
  assert.is(values.controlOf({ control: '/run/b' }, env), '/run/b')
  assert.is(values.controlOf({}, { SLUICE_CONTROL: '' }), null)
  assert.equal(values.choiceOf({}, env), { config: null, pid: null, control: '/run/a' })
  assert.equal(values.choiceOf({ config: 'x.ts' }, env), { config: 'x.ts', pid: null, control: null })
  assert.equal(values.choiceOf({ pid: '7', control: '/run/b' }, env), { config: null, pid: 7, control: '/run/b' })
})

test.run()
