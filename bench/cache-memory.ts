/**
 * `npm run bench:cache-memory [-- --lengths 95,1024 --memory 64 --seconds 8]`: by how much a worker outgrows one without a cache under the same load, at
 * most, while three times as much goes into its cache as that may hold, and nothing is asked for twice; and the CPU of a request in both. A load lasts
 * `seconds`, and is repeated until it is that much.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lanes } from './lanes.ts'
import { runLoad } from './load.ts'
import { readOptions } from './options.ts'
import { startOrigin } from './origin.ts'
import { sluiceCommand } from './peers/sluice.ts'
import { accepting, cpuOf, delay, folder, freePort, peakRssMb, rssMb, start, stop, stopAll, tree } from './processes.ts'

const values = readOptions(import.meta.filename, {
  lengths: { type: 'string', default: '95,1024,10240,102400,512000' },
  memory: { type: 'string', default: '64' },
  seconds: { type: 'string', default: '8' },
})
const SECONDS = Number(values.seconds)
const MEMORY = Number(values.memory)
/** Of an answer that is kept, beside its body. */
const HEAD_BYTES = 1100
const lane = lanes.find(({ name }) => name === 'cache-miss')!

interface Measured {
  readonly requests: number
  readonly idle: number
  readonly peak: number
  readonly after: number
  /** Of the worker, microseconds a request. */
  readonly cost: number
}

const origin = await startOrigin('0,1')
for (const length of values.lengths.split(',').map(Number)) {
  const without = await measure(length, false)
  const cached = await measure(length, true)
  const grown = cached.peak - without.peak
  const through = (cached.requests * length) / 1_048_576
  console.log(
    `${length} bytes: ${without.peak.toFixed(0)} MB at most without a cache, ${cached.peak.toFixed(0)} with one of ${MEMORY} MB: ${grown.toFixed(0)} MB, × ${(grown / MEMORY).toFixed(2)} ` +
      `(${without.idle.toFixed(0)} and ${cached.idle.toFixed(0)} idle, ${without.after.toFixed(0)} and ${cached.after.toFixed(0)} after it); ` +
      `${without.cost.toFixed(1)} and ${cached.cost.toFixed(1)} µs a request, ${cached.requests} requests, ${through.toFixed(0)} MB of bodies`,
  )
}
await stopAll()
process.exit(0)

async function measure(length: number, isCached: boolean): Promise<Measured> {
  const home = join(folder, `${length}-${isCached}`)
  mkdirSync(home)
  const port = await freePort()
  const config = join(home, 'proxy.config.ts')
  const use = isCached ? `use: [cache({ ttl: '10m', memory: '${MEMORY}mb' })],` : ''
  writeFileSync(
    config,
    `import { cache, defineConfig, http } from 'sluice'
export default defineConfig({
  log: { access: false },
  listeners: { web: http({ listen: '127.0.0.1:${port}', ${use} routes: [{ path: '/*', to: '127.0.0.1:${origin.port}' }] }) },
})
`,
  )
  const child = start([...sluiceCommand(), 'run', '-c', config, '--workers', '1', '--no-watch', '--control', 'off'], { cwd: home })
  await accepting(child, port)
  await delay(500)
  const workers = tree(child.pid ?? -1).slice(1)
  const idle = rssMb(workers)
  const before = cpuOf(workers)
  const wanted = isCached ? (3 * MEMORY * 1_048_576) / (length + HEAD_BYTES) : 1
  let [requests, errors] = [0, 0]
  while (requests < wanted && errors === 0) {
    const load = await runLoad({ port, lane: { ...lane, path: `/bytes/${length}` }, seconds: SECONDS, cores: '0,1' })
    requests += load.requests
    errors += load.errors
  }
  const used = cpuOf(workers).totalNs - before.totalNs
  const peak = peakRssMb(workers)
  await delay(1000)
  const after = rssMb(workers)
  await stop(child)
  if (errors > 0) throw new Error(`${errors} requests failed`)
  return { requests, idle, peak, after, cost: used / 1000 / requests }
}
