/**
 * What an ended exchange costs for the metrics and the access log, the garbage it makes and the writes included: nanoseconds an
 * exchange, as the difference to rounds that only make the exchanges. Last, what hooks of the log add. `node bench/micro/accesslog.ts [FILE]`
 */
import type { EndedExchange } from '../../core/events.ts'
import { type Hook, makeHook } from '../../core/hooks.ts'
import { Counters } from '../../core/observe/counters.ts'
import { LineSink } from '../../core/observe/line-sink.ts'
import { Traffic } from '../../core/observe/traffic.ts'

const ROUNDS = 101
const A_ROUND = 20_480
const A_BATCH = 128

/** A class, as the real exchange is: objects made by spreading are slow to read. */
class Ended implements EndedExchange {
  readonly listener = 'web'
  readonly route = 'web[0]'
  readonly upstream = 'api'
  readonly endpoint = '127.0.0.1:3001'
  readonly protocol = 'HTTP/1.1'
  readonly method = 'GET'
  readonly referer = null
  readonly ip = '127.0.0.1'
  readonly peer = '127.0.0.1'
  readonly status = 200
  readonly reason = null
  readonly detail = null
  readonly decidedBy = null
  readonly bytesIn = 0
  readonly bytesOut = 95
  readonly attempts = 1
  readonly tunnel = false
  readonly clientCertificate = null
  readonly user = null
  readonly moved = null
  readonly cache = null
  readonly destination = null
  readonly logged = null
  readonly logHooks: readonly Hook[] | null
  readonly generation = 1
  readonly scheme = 'http'
  readonly serial: number
  readonly received: string
  readonly id: string
  readonly host: string
  readonly path: string
  readonly search: string
  readonly userAgent: string
  readonly startedAt: number
  readonly durationMs: number
  readonly upstreamMs: number

  constructor(text: string, i: number, logHooks: readonly Hook[] | null) {
    const [path = '', search = '', host = '', userAgent = '', id = ''] = text.split('|')
    this.serial = i
    this.logHooks = logHooks
    this.received = received.slice(i % 7)
    this.path = path
    this.search = search
    this.host = host
    this.userAgent = userAgent
    this.id = id
    this.startedAt = 1_790_000_000_000 + i * 0.05
    this.durationMs = (i % 50) / 10 + 0.13
    this.upstreamMs = (i % 40) / 10 + 0.07
  }
}

const received = `GET /api/users/7?page=1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n${'Accept: text/html,application/xhtml+xml\r\n'.repeat(5)}\r\n`

/** Texts as they arrive: nobody has looked at them yet. */
const heads = Array.from({ length: 1_000 }, (_, i) =>
  Buffer.from(`/api/users/${i}|?page=${i % 10}|example.com:8080|Mozilla/5.0 (X11; Linux x86_64)|k3j2h1-${i}`),
)
const path = process.argv[2] ?? '/dev/null'

console.log(`metrics                 ${await measure((traffic) => traffic.configure({ access: false, level: 'info', format: null }))} ns`)
for (const format of ['json', 'combined'] as const) {
  const ns = await measure((traffic) => traffic.configure({ access: true, level: 'info', format }))
  console.log(`metrics, ${format.padEnd(8)} line ${String(ns).padStart(8)} ns`)
}
const hooks = {
  'does nothing': makeHook('silent', { onLog: () => null }),
  'returns what it got': makeHook('same', {
    onLog: ({ part }) => (part?.kind === 'log' ? { kind: 'entries', entries: part.entries } : null),
  }),
}
for (const [what, hook] of Object.entries(hooks)) {
  const ns = await measure((traffic) => traffic.configure({ access: true, level: 'info', format: 'json' }), [hook])
  console.log(`metrics, json line, a hook that ${what} ${String(ns).padStart(8)} ns`)
}

async function measure(configure: (traffic: Traffic) => void, logHooks: readonly Hook[] | null = null): Promise<number> {
  const sink = new LineSink({ path, onDrops: () => {} })
  const traffic = new Traffic({ counters: new Counters(), sink, onChangeLine: () => {}, onPluginLine: () => {} })
  configure(traffic)
  const differences: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const alone = await time(null, logHooks)
    const told = await time(traffic, logHooks)
    sink.flush()
    differences.push(told - alone)
  }
  sink.close()
  differences.sort((a, b) => a - b)
  return Math.round(differences[ROUNDS >> 1]!)
}

/** Nanoseconds of this thread's CPU an exchange. Hooks get their turn of the event loop once a batch, as they do in a worker. */
async function time(traffic: Traffic | null, logHooks: readonly Hook[] | null): Promise<number> {
  let last: EndedExchange | null = null
  const began = process.threadCpuUsage()
  for (let i = 0; i < A_ROUND; i++) {
    last = new Ended(heads[i % heads.length]!.latin1Slice(), i, logHooks)
    traffic?.exchangeEnded(last)
    if (logHooks !== null && (i + 1) % A_BATCH === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const { user, system } = process.threadCpuUsage(began)
  if (last === null) throw new Error('no exchange')
  return ((user + system) * 1_000) / A_ROUND
}
