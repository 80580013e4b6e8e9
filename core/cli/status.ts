/** What `sluice status` prints of a proxy's answer. Pure; the proxy may be of another version, so every field may be missing. */

export interface Status {
  readonly state?: string
  readonly pid?: number
  readonly version?: string
  readonly runtime?: string
  readonly config?: string
  readonly generation?: number
  /** ISO 8601. */
  readonly loadedAt?: string
  /** null: none was tried since the start. */
  readonly lastReload?: LastReload | null
  readonly uptimeSeconds?: number
  readonly memoryBytes?: number
  readonly connections?: number
  readonly listeners?: readonly string[]
  readonly plugins?: readonly string[]
  readonly kv?: readonly KvStatus[]
  readonly upstreams?: readonly string[]
  /** Those that are away. */
  readonly stores?: readonly string[]
  readonly certificates?: readonly CertificateStatus[]
  readonly lists?: readonly ListStatus[]
  readonly workers?: readonly WorkerStatus[]
}

/** Of a plugin that may keep something in kv. */
export interface KvStatus {
  readonly plugin?: string
  readonly bytes?: number
  readonly maxBytes?: number
  readonly keys?: number
  readonly evictions?: number
}

/** Of a block list that is fetched. */
export interface ListStatus {
  readonly url?: string
  /** ISO 8601; null: none has come yet. */
  readonly fetchedAt?: string | null
  readonly problem?: string | null
}

/** Of one that comes by ACME. */
export interface CertificateStatus {
  readonly names?: readonly string[]
  /** ISO 8601; null: there is none. */
  readonly until?: string | null
  /** When it is ordered next; null: it is being ordered. */
  readonly nextAt?: string | null
  readonly problem?: string | null
}

export interface LastReload {
  readonly at: string
  readonly ok: boolean
  /** One line, or code frames. */
  readonly text: string
}

export interface WorkerStatus {
  readonly slot?: number
  readonly pid?: number
  readonly live?: boolean
  readonly connections?: number
  readonly memoryBytes?: number
  readonly uptimeSeconds?: number
  /** What it reads and writes them by. */
  readonly sockets?: string | null
}

export function formatStatus(status: Status, now: Date): string {
  const ago = (at: string): string => `${describeSeconds((now.getTime() - Date.parse(at)) / 1000)} ago`
  const { pid, version, runtime, config, generation, loadedAt, lastReload, uptimeSeconds, memoryBytes, connections } = status
  const rows: (readonly [string, string])[] = [
    ['state', `${status.state ?? 'unknown'}${uptimeSeconds === undefined ? '' : `, up ${describeSeconds(uptimeSeconds)}`}`],
    ['pid', `${pid ?? '?'}${memoryBytes === undefined ? '' : ` (supervisor, ${describeBytes(memoryBytes)})`}`],
    ['version', `${version ?? '?'}${runtime === undefined ? '' : ` on Node.js ${runtime}`}`],
    ['config', config ?? '?'],
  ]
  if (generation !== undefined) rows.push(['generation', `${generation}${loadedAt === undefined ? '' : `, loaded ${ago(loadedAt)}`}`])
  if (lastReload != null)
    rows.push(['last reload', `${lastReload.ok ? lastReload.text : 'failed: the config before it runs on'}, ${ago(lastReload.at)}`])
  if (connections !== undefined) rows.push(['connections', String(connections)])
  for (const [i, listener] of (status.listeners ?? []).entries()) rows.push([i === 0 ? 'listeners' : '', listener])
  for (const [i, plugin] of (status.plugins ?? []).entries()) rows.push([i === 0 ? 'plugins' : '', plugin])
  for (const [i, one] of (status.kv ?? []).entries()) rows.push([i === 0 ? 'kv' : '', describeKv(one)])
  for (const [i, upstream] of (status.upstreams ?? []).entries()) rows.push([i === 0 ? 'upstreams' : '', upstream])
  for (const [i, store] of (status.stores ?? []).entries()) rows.push([i === 0 ? 'stores' : '', store])
  for (const [i, one] of (status.certificates ?? []).entries()) rows.push([i === 0 ? 'certificates' : '', describeCertificate(one)])
  for (const [i, one] of (status.lists ?? []).entries()) rows.push([i === 0 ? 'block lists' : '', describeList(one, ago)])
  const blocks = [rows.map(([name, value]) => `${name.padEnd(12)} ${value}`).join('\n')]
  if (lastReload?.ok === false) blocks.push(lastReload.text)
  if (status.workers !== undefined && status.workers.length > 0) blocks.push(workerTable(status.workers))
  return `${blocks.join('\n\n')}\n`
}

/** `geo keeps 320 keys, 1.2 of 16 MB` */
function describeKv({ plugin = '?', bytes = 0, maxBytes = 0, keys = 0, evictions = 0 }: KvStatus): string {
  const megabytes = (size: number): string => String(Math.round((size / 1024 / 1024) * 10) / 10)
  const gone = evictions === 0 ? '' : `; ${evictions} had to go for others`
  return `${plugin} keeps ${keys} ${keys === 1 ? 'key' : 'keys'}, ${megabytes(bytes)} of ${megabytes(maxBytes)} MB${gone}`
}

/** `https://example.com/ads.txt fetched 2 h ago` */
function describeList({ url = '?', fetchedAt, problem }: ListStatus, ago: (at: string) => string): string {
  const failed = problem == null ? '' : `, the last request failed: ${problem}`
  return `${url} ${fetchedAt == null ? 'not there yet' : `fetched ${ago(fetchedAt)}`}${failed}`
}

/** `www.example.com until 2026-03-01, renewed 2026-01-30` */
function describeCertificate({ names = [], until, nextAt, problem }: CertificateStatus): string {
  const day = (at: string): string => at.slice(0, 10)
  const parts = [until == null ? 'none yet' : `until ${day(until)}`]
  if (nextAt === null) parts.push('being ordered')
  else if (problem != null) parts.push(`the last order failed: ${problem}`, `next ${nextAt?.slice(0, 16)}Z`)
  else if (nextAt !== undefined && until != null) parts.push(`renewed ${day(nextAt)}`)
  return `${names.join(', ')} ${parts.join(', ')}`
}

function workerTable(workers: readonly WorkerStatus[]): string {
  const rows = workers.map(({ slot, pid, live, connections, memoryBytes, uptimeSeconds, sockets }) => [
    ...[String(slot ?? '?'), String(pid ?? '?'), live === false ? 'starting' : 'live', String(connections ?? '?')],
    ...[memoryBytes === undefined ? '?' : describeBytes(memoryBytes), uptimeSeconds === undefined ? '?' : describeSeconds(uptimeSeconds)],
    sockets ?? '?',
  ])
  const all = [['worker', 'pid', 'state', 'connections', 'memory', 'up', 'sockets by'], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** The two largest units that say something. */
export function describeSeconds(seconds: number): string {
  const total = Math.max(0, Math.floor(seconds))
  if (Number.isNaN(total)) return '?'
  const parts = [
    [Math.floor(total / 86_400), 'd'],
    [Math.floor(total / 3_600) % 24, 'h'],
    [Math.floor(total / 60) % 60, 'min'],
    [total % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}

function describeBytes(bytes: number): string {
  return bytes < 1024 * 1024 * 1024 ? `${Math.round(bytes / 1024 / 1024)} MB` : `${(bytes / 1024 / 1024 / 1024).toFixed(1)} GB`
}
