/**
 * `npm test [-- PATTERN…]`: runs every test file in a process of its own, two at a time, and counts what their tests did. A file
 * that fails, hangs, runs no test or leaves a process behind counts as failed. The last line is `N passed, N failed[, N skipped]`.
 */
import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openModuleCache } from '../core/process/module-cache.ts'
import { eventually } from './support/deadline.ts'
import { readImports } from './support/imports.ts'
import { nodeFlags, root } from './support/process.ts'

const AT_ONCE = 2
const FILE_DEADLINE_MS = 240_000
/** A file that has told its totals ends soon, or something in it was left open. */
const ENDING_DEADLINE_MS = 10_000
const LEFTOVER_GRACE_MS = 2_000
/** Processes of a file are found by this variable in their environment, also when their parent is gone. */
const MARK = 'SLUICE_TEST_FILE'

interface FileResult {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  readonly output: string
  /** What is wrong beside failed tests. */
  readonly faults: readonly string[]
}

// Tests and what they start compile each module once, not once a process.
openModuleCache()
const files = findFiles(process.argv.slice(2))
const underway = new Set<string>()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop(signal))

const results: FileResult[] = []
const queue = [...files]
await Promise.all(Array.from({ length: AT_ONCE }, work))
report(results)

async function work(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(file)
    results.push(result)
    printFile(result)
  }
}

/** Files whose path holds any of the patterns (text, or a regular expression). */
function findFiles(patterns: readonly string[]): string[] {
  const all = globSync(['test/**/*.test.ts', 'plugins/**/*.test.ts'], { cwd: root, exclude: (path) => path.includes('node_modules') })
  const wanted = patterns.map((pattern) => new RegExp(pattern))
  const found = all.filter((file) => wanted.length === 0 || wanted.some((pattern) => pattern.test(file))).sort()
  if (found.length === 0) {
    console.log(`no test file matches ${patterns.join(' ')}\n0 passed, 1 failed`)
    process.exit(1)
  }
  return found
}

async function runFile(file: string): Promise<FileResult> {
  const mark = `${process.pid}:${file}`
  underway.add(mark)
  const began = performance.now()
  const { output, code, late } = await runProcess(file, mark)
  const leftovers = late ? [] : await findLeftovers(mark)
  killMarked(mark)
  underway.delete(mark)

  const [total, passed, skipped] = readTotals(output)
  const faults: string[] = []
  if (late && total > 0) faults.push(`still running ${ENDING_DEADLINE_MS / 1000} s after its last test: something was left open`)
  else if (late) faults.push(`not finished after ${FILE_DEADLINE_MS / 1000} s`)
  else if (total === 0) faults.push('ran no test to its end')
  else if (code !== 0 && total === passed) faults.push(`exited with ${code}`)
  faults.push(...leftovers.map((command) => `left behind: ${command}`))
  const failed = total - passed + faults.length
  return { file, passed, failed, skipped, seconds: (performance.now() - began) / 1000, output, faults }
}

function runProcess(file: string, mark: string): Promise<{ output: string; code: number | null; late: boolean }> {
  return new Promise((resolve) => {
    let output = ''
    let late = false
    // Temporary folders that a test forgets, or could not remove, go with this one.
    const folder = mkdtempSync(join(tmpdir(), 'sluice-run-'))
    const env = { ...process.env, TMPDIR: folder, [MARK]: mark }
    const child = spawn(process.execPath, [...nodeFlags, join(root, file)], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (text.includes('  Duration: ')) timers.push(setTimeout(giveUp, ENDING_DEADLINE_MS))
      })
    }
    const giveUp = (): void => {
      late = true
      killMarked(mark)
      child.kill('SIGKILL')
    }
    const timers = [setTimeout(giveUp, FILE_DEADLINE_MS)]
    child.on('exit', (code) => {
      for (const timer of timers) clearTimeout(timer)
      // A process left behind may hold the pipes open: give what was written a moment, then stop reading.
      const settled = setTimeout(() => child.stdout.destroy() && child.stderr.destroy(), LEFTOVER_GRACE_MS)
      child.once('close', () => {
        clearTimeout(settled)
        rmSync(folder, { recursive: true, force: true })
        resolve({ output, code, late })
      })
    })
  })
}

/** uvu prints its totals once, when every test of the file has ended; without them nothing counts. */
function readTotals(output: string): [total: number, passed: number, skipped: number] {
  const totals = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)].at(-1)
  return totals === undefined ? [0, 0, 0] : [Number(totals[1]), Number(totals[2]), Number(totals[3])]
}

async function findLeftovers(mark: string): Promise<string[]> {
  try {
    await eventually(() => (marked(mark).length === 0 ? true : undefined), '', LEFTOVER_GRACE_MS)
    return []
  } catch {
    return marked(mark).map((pid) => `${pid} ${readProc(pid, 'cmdline').replaceAll('\0', ' ')}`)
  }
}

function killMarked(mark: string): void {
  for (const pid of marked(mark)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself in between.
    }
  }
}

/** Living processes of a file; none can be found where there is no /proc. */
function marked(mark: string): number[] {
  if (process.platform !== 'linux') return []
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => `\0${readProc(pid, 'environ')}`.includes(`\0${MARK}=${mark}\0`))
}

function readProc(pid: number, name: 'environ' | 'cmdline'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1')
  } catch {
    return ''
  }
}

function printFile(result: FileResult): void {
  const word = result.failed > 0 ? 'FAILED' : 'ok    '
  console.log(`${word} ${result.file}  ${result.passed}/${result.passed + result.failed}  ${result.seconds.toFixed(1)} s`)
  if (result.failed > 0) console.log(`${result.output.trimEnd()}\n${result.faults.map((fault) => `  ${result.file}: ${fault}\n`).join('')}`)
}

function report(all: readonly FileResult[]): void {
  const sum = (key: 'passed' | 'failed' | 'skipped'): number => all.reduce((total, result) => total + result[key], 0)
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
  for (const mark of underway) killMarked(mark)
  process.kill(process.pid, signal)
}
