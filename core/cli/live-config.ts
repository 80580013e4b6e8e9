/**
 * The config of a running proxy: loaded for the start, followed while it runs, and taken into use again when a file of it changes or
 * somebody asks. Each reload ends in one line, or in what is wrong and its place; then what runs goes on.
 */
import { AdminError } from '../admin/server.ts'
import type { ConfigLoader, Loaded } from '../check/loader.ts'
import type { FileWatch } from '../check/watch.ts'
import type { Bundle } from '../config/bundle.ts'
import { ConfigError, errorProblem, formatProblems, type Problem } from '../config/problems.ts'
import { formatListen } from '../net/address.ts'
import type { LineSink } from '../observe/line-sink.ts'
import { describeDifference, isOfNoData } from '../plan/difference.ts'
import type { AdminDoors } from '../process/admin-doors.ts'
import { BindError } from '../process/bind.ts'
import type { ReloadResult } from '../process/control.ts'
import type { PlanSummary } from '../process/messages.ts'
import { type Attempt, type Ended, Reloads } from '../process/reloads.ts'
import { type Reloaded, StaleError, type Supervisor } from '../process/supervisor.ts'
import { PrepareError } from '../process/worker-process.ts'

export interface LiveConfigOptions {
  readonly file: string
  /** Reload when a file of it changes. */
  readonly watch: boolean
  readonly supervisor: Supervisor
  readonly admin: AdminDoors
  /** Where the line of a reload goes. */
  readonly output: LineSink
  /** Where goes what is wrong. */
  readonly errors: LineSink
  readonly warn: (text: string) => void
  /** A plan has become the current one. */
  readonly onLive: (summary: PlanSummary) => void
}

export interface LastReload {
  /** ISO 8601. */
  readonly at: string
  readonly ok: boolean
  /** The line, or code frames. */
  readonly text: string
}

/** So many reloads in a row that brought nothing: a config that writes what it is made of would be loaded for ever. */
const MOST_FRUITLESS = 6
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 60_000
/** A change so long after the last reload is somebody's. */
const RESPITE_MS = 5_000
/** Stirs within so long belong to one save. */
const burstMs = 700

const STOPPING: ReloadResult = { ok: false, text: 'the proxy is stopping' }

export class LiveConfig {
  /** Null: none was tried since the start. */
  lastReload: LastReload | null = null
  readonly counts = { ok: 0, failed: 0 }
  readonly #options: LiveConfigOptions
  readonly #reloads = new Reloads<ReloadResult>((attempt) => this.#counted(attempt))
  #loader: ConfigLoader | null = null
  #watch: FileWatch | null = null
  /** What the files of the last load are, for a watch that begins later. */
  #loaded: Loaded | null = null
  #stirredAt = Number.NEGATIVE_INFINITY
  /** Warnings are told when they are new. */
  #toldWarnings = ''
  /** When the last attempt was over. */
  #endedAt = Number.NEGATIVE_INFINITY
  /** Reloads in a row that changed nothing, or that a newer change made to give up. */
  #fruitless = 0
  #broughtNothing = false
  #pause: NodeJS.Timeout | null = null
  #isClosed = false

  constructor(options: LiveConfigOptions) {
    this.#options = options
  }

  /** For the start. Throws ConfigError. */
  async load(): Promise<Bundle> {
    const loaded = await this.#load()
    if (loaded.bundle === null) throw new ConfigError(loaded.problems)
    this.#warn(loaded.problems)
    return loaded.bundle
  }

  /** From now on changes of its files are noticed, those since it was loaded too. */
  async follow(): Promise<void> {
    if (!this.#options.watch) return
    const { FileWatch } = await import('../check/watch.ts')
    if (this.#isClosed) return
    this.#watch = new FileWatch({
      onStir: () => this.#onStir(),
      onChange: () => this.#onChange(),
      onError: ({ message }) => this.#options.warn(message),
    })
    this.#watchFiles()
  }

  /** Whether or not a file has changed. */
  reload(): Promise<ReloadResult> {
    return this.#reloads.request(performance.now())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    await Promise.all([this.#watch?.close(), this.#loader?.close()])
  }

  /** What kept a plan from being taken into use, at its place if it has one. */
  problemsOf(error: unknown): readonly Problem[] {
    if (error instanceof PrepareError || error instanceof ConfigError) return error.problems
    const words = error instanceof Error ? error.message : String(error)
    if (error instanceof BindError || error instanceof AdminError) {
      const address = formatListen(error.address)
      const written = this.#loaded?.facts?.listens.find((listen) => listen.address === address)
      return [errorProblem(words, written?.place, written?.path)]
    }
    // Anything else is a mistake of the proxy, which must not end what runs.
    return [errorProblem(`the proxy could not take the config into use: ${error instanceof Error ? (error.stack ?? words) : words}`)]
  }

  #onChange(): void {
    const noticedAt = this.#noticedAt()
    if (noticedAt - this.#endedAt > RESPITE_MS) this.#fruitless = 0
    if (this.#fruitless < MOST_FRUITLESS) return void this.#reloads.request(noticedAt)
    if (this.#pause !== null) return
    if (this.#fruitless === MOST_FRUITLESS)
      this.#options.warn('files of the config change whenever it is loaded: does it write one of them? It is loaded less and less often')
    this.#pause = setTimeout(
      () => {
        this.#pause = null
        void this.#reloads.request(performance.now())
      },
      Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#fruitless - MOST_FRUITLESS)),
    )
  }

  #onStir(): void {
    const now = performance.now()
    if (now - this.#stirredAt > burstMs) this.#stirredAt = now
    this.#loader?.warm()
  }

  /** The first stir of this save; the next one is another's. */
  #noticedAt(): number {
    const now = performance.now()
    const at = now - this.#stirredAt > burstMs ? now : this.#stirredAt
    this.#stirredAt = Number.NEGATIVE_INFINITY
    return at
  }

  async #load(): Promise<Loaded> {
    if (this.#loader === null) {
      // It loads esbuild: the workers are on their way by now.
      const { ConfigLoader } = await import('../check/loader.ts')
      this.#loader = new ConfigLoader(this.#options.file)
    }
    this.#loaded = await this.#loader.load()
    this.#watchFiles()
    return this.#loaded
  }

  #watchFiles(): void {
    if (this.#loaded !== null) this.#watch?.set(this.#loaded.watch, this.#loaded.startedAt)
  }

  async #counted(attempt: Attempt): Promise<Ended<ReloadResult>> {
    this.#broughtNothing = false
    const result = await this.#attempt(attempt)
    this.#endedAt = performance.now()
    if (result === 'stale' || this.#broughtNothing) this.#fruitless++
    else this.#fruitless = 0
    return result
  }

  /** Never rejects. */
  async #attempt({ noticedAt, isStale }: Attempt): Promise<Ended<ReloadResult>> {
    if (this.#isClosed) return STOPPING
    try {
      const { bundle, problems } = await this.#load()
      if (this.#isClosed) return STOPPING
      if (isStale()) return 'stale'
      if (bundle === null) return this.#failed(problems)
      const reloaded = await this.#options.supervisor.reload(bundle, {
        isStale,
        alongside: ({ admin }) => this.#options.admin.change(admin),
      })
      this.#warn(problems)
      return this.#live(reloaded, performance.now() - noticedAt)
    } catch (error) {
      if (this.#isClosed) return STOPPING
      if (error instanceof StaleError) return isStale() ? 'stale' : STOPPING
      return this.#failed(this.problemsOf(error))
    }
  }

  #live(reloaded: Reloaded, ms: number): ReloadResult {
    this.#broughtNothing = reloaded.difference !== null && isOfNoData(reloaded.difference)
    this.#options.onLive(reloaded.summary)
    const line = `live in ${Math.round(ms)} ms · ${describe(reloaded, this.#options.supervisor.workers.length)}`
    this.counts.ok++
    this.lastReload = { at: new Date().toISOString(), ok: true, text: line }
    this.#options.output.print(`${line}\n`)
    return { ok: true, line }
  }

  #failed(problems: readonly Problem[]): ReloadResult {
    const { errors, supervisor } = this.#options
    const text = formatProblems(problems, { color: false, folder: process.cwd() })
    this.counts.failed++
    this.lastReload = { at: new Date().toISOString(), ok: false, text }
    errors.print(`${formatProblems(problems, { color: errors.hasColor, folder: process.cwd() })}\n`)
    errors.print(`not reloaded: the running config stays (generation ${supervisor.generation})\n`)
    return { ok: false, text }
  }

  #warn(problems: readonly Problem[]): void {
    const { errors } = this.#options
    const text = problems.length === 0 ? '' : formatProblems(problems, { color: errors.hasColor, folder: process.cwd() })
    if (text !== '' && text !== this.#toldWarnings) errors.print(`${text}\n`)
    this.#toldWarnings = text
  }
}

function describe({ difference, touched, connections }: Reloaded, workers: number): string {
  if (difference === null) return `a package changed: ${workers} new workers, the old ones finish what they have`
  return `${describeDifference(difference)} · ${touched} of ${connections} connections touched`
}
