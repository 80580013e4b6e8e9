/**
 * `node --expose-gc bench/micro/cache.ts [NAME…]`, or `memory`: what an exchange with a cache on its way costs in this program alone, and what an answer that is kept takes of the
 * process beside what it counts for. Ns an exchange; the wires are in memory.
 */
import { spawnSync } from 'node:child_process'
import { CachePoint } from '../../core/cache/cache-point.ts'
import { Caches } from '../../core/cache/caches.ts'
import { Http1Connection } from '../../core/connection/http1.ts'
import { makeHook } from '../../core/hooks.ts'
import { compileRules } from '../../core/policy/cache.ts'
import { createService, homeOf, MemoryWire } from './in-memory.ts'

const MB = 1_048_576
const ROUNDS = 60
const BUDGET = 64 * MB
const AGENT = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n'

/** A proxy with a cache of so many bytes, and its endpoint, which answers with a body of `length` bytes. */
function start(length: number, memory: number) {
  const caches = new Caches(createService().service.deadlines)
  const held = caches.open().hold('default', { bytes: memory })
  const point = new CachePoint(held, compileRules({ ttl: '10m' }), Date.now)
  const hook = makeHook('cache', {
    onRequest: ({ cacheSide }) => point.ask(cacheSide!),
    onResponse: ({ cacheSide }) => point.answer(cacheSide!),
  })
  const { service, upstreamWires } = createService(1, [hook])
  const client = new MemoryWire()
  new Http1Connection(client, homeOf(service), 'http')
  const [endpoint] = upstreamWires as [MemoryWire]
  const head = `HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: ${new Date().toUTCString()}\r\nContent-Type: text/plain\r\nETag: "bench"\r\nContent-Length: ${length}\r\nConnection: keep-alive\r\n\r\n`
  const answer = Buffer.from(head + 'x'.repeat(length))
  const { cache } = held
  let asked = 0
  return {
    cache,
    client,
    get asked() {
      return asked
    },
    ask(path: string, lines = ''): void {
      const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n${AGENT}${lines}\r\n`, 'latin1')
      const { written } = endpoint
      client.owner.onBytes(request, request.length)
      if (endpoint.written === written) return
      asked++
      for (let at = 0; at < answer.length; at += 65_536) {
        const read = answer.subarray(at, at + 65_536)
        endpoint.owner.onBytes(read, read.length)
      }
    },
    stop(): void {
      service.deadlines.stop()
    },
  }
}

type Proxy = ReturnType<typeof start>

interface Case {
  readonly name: string
  readonly length: number
  readonly memory: number
  /** Exchanges a round. */
  readonly count: number
  begin?(proxy: Proxy): void
  ask(proxy: Proxy, i: number): void
}

const URLS = 10_000
/** As the lane cache-zipf: nine of ten among 10,000, the one of rank n as often as 1/n. */
function zipf(): string[] {
  const drawn: string[] = []
  const upTo: number[] = []
  let sum = 0
  for (let rank = 1; rank <= URLS; rank++) {
    sum += 1 / rank
    upTo.push(sum)
  }
  let seed = 7
  for (let i = 0; i < 65_536; i++) {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    const at = (seed / 0x7fffffff) * sum
    let [low, high] = [0, URLS - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle]! < at) low = middle + 1
      else high = middle
    }
    drawn.push(`/10k?${low + 1}`)
  }
  return drawn
}
const drawn = zipf()

const cases: readonly Case[] = [
  { name: 'hit, 95 bytes', length: 95, memory: 256 * MB, count: 20_000, ask: (proxy) => proxy.ask('/small') },
  { name: 'hit, 10 KB', length: 10_240, memory: 256 * MB, count: 20_000, ask: (proxy) => proxy.ask('/10k') },
  { name: 'hit, 1 MB', length: MB, memory: 256 * MB, count: 20_000, ask: (proxy) => proxy.ask('/1m') },
  { name: '304, 10 KB', length: 10_240, memory: 256 * MB, count: 20_000, ask: (proxy) => proxy.ask('/10k', 'If-None-Match: "bench"\r\n') },
  { name: 'miss, 95 bytes', length: 95, memory: 256 * MB, count: 5000, ask: (proxy, i) => proxy.ask(`/small?new-${i}`) },
  { name: 'miss, 95 bytes, memory full', length: 95, memory: 16 * MB, count: 5000, ask: (proxy, i) => proxy.ask(`/small?new-${i}`) },
  { name: 'miss, 10 KB, memory full', length: 10_240, memory: 64 * MB, count: 5000, ask: (proxy, i) => proxy.ask(`/10k?new-${i}`) },
  {
    name: 'zipf, 10 KB',
    length: 10_240,
    memory: 256 * MB,
    count: 10_000,
    begin(proxy) {
      for (let rank = 1; rank <= URLS; rank++) proxy.ask(`/10k?${rank}`)
    },
    ask: (proxy, i) => proxy.ask(i % 10 === 9 ? `/10k?new-${i}` : drawn[i & 65_535]!),
  },
]

const wanted = process.argv.slice(2)
if (wanted[0] === 'memory' && wanted.length === 2) measureMemory(Number(wanted[1]))
else if (wanted[0] === 'full' && wanted.length === 2) measureFull(Number(wanted[1]))
else {
  for (const one of cases) if (wanted.length === 0 || wanted.some((name) => one.name.startsWith(name))) measure(one)
  if (wanted.length === 0 || wanted.includes('memory')) {
    for (const length of [95, 1024, 10_240, 100_000])
      spawnSync(process.execPath, [...process.execArgv, import.meta.filename, 'memory', String(length)], { stdio: 'inherit' })
  }
}
process.exit(0)

function measure({ name, length, memory, count, begin, ask }: Case): void {
  const proxy = start(length, memory)
  begin?.(proxy)
  const costs: number[] = []
  let i = 0
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.cpuUsage()
    for (const end = i + count; i < end; i++) ask(proxy, i)
    const used = process.cpuUsage(from)
    costs.push(((used.user + used.system) * 1000) / count)
  }
  costs.sort((a, b) => a - b)
  const { objects, evictions } = proxy.cache.counts
  const asked = ((proxy.asked * 100) / i).toFixed(0)
  console.log(
    `${name.padEnd(28)} ${costs[0]!.toFixed(0).padStart(6)} ns (best of ${ROUNDS}), ${costs[ROUNDS >> 2]!.toFixed(0).padStart(6)} at the lower quartile, ${costs[ROUNDS >> 1]!.toFixed(0).padStart(6)} at the median; ${asked} % asked, ${objects} kept, ${evictions} evicted`,
  )
  if (proxy.client.written < i * length && name[0] !== '3') throw new Error('the exchanges did not end')
  proxy.stop()
}

/** Of all that the process has, how much an answer takes: in a process of its own. */
function measureMemory(length: number): void {
  // The young heap has its size, and the code is compiled.
  const warm = start(length, MB)
  for (let i = 0; i < 20_000; i++) warm.ask(`/warm?${i}`)
  warm.stop()
  const proxy = start(length, 4096 * MB)
  const count = Math.min(100_000, Math.floor((256 * MB) / length))
  const before = taken()
  const { bytes } = proxy.cache.counts
  for (let i = 0; i < count; i++) proxy.ask(`/some/path/of/a/page?id=${i}`)
  const after = taken()
  const counted = (proxy.cache.counts.bytes - bytes) / count
  const each = (of: 'rss' | 'heap' | 'external') => Math.round((after[of] - before[of]) / count)
  console.log(
    `${length} bytes: ${each('rss')} of the process (heap ${each('heap')}, outside of it ${each('external')}), ${Math.round(counted)} counted: × ${(each('rss') / counted).toFixed(2)}`,
  )
  proxy.stop()
}

/** Of a memory that is full: what the process has grown by, after three times as much has gone through it as it holds. */
function measureFull(length: number): void {
  const warm = start(length, MB)
  for (let i = 0; i < Math.min(20_000, (64 * MB) / length); i++) warm.ask(`/warm?${i}`)
  warm.stop()
  const before = taken()
  const proxy = start(length, BUDGET)
  for (let i = 0, put = 0; put < 3 * BUDGET; i++, put += length + 1024) proxy.ask(`/some/path/of/a/page?id=${i}`)
  const after = taken()
  const grown = after.rss - before.rss
  const own = after.heap + after.external - before.heap - before.external
  const share = (bytes: number) => `${(bytes / MB).toFixed(1)} MB, × ${(bytes / BUDGET).toFixed(2)}`
  console.log(`${length} bytes, ${BUDGET / MB} MB full: the process grew by ${share(grown)}; heap and buffers by ${share(own)}`)
  proxy.stop()
}

function taken(): { readonly rss: number; readonly heap: number; readonly external: number } {
  globalThis.gc?.()
  globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed, external }
}
