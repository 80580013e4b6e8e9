/**
 * A process that runs test files one after the other, seen from outside: of each file it tells what its tests did, what was left behind
 * or open, and whether it hung or ended the process. After one that did, the next needs another process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { nodeFlags, root } from '../support/process.ts'
import { findLeftovers, killMarked } from './marked.ts'
import { type Ended, MARK, ORDERS_FD, type Order, readEnded } from './orders.ts'

export interface FileResult {
  readonly file: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  readonly output: string
  /** What is wrong beside failed tests. */
  readonly faults: readonly string[]
}

interface Deadlines {
  readonly fileMs: number
  /** A file that has told its totals ends soon, or something in it was left open. */
  readonly endingMs: number
}

const DEADLINES: Deadlines = { fileMs: 240_000, endingMs: 10_000 }
const PIPES_GRACE_MS = 2_000
/** A process that has grown so large gets no more files. */
const MOST_RESIDENT_BYTES = 700_000_000

/** What is known of the file under way. */
interface Turn {
  output: string
  /** One by each output, once it has ended. */
  readonly ended: Ended[]
  isLate: boolean
  readonly timers: NodeJS.Timeout[]
  readonly giveUp: () => void
  readonly over: () => void
}

export class FileRunner {
  readonly files: string[] = []
  readonly #name: string
  readonly #deadlines: Deadlines
  readonly #child: ChildProcess
  /** Temporary folders that a test forgets, or could not remove, go with this one. */
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-run-'))
  readonly #held = { stdout: '', stderr: '' }
  readonly #gone = Promise.withResolvers<number | null>()
  #isGone = false
  #isWorn = false
  #turn: Turn | null = null

  /** `name`: the mark of the process itself, and the beginning of those of its files. `env`: variables beside those of this process. */
  constructor(name: string, deadlines = DEADLINES, env: Readonly<Record<string, string>> = {}) {
    this.#name = name
    this.#deadlines = deadlines
    this.#child = spawn(process.execPath, [...nodeFlags, join(import.meta.dirname, 'file-process.ts')], {
      cwd: root,
      env: { ...process.env, ...env, TMPDIR: this.#folder, [MARK]: name },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    this.#orders.on('error', () => {})
    for (const stream of ['stdout', 'stderr'] as const) {
      this.#child[stream]!.setEncoding('utf8').on('data', (text: string) => this.#read(stream, text))
    }
    this.#child.once('exit', (code) => this.#onExit(code))
  }

  /** Whether another file may follow. */
  get canGoOn(): boolean {
    return !this.#isGone && !this.#isWorn
  }

  /** `isAlone`: nobody comes after it, so it may change what it likes. */
  async run(file: string, { isAlone = false } = {}): Promise<FileResult> {
    const began = performance.now()
    const others = [...this.files]
    this.files.push(file)
    const mark = `${this.#name}:${file}`
    const { output, ended, isLate } = await this.#carryOut({ file, mark })
    const leftovers = isLate ? [] : await findLeftovers(mark, this.#child.pid!)
    killMarked(mark, isLate ? null : this.#child.pid!)
    const end = ended[0] ?? null
    const code = end === null ? await this.#gone.promise : end.exitCode
    this.#isWorn = end !== null && (end.changed.length > 0 || end.residentBytes > MOST_RESIDENT_BYTES)

    const [total, passed, skipped] = readTotals(output)
    const faults: string[] = []
    if (isLate && total > 0) faults.push(`still running ${this.#deadlines.endingMs / 1000} s after its last test: something was left open`)
    else if (isLate) faults.push(`not finished after ${this.#deadlines.fileMs / 1000} s`)
    else if (total + skipped === 0) faults.push('ran no test to its end')
    else if (end === null || (code !== 0 && total === passed)) faults.push(`exited with ${code}`)
    faults.push(...leftovers.map((command) => `left behind: ${command}`))
    if (end !== null && end.changed.length > 0 && !isAlone) faults.push(`did not put back ${end.changed.join(', ')}`)
    const failed = total - passed + faults.length
    if (failed > 0 && others.length > 0) faults.push(`ran in one process after ${others.join(' ')}`)
    return { file, passed, failed, skipped, seconds: (performance.now() - began) / 1000, output, faults }
  }

  /** What went wrong at its end, when all files were through: nobody knows whose fault that is. */
  async close(): Promise<FileResult | null> {
    const wasGone = this.#isGone
    const began = performance.now()
    this.#orders.end()
    const timer = setTimeout(() => this.kill(), this.#deadlines.endingMs)
    const code = await this.#gone.promise
    clearTimeout(timer)
    rmSync(this.#folder, { recursive: true, force: true })
    if (code === 0 || wasGone) return null
    const faults = [`its process exited with ${code} at its end`]
    return { file: this.files.join(' '), passed: 0, failed: 1, skipped: 0, seconds: (performance.now() - began) / 1000, output: '', faults }
  }

  /** And whatever its file has started. */
  kill(): void {
    killMarked(this.#name, null)
    if (this.#turn !== null) killMarked(`${this.#name}:${this.files.at(-1)}`, null)
    this.#child.kill('SIGKILL')
  }

  get #orders(): Writable {
    return this.#child.stdio[ORDERS_FD] as Writable
  }

  async #carryOut(order: Order): Promise<Turn> {
    const { promise, resolve: over } = Promise.withResolvers<void>()
    const giveUp = (): void => {
      turn.isLate = true
      this.kill()
    }
    const turn: Turn = { output: '', ended: [], isLate: false, timers: [setTimeout(giveUp, this.#deadlines.fileMs)], giveUp, over }
    this.#turn = turn
    if (this.#isGone) over()
    this.#orders.write(`${JSON.stringify(order)}\n`)
    await promise
    for (const timer of turn.timers) clearTimeout(timer)
    this.#turn = null
    return turn
  }

  #read(stream: 'stdout' | 'stderr', text: string): void {
    const { printed, held, ended } = readEnded(this.#held[stream] + text)
    this.#held[stream] = held
    if (this.#turn === null) return
    this.#turn.output += printed
    if (printed.includes('  Duration: ')) this.#turn.timers.push(setTimeout(this.#turn.giveUp, this.#deadlines.endingMs))
    if (ended !== null) this.#turn.ended.push(ended)
    if (this.#turn.ended.length === 2) this.#turn.over()
  }

  #onExit(code: number | null): void {
    // A process left behind may hold the pipes open: give what was written a moment, then stop reading.
    const settled = setTimeout(() => this.#child.stdout!.destroy() && this.#child.stderr!.destroy(), PIPES_GRACE_MS)
    this.#child.once('close', () => {
      clearTimeout(settled)
      this.#isGone = true
      this.#gone.resolve(code)
      this.#turn?.over()
    })
  }
}

/** uvu prints its totals once, when every test of the file has ended; without them nothing counts. */
function readTotals(output: string): [total: number, passed: number, skipped: number] {
  const totals = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm)].at(-1)
  return totals === undefined ? [0, 0, 0] : [Number(totals[1]), Number(totals[2]), Number(totals[3])]
}
