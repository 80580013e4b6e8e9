/** The commands, their help, and which exit code their end means: 0 ok, 1 failed, 2 wrong usage, 78 the config is not valid. */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { type CommandSpec, type Grammar, type OptionSpec, type ParsedCommand, parseArguments, suggestUrl } from './arguments.ts'
import { exitCodes } from './exit-codes.ts'

const configOption: OptionSpec = { name: 'config', short: 'c', value: 'FILE', help: 'the config (default: proxy.config.ts)' }
const runOptions: readonly OptionSpec[] = [
  { name: 'workers', value: 'N|auto', help: 'processes that carry traffic (default: auto, one a CPU)' },
  { name: 'drain', value: '30s', help: 'how long exchanges under way may take to finish when it stops (default: 30s)' },
  { name: 'log', value: 'FILE', help: 'append access lines to a file, not to standard output; SIGUSR1 reopens it' },
]

const run: CommandSpec = {
  name: 'run',
  usage: '[run] [options]',
  help: 'start the proxy of a config',
  options: [configOption, ...runOptions, { name: 'no-watch', help: 'accepted already; changes of the config are not followed yet' }],
}
const url: CommandSpec = {
  name: 'URL',
  usage: 'http://localhost:3000 [options]',
  help: 'a reverse proxy to that address on :8080, without a config',
  options: runOptions,
}
const check: CommandSpec = {
  name: 'check',
  usage: 'check [options]',
  help: 'tell every problem of a config, each with its place; exit 1 if there is any',
  options: [configOption, { name: 'json', help: 'print the problems as JSON' }],
}

const grammar: Grammar = {
  commands: [run, check],
  later: ['explain', 'init', 'status', 'reload', 'stop', 'types', 'plugin'],
  byDefault: run,
  forUrl: url,
}

/** Runs to the end of the command; the number is the exit code. */
export async function runCommandLine(args: readonly string[], cacheFolder: string | null): Promise<number> {
  const parsed = parseArguments(args, grammar)
  switch (parsed.kind) {
    case 'version':
      process.stdout.write(`sluice ${version()}\n`)
      return exitCodes.ok
    case 'help':
      process.stdout.write(parsed.command === null ? overview() : commandHelp(parsed.command))
      return exitCodes.ok
    case 'wrong':
      return usageError(parsed.message)
    case 'command':
      return dispatch(parsed, cacheFolder)
  }
}

async function dispatch({ command, options, rest }: ParsedCommand, cacheFolder: string | null): Promise<number> {
  const expected = command === url ? 1 : 0
  if (rest.length > expected) {
    const extra = rest[expected]!
    return usageError(`${command.name} does not know what to do with ${extra}${command === run ? suggestUrl(extra) : ''}`)
  }
  const file = textOf(options.config) ?? 'proxy.config.ts'
  if (command === check) {
    const { runCheck } = await import('./check.ts')
    return runCheck({ file, json: options.json === true })
  }
  const workers = readWorkers(textOf(options.workers) ?? 'auto')
  if (workers === null) return usageError(`--workers takes auto or a number from 1 to 1024, not ${options.workers}`)
  const drainMs = readDuration(textOf(options.drain) ?? '30s')
  if (drainMs === null) return usageError(`--drain takes a duration such as 500ms, 30s or 2m, not ${options.drain}`)
  const { runProxy } = await import('./run.ts')
  const source = command === url ? ({ kind: 'url', url: rest[0]! } as const) : ({ kind: 'file', file } as const)
  return runProxy({ source, workers, drainMs, logTarget: textOf(options.log) ?? null, version: version(), cacheFolder })
}

function usageError(message: string): number {
  process.stderr.write(`sluice: ${message}\nTry: sluice --help\n`)
  return exitCodes.usage
}

function textOf(value: string | true | undefined): string | null {
  return typeof value === 'string' ? value : null
}

/** null when it is neither. */
function readWorkers(text: string): number | 'auto' | null {
  if (text === 'auto') return 'auto'
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0
  return count >= 1 && count <= 1024 ? count : null
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

function readDuration(text: string): number | null {
  const match = /^(\d{1,9})(ms|s|m|h)$/.exec(text)
  const ms = match === null ? Number.NaN : Number(match[1]) * unitMs[match[2]!]!
  // More than a timer can hold.
  return ms <= 2 ** 31 - 10_000 ? ms : null
}

function overview(): string {
  const usages = [url, run, check].map(({ usage, help }) => [`sluice ${usage}`, help] as const)
  return `Sluice ${version()}: a programmable proxy\n\n${table(usages)}\n\nsluice COMMAND --help tells the options of a command.\n`
}

function commandHelp(command: CommandSpec): string {
  const rows = command.options.map(({ name, short, value, help }) => {
    const names = short === undefined ? `--${name}` : `-${short}, --${name}`
    return [value === undefined ? names : `${names} ${value}`, help] as const
  })
  return `sluice ${command.usage}\n  ${command.help}\n\n${table(rows)}\n`
}

function table(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

/** Of the package this file belongs to, wherever it was installed. */
function version(): string {
  const path = findPackageJSON(import.meta.url)
  if (path === undefined) return 'unknown'
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  return version
}
