/** `sluice run` and `sluice URL`: from the config to a proxy that accepts traffic, and from the first signal to a clean end. */
import { fileURLToPath } from 'node:url'
import { type Admin, AdminError, startAdmin } from '../admin/server.ts'
import type { Bundle } from '../config/bundle.ts'
import { bundleForUrl } from '../config/for-url.ts'
import { ConfigError, type FormatOptions, formatProblems } from '../config/problems.ts'
import { LineSink } from '../observe/line-sink.ts'
import { createLog, errorSink, type Log } from '../observe/log.ts'
import { Metrics } from '../observe/metrics.ts'
import { suggestWorkers, thisMachine } from '../process/capacity.ts'
import { type Control, startControl } from '../process/control.ts'
import { configPlace } from '../process/control-folder.ts'
import type { LogTarget, PlanSummary } from '../process/messages.ts'
import { Supervisor } from '../process/supervisor.ts'
import { PrepareError } from '../process/worker-process.ts'
import { exitCodes } from './exit-codes.ts'
import { prepareLogFile } from './log-file.ts'

export interface RunOptions {
  readonly source: { readonly kind: 'file'; readonly file: string } | { readonly kind: 'url'; readonly url: string }
  readonly workers: number | 'auto'
  readonly drainMs: number
  readonly logTarget: LogTarget
  /** Where its control socket is: a path, `off`, or null for the usual place. */
  readonly control: string | null
  readonly version: string
  readonly cacheFolder: string | null
}

// Compiled, as installed, it is JavaScript.
const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../process/worker.ts' : '../process/worker.js', import.meta.url),
)
const prepareMs = 10_000
const scrapeMs = 500

/** Resolves with the exit code when nothing is left running. */
export async function runProxy(options: RunOptions): Promise<number> {
  const output = new LineSink({ path: null, onDrops: () => {} })
  const errors = errorSink()
  const program = new Program(options, { output, errors, log: createLog({ level: 'info', sink: errors }) })
  try {
    return await program.run()
  } catch (error) {
    if (error instanceof ConfigError) errors.print(`${formatProblems(error.problems, problemFormat(errors))}\n`)
    else errors.print(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
    program.kill()
    return isOfConfig(error) ? exitCodes.config : exitCodes.failed
  } finally {
    output.close()
    errors.close()
  }
}

/** The config asks for what cannot be; otherwise it is the machine that fails. */
function isOfConfig(error: unknown): boolean {
  return error instanceof ConfigError || error instanceof PrepareError || (error instanceof AdminError && error.kind === 'refused')
}

class Program {
  readonly #options: RunOptions
  readonly #output: LineSink
  readonly #errors: LineSink
  readonly #log: Log
  readonly #supervisor: Supervisor
  readonly #metrics: Metrics
  readonly #startedAt = performance.now()
  readonly #stop = Promise.withResolvers<'stopped'>()
  #admin: Admin | null = null
  #control: Control | null = null
  readonly #drained = Promise.withResolvers<void>()

  constructor(options: RunOptions, { output, errors, log }: { output: LineSink; errors: LineSink; log: Log }) {
    this.#options = options
    this.#output = output
    this.#errors = errors
    this.#log = log
    const metrics = new Metrics(() => this.#ownMetrics())
    this.#metrics = metrics
    this.#supervisor = new Supervisor({
      workers: options.workers === 'auto' ? suggestWorkers(thisMachine()) : options.workers,
      workerFile,
      logTarget: options.logTarget,
      cacheFolder: options.cacheFolder,
      hangMs: hangTime(process.env.SLUICE_HANG_MS),
      drainMs: options.drainMs,
      prepareMs,
      events: {
        log: ({ level, text, fields }) => log[level](fields, text),
        metrics: (worker, snapshot) => metrics.absorb(worker.pid, snapshot),
        retired: (worker) => metrics.retire(worker.pid),
      },
    })
  }

  async run(): Promise<number> {
    this.#handleSignals()
    if (this.#options.logTarget !== null) prepareLogFile(this.#options.logTarget)
    const first = await Promise.race([this.#start(), this.#stop.promise])
    if (first === 'stopped') {
      this.kill()
      return exitCodes.ok
    }
    await this.#stop.promise
    await this.#supervisor.drain()
    await this.#admin?.close()
    this.#control?.close()
    this.#drained.resolve()
    return exitCodes.ok
  }

  kill(): void {
    this.#supervisor.kill()
  }

  /** Workers load while the config is read; they prepare before anything is bound; all is bound before anything is accepted. */
  async #start(): Promise<void> {
    this.#supervisor.spawn()
    const bundle = await this.#loadBundle()
    const summary = await this.#supervisor.prepare(bundle)
    this.#log.level = summary.log.level
    await this.#supervisor.bind(summary)
    await this.#startAdmin(summary)
    await this.#supervisor.commit()
    await this.#startControl()
    for (const line of this.#supervisor.describe()) this.#output.print(`listening ${line}\n`)
    for (const address of this.#admin?.addresses ?? []) this.#output.print(`listening admin ${address}\n`)
    const workers = this.#supervisor.workers.length
    const ms = Math.round(performance.now() - this.#startedAt)
    this.#output.print(`ready in ${ms} ms, ${workers} ${workers === 1 ? 'worker' : 'workers'}, pid ${process.pid}\n`)
  }

  async #loadBundle(): Promise<Bundle> {
    const { source } = this.#options
    if (source.kind === 'url') return bundleForUrl(source.url)
    // These load esbuild: they are not waited for before the workers are on their way.
    const [{ loadConfig }, esbuild] = await Promise.all([import('../check/loader.ts'), import('esbuild')])
    const { bundle, problems } = await loadConfig(source.file)
    // Its process would stay for the next build, which may never come.
    await esbuild.stop()
    if (bundle === null) throw new ConfigError(problems)
    if (problems.length > 0) this.#errors.print(`${formatProblems(problems, problemFormat(this.#errors))}\n`)
    return bundle
  }

  async #startAdmin({ admin }: PlanSummary): Promise<void> {
    if (admin === null) return
    const token = process.env.SLUICE_ADMIN_TOKEN || null
    const source = { metrics: () => this.#scrape(), unready: () => this.#unready(), status: () => this.#status() }
    this.#admin = await startAdmin({ listen: admin.listen, token, source })
  }

  async #startControl(): Promise<void> {
    const { source, version, control: at } = this.#options
    const control = await startControl({
      ...{ config: source.kind === 'url' ? source.url : source.file, version, at },
      source: {
        status: () => this.#status(),
        reload: () => Promise.resolve({ ok: false, text: 'reloading is not there yet; nothing has changed' }),
        stop: ({ now }) => this.#stopFor(now),
        recall: () => Promise.resolve(null),
      },
    })
    if (control.problem !== null) this.#log.warn(`no control socket: ${control.problem}`)
    this.#control = control
  }

  async #stopFor(now: boolean): Promise<void> {
    this.#log.info('sluice stop: draining')
    if (now) this.#supervisor.kill()
    this.#stop.resolve('stopped')
    await this.#drained.promise
  }

  async #scrape(): Promise<{ type: string; text: string }> {
    await this.#supervisor.collect(scrapeMs)
    return { type: this.#metrics.contentType, text: await this.#metrics.text() }
  }

  #unready(): string | null {
    if (this.#supervisor.isDraining) return 'draining'
    return this.#supervisor.isReady ? null : 'not all workers carry traffic'
  }

  #status(): unknown {
    const { source } = this.#options
    const now = performance.now()
    const workers = this.#supervisor.workers.map(({ slot, pid, isLive, connections, memory, bornAt }) => {
      return { slot, pid, live: isLive, connections, memoryBytes: memory, uptimeSeconds: Math.round((now - bornAt) / 1000) }
    })
    return {
      version: this.#options.version,
      runtime: process.version,
      config: source.kind === 'url' ? source.url : configPlace(source.file),
      pid: process.pid,
      state: this.#supervisor.isDraining ? 'draining' : this.#supervisor.isReady ? 'ready' : 'starting',
      generation: this.#supervisor.generation,
      uptimeSeconds: Math.round((now - this.#startedAt) / 1000),
      memoryBytes: process.memoryUsage.rss(),
      connections: workers.reduce((sum, { connections }) => sum + connections, 0),
      listeners: this.#supervisor.describe(),
      workers,
    }
  }

  #ownMetrics(): ReturnType<ConstructorParameters<typeof Metrics>[0]> {
    return {
      version: this.#options.version,
      workers: this.#supervisor.workers.filter(({ isLive }) => isLive).length,
      generation: this.#supervisor.generation,
      restarts: this.#supervisor.restartCounts,
      memoryBytes: process.memoryUsage.rss(),
    }
  }

  /** The first SIGTERM or SIGINT drains; the second ends at once, and cuts what is under way. */
  #handleSignals(): void {
    let stopping = false
    const onStop = (signal: string): void => {
      if (stopping) {
        this.kill()
        process.exit(exitCodes.failed)
      }
      stopping = true
      this.#log.info(`${signal}: draining`)
      this.#stop.resolve('stopped')
    }
    process.on('SIGTERM', onStop)
    process.on('SIGINT', onStop)
    process.on('SIGUSR1', () => this.#supervisor.reopenLogs())
    process.on('SIGHUP', () => this.#log.warn('SIGHUP: reloading is not there yet; nothing has changed'))
  }
}

function problemFormat(sink: LineSink): FormatOptions {
  return { color: sink.hasColor, folder: process.cwd() }
}

/** How long a worker's event loop may stand still; shorter in tests. */
function hangTime(text: string | undefined): number {
  const ms = Number(text)
  return ms >= 100 ? ms : 5_000
}
