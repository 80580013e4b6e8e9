/** `sluice run` and `sluice URL`: from the config to a proxy that accepts traffic, and from the first signal to a clean end. */

import type { CertificateKeeper } from '../acme/keeper.ts'
import { AdminError } from '../admin/server.ts'
import type { CacheAsk } from '../cache/asks.ts'
import { bundleForUrl } from '../config/for-url.ts'
import { ConfigError, type FormatOptions, formatProblems, type Problem } from '../config/problems.ts'
import { entryFile } from '../entry-files.ts'
import { LineSink } from '../observe/line-sink.ts'
import { createLog, errorSink, type Log } from '../observe/log.ts'
import { Metrics } from '../observe/metrics.ts'
import { AdminDoors } from '../process/admin-doors.ts'
import { BindError } from '../process/bind.ts'
import { suggestWorkers, thisMachine } from '../process/capacity.ts'
import { type Control, type ReloadResult, startControl } from '../process/control.ts'
import { configPlace, findRunning } from '../process/control-folder.ts'
import type { EndpointsTold } from '../process/control-protocol.ts'
import type { ListKeeper } from '../process/list-keeper.ts'
import type { LogTarget, PlanSummary } from '../process/messages.ts'
import { sweepModuleCache } from '../process/module-cache.ts'
import { Supervisor } from '../process/supervisor.ts'
import { reportUpstreams, type UpstreamReport, upstreamLines, withoutHealthy } from '../process/upstream-report.ts'
import { PrepareError } from '../process/worker-process.ts'
import type { EndpointAsk } from '../upstream/endpoint-asks.ts'
import { exitCodes } from './exit-codes.ts'
import { LiveConfig } from './live-config.ts'
import { prepareLogFile } from './log-file.ts'
import { loadLines, pluginNames, reportPlugins } from './plugin-report.ts'

export interface RunOptions {
  readonly source: { readonly kind: 'file'; readonly file: string } | { readonly kind: 'url'; readonly url: string }
  readonly workers: number | 'auto'
  readonly drainMs: number
  /** Reload when a file of the config changes. */
  readonly watch: boolean
  readonly logTarget: LogTarget
  /** Where its control socket is: a path, `off`, or null for the usual place. */
  readonly control: string | null
  readonly version: string
  readonly cacheFolder: string | null
}

const prepareMs = 10_000
const scrapeMs = 500
const recallMs = 1_000
/** For all workers to purge: a scan of many answers takes its time. */
/** What is on disk is purged in steps. */
const cacheMs = 60_000

/** Resolves with the exit code when nothing is left running. */
export async function runProxy(options: RunOptions): Promise<number> {
  const output = new LineSink({ path: null, onDrops: () => {} })
  const errors = errorSink()
  const program = new Program(options, { output, errors, log: createLog({ level: 'info', sink: errors }) })
  try {
    return await program.run()
  } catch (error) {
    const problems = program.problemsOf(error)
    if (problems !== null) errors.print(`${formatProblems(problems, problemFormat(errors))}\n`)
    else errors.print(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
    program.kill()
    if (error instanceof BindError) errors.print(await tellTwins(options.source))
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

/** What uses a port is most often the same proxy, started before. */
async function tellTwins(source: RunOptions['source']): Promise<string> {
  const config = source.kind === 'url' ? source.url : configPlace(source.file)
  const twins = (await findRunning()).filter((running) => running.config === config)
  return twins.map(({ pid }) => `this config is being served already, by pid ${pid}: sluice status --pid ${pid}\n`).join('')
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
  readonly #admin: AdminDoors
  /** Null: it was started without one. */
  readonly #config: LiveConfig | null
  #loadedAt = new Date()
  /** Told already. */
  #loadedPlugins: ReadonlySet<string> = new Set()
  #control: Control | null = null
  /** Null until a plan has certificates that come by ACME. */
  #certificates: CertificateKeeper | null = null
  /** Null until a plan has block lists that are fetched. */
  #lists: ListKeeper | null = null
  /** It has accepted traffic. */
  #isUp = false
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
      workerFile: entryFile('process/worker'),
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
    const source = {
      ...{ metrics: () => this.#scrape(), plugins: () => this.#plugins() },
      ...{ unready: () => this.#unready(), remarks: () => withoutHealthy(this.#supervisor.verdicts) },
      caches: (ask: CacheAsk) => this.#supervisor.askCaches(ask, cacheMs),
      endpoints: (ask: EndpointAsk) => this.#endpoints(ask),
      ...{ status: () => this.#status(), upstreams: () => this.#upstreams() },
    }
    this.#admin = new AdminDoors({ token: process.env.SLUICE_ADMIN_TOKEN || null, source })
    this.#config = this.#createConfig()
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
    this.#certificates?.close()
    this.#lists?.close()
    const closing = this.#config?.close()
    await this.#supervisor.drain()
    await closing
    await this.#admin.close()
    this.#control?.close()
    this.#drained.resolve()
    return exitCodes.ok
  }

  kill(): void {
    this.#certificates?.close()
    this.#lists?.close()
    this.#supervisor.kill()
    void this.#config?.close()
  }

  /** What is wrong with the config; null if something else is. */
  problemsOf(error: unknown): readonly Problem[] | null {
    const isOfPlan = error instanceof ConfigError || error instanceof BindError || error instanceof AdminError
    return isOfPlan ? (this.#config?.problemsOf(error) ?? null) : null
  }

  /** Workers load while the config is read; they prepare before anything is bound; all is bound before anything is accepted. */
  async #start(): Promise<void> {
    this.#supervisor.spawn()
    const { source } = this.#options
    const bundle = this.#config === null ? bundleForUrl(source.kind === 'url' ? source.url : '') : await this.#config.load()
    const summary = await this.#supervisor.prepare(bundle)
    await this.#supervisor.bind(summary)
    const admin = await this.#admin.change(summary.admin)
    admin.commit()
    await this.#supervisor.commit()
    this.#isUp = true
    this.#onLive(summary)
    await this.#startControl()
    await this.#config?.follow()
    for (const line of this.#supervisor.describe()) this.#output.print(`listening ${line}\n`)
    for (const address of this.#admin.addresses) this.#output.print(`listening admin ${address}\n`)
    const workers = this.#supervisor.workers.length
    const ms = Math.round(performance.now() - this.#startedAt)
    this.#output.print(`ready in ${ms} ms, ${workers} ${workers === 1 ? 'worker' : 'workers'}, pid ${process.pid}\n`)
    if (this.#options.cacheFolder !== null) void sweepModuleCache(this.#options.cacheFolder)
  }

  #createConfig(): LiveConfig | null {
    const { source, watch } = this.#options
    if (source.kind === 'url') return null
    return new LiveConfig({
      ...{ file: source.file, watch, supervisor: this.#supervisor, admin: this.#admin, output: this.#output, errors: this.#errors },
      warn: (text) => this.#log.warn(text),
      onLive: (summary) => this.#onLive(summary),
    })
  }

  #onLive({ log, plugins, acme, lists }: PlanSummary): void {
    void this.#keepCertificates(acme)
    void this.#keepLists(lists)
    this.#log.level = log.level
    this.#loadedAt = new Date()
    const lines = loadLines(plugins)
    for (const { key, text, fields } of lines) if (!this.#loadedPlugins.has(key)) this.#log.info(fields, text)
    this.#loadedPlugins = new Set(lines.map(({ key }) => key))
  }

  async #keepCertificates(plans: PlanSummary['acme']): Promise<void> {
    if (this.#certificates === null && plans.length > 0) {
      const { createKeeper } = await import('../acme/create.ts')
      this.#certificates ??= createKeeper({
        show: (challenges) => this.#supervisor.showChallenges(challenges),
        changeRecord: (certificate, change) => this.#supervisor.changeRecord(certificate, change),
        log: (level, text, fields) => this.#log[level](fields, text),
        // Else the watch tells.
        kept: () => this.#options.watch || void this.#config?.reload(),
      })
    }
    // There may have been another reload meanwhile.
    this.#certificates?.set(this.#supervisor.summary?.acme ?? plans)
  }

  async #keepLists(plans: PlanSummary['lists']): Promise<void> {
    if (this.#lists === null && plans.length > 0) {
      const { createListKeeper } = await import('../process/create-list-keeper.ts')
      this.#lists ??= createListKeeper({
        log: (level, text, fields) => this.#log[level](fields, text),
        // Else the watch tells.
        kept: () => this.#options.watch || void this.#config?.reload(),
      })
    }
    this.#lists?.set(this.#supervisor.summary?.lists ?? plans)
  }

  #reload(): Promise<ReloadResult> {
    return this.#config?.reload() ?? Promise.resolve({ ok: false, text: 'there is no config to load again: it was started with a URL' })
  }

  async #startControl(): Promise<void> {
    const { source, version, control: at } = this.#options
    const control = await startControl({
      ...{ config: source.kind === 'url' ? source.url : source.file, version, at },
      source: {
        status: () => this.#status(),
        reload: () => this.#reload(),
        stop: ({ now }) => this.#stopFor(now),
        recall: (requestId) => this.#supervisor.recall(requestId, recallMs),
        cache: (ask) => this.#supervisor.askCaches(ask, cacheMs),
        endpoints: (ask) => this.#endpoints(ask),
        profile: ({ plugin, seconds }) => this.#supervisor.profile(plugin, seconds * 1000),
      },
    })
    if (control.problem !== null) this.#log.warn(`no control socket: ${control.problem}`)
    this.#control = control
  }

  async #stopFor(now: boolean): Promise<void> {
    this.#log.info(`sluice stop: ${now ? 'ending at once' : 'draining'}`)
    if (now) this.#supervisor.kill()
    this.#stop.resolve('stopped')
    await this.#drained.promise
  }

  async #scrape(): Promise<{ type: string; text: string }> {
    await this.#supervisor.collect(scrapeMs)
    return { type: this.#metrics.contentType, text: await this.#metrics.text() }
  }

  async #plugins(): Promise<unknown> {
    const supervisor = this.#supervisor
    await supervisor.collect(scrapeMs)
    const { crashes, moved } = supervisor.culprits
    const news = { workers: supervisor.workers, counts: this.#metrics.plugins(), crashes, moved, kv: supervisor.kvUsage }
    return reportPlugins(supervisor.summary?.plugins ?? [], news)
  }

  #unready(): string | null {
    if (this.#supervisor.isDraining) return 'draining'
    return this.#supervisor.isReady ? null : 'not all workers carry traffic'
  }

  async #upstreams(): Promise<UpstreamReport[]> {
    return reportUpstreams(await this.#supervisor.upstreams(scrapeMs))
  }

  async #endpoints(ask: EndpointAsk): Promise<EndpointsTold> {
    const { endpoints } = this.#supervisor
    const did = ask.kind === 'list' ? await endpoints.mustKnow(ask.upstream) : await endpoints.change(ask)
    const upstreams = await this.#upstreams()
    return { did, upstreams: upstreams.filter(({ name, parents }) => parents !== true && (ask.upstream === null || name === ask.upstream)) }
  }

  async #status(): Promise<unknown> {
    const { source } = this.#options
    const upstreams = upstreamLines(await this.#upstreams())
    const now = performance.now()
    const workers = this.#supervisor.workers.map(({ slot, pid, isLive, connections, memory, sockets, bornAt }) => {
      return { slot, pid, live: isLive, connections, memoryBytes: memory, uptimeSeconds: Math.round((now - bornAt) / 1000), sockets }
    })
    return {
      version: this.#options.version,
      runtime: process.version,
      config: source.kind === 'url' ? source.url : configPlace(source.file),
      pid: process.pid,
      state: this.#supervisor.isDraining ? 'draining' : this.#supervisor.isReady ? 'ready' : 'starting',
      generation: this.#supervisor.generation,
      loadedAt: this.#loadedAt.toISOString(),
      lastReload: this.#config?.lastReload ?? null,
      uptimeSeconds: Math.round((now - this.#startedAt) / 1000),
      memoryBytes: process.memoryUsage.rss(),
      connections: workers.reduce((sum, { connections }) => sum + connections, 0),
      listeners: this.#supervisor.describe(),
      plugins: pluginNames(this.#supervisor.summary?.plugins ?? []),
      kv: this.#supervisor.kvUsage,
      upstreams,
      stores: [...this.#metrics.awayStores()].map(([store, away]) => `${store} is away in ${away} of ${workers.length} workers`),
      certificates: this.#certificates?.states ?? [],
      lists: this.#lists?.states ?? [],
      workers,
    }
  }

  #ownMetrics(): ReturnType<ConstructorParameters<typeof Metrics>[0]> {
    return {
      version: this.#options.version,
      workers: this.#supervisor.workers.filter(({ isLive }) => isLive).length,
      generation: this.#supervisor.generation,
      restarts: this.#supervisor.restartCounts,
      reloads: this.#config?.counts ?? { ok: 0, failed: 0 },
      lastReloadOk: this.#config?.lastReload?.ok ?? true,
      loadedAt: this.#loadedAt.getTime() / 1000,
      memoryBytes: process.memoryUsage.rss(),
      pluginCrashes: this.#supervisor.culprits.crashes,
      kv: this.#supervisor.kvUsage,
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
      const open = this.#supervisor.workers.reduce((sum, { connections }) => sum + connections, 0)
      this.#log.info({ connections: open, atMostMs: this.#options.drainMs }, `${signal}: draining; once more ends it at once`)
      this.#stop.resolve('stopped')
    }
    process.on('SIGTERM', onStop)
    process.on('SIGINT', onStop)
    process.on('SIGUSR1', () => this.#supervisor.reopenLogs())
    process.on('SIGHUP', () => {
      if (this.#config === null) this.#log.warn('SIGHUP: there is no config to load again')
      // Before that it is being loaded anyway.
      else if (this.#isUp) void this.#config.reload()
    })
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
