/**
 * The metrics of all workers as Prometheus reads them; lives in the supervisor. What a worker counted stays counted when it ends:
 * counters never go back.
 */
import type { KvUsage } from '../capability/kv-shares.ts'
import { buckets, type Family, type FamilyKind, families, type SeriesDelta, slotsOf } from './counters.ts'
import { Counter, Gauge, Histogram, Registry } from './prometheus.ts'

export interface Snapshot {
  readonly delta: SeriesDelta
  readonly values: Float64Array
}

/** What the supervisor knows by itself. */
export interface OwnMetrics {
  readonly version: string
  readonly workers: number
  readonly generation: number
  readonly restarts: Readonly<Record<string, number>>
  readonly reloads: { readonly ok: number; readonly failed: number }
  readonly lastReloadOk: boolean
  /** When the current plan was taken into use, in seconds since the epoch. */
  readonly loadedAt: number
  readonly memoryBytes: number
  /** Workers that each plugin made end. */
  readonly pluginCrashes: Readonly<Record<string, number>>
  /** Of plugins that may keep something in kv. */
  readonly kv: readonly KvUsage[]
}

/** Of all uses of a plugin in all workers, since the start. */
export interface PluginCounts {
  readonly calls: number
  readonly crossings: number
  readonly seconds: number
  /** By why. */
  readonly failures: Readonly<Record<string, number>>
}

interface Total {
  readonly family: Family
  readonly labels: readonly string[]
  readonly values: Float64Array
}

const prefix = 'sluice_'
/** Series of workers that have ended: of more, those of endpoints that are gone are put together. */
const MOST_ENDED = 20_000

export class Metrics {
  readonly #registry = new Registry()
  readonly #workers = new Map<number, { series: SeriesDelta[number][]; values: Float64Array }>()
  /** Counters and histograms of workers that have ended. */
  readonly #ended = new Map<string, Total>()
  #totals = new Map<string, Total>()

  constructor(own: () => OwnMetrics) {
    for (const family of Object.keys(families) as Family[]) this.#register(family)
    registerOwn(this.#registry, own)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** `worker` is unique to a process, not to a slot. */
  absorb(worker: number, { delta, values }: Snapshot): void {
    const known = this.#workers.get(worker) ?? { series: [], values }
    for (const one of delta) {
      if (one.at === undefined) known.series.push(one)
      else known.series[one.at] = one
    }
    known.values = values
    this.#workers.set(worker, known)
  }

  /** The worker has ended: its counters are kept, its gauges are gone. */
  retire(worker: number): void {
    const known = this.#workers.get(worker)
    if (known === undefined) return
    this.#workers.delete(worker)
    sumInto(this.#ended, known, (family) => families[family].kind !== 'gauge')
    if (this.#ended.size > MOST_ENDED) this.#forgetEndpoints()
  }

  /** Of endpoints that no worker names any more all is added up as `other`. */
  #forgetEndpoints(): void {
    const named = new Set([...this.#workers.values()].flatMap(({ series }) => series.flatMap((one) => endpointOf(one) ?? [])))
    for (const [key, total] of [...this.#ended]) {
      const endpoint = endpointOf(total)
      if (endpoint === null || named.has(endpoint)) continue
      this.#ended.delete(key)
      const { family, values } = total
      const labels = total.labels.map((label, i) => (i === families[family].labels.indexOf('endpoint' as never) ? 'other' : label))
      addTo(this.#ended, { family, labels, values })
    }
  }

  /** Text for a scrape, of what was absorbed so far. */
  async text(): Promise<string> {
    this.#sum()
    return this.#registry.metrics()
  }

  /** By the plugin's name, of what was absorbed so far. */
  plugins(): ReadonlyMap<string, PluginCounts> {
    this.#sum()
    const found = new Map<string, PluginCounts & { failures: Record<string, number> }>()
    for (const { family, labels, values } of this.#totals.values()) {
      if (!family.startsWith('plugin_')) continue
      const [name = '', why = ''] = labels
      const before = found.get(name) ?? { calls: 0, crossings: 0, seconds: 0, failures: {} }
      const value = values[0]!
      if (family === 'plugin_failures_total') before.failures[why] = value
      const counted = { plugin_calls_total: 'calls', plugin_crossings_total: 'crossings', plugin_seconds_total: 'seconds' }
      const field = counted[family as keyof typeof counted]
      found.set(name, field === undefined ? before : { ...before, [field]: value })
    }
    return found
  }

  /** Stores that cannot be reached, and by how many workers. */
  awayStores(): ReadonlyMap<string, number> {
    this.#sum()
    const all = [...this.#totals.values()].filter(({ family, values }) => family === 'store_away' && values[0]! > 0)
    return new Map(all.map(({ labels, values }) => [labels[0]!, values[0]!]))
  }

  #sum(): void {
    this.#totals = new Map()
    for (const [key, total] of this.#ended) this.#totals.set(key, { ...total, values: total.values.slice() })
    for (const worker of this.#workers.values()) sumInto(this.#totals, worker, () => true)
  }

  #register(family: Family): void {
    const { kind, help, labels } = families[family]
    const read = (): Total[] => [...this.#totals.values()].filter((total) => total.family === family)
    const options = { name: prefix + family, help, labelNames: [...labels], registers: [] }
    this.#registry.registerMetric(createMetric(kind, options, read))
  }
}

interface MetricOptions {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  readonly registers: never[]
}

function createMetric(kind: FamilyKind, options: MetricOptions, read: () => Total[]): Counter | Gauge | Histogram {
  switch (kind) {
    case 'counter':
      return new Counter({
        ...options,
        collect() {
          this.reset()
          for (const total of read()) if (isWorthTelling(total)) this.inc(labelsOf(total), total.values[0]!)
        },
      })
    case 'gauge':
      return new Gauge({
        ...options,
        collect() {
          this.reset()
          for (const total of read()) this.set(labelsOf(total), total.values[0]!)
        },
      })
    case 'histogram':
      return new SummedHistogram(options, read)
  }
}

/** A histogram whose buckets were counted elsewhere; the registry only writes it down. */
class SummedHistogram extends Histogram {
  readonly #options: MetricOptions
  readonly #read: () => Total[]

  constructor(options: MetricOptions, read: () => Total[]) {
    super({ ...options, buckets: [...buckets] })
    this.#options = options
    this.#read = read
  }

  /** What the registry asks a histogram for, though prom-client's types do not tell. */
  async getForPromString(): Promise<object> {
    const { name, help } = this.#options
    return { name, help, type: 'histogram', values: this.#read().flatMap((total) => histogramLines(name, total)) }
  }
}

interface HistogramLine {
  readonly value: number
  readonly labels: Record<string, string | number>
  readonly metricName: string
}

/** Buckets are counted apart and told as running totals. */
function histogramLines(name: string, total: Total): HistogramLine[] {
  const labels = labelsOf(total)
  const lines: HistogramLine[] = []
  let count = 0
  for (const [i, le] of [...buckets, '+Inf'].entries()) {
    count += total.values[i]!
    lines.push({ value: count, labels: { ...labels, le }, metricName: `${name}_bucket` })
  }
  lines.push({ value: total.values[buckets.length + 1]!, labels, metricName: `${name}_sum` })
  lines.push({ value: count, labels, metricName: `${name}_count` })
  return lines
}

/** Most status classes of most routes never happen: those are left out. */
function isWorthTelling({ family, values }: Total): boolean {
  return values[0] !== 0 || (family !== 'requests_total' && family !== 'upstream_requests_total')
}

function labelsOf({ family, labels }: Total): Record<string, string> {
  return Object.fromEntries(families[family].labels.map((name, i) => [name, labels[i] ?? '']))
}

function sumInto(
  totals: Map<string, Total>,
  { series, values }: { readonly series: SeriesDelta; readonly values: Float64Array },
  wanted: (family: Family) => boolean,
): void {
  let slot = 0
  for (const { family, labels } of series) {
    const width = slotsOf(family)
    if (wanted(family)) addTo(totals, { family, labels, values: values.subarray(slot, slot + width) })
    slot += width
  }
}

function addTo(totals: Map<string, Total>, { family, labels, values }: Total): void {
  const key = `${family}\0${labels.join('\0')}`
  let total = totals.get(key)
  if (total === undefined) {
    total = { family, labels, values: new Float64Array(slotsOf(family)) }
    totals.set(key, total)
  }
  for (let i = 0; i < values.length; i++) total.values[i]! += values[i]!
}

/** Upstream and endpoint; null: it is of no endpoint, or of all that have no labels. */
function endpointOf({ family, labels }: Pick<Total, 'family' | 'labels'>): string | null {
  const names: readonly string[] = families[family].labels
  const at = names.indexOf('endpoint')
  return at < 0 || labels[at] === 'other' ? null : `${labels[names.indexOf('upstream')]}\0${labels[at]}`
}

function registerOwn(registry: Registry, own: () => OwnMetrics): void {
  const gauge = (name: string, help: string, labelNames: string[], set: (metric: Gauge, values: OwnMetrics) => void): void => {
    const collect = function (this: Gauge): void {
      this.reset()
      set(this, own())
    }
    registry.registerMetric(new Gauge({ name: prefix + name, help, labelNames, registers: [], collect }))
  }
  gauge('build_info', 'Always 1.', ['version', 'runtime'], (metric, { version }) => metric.set({ version, runtime: process.version }, 1))
  gauge('workers', 'Workers that carry traffic.', [], (metric, { workers }) => metric.set(workers))
  gauge('generation', 'Number of the current plan.', [], (metric, { generation }) => metric.set(generation))
  gauge('supervisor_memory_bytes', 'Resident memory of the supervisor.', [], (metric, { memoryBytes }) => metric.set(memoryBytes))
  gauge(
    'config_last_reload_successful',
    '1, or 0 when the last reload failed and the config before it serves.',
    [],
    (metric, { lastReloadOk }) => metric.set(lastReloadOk ? 1 : 0),
  )
  gauge(
    'config_last_reload_seconds',
    'When the current config was taken into use, in seconds since the epoch.',
    [],
    (metric, { loadedAt }) => metric.set(loadedAt),
  )
  const kvGauge = (name: string, help: string, read: (usage: KvUsage) => number): void =>
    gauge(name, help, ['plugin'], (metric, { kv }) => {
      for (const usage of kv) metric.set({ plugin: usage.plugin }, read(usage))
    })
  kvGauge('plugin_kv_bytes', 'What a plugin keeps in kv.', ({ bytes }) => bytes)
  kvGauge('plugin_kv_max_bytes', 'What it may keep there.', ({ maxBytes }) => maxBytes)
  kvGauge('plugin_kv_keys', 'Keys that a plugin has in kv.', ({ keys }) => keys)
  const count = (name: string, help: string, label: string, read: (values: OwnMetrics) => Readonly<Record<string, number>>): void => {
    const collect = function (this: Counter): void {
      this.reset()
      for (const [value, times] of Object.entries(read(own()))) this.inc({ [label]: value }, times)
    }
    registry.registerMetric(new Counter({ name: prefix + name, help, labelNames: [label], registers: [], collect }))
  }
  count('worker_restarts_total', 'Workers replaced, by what ended them.', 'why', ({ restarts }) => restarts)
  count('plugin_worker_crashes_total', 'Workers that ended while code of a plugin ran.', 'plugin', ({ pluginCrashes }) => pluginCrashes)
  count('plugin_kv_evictions_total', 'Entries of kv that went for others of their plugin.', 'plugin', ({ kv }) => {
    return Object.fromEntries(kv.map(({ plugin, evictions }) => [plugin, evictions]))
  })
  count('config_reloads_total', 'Reloads, by how they ended.', 'result', ({ reloads }) => reloads)
}
