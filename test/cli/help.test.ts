/** The help of the real commands: complete, true to the parser, and narrow enough for a terminal. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseArguments } from '../../core/cli/arguments.ts'
import { commands, grammar, overviewParts } from '../../core/cli/commands.ts'
import { commandHelp, overview } from '../../core/cli/help.ts'

const all = Object.values(commands)

test('the overview names every command once', () => {
  // Whatever is too long for a line goes on in the next.
  const text = overview({ version: '1.2.3', ...overviewParts }).replace(/\s+/g, ' ')
  for (const { usage, summary } of all) {
    assert.ok(text.includes(`sluice ${usage[0]!.replace(' [options]', '')}`), usage[0])
    assert.is(text.split(summary).length, 2, summary)
  }
  assert.equal(overviewParts.groups.flatMap(([, of]) => [...of]).length, all.length)
  assert.equal(new Set([...grammar.commands, grammar.forUrl]), new Set(all))
})

test('the help of a command tells each of its options, examples, exit codes and variables', () => {
  for (const command of all) {
    const text = commandHelp(command)
    for (const { name, short, value } of command.options) {
      assert.match(text, `--${name}${value === undefined ? '' : ` ${value}`}`, command.name)
      if (short !== undefined) assert.match(text, `-${short}, --${name}`, command.name)
    }
    for (const [example] of command.examples) assert.match(text, example)
    for (const [code] of command.exits) assert.match(text, new RegExp(`^ {2}${code}  `, 'm'))
    for (const [name] of command.environment) assert.match(text, name)
    assert.ok(command.examples.length > 0 && command.exits.length > 1, command.name)
  }
})

test('what the examples type is understood', () => {
  const examples = [...overviewParts.examples, ...all.flatMap((command) => [...command.examples])].flatMap(([line]) =>
    line.split(/ && | \| /),
  )
  for (const line of examples.filter((line) => line.startsWith('sluice'))) {
    assert.is(parseArguments(wordsOf(line).slice(1), grammar).kind, 'command', line)
  }
})

test('an option of the same name is written alike everywhere', () => {
  const byName = new Map<string, string>()
  for (const { name, short, value } of all.flatMap(({ options }) => options)) {
    const written = `${short} ${value === undefined}`
    assert.is(byName.get(name) ?? written, written, name)
    byName.set(name, written)
  }
})

test('no line is wider than 100 columns', () => {
  const lines = [overview({ version: '1.2.3', ...overviewParts }), ...all.map(commandHelp)].flatMap((text) => text.split('\n'))
  for (const line of lines) assert.ok(line.length <= 100, line)
})

test.run()

/** As a shell splits them; quotes keep words together. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!)
}
