/** The completion scripts: what bash offers when one is loaded, and that each knows every command and option. */
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { commands, grammar } from '../../core/cli/commands.ts'
import { completionScript, shells } from '../../core/cli/completion.ts'

const hasBash = spawnSync('bash', ['-c', 'exit']).status === 0
const bashTest = hasBash ? test : test.skip

bashTest('bash offers commands, then the options of the command, then the choices of a value', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['sluice st', ['status', 'stop']],
    ['sluice plugin ', ['new', 'profile', '--dir', '--seconds', '--output', '--config', '--pid', '--control', '--help']],
    ['sluice stop --n', ['--now']],
    ['sluice -c x.ts check --js', ['--json']],
    ['sluice check --format ', ['text', 'json', 'github']],
    ['sluice --workers a', ['auto']],
    ['sluice check -c ', []],
  ]
  const script = completionScript('bash', grammar.commands)
  for (const [line, offered] of cases) {
    const words = line.split(' ')
    const typed = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', `${script}\n${typed}`], { encoding: 'utf8' })
    assert.is(stderr, '')
    assert.equal(
      stdout.split('\n').filter((word) => word !== ''),
      offered,
      line,
    )
  }
})

test('every shell’s script names every command and option', () => {
  for (const shell of shells) {
    const script = completionScript(shell, grammar.commands)
    for (const { name, options } of Object.values(commands).filter((command) => command !== commands.url)) {
      for (const word of [...name.split(' '), ...options.map((option) => option.name)]) assert.match(script, word, `${shell} ${name}`)
    }
  }
})

test.run()
