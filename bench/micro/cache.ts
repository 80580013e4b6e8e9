/**
 * `node --expose-gc bench/micro/cache.ts [NAME…]`, or `memory`: what an exchange with a cache on its way costs in this program alone, and what an answer
 * that is kept takes beside what it counts for. Ns an exchange; the wires are in memory.
 */
import { type CachingProxy, FILLINGS, fill, PLAIN_LINES, startProxy } from './cached-answers.ts'

const MB = 1_048_576
const ROUNDS = 60

interface Case {
  readonly name: string
  readonly length: number
  readonly memory: number
  /** Exchanges a round. */
  readonly count: number
  begin?(proxy: CachingProxy): void
  ask(proxy: CachingProxy, i: number): void
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
for (const one of cases) if (wanted.length === 0 || wanted.some((name) => one.name.startsWith(name))) await measure(one)
if (wanted.length === 0 || wanted.includes('memory')) measureMemory()
process.exit(0)

async function measure({ name, length, memory, count, begin, ask }: Case): Promise<void> {
  const proxy = startProxy({ length, lines: PLAIN_LINES }, memory)
  begin?.(proxy)
  const costs: number[] = []
  let i = 0
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.cpuUsage()
    for (const end = i + count; i < end; i++) {
      ask(proxy, i)
      // A turn of the event loop.
      if (i % 16 === 0) await null
    }
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

/** On the heap and in buffers. */
function measureMemory(): void {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('memory wants --expose-gc')
  // The code is compiled.
  for (const one of FILLINGS) fill(one, MB, gc)
  console.log('| answers | bytes each | counted | counted / taken |\n| --- | --- | --- | --- |')
  for (const one of FILLINGS) {
    const { taken, counted } = fill(one, 64 * MB, gc)
    console.log(`| ${one.name} | ${Math.round(taken)} | ${Math.round(counted)} | ${(counted / taken).toFixed(2)} |`)
  }
}
