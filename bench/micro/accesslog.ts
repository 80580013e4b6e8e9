/**
 * What an ended exchange costs for the metrics and the access log, the garbage it makes and the writes included: nanoseconds an
 * exchange, as the difference to rounds that only make the exchanges. `node bench/micro/accesslog.ts [FILE]`
 */
import type { EndedExchange } from '../../core/events.ts'
import { Counters } from '../../core/observe/counters.ts'
import { LineSink } from '../../core/observe/line-sink.ts'
import { Traffic } from '../../core/observe/traffic.ts'

const ROUNDS = 101
const A_ROUND = 20_000

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

  constructor(text: string, i: number) {
    const [path = '', search = '', host = '', userAgent = '', id = ''] = text.split('|')
    this.serial = i
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

console.log(`metrics                 ${measure((traffic) => traffic.configure({ access: false, level: 'info', format: null }))} ns`)
for (const format of ['json', 'combined'] as const) {
  const ns = measure((traffic) => traffic.configure({ access: true, level: 'info', format }))
  console.log(`metrics, ${format.padEnd(8)} line ${String(ns).padStart(8)} ns`)
}

function measure(configure: (traffic: Traffic) => void): number {
  const sink = new LineSink({ path, onDrops: () => {} })
  const traffic = new Traffic({ counters: new Counters(), sink, onPluginLine: () => {} })
  configure(traffic)
  const differences: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const alone = time(null)
    const told = time(traffic)
    sink.flush()
    differences.push(told - alone)
  }
  sink.close()
  differences.sort((a, b) => a - b)
  return Math.round(differences[ROUNDS >> 1]!)
}

/** Nanoseconds of this thread's CPU an exchange. */
function time(traffic: Traffic | null): number {
  let last: EndedExchange | null = null
  const began = process.threadCpuUsage()
  for (let i = 0; i < A_ROUND; i++) {
    last = new Ended(heads[i % heads.length]!.latin1Slice(), i)
    traffic?.exchangeEnded(last)
  }
  const { user, system } = process.threadCpuUsage(began)
  if (last === null) throw new Error('no exchange')
  return ((user + system) * 1_000) / A_ROUND
}
