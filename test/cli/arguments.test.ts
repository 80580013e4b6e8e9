/** Arguments of the command line: what they mean, and what is said about a wrong one. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type CommandSpec, type Grammar, type OptionSpec, type ParsedCommand, parseArguments } from '../../core/cli/arguments.ts'

const config: OptionSpec = { name: 'config', short: 'c', value: 'FILE', help: '' }
const workers: OptionSpec = { name: 'workers', value: 'N', help: '' }
const run = command('run', [config, workers, { name: 'no-watch', help: '' }])
const check = command('check', [config, { name: 'json', help: '' }])
const explain = command('explain', [config, { name: 'header', short: 'H', value: "'name: value'", isList: true, help: '' }], [1, 2])
const pluginNew = command('plugin new', [{ name: 'dir', value: 'DIR', help: '' }], [1, 1])
const url = command('URL', [workers], [1, 1])
const grammar: Grammar = { commands: [run, check, explain, pluginNew], byDefault: run, forUrl: url }
const parse = (line: string) => parseArguments(line === '' ? [] : line.split(' '), grammar)

test('no command is run', () => {
  assert.equal(parse(''), parsed(run))
  assert.equal(parse('-c a.ts --workers=2'), parsed(run, { config: 'a.ts', workers: '2' }))
  assert.equal(parse('run --no-watch -c=x'), parsed(run, { 'no-watch': true, config: 'x' }))
})

test('a URL is a command of its own, before or after its options', () => {
  const expected = parsed(url, { workers: '1' }, ['http://localhost:3000'])
  assert.equal(parse('http://localhost:3000 --workers 1'), expected)
  assert.equal(parse('--workers 1 http://localhost:3000'), expected)
  assert.equal(parse('run --workers 1 http://localhost:3000'), expected)
})

test('options may stand before the command', () => {
  assert.equal(parse('-c x check --json'), parsed(check, { config: 'x', json: true }))
  assert.equal(parse('--json check'), parsed(check, { json: true }))
  assert.equal(parse('-c check check'), parsed(check, { config: 'check' }))
  assert.equal(parse('-c run'), parsed(run, { config: 'run' }))
})

test('a value may be joined to its option', () => {
  for (const line of ['check -c x', 'check -c=x', 'check -cx', 'check --config x', 'check --config=x']) {
    assert.equal(parse(line), parsed(check, { config: 'x' }), line)
  }
  assert.equal(parse('check -c a=b'), parsed(check, { config: 'a=b' }))
})

test('an option that is a list keeps all its values, any other its last', () => {
  const got = parseArguments(['explain', 'GET', '/', '-H', 'a: 1', '-Hb: x=y', '--header=c: 3'], grammar)
  assert.equal(got, parsed(explain, { header: ['a: 1', 'b: x=y', 'c: 3'] }, ['GET', '/']))
  assert.equal(parse('check -c a -c b'), parsed(check, { config: 'b' }))
})

test('a command may have two words, and after -- everything is a word', () => {
  assert.equal(parse('plugin new block-bots --dir x'), parsed(pluginNew, { dir: 'x' }, ['block-bots']))
  assert.equal(parse('plugin new -- -odd'), parsed(pluginNew, {}, ['-odd']))
})

test('help and version are asked for anywhere it makes sense', () => {
  const help = (of: CommandSpec | null) => ({ kind: 'help', command: of })
  for (const line of ['--help', '-h', 'help', '--workers 2 --help']) assert.equal(parse(line), help(null), line)
  for (const line of ['check --help', 'help check', '--help check', 'check -c x -h', '--help -c']) {
    assert.equal(parse(line), help(line === '--help -c' ? null : check), line)
  }
  for (const line of ['help plugin', 'help plugin new', 'plugin new --help', 'plugin --help', 'plugin -h'])
    assert.equal(parse(line), help(pluginNew), line)
  for (const line of ['help http://localhost:1', 'help URL', 'http://localhost:1 --help']) assert.equal(parse(line), help(url), line)
  assert.equal(parse('--version'), { kind: 'version' })
})

test('a wrong word is told with the nearest known one', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['chekc', /^there is no command chekc; did you mean check\?$/],
    ['help chekc', /^there is no command chekc; did you mean check\?$/],
    ['help nonsense', /^there is no command nonsense$/],
    ['version', /did you mean --version\?/],
    ['zebra', /^there is no command zebra$/],
    ['plugin', /^there is no command plugin; did you mean plugin new\?$/],
    ['plugin nwe x', /^there is no command plugin nwe; did you mean plugin new\?$/],
    ['plugin new', /^plugin new needs more: sluice plugin new$/],
    ['plugin new a b', /^plugin new does not know what to do with b$/],
    ['run --worker 2', /^run has no option --worker; did you mean --workers\?$/],
    ['--worker 2 run', /^there is no option --worker; did you mean --workers\?$/],
    ['check --workers 2', /^check has no option --workers; it belongs to run$/],
    ['run -x', /^run has no option -x; did you mean -c\?$/],
    ['run --workers', /^--workers needs a value: --workers N$/],
    ['run --workers --no-watch', /^--workers needs a value: --workers N$/],
    ['run --workers=', /^--workers needs a value: --workers N$/],
    ['run --no-watch=1', /^--no-watch takes no value$/],
  ]
  for (const [line, message] of cases) assert.match(wrong(line), message)
})

test('a config without -c, and an address without http://, are recognised', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['proxy.config.ts', '-c proxy.config.ts'],
    ['run ./conf/a.mjs', '-c ./conf/a.mjs'],
    ['check proxy.config.ts', '-c proxy.config.ts'],
    ['localhost', 'http://localhost'],
    ['localhost:3000', 'http://localhost:3000'],
    ['localhost:3000/api', 'http://localhost:3000'],
    ['run localhost:3000', 'http://localhost:3000'],
    ['3000', 'http://localhost:3000'],
    [':3000', 'http://localhost:3000'],
    ['10.0.0.1', 'http://10.0.0.1'],
    ['[::1]:80', 'http://[::1]:80'],
    ['api.example.com', 'http://api.example.com'],
  ]
  for (const [line, meant] of cases) assert.ok(wrong(line).endsWith(`; did you mean ${meant}?`), `${line}: ${wrong(line)}`)
  for (const line of ['there', 'a/b', 'proxy.yaml', '3', 'run 1']) assert.not.match(wrong(line), 'http')
})

test('any arguments are either understood or told to be wrong', () => {
  const words = fc.constantFrom(
    'run',
    'check',
    'plugin',
    'new',
    'help',
    '-c',
    '--json',
    '--workers',
    '-H',
    '--',
    '-',
    '',
    '=',
    'http://x',
    '-h=',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string({ maxLength: 6 }))), (args) => {
      assert.ok(['command', 'help', 'version', 'wrong'].includes(parseArguments(args, grammar).kind))
    }),
  )
})

test.run()

function command(name: string, options: readonly OptionSpec[], [least, most] = [0, 0]): CommandSpec {
  return { name, options, operands: { least, most }, usage: [name], summary: '', about: '', examples: [], exits: [], environment: [] }
}

function parsed(of: CommandSpec, options: ParsedCommand['options'] = {}, rest: readonly string[] = []): ParsedCommand {
  return { kind: 'command', command: of, options, rest }
}

function wrong(line: string): string {
  const result = parse(line)
  assert.is(result.kind, 'wrong', line)
  return result.kind === 'wrong' ? result.message : ''
}
