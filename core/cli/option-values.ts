/** What the values of options mean: read into what the commands take, or refused with a UsageError. Pure, the environment is a parameter. */
import { isIP } from 'node:net'
import { parseDuration } from '../config/units.ts'
import { parseEndpoint } from '../net/address.ts'
import { maxProfileSeconds } from '../process/control-protocol.ts'
import type { Options } from './arguments.ts'
import type { WarmOptions } from './cache-warm.ts'
import type { CheckFormat } from './check.ts'
import type { Choice } from './control-client.ts'

/** The message says which option, and what it takes. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Of an option that is given once, at most. */
export function textOf(options: Options, name: string): string | null {
  const value = options[name]
  return typeof value === 'string' ? value : null
}

export function listOf(options: Options, name: string): readonly string[] {
  const value = options[name]
  return Array.isArray(value) ? value : typeof value === 'string' ? [value] : []
}

export function readUrl(text: string): string {
  if (parseEndpoint(text) !== null) return text
  throw new UsageError(`${text} is no address to send requests to; one is like http://localhost:3000, without a path`)
}

export function readWorkers(text: string): number | 'auto' {
  if (text === 'auto') return 'auto'
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= 1024) return count
  throw new UsageError(`--workers takes auto or a number from 1 to 1024, not ${text}`)
}

/** Of a URL, or of options that stand for it. */
export function readPurge(url: string | undefined, options: Options): Readonly<Record<string, unknown>> {
  const { host, tag } = options
  const all = options.all === true
  if ([url, host, tag, all || undefined].filter((one) => one !== undefined).length !== 1)
    throw new UsageError('say what to purge: exactly one of a URL (with * at its end all that begins so), --host, --tag and --all')
  const what = url === undefined ? {} : url.endsWith('*') ? { prefix: url.slice(0, -1) } : { url }
  return { ...what, host, tag, all, soft: options.soft === true }
}

export function readDuration(text: string): number {
  const ms = parseDuration(text)
  // No more than a timer can hold.
  if (ms !== null && ms <= 2 ** 31 - 10_000) return ms
  throw new UsageError(`--drain takes a duration such as 500ms, 30s or 2m, not ${text}`)
}

export function readSeconds(text: string): number {
  const seconds = /^\d{1,2}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (seconds >= 0.1 && seconds <= maxProfileSeconds) return seconds
  throw new UsageError(`--seconds takes a number from 0.1 to ${maxProfileSeconds}, not ${text}`)
}

/** `2026-11-30 08:00`, by the clock of this machine; with `Z` or `+01:00` by another. Milliseconds since the epoch. */
export function readTime(text: string): number {
  const ms = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  throw new UsageError(`--at takes a time such as 2026-11-30T08:00 or 2026-11-30T08:00Z, not ${text}`)
}

/** Clients refuse certificates that are good for longer. */
const maxCertificateDays = 397

/** Of an authority: twenty years. */
export const maxAuthorityDays = 7_300

export function readDays(text: string, most = maxCertificateDays): number {
  const days = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= most) return days
  throw new UsageError(`--days takes a whole number from 1 to ${most}, not ${text}`)
}

export function readPorts(text: string): number[] {
  const ports = text.split(',').map((port) => (/^\d{1,5}$/.test(port) ? Number(port) : 0))
  if (ports.every((port) => port >= 1 && port <= 65_535)) return ports
  throw new UsageError(`--ports takes numbers from 1 to 65535, as in 80,443, not ${text}`)
}

export function readFormat(options: Options, env: NodeJS.ProcessEnv = process.env): CheckFormat {
  const format = textOf(options, 'format')
  if (options.json === true) {
    if (format !== null && format !== 'json') throw new UsageError(`--json and --format ${format} contradict each other`)
    return 'json'
  }
  if (format === null) return env.GITHUB_ACTIONS === 'true' ? 'github' : 'text'
  if (format !== 'text' && format !== 'json' && format !== 'github')
    throw new UsageError(`--format takes text, json or github, not ${format}`)
  return format
}

export function readHeader(text: string): readonly [name: string, value: string] {
  const [, name, value] = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new UsageError(`-H takes 'name: value', not ${text}`)
  return [name, value.trimEnd()]
}

export function readAddress(text: string): string {
  if (isIP(text) !== 0) return text
  throw new UsageError(`--from takes an IP address, not ${text}`)
}

/** Where the control socket is: a path, `off`, or null for the usual place. */
export function controlOf(options: Options, env: NodeJS.ProcessEnv = process.env): string | null {
  return textOf(options, 'control') ?? (env.SLUICE_CONTROL || null)
}

/** Which running proxy is meant. */
export function choiceOf(options: Options, env: NodeJS.ProcessEnv = process.env): Choice {
  const pid = textOf(options, 'pid')
  if (pid !== null && !/^[1-9]\d{0,9}$/.test(pid)) throw new UsageError(`--pid takes a process id, not ${pid}`)
  const config = textOf(options, 'config')
  // Who names a proxy does not mean the one of the environment.
  const control = pid === null && config === null ? controlOf(options, env) : textOf(options, 'control')
  return { config, pid: pid === null ? null : Number(pid), control }
}

/** What `explain` is asked: a method and a URL, also as one word (`'GET /a HTTP/1.1'`, pasted out of a log), or one of URL and id. */
export function readQuestion(words: readonly string[]): readonly [first: string, second: string | undefined] {
  const line = words.length === 1 ? /^([a-z]+)\s+(\S+)(?:\s+HTTP\/[\d.]+)?$/i.exec(words[0]!.trim()) : null
  const [first = '', second] = line === null ? words : line.slice(1)
  if (first === '' || second === '') throw new UsageError('explain needs a URL, a path or the id of a request')
  if (second === undefined && METHODS.has(first.toUpperCase()))
    throw new UsageError(`explain needs a URL, too: sluice explain ${first} /path`)
  return [first, second]
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT', 'TRACE'])

/** Of `cache warm`. */
export function warmOptions(options: Options): Omit<WarmOptions, 'sources'> {
  const concurrency = textOf(options, 'concurrency') ?? '4'
  const count = /^\d{1,3}$/.test(concurrency) ? Number(concurrency) : 0
  if (count < 1 || count > 256) throw new UsageError(`--concurrency takes a number from 1 to 256, not ${concurrency}`)
  const timeout = textOf(options, 'timeout') ?? '30s'
  const timeoutMs = parseDuration(timeout)
  if (timeoutMs === null || timeoutMs === 0 || timeoutMs > 3_600_000)
    throw new UsageError(`--timeout takes a duration such as 5s, up to an hour, not ${timeout}`)
  const to = textOf(options, 'to')
  const target = to === null ? null : (parseEndpoint(to)?.target ?? null)
  if (to !== null && (target === null || target.kind === 'unix')) throw new UsageError(`--to takes HOST:PORT, not ${to}`)
  return {
    ...{ concurrency: count, timeoutMs, insecure: options.insecure === true, json: options.json === true },
    ...{
      to: target === null || target.kind === 'unix' ? null : { host: target.host, port: target.port },
      acceptEncoding: textOf(options, 'accept-encoding'),
    },
  }
}
