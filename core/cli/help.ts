/** The texts of `--help`: an overview of all commands, and all that is to know about one. Pure. */
import type { CommandSpec, OptionSpec } from './arguments.ts'

const width = 100

export interface OverviewParts {
  readonly version: string
  readonly groups: readonly (readonly [string, readonly CommandSpec[]])[]
  readonly examples: readonly (readonly [string, string])[]
}

export function overview({ version, groups, examples }: OverviewParts): string {
  const all = groups.flatMap(([, commands]) => commands)
  const room = Math.max(...all.map(({ usage }) => brief(usage[0]!).length))
  const blocks = groups.map(([title, commands]) => {
    return `${title}\n${table(
      commands.map(({ usage, summary }) => [brief(usage[0]!), summary]),
      room,
    )}`
  })
  return `${[
    `Sluice ${version}: a programmable proxy. proxy.config.ts says what it does.`,
    ...blocks,
    `Examples\n${table(examples)}`,
    `sluice COMMAND --help tells the options of a command, with examples.`,
  ].join('\n\n')}\n`
}

export function commandHelp(command: CommandSpec): string {
  const options = [...command.options, { name: 'help', short: 'h', help: 'print this' }]
  return `${[
    command.usage.map((usage, i) => `${i === 0 ? 'Usage:' : '      '} sluice ${usage}`).join('\n'),
    wrap(command.about, 0),
    `Options\n${table(options.map((option) => [signature(option), option.help]))}`,
    `Examples\n${table(command.examples)}`,
    `Exit codes\n${table(command.exits.map(([code, meaning]) => [String(code), meaning]))}`,
    ...(command.environment.length === 0 ? [] : [`Environment\n${table(command.environment)}`]),
  ].join('\n\n')}\n`
}

/** The overview's examples of usage name no options. */
function brief(usage: string): string {
  return `sluice ${usage.replace(/ \[options\]$/, '')}`
}

function signature({ name, short, value }: OptionSpec): string {
  const names = short === undefined ? `    --${name}` : `-${short}, --${name}`
  return value === undefined ? names : `${names} ${value}`
}

/** Two columns; what is too long for the second goes on below itself. */
function table(rows: readonly (readonly [string, string])[], least = 0): string {
  const room = Math.max(least, ...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(room)}  ${wrap(right, room + 4)}`).join('\n')
}

function wrap(text: string, indent: number): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}
