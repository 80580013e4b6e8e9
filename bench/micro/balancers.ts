/** What one pick costs, and what a balancer holds, with 3 and with 1,000 endpoints: all available, and with a tenth of them away. */
import { type BalancerKind, type Candidate, createBalancer } from '../../core/balancer/balancer.ts'
import { spread } from '../../core/balancer/hash.ts'
import { PeakAverage } from '../../core/balancer/peak-average.ts'
import { monotonicMs } from '../../core/clock.ts'

const key = { kind: 'ip' } as const
const kinds: readonly BalancerKind[] = [
  { kind: 'roundRobin' },
  { kind: 'random' },
  { kind: 'leastRequest', choices: 2 },
  { kind: 'leastTime' },
  { kind: 'ringHash', key },
  { kind: 'maglev', key },
  { kind: 'firstAvailable' },
  { kind: 'function', choose: () => 0 },
]
let at = 0
const PICKS = 300_000
const ROUNDS = 5
const tools = { random: Math.random, now: monotonicMs }

for (const size of [3, 1000])
  for (const kind of kinds) {
    const endpoints = Array.from({ length: size }, (_, i): Candidate & { inFlight: number } => {
      const time = new PeakAverage()
      time.observe(1 + (i % 7), monotonicMs())
      return { address: `10.0.${i >> 8}.${i & 255}:80`, weight: 1 + (i % 3), inFlight: i % 5, time }
    })
    globalThis.gc?.()
    const before = held()
    const began = performance.now()
    const balancer = createBalancer(kind, endpoints, tools)
    const madeMs = performance.now() - began
    globalThis.gc?.()
    const bytes = held() - before
    const all = best(() => balancer.pick(null, spread(at++)))
    const isAvailable = (index: number): boolean => index % 10 !== 1
    const some = best(() => balancer.pick(isAvailable, spread(at++)))
    const name = kind.kind.padEnd(14)
    console.log(
      `${String(size).padStart(5)} ${name} ${ns(all)} ${ns(some)} with some away  ${(bytes / 1024).toFixed(0).padStart(6)} KB  made in ${madeMs.toFixed(1)} ms`,
    )
  }

function best(pick: () => number): number {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.cpuUsage().user
    let sum = 0
    for (let i = 0; i < PICKS; i++) sum += pick()
    if (sum < 0) throw new Error('nothing was picked')
    least = Math.min(least, ((process.cpuUsage().user - began) * 1000) / PICKS)
  }
  return least
}

function held(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function ns(number: number): string {
  return `${number.toFixed(0).padStart(7)} ns`
}
