/** From the arguments to the command that they name, and its exit code. Loads only what that command needs. */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { isIP } from 'node:net'
import { parseDuration } from '../config/units.ts'
import { parseEndpoint } from '../net/address.ts'
import { type CommandSpec, type Options, type ParsedCommand, parseArguments } from './arguments.ts'
import type { CheckFormat } from './check.ts'
import { commands, grammar, overviewParts } from './commands.ts'
import type { Choice } from './control-client.ts'
import { exitCodes } from './exit-codes.ts'
import { commandHelp, overview } from './help.ts'

/** What an option says that it must not. */
class UsageError extends Error {}

/** Runs to the end of the command; the number is the exit code. */
export async function runCommandLine(args: readonly string[], cacheFolder: string | null): Promise<number> {
  const parsed = parseArguments(args, grammar)
  switch (parsed.kind) {
    case 'version':
      process.stdout.write(`sluice ${version()}\n`)
      return exitCodes.ok
    case 'help':
      process.stdout.write(parsed.command === null ? overview({ version: version(), ...overviewParts }) : commandHelp(parsed.command))
      return exitCodes.ok
    case 'wrong':
      return usageError(parsed.message, parsed.command)
    case 'command':
      try {
        return await runCommand(parsed, cacheFolder)
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        return usageError(error.message, parsed.command)
      }
  }
}

async function runCommand({ command, options, rest }: ParsedCommand, cacheFolder: string | null): Promise<number> {
  const file = textOf(options, 'config') ?? 'proxy.config.ts'
  switch (command) {
    case commands.check: {
      const { runCheck } = await import('./check.ts')
      return runCheck({ file, format: readFormat(options), types: options['no-types'] !== true, strict: options.strict === true })
    }
    case commands.explain:
      return explain(rest, options, file)
    case commands.status: {
      const { runStatus } = await import('./control-commands.ts')
      return runStatus(choiceOf(options), { json: options.json === true, all: options.all === true })
    }
    case commands.reload: {
      const { runReload } = await import('./control-commands.ts')
      return runReload(choiceOf(options))
    }
    case commands.stop: {
      const { runStop } = await import('./control-commands.ts')
      return runStop(choiceOf(options), { now: options.now === true })
    }
    case commands.init: {
      const { runInit } = await import('./init.ts')
      return runInit({ dir: rest[0] ?? '.', template: textOf(options, 'template') ?? 'reverse', force: options.force === true })
    }
    case commands.types: {
      const { runTypes } = await import('./types.ts')
      return runTypes({ dir: rest[0] ?? '.' })
    }
    case commands.pluginNew: {
      const { runPluginNew } = await import('./plugin-new.ts')
      return runPluginNew({ name: rest[0]!, dir: textOf(options, 'dir') })
    }
    case commands.completion: {
      const { completionScript, shells } = await import('./completion.ts')
      const shell = shells.find((name) => name === rest[0])
      if (shell === undefined) throw new UsageError(`there is completion for ${shells.join(', ')}, not for ${rest[0]}`)
      process.stdout.write(completionScript(shell, grammar.commands))
      return exitCodes.ok
    }
    case commands.url:
      return start({ kind: 'url', url: readUrl(rest[0]!) }, options, cacheFolder)
    default:
      return start({ kind: 'file', file }, options, cacheFolder)
  }
}

/** `explain GET URL`, `explain URL`, `explain REQUEST-ID`. */
async function explain(rest: readonly string[], options: Options, config: string): Promise<number> {
  const { runExplain, runExplainId } = await import('./explain.ts')
  const [first = '', second] = rest
  const printing = { json: options.json === true, all: options.all === true }
  if (second === undefined && /^[0-9a-z]{10,}-[0-9a-z]+$/.test(first)) return runExplainId(first, choiceOf(options), printing)
  const from = textOf(options, 'from') ?? '127.0.0.1'
  if (isIP(from) === 0) throw new UsageError(`--from takes an IP address, not ${from}`)
  const [method, url] = second === undefined ? ['GET', first] : [first.toUpperCase(), second]
  const headers = listOf(options, 'header').map(readHeader)
  const listener = textOf(options, 'listener')
  return runExplain(config, { method, url, headers, from, listener, head: null, protocol: 'HTTP/1.1', all: printing.all }, printing)
}

function readHeader(text: string): readonly [name: string, value: string] {
  const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new UsageError(`-H takes 'name: value', not ${text}`)
  return [name, value.trimEnd()]
}

function listOf(options: Options, name: string): readonly string[] {
  const value = options[name]
  return Array.isArray(value) ? value : typeof value === 'string' ? [value] : []
}

type Source = { readonly kind: 'file'; readonly file: string } | { readonly kind: 'url'; readonly url: string }

async function start(source: Source, options: Options, cacheFolder: string | null): Promise<number> {
  const settings = {
    workers: readWorkers(textOf(options, 'workers') ?? 'auto'),
    drainMs: readDuration(textOf(options, 'drain') ?? '30s'),
    logTarget: textOf(options, 'log'),
    watch: options['no-watch'] !== true,
    control: textOf(options, 'control') ?? (process.env.SLUICE_CONTROL || null),
  }
  const { runProxy } = await import('./run.ts')
  return runProxy({ source, ...settings, version: version(), cacheFolder })
}

function choiceOf(options: Options): Choice {
  const pid = textOf(options, 'pid')
  if (pid !== null && !/^[1-9]\d{0,9}$/.test(pid)) throw new UsageError(`--pid takes a process id, not ${pid}`)
  const config = textOf(options, 'config')
  // Who names a proxy does not mean the one of the environment.
  const control = textOf(options, 'control') ?? (pid === null && config === null ? process.env.SLUICE_CONTROL || null : null)
  return { config, pid: pid === null ? null : Number(pid), control }
}

function usageError(message: string, command: CommandSpec | null): number {
  process.stderr.write(`sluice: ${message}\nTry: sluice ${command === null ? '' : `${command.name} `}--help\n`)
  return exitCodes.usage
}

/** Of an option that is given once, at most. */
function textOf(options: Options, name: string): string | null {
  const value = options[name]
  return typeof value === 'string' ? value : null
}

function readFormat(options: Options): CheckFormat {
  const format = textOf(options, 'format')
  if (options.json === true) {
    if (format !== null && format !== 'json') throw new UsageError(`--json and --format ${format} contradict each other`)
    return 'json'
  }
  if (format === null) return process.env.GITHUB_ACTIONS === 'true' ? 'github' : 'text'
  if (format !== 'text' && format !== 'json' && format !== 'github')
    throw new UsageError(`--format takes text, json or github, not ${format}`)
  return format
}

function readUrl(text: string): string {
  if (parseEndpoint(text) !== null) return text
  throw new UsageError(`${text} is no address to send requests to; one is like http://localhost:3000, without a path`)
}

function readWorkers(text: string): number | 'auto' {
  if (text === 'auto') return 'auto'
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= 1024) return count
  throw new UsageError(`--workers takes auto or a number from 1 to 1024, not ${text}`)
}

function readDuration(text: string): number {
  const ms = parseDuration(text)
  // No more than a timer can hold.
  if (ms !== null && ms <= 2 ** 31 - 10_000) return ms
  throw new UsageError(`--drain takes a duration such as 500ms, 30s or 2m, not ${text}`)
}

/** Of the package this file belongs to, wherever it was installed. */
function version(): string {
  const path = findPackageJSON(import.meta.url)
  if (path === undefined) return 'unknown'
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  return version
}
