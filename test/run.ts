/**
 * `npm test [-- PATTERN…]`: runs every test file and counts what their tests did; several processes at a time, each of which runs one
 * file after the other. A file that says `// Runs alone: WHY` has a process of its own; those that say `// Runs with NAME=VALUE: WHY`
 * share one that has that variable. One that fails, hangs, runs no test, ends its process, or leaves a process or a change of its process
 * behind counts as failed. The last line is `N passed, N failed[, N skipped]`.
 */
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type FileResult, FileRunner } from './runner/file-runner.ts'
import { keepModules } from './runner/modules.ts'
import { buildProgram } from './runner/program.ts'
import { keepSeconds, secondsOf } from './runner/seconds.ts'
import { readImports } from './support/imports.ts'
import { PROGRAM, root } from './support/process.ts'

/** One more than cores for processes: tests that wait leave theirs to others. */
const AT_ONCE = Math.max(2, Math.min(availableParallelism(), 4)) + 1
/** What takes longest begins first, so that no core waits for another at the end: by this, as long as there was no run here. */
const LONGEST = [/^test\/(plugins-)?readme/, /^test\/(check|e2e|package|process)\//, /^plugins\//, /./]

// Tests and what they start compile each module once, not once a process.
keepModules()
// The compilers that they start end before a collection would be worth it.
process.env.GOGC ??= 'off'
process.env.GOMEMLIMIT ??= '1GiB'
// The ring receives from the first read on, or connections of tests would be over before.
process.env.SLUICE_RING_AFTER ??= '0'
process.env[PROGRAM] = await buildProgram()
const turns = turnsOf(longestFirst(findFiles(process.argv.slice(2))))
const underway = new Set<FileRunner>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop(signal))

const results: FileResult[] = []
let started = 0
await Promise.all(Array.from({ length: AT_ONCE }, work))
report(results)

/** Takes turns until there are none. */
async function work(): Promise<void> {
  let shared: FileRunner | null = null
  for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) {
    if (!turn.isAlone && Object.keys(turn.env).length === 0) shared = await runAll(turn, shared)
    else await closeAny(await runAll(turn, null))
  }
  await closeAny(shared)
}

/** One file after the other, in a process that there is already or another; gives the one that may go on. */
async function runAll({ files, env, isAlone }: Turn, given: FileRunner | null): Promise<FileRunner | null> {
  let runner = given
  for (const file of files) {
    if (runner?.canGoOn === false) {
      await close(runner)
      runner = null
    }
    runner ??= start(env)
    tell(await runner.run(file, { isAlone }))
  }
  return runner
}

function start(env: Readonly<Record<string, string>>): FileRunner {
  const runner = new FileRunner(`${process.pid}:${++started}`, undefined, env)
  underway.add(runner)
  return runner
}

async function closeAny(runner: FileRunner | null): Promise<void> {
  if (runner !== null) await close(runner)
}

async function close(runner: FileRunner): Promise<void> {
  const fault = await runner.close()
  underway.delete(runner)
  if (fault !== null) tell(fault)
}

/** Files whose path holds any of the patterns (text, or a regular expression). */
function findFiles(patterns: readonly string[]): string[] {
  const all = globSync(['test/**/*.test.ts', 'plugins/**/*.test.ts'], { cwd: root, exclude: (path) => path.includes('node_modules') })
  const wanted = patterns.map((pattern) => new RegExp(pattern))
  const found = all.filter((file) => wanted.length === 0 || wanted.some((pattern) => pattern.test(file)))
  if (found.length === 0) {
    console.log(`no test file matches ${patterns.join(' ')}\n0 passed, 1 failed`)
    process.exit(1)
  }
  return found
}

/** What one process does in a row. */
interface Turn {
  readonly files: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Nothing else runs in its process. */
  readonly isAlone: boolean
}

/** Files that need the same variables follow one another; of the others each is by itself. */
function turnsOf(files: readonly string[]): Turn[] {
  const groups = Map.groupBy(files, (file) => variableOf(file) ?? file)
  return [...groups].map(([key, group]) => {
    const [name, value] = key.split('=')
    const env = value === undefined ? {} : { [name!]: value }
    return { files: group, env, isAlone: runsAlone(group[0]!) }
  })
}

function longestFirst(found: readonly string[]): string[] {
  const seconds = secondsOf()
  const rank = (file: string): number => LONGEST.findIndex((pattern) => pattern.test(file))
  return found.toSorted().sort((a, b) => (seconds.get(b) ?? 0) - (seconds.get(a) ?? 0) || rank(a) - rank(b))
}

function runsAlone(file: string): boolean {
  return /^\/\/ Runs alone: ./m.test(readFileSync(join(root, file), 'utf8'))
}

/** `NAME=VALUE` if the file needs that before anything is loaded. */
function variableOf(file: string): string | null {
  return /^\/\/ Runs with (\w+=\w+): ./m.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? null
}

function tell(result: FileResult): void {
  results.push(result)
  const word = result.failed > 0 ? 'FAILED' : 'ok    '
  console.log(`${word} ${result.file}  ${result.passed}/${result.passed + result.failed}  ${result.seconds.toFixed(1)} s`)
  if (result.failed > 0) console.log(`${result.output.trimEnd()}\n${result.faults.map((fault) => `  ${result.file}: ${fault}\n`).join('')}`)
}

function report(all: readonly FileResult[]): void {
  const sum = (key: 'passed' | 'failed' | 'skipped'): number => all.reduce((total, result) => total + result[key], 0)
  keepSeconds(all)
  for (const result of all.filter((one) => one.skipped > 0)) printSkipped(result)
  const broken = all.filter((result) => result.failed > 0).map((result) => result.file)
  if (broken.length > 0) console.log(`\nfailed: ${broken.join(' ')}`)
  const skipped = sum('skipped')
  console.log(`${sum('passed')} passed, ${sum('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = sum('failed') > 0 ? 1 : 0
}

/** uvu forgets the names of what it skips, so they are read from the source, shared suites included. */
function printSkipped(result: FileResult): void {
  console.log(`\nSKIPPED ${result.skipped} in ${result.file}:`)
  const imported = readImports(readFileSync(join(root, result.file), 'utf8'), result.file).map(({ to }) => to)
  for (const path of [result.file, ...imported.filter((to) => to.startsWith('test/suites/'))]) {
    for (const [i, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
      if (/\b\w+\.(skip|only)\b/.test(line)) console.log(`  ${path}:${i + 1}: ${line.trim()}`)
    }
  }
}

function stop(signal: NodeJS.Signals): void {
  for (const runner of underway) runner.kill()
  process.kill(process.pid, signal)
}
