/**
 * The command line as a user runs it, in a temporary folder of its own. Whatever it started is gone when `stop` or the end of the
 * block returns; a process left behind fails the test. `await using sluice = await startSluice({ config })`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { eventually, Waiting, within } from './deadline.ts'

export const root: string = join(import.meta.dirname, '../..')
/** The variable with the folder of the program that processes run, made from these sources in few files (test/runner/program.ts). */
export const PROGRAM = 'SLUICE_TEST_PROGRAM'
const made = process.env[PROGRAM]
/** What the command line starts; without a runner, the sources. */
export const mainFile: string = made === undefined ? join(root, 'core/main.ts') : join(made, 'main.js')
/** `sluice/testing`, for processes of a test's own. */
export const testingFile: string = made === undefined ? join(root, 'core/testing.ts') : join(made, 'testing.js')
/** A worker for tests of the supervisor (fake-worker.ts). */
export const fakeWorkerFile: string = made === undefined ? join(root, 'test/support/fake-worker.ts') : join(made, 'test/fake-worker.js')
/** What `node_modules/sluice` of a project is a link to. */
export const packageFolder: string = made ?? root
/** For processes that load isolated-vm themselves; the command line is started without, as users start it. */
export const nodeFlags: readonly string[] = ['--no-node-snapshot', '--no-concurrent-osr']
const READY_DEADLINE_MS = 40_000
const STOP_DEADLINE_MS = 20_000

export interface CommandOptions {
  /** Text of `proxy.config.ts`. */
  readonly config?: string | undefined
  /** More files of the folder, by relative path. */
  readonly files?: Readonly<Record<string, string>> | undefined
  readonly args?: readonly string[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly nodeArgs?: readonly string[] | undefined
  /** Another than this checkout's. */
  readonly program?: string | undefined
  /** What runs it: `['ip', 'netns', 'exec', name]`. It has to give its process up to it. */
  readonly by?: readonly string[] | undefined
  /** Where to run it, instead of a temporary folder of its own: that of a proxy that is running. It is left as it is. */
  readonly folder?: string | undefined
}

/** `run` in a temporary folder; resolves when it printed the line that begins with `ready`. */
export async function startSluice(options: CommandOptions): Promise<Sluice> {
  const sluice = new Sluice(['run', ...(options.args ?? [])], options)
  try {
    await sluice.line(/^ready/, READY_DEADLINE_MS)
  } catch (error) {
    await sluice.kill()
    throw error
  }
  return sluice
}

/** Any command to its end: `await runCommand(['check', '--json'], { config })`. */
export async function runCommand(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  await using sluice = new Sluice(command, options)
  const code = await sluice.exited(READY_DEADLINE_MS)
  return { code, stdout: sluice.stdout.join('\n'), stderr: sluice.stderr.join('\n') }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

export class Sluice {
  readonly folder: string
  /** Lines so far. */
  readonly stdout: string[] = []
  readonly stderr: string[] = []
  readonly child: ChildProcess
  readonly pid: number
  readonly #waiting = new Waiting()
  readonly #exit: Promise<number>
  readonly #ownsFolder: boolean
  #code: number | null = null

  constructor(command: readonly string[], options: CommandOptions) {
    this.folder = options.folder ?? makeFolder(options)
    this.#ownsFolder = options.folder === undefined
    const args = [process.execPath, ...(options.nodeArgs ?? []), options.program ?? mainFile, ...command]
    const [program, ...words] = [...(options.by ?? []), ...args]
    // A session of its own: whatever it starts carries its number in /proc, also after its parent is gone.
    this.child = spawn(program!, words, {
      cwd: this.folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its control socket lies there too: nobody's proxies see one another.
      env: { ...process.env, NO_COLOR: '1', XDG_RUNTIME_DIR: this.folder, ...options.env },
    })
    this.pid = this.child.pid ?? -1
    this.#collect('stdout')
    this.#collect('stderr')
    this.#exit = new Promise((resolve, reject) => {
      this.child.once('error', reject)
      this.child.once('close', (code, signal) => {
        this.#code = code ?? (signal === null ? -1 : 128)
        resolve(this.#code)
        this.#waiting.poke()
      })
    })
    process.once('exit', this.#killNow)
  }

  /** The first line of stdout or stderr, from the first on, that matches. */
  async line(pattern: RegExp, ms?: number): Promise<string> {
    const check = (): string | undefined => {
      const found = this.stdout.find((line) => pattern.test(line)) ?? this.stderr.find((line) => pattern.test(line))
      if (found === undefined && this.#code !== null) throw new Error(`no ${pattern}: exited with ${this.#code}; ${this.#seen()}`)
      return found
    }
    return this.#waiting.until(check, () => `no line ${pattern}; ${this.#seen()}`, ms)
  }

  /** The first `:PORT` of the line that a bound listener printed. */
  async port(listener: string): Promise<number> {
    const line = await this.line(new RegExp(`\\b${listener}\\b.*:\\d+`))
    return Number(/:(\d+)(?!.*:\d)/.exec(line)?.[1])
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.folder, path), text)
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async exited(ms = STOP_DEADLINE_MS): Promise<number> {
    return within(this.#exit, () => `still running; ${this.#seen()}`, ms)
  }

  /** The processes that are its own now, itself included. */
  processes(): number[] {
    return processesOf(this.pid)
  }

  /** SIGTERM, and the exit code; throws when a process is left behind. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
    if (this.#code === null) this.signal(signal)
    try {
      const code = await this.exited()
      await eventually(
        () => (this.processes().length === 0 ? true : undefined),
        () => `left behind: ${this.processes().map(commandOf).join(', ')}`,
      )
      return code
    } finally {
      await this.kill()
    }
  }

  /** SIGKILL to all of it; for the end of tests that failed. */
  async kill(): Promise<void> {
    this.#killNow()
    await within(this.#exit, 'not even SIGKILL ends it')
    process.removeListener('exit', this.#killNow)
    if (this.#ownsFolder) rmSync(this.folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  readonly #killNow = (): void => {
    for (const pid of this.processes()) tryKill(pid)
    if (this.#code === null) this.child.kill('SIGKILL')
  }

  #collect(name: 'stdout' | 'stderr'): void {
    const stream = this.child[name]
    if (stream === null) return
    createInterface({ input: stream }).on('line', (line) => {
      this[name].push(line)
      this.#waiting.poke()
    })
  }

  #seen(): string {
    return `stdout:\n${this.stdout.slice(-40).join('\n')}\nstderr:\n${this.stderr.slice(-40).join('\n')}`
  }
}

/** All living processes of a session; without /proc only the first process itself. */
export function processesOf(session: number): number[] {
  if (!existsSync('/proc/self/stat')) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [state, , , of] = statFields(pid)
      return of === String(session) && state !== 'Z'
    })
}

/** Fields of /proc/PID/stat after the command's name: state, parent, group, session …; none if it is gone. */
export function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

export function commandOf(pid: number): string {
  try {
    return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')}`
  } catch {
    return `${pid} (gone)`
  }
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in between.
  }
}

function makeFolder(options: CommandOptions): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  const files = { ...options.files, ...(options.config !== undefined && { 'proxy.config.ts': options.config }) }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}
