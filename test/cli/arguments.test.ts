/** Arguments of the command line: what they mean, and what is said about a wrong one. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CommandSpec, type Grammar, nearest, parseArguments } from '../../core/cli/arguments.ts'

const run: CommandSpec = {
  ...{ name: 'run', usage: '', help: '' },
  options: [
    { name: 'config', short: 'c', value: 'FILE', help: '' },
    { name: 'workers', value: 'N', help: '' },
    { name: 'no-watch', help: '' },
  ],
}
const check: CommandSpec = { name: 'check', usage: '', help: '', options: [{ name: 'json', help: '' }] }
const url: CommandSpec = { name: 'URL', usage: '', help: '', options: [{ name: 'workers', value: 'N', help: '' }] }
const grammar: Grammar = { commands: [run, check], later: ['explain'], byDefault: run, forUrl: url }
const parse = (line: string) => parseArguments(line === '' ? [] : line.split(' '), grammar)

test('no command is run', () => {
  assert.equal(parse(''), { kind: 'command', command: run, options: {}, rest: [] })
  assert.equal(parse('-c a.ts --workers=2'), { kind: 'command', command: run, options: { config: 'a.ts', workers: '2' }, rest: [] })
  assert.equal(parse('run --no-watch -c=x'), { kind: 'command', command: run, options: { 'no-watch': true, config: 'x' }, rest: [] })
})

test('a URL is a command of its own, before or after its options', () => {
  const expected = { kind: 'command', command: url, options: { workers: '1' }, rest: ['http://localhost:3000'] }
  assert.equal(parse('http://localhost:3000 --workers 1'), expected)
  assert.equal(parse('--workers 1 http://localhost:3000'), expected)
  assert.equal(parse('run --workers 1 http://localhost:3000'), expected)
})

test('help and version are asked for anywhere it makes sense', () => {
  assert.equal(parse('--help'), { kind: 'help', command: null })
  assert.equal(parse('check --help'), { kind: 'help', command: check })
  assert.equal(parse('--version'), { kind: 'version' })
})

test('a wrong word is told with the nearest known one', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['chekc', /no command chekc; did you mean check\?/],
    ['localhost:3000', /no command localhost:3000; did you mean http:\/\/localhost:3000\?/],
    ['3000', /no command 3000; did you mean http:\/\/localhost:3000\?/],
    ['zebra', /no command zebra$/],
    ['run --worker 2', /run has no option --worker; did you mean --workers\?/],
    ['run -x', /run has no option -x; did you mean -c\?/],
    ['run --workers', /--workers needs a value: --workers N/],
    ['run --no-watch=1', /--no-watch takes no value/],
    ['explain GET /', /explain is not there yet/],
  ]
  for (const [line, message] of cases) {
    const parsed = parse(line)
    assert.is(parsed.kind, 'wrong', line)
    assert.match(parsed.kind === 'wrong' ? parsed.message : '', message)
  }
})

test('the nearest word is one that few edits away', () => {
  assert.is(nearest('worekrs', ['workers', 'watch']), 'workers')
  assert.is(nearest('lo', ['log', 'workers']), 'log')
  assert.is(nearest('entirely', ['log', 'workers']), null)
})

test.run()
