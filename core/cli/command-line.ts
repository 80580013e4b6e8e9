/** From the arguments to the command that they name, and its exit code. Loads only what that command needs. */
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { type CommandSpec, type Options, type ParsedCommand, parseArguments } from './arguments.ts'
import { commands, grammar, overviewParts } from './commands.ts'
import { exitCodes } from './exit-codes.ts'
import { commandHelp, overview } from './help.ts'
import {
  choiceOf,
  controlOf,
  listOf,
  maxAuthorityDays,
  readAddress,
  readDays,
  readDuration,
  readFormat,
  readHeader,
  readPorts,
  readPurge,
  readQuestion,
  readSeconds,
  readTime,
  readUrl,
  readWorkers,
  textOf,
  UsageError,
  warmOptions,
} from './option-values.ts'

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
    case commands.transparentRules:
      return transparentRules(options, file)
    case commands.cachePurge:
      return cache({ kind: 'purge', ...readPurge(rest[0], options) }, options)
    case commands.cacheList:
      return cache({ kind: 'list', prefix: rest[0] ?? '', most: readMost(textOf(options, 'most') ?? '100') }, options)
    case commands.cacheWarm: {
      const { runCacheWarm } = await import('./cache-warm.ts')
      return runCacheWarm({ sources: rest, ...warmOptions(options) })
    }
    case commands.cacheStat:
      return cache({ kind: 'stat' }, options)
    case commands.endpointsList:
      return endpoints({ kind: 'list', upstream: rest[0] ?? null }, options)
    case commands.endpointsAdd:
      return endpoints({ kind: 'add', ...placeOf(rest), ...addedOf(options) }, options)
    case commands.endpointsDrain: {
      const sticky = textOf(options, 'sticky')
      return endpoints({ kind: 'drain', ...placeOf(rest), ...(sticky === null ? {} : { sticky }) }, options)
    }
    case commands.endpointsUndrain:
      return endpoints({ kind: 'undrain', ...placeOf(rest) }, options)
    case commands.endpointsRemove:
      return endpoints({ kind: 'remove', ...placeOf(rest) }, options)
    case commands.pluginProfile: {
      const { runPluginProfile } = await import('./plugin-profile.ts')
      const seconds = readSeconds(textOf(options, 'seconds') ?? '5')
      return runPluginProfile(choiceOf(options), { plugin: rest[0]!, seconds, output: textOf(options, 'output') })
    }
    case commands.certDev: {
      const { faultOfName, runCertDev } = await import('./cert-dev.ts')
      const names = rest.map((name) => name.toLowerCase())
      const client = textOf(options, 'client')
      for (const fault of names.map(faultOfName)) if (fault !== null) throw new UsageError(fault)
      if (client !== null && !/^[\w.-]{1,64}$/.test(client))
        throw new UsageError('the name of a client is made of letters, digits, ., - and _')
      const days = readDays(textOf(options, 'days') ?? '90')
      return runCertDev({ names, dir: textOf(options, 'dir') ?? 'certs', days, client, force: options.force === true })
    }
    case commands.caCreate:
      return createCa(options)
    case commands.caShow: {
      const { runCaShow } = await import('./ca.ts')
      return runCaShow({ dir: textOf(options, 'dir') ?? '.' })
    }
    case commands.caTrustHelp: {
      const { runCaTrustHelp } = await import('./ca.ts')
      return runCaTrustHelp({ dir: textOf(options, 'dir') ?? '.' })
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

async function createCa(options: Options): Promise<number> {
  const { faultOfDomain, runCaCreate } = await import('./ca.ts')
  const permit = listOf(options, 'permit').map((domain) => domain.toLowerCase())
  for (const fault of permit.map(faultOfDomain)) if (fault !== null) throw new UsageError(fault)
  const name = textOf(options, 'name')
  if (name !== null && (name === '' || name.length > 64)) throw new UsageError('--name takes up to 64 characters')
  const days = readDays(textOf(options, 'days') ?? '3650', maxAuthorityDays)
  return runCaCreate({ dir: textOf(options, 'dir') ?? '.', days, name, permit })
}

async function endpoints(fields: Readonly<Record<string, unknown>>, options: Options): Promise<number> {
  const { parseEndpointAsk } = await import('../upstream/endpoint-asks.ts')
  const ask = parseEndpointAsk(fields)
  if (typeof ask === 'string') throw new UsageError(ask)
  const { runEndpoints } = await import('./endpoint-commands.ts')
  return runEndpoints(choiceOf(options), ask, { json: options.json === true })
}

function placeOf([upstream, address]: readonly string[]): Readonly<Record<string, unknown>> {
  return { upstream, address }
}

function addedOf(options: Options): Readonly<Record<string, unknown>> {
  const number = (name: string): Readonly<Record<string, unknown>> => {
    const text = textOf(options, name)
    return text === null ? {} : { [name]: /^\d+$/.test(text) ? Number(text) : text }
  }
  return { ...number('weight'), ...number('priority'), zone: textOf(options, 'zone') }
}

/** It is checked as what comes from elsewhere. */
async function cache({ kind, ...fields }: Readonly<Record<string, unknown>>, options: Options): Promise<number> {
  const { parseCacheAsk, parsePurge } = await import('../cache/asks.ts')
  const named = { ...fields, cache: textOf(options, 'cache') }
  const ask = kind === 'purge' ? parsePurge(named) : parseCacheAsk({ kind, ...named })
  if (typeof ask === 'string') throw new UsageError(ask)
  const { runCache } = await import('./cache-commands.ts')
  return runCache(choiceOf(options), ask, { json: options.json === true })
}

function readMost(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--most takes a number, not ${text}`)
  return Number(text)
}

/** `explain GET URL`, `explain URL`, `explain REQUEST-ID`. */
async function explain(words: readonly string[], options: Options, config: string): Promise<number> {
  const { runExplain, runExplainId } = await import('./explain.ts')
  if (options.diagram === true) {
    const nothing = { method: 'GET', url: '/', headers: [], from: '127.0.0.1', head: null, protocol: 'HTTP/1.1', all: false } as const
    return runExplain(config, { ...nothing, listener: textOf(options, 'listener'), diagram: true }, { json: options.json === true })
  }
  const [first, second] = readQuestion(words)
  const printing = { json: options.json === true, all: options.all === true }
  if (second === undefined && /^[0-9a-z]{10,}-[0-9a-z]+$/.test(first)) return runExplainId(first, choiceOf(options), printing)
  const from = readAddress(textOf(options, 'from') ?? '127.0.0.1')
  const [method, url] = second === undefined ? ['GET', first] : [first.toUpperCase(), second]
  const headers = listOf(options, 'header').map(readHeader)
  const at = textOf(options, 'at')
  const listener = textOf(options, 'listener')
  const asked = { method, url, headers, from, listener, head: null, protocol: 'HTTP/1.1', all: printing.all } as const
  return runExplain(config, at === null ? asked : { ...asked, at: readTime(at) }, printing)
}

async function transparentRules(options: Options, config: string): Promise<number> {
  const { runFirewallRules } = await import('./explain.ts')
  const by = textOf(options, 'interface')
  const user = textOf(options, 'user')
  if (by !== null && !/^[\w.@-]{1,15}$/.test(by)) throw new UsageError(`not the name of an interface: ${by}`)
  if (user !== null && !/^[\w.-]+$/.test(user)) throw new UsageError(`not the name or number of a user: ${user}`)
  const ports = readPorts(textOf(options, 'ports') ?? '80,443')
  const firewall = { listener: textOf(options, 'listener'), ports, interface: by, user, undo: options.undo === true }
  const nothing = {
    method: 'GET',
    url: '/',
    headers: [],
    from: '127.0.0.1',
    listener: null,
    head: null,
    protocol: 'HTTP/1.1',
    all: false,
  } as const
  return runFirewallRules(config, { ...nothing, firewall })
}

type Source = { readonly kind: 'file'; readonly file: string } | { readonly kind: 'url'; readonly url: string }

async function start(source: Source, options: Options, cacheFolder: string | null): Promise<number> {
  const settings = {
    workers: readWorkers(textOf(options, 'workers') ?? 'auto'),
    drainMs: readDuration(textOf(options, 'drain') ?? '30s'),
    logTarget: textOf(options, 'log'),
    watch: options['no-watch'] !== true,
    control: controlOf(options),
  }
  const { runProxy } = await import('./run.ts')
  return runProxy({ source, ...settings, version: version(), cacheFolder })
}

function usageError(message: string, command: CommandSpec | null): number {
  process.stderr.write(`sluice: ${message}\nTry: sluice ${command === null ? '' : `${command.name} `}--help\n`)
  return exitCodes.usage
}

/** Of the package this file belongs to, wherever it was installed. */
function version(): string {
  const path = findPackageJSON(import.meta.url)
  if (path === undefined) return 'unknown'
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string }
  return version
}
