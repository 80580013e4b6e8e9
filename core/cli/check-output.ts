/** What `sluice check` prints: code frames for people, JSON for programs, annotations for GitHub. Pure. */
import { isAbsolute, relative } from 'node:path'
import type { Whole } from '../check/whole.ts'
import type { Counts } from '../config/facts.ts'
import { type FormatOptions, formatFrame, formatProblems, type Problem } from '../config/problems.ts'
import type { Scope } from '../config/scopes.ts'
import { sizeText } from '../config/units.ts'
import { fullName } from '../sandbox/roster.ts'

export interface Verdict {
  readonly errors: number
  readonly warnings: number
  readonly isOk: boolean
}

/** With `strict`, a warning is as bad as an error. */
export function judge(problems: readonly Problem[], strict: boolean): Verdict {
  const errors = problems.filter(({ severity }) => severity === 'error').length
  const warnings = problems.length - errors
  return { errors, warnings, isOk: errors === 0 && (warnings === 0 || !strict) }
}

/** `3 errors, 1 warning`, or `proxy.config.ts is valid: 2 listeners, 14 routes`. `name`: the file as it was asked for. */
export function summaryOf({ facts }: Whole, { errors, warnings, isOk }: Verdict, name: string): string {
  const wrong = [errors > 0 ? count(errors, 'error') : '', warnings > 0 ? count(warnings, 'warning') : ''].filter((text) => text !== '')
  if (!isOk || facts === null) return wrong.join(', ')
  return `${name} is valid: ${[describe(facts.counts), ...wrong].join('; ')}`
}

function describe({ listeners, routes, upstreams, plugins }: Counts): string {
  const parts = [count(listeners, 'listener'), count(routes, 'route')]
  if (upstreams > 0) parts.push(count(upstreams, 'upstream'))
  if (plugins > 0) parts.push(count(plugins, 'plugin'))
  return parts.join(', ')
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`
}

export function textOf({ problems }: Whole, options: FormatOptions): string {
  return formatProblems(problems, options)
}

/** A line for each use of a plugin: what it is, where, and what it may do. Empty without plugins. */
export function usesOf({ uses }: Whole): string {
  const rows = uses.map((use) => {
    const grants = use.grant.map((grant) => (grant === 'kv' && use.kvBytes !== null ? `kv up to ${sizeText(use.kvBytes)}` : grant))
    const granted = grants.length === 0 ? 'no grants' : `granted ${grants.join(', ')}`
    return [fullName(use), use.where, `in a ${use.isolation}`, use.hooks.join(', ') || 'no hooks', granted]
  })
  return tableOf(rows)
}

/** A line for each policy that counts or keeps something: over what. `isMemoryShared`: workers can count in the same memory here. */
export function scopesOf({ facts }: Whole, isMemoryShared: () => boolean): string {
  return tableOf((facts?.scopes ?? []).map((scope) => [scope.what, scope.path, wordsOf(scope, isMemoryShared)]))
}

function wordsOf({ over, tiers }: Scope, isMemoryShared: () => boolean): string {
  switch (over) {
    case 'store':
      return 'exact over all proxies that use its store'
    case 'counters':
      return isMemoryShared() ? 'exact over all workers' : 'each worker lets its part through: no memory can be shared here'
    case 'connection':
      return 'exact for each connection'
    case 'cache':
      return ['in the memory of each worker', ...tiers.map((tier) => BEHIND[tier])].join(', ')
  }
}

const BEHIND = {
  shared: 'then one copy for all workers in shared memory',
  disk: 'then one copy for all workers on disk',
  store: 'then one for all proxies that use its store',
}

function tableOf(rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]): string => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')
  return rows.map((row) => `  ${line(row).trimEnd()}`).join('\n')
}

/** The shape is part of the contract (README.md): fields are added, never changed. */
export function jsonOf({ file, problems, facts, uses, typesSkipped }: Whole, { isOk }: Verdict): string {
  return JSON.stringify({
    ok: isOk,
    file,
    problems: problems.map((problem) => {
      const { severity, path, message, place } = problem
      const hasLine = place !== null && place.line > 0
      return {
        severity,
        path,
        message,
        file: place?.file ?? null,
        line: hasLine ? place.line : null,
        column: hasLine ? place.column : null,
        ...(hasLine ? { frame: formatFrame(place) } : {}),
      }
    }),
    types: typesSkipped === null ? 'checked' : `skipped: ${typesSkipped}`,
    plugins: facts?.plugins ?? [],
    counts: facts?.counts ?? null,
    scopes: facts?.scopes ?? [],
    uses: uses.map(({ id: _, key: __, package: from, grant, ...use }) => {
      return { ...use, package: from?.name ?? null, version: from?.version ?? null, grants: grant }
    }),
  })
}

/** Workflow commands: they mark the lines of a pull request. `root`: the checkout, files are shown relative to it. */
export function githubOf({ problems, file }: Whole, root: string): string {
  return problems.map((problem) => annotation(problem, { root, file })).join('\n')
}

function annotation({ severity, path, message, place }: Problem, { root, file }: { readonly root: string; readonly file: string }): string {
  const where = relative(root, place?.file ?? file)
  const properties: (readonly [string, string | number])[] = [
    ['file', where.startsWith('..') || isAbsolute(where) ? (place?.file ?? file) : where],
  ]
  if (place !== null && place.line > 0) properties.push(['line', place.line], ['col', place.column])
  const text = path === null ? message : `${path}: ${message}`
  const list = properties.map(([name, value]) => `${name}=${escapeProperty(String(value))}`).join(',')
  return `::${severity} ${list}::${escapeData(text)}`
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A')
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C')
}
