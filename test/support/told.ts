/** What becomes of access lines that hooks are asked about: the observer of a worker, its log in a file, and a clock to turn. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Deadlines } from '../../core/deadlines.ts'
import type { EndedExchange, EndedTunnel } from '../../core/events.ts'
import { type Ask, type Hook, type LogFields, makeHook } from '../../core/hooks.ts'
import { Counters, type Family, slotsOf } from '../../core/observe/counters.ts'
import { LineSink } from '../../core/observe/line-sink.ts'
import { type PluginLine, Traffic } from '../../core/observe/traffic.ts'
import type { ChangeLine } from '../../core/observe/upstream-changes.ts'

export class Told implements Disposable {
  readonly traffic: Traffic
  readonly warnings: PluginLine[] = []
  readonly changes: ChangeLine[] = []
  readonly #counters = new Counters()
  readonly #series: { readonly family: Family }[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'sluice-log-'))
  readonly #sink = new LineSink({ path: join(this.#folder, 'access.log'), onDrops: () => {} })
  #now = 1_000
  readonly #deadlines = new Deadlines(25, () => this.#now)

  constructor(format: 'json' | 'combined' | 'pretty' = 'json', access = true) {
    const onPluginLine = (line: PluginLine) => void this.warnings.push(line)
    this.traffic = new Traffic({
      counters: this.#counters,
      sink: this.#sink,
      onPluginLine,
      onChangeLine: (line) => void this.changes.push(line),
      deadlines: this.#deadlines,
    })
    this.traffic.configure({ access, level: 'info', format })
  }

  end(exchange: EndedExchange, hooks: readonly Hook[] | null = null): void {
    this.traffic.exchangeEnded({ ...exchange, logHooks: hooks })
  }

  endTunnel(tunnel: EndedTunnel, hooks: readonly Hook[] | null = null): void {
    this.traffic.tunnelEnded({ ...tunnel, logHooks: hooks })
  }

  passMs(ms: number): void {
    this.#now += ms
    this.#deadlines.tick()
  }

  lines(): string[] {
    this.#sink.flush()
    return readFileSync(join(this.#folder, 'access.log'), 'latin1').split('\n').slice(0, -1)
  }

  /** Paths with their queries. */
  paths(): string[] {
    return this.lines().map((line) => (JSON.parse(line) as { path: string }).path)
  }

  /** All of that family. */
  count(family: string): number {
    const { delta, values } = this.#counters.snapshot()
    // A series with other labels stays where it is.
    this.#series.push(...delta.filter((series) => series.at === undefined))
    let at = 0
    let sum = 0
    for (const series of this.#series) {
      if (series.family === family) sum += values[at]!
      at += slotsOf(series.family)
    }
    return sum
  }

  /** How many there are, as of the last count. */
  get series(): number {
    return this.#series.length
  }

  [Symbol.dispose](): void {
    this.#deadlines.stop()
    this.#sink.close()
    rmSync(this.#folder, { recursive: true })
  }
}

/** A hook of these entries alone; what it returns becomes its verdict. */
export function logging(onLog: (entries: readonly LogFields[]) => readonly (LogFields | null)[] | undefined): Hook {
  const ask: Ask = ({ part }) => {
    if (part?.kind !== 'log') throw new Error('asked about something else')
    const entries = onLog(part.entries) ?? null
    return entries === null ? null : { kind: 'entries', entries }
  }
  return makeHook('logging', { onLog: ask })
}

/** One turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
