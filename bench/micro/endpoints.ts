/** What an upstream of many endpoints holds, and what a choice, a change of one of them and a look at all cost; plain, and with checks, ejections and cookies. */
import { http, poll, type UpstreamOptions, upstream } from '../../core/index.ts'
import { startProxy } from '../../test/support/proxy.ts'

const CHOICES = 200_000
const CHANGES = 5
const ASKED = { request: null, ip: '192.0.2.1' } as never
const GUARDED = { outlier: {}, circuitBreaker: {}, healthCheck: { interval: '1h' }, sticky: { cookie: 'lb' } } as const

for (const size of [1_000, 10_000])
  for (const [name, more] of Object.entries<Partial<UpstreamOptions>>({ plain: {}, guarded: GUARDED })) {
    const addresses = Array.from({ length: size }, (_, i) => `10.0.${i >> 8}.${i & 255}:80`)
    const before = held()
    const to = upstream('api', { discovery: poll(() => addresses, { interval: '50ms' }), ...more } as never)
    const proxy = await startProxy({ config: { listeners: { web: http({ listen: 0, routes: [{ to }] }) } } })
    const api = () => proxy.runtime.upstream('api')!
    while (api().endpoints.length < size) await new Promise((resolve) => setTimeout(resolve, 50))
    const kb = (held() - before) / size / 1024
    const change = cpuMs(CHANGES, (i) => {
      const added = { weight: 1, priority: 0, zone: null }
      proxy.runtime.changeEndpoints([{ upstream: 'api', address: `10.9.9.${i}:80`, added, isRemoved: false, drain: null, until: null }])
    })
    const chosen = api()
    const choice = cpuMs(CHOICES, () => void chosen.choose(null, ASKED))
    const look = cpuMs(CHANGES, () => void JSON.stringify(proxy.runtime.upstreamStates))
    console.log(
      `${String(size).padStart(6)} ${name.padEnd(8)} ${kb.toFixed(1)} KB each  choice ${(choice * 1e6).toFixed(0)} ns  ` +
        `one more ${change.toFixed(1)} ms  all told ${look.toFixed(1)} ms`,
    )
    await proxy[Symbol.asyncDispose]()
  }
process.exit(0)

function cpuMs(times: number, run: (i: number) => void): number {
  const began = process.cpuUsage().user
  for (let i = 0; i < times; i++) run(i)
  return (process.cpuUsage().user - began) / 1000 / times
}

function held(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
