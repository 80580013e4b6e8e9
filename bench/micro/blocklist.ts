/**
 * What a list of very many names costs: memory of the table and of the process, time to load it, the longest stop of the event loop
 * while it loads, and one look-up of a name that is in it and of one that is not. Beside it a Set of the same names.
 * `node bench/micro/blocklist.ts [NAMES]`
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as turn } from 'node:timers/promises'
import { readBlocklist } from '../../core/blocking/blocklist.ts'

const count = Number(process.argv[2] ?? 1_000_000)
const nameOf = (i: number): string => `${((i * 2_654_435_761) % 4_294_967_296).toString(36)}.ads${i % 5_003}.example.com`
const folder = mkdtempSync(join(tmpdir(), 'sluice-blocklist-'))
const file = join(folder, 'names.txt')

try {
  writeList()
  const before = memory()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const cpu = process.cpuUsage()
  const started = performance.now()
  const plan = { name: 'hosts', hosts: [], allow: [], files: [{ fetched: null, name: 'names', file }] }
  const list = await readBlocklist(plan, turn)
  const loadMs = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  console.log(`${list.size} names in ${megabytes(list.bytes)} MB; the process grew by ${megabytes(memory() - before)} MB`)
  console.log(
    `loaded in ${loadMs.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of CPU, longest stop ${(delay.max / 1e6).toFixed(1)} ms`,
  )
  const known = Array.from({ length: 100_000 }, (_, i) => nameOf((i * 7_919) % count))
  const unknown = known.map((name) => `www.${name.replace('example', 'elsewhere')}`)
  console.log(`a name that is in it  ${nanoseconds(known, (name) => list.match(name) !== null)} ns`)
  console.log(`a name that is not    ${nanoseconds(unknown, (name) => list.match(name) !== null)} ns`)
  const bare = memory()
  const set = new Set(Array.from({ length: count }, (_, i) => nameOf(i)))
  console.log(`a Set of them: ${megabytes(memory() - bare)} MB; known ${nanoseconds(known, (name) => set.has(name))} ns, without parents`)
} finally {
  rmSync(folder, { recursive: true })
}

function writeList(): void {
  writeFileSync(file, Array.from({ length: count }, (_, i) => (i % 2 === 0 ? `0.0.0.0 ${nameOf(i)}\n` : `||${nameOf(i)}^\n`)).join(''))
}

function memory(): number {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

/** The best of five rounds: what else the machine does is not asked. */
function nanoseconds(names: readonly string[], look: (name: string) => boolean): string {
  let best = Number.POSITIVE_INFINITY
  let found = 0
  for (let round = 0; round < 5; round++) {
    const started = performance.now()
    for (const name of names) if (look(name)) found++
    best = Math.min(best, performance.now() - started)
  }
  return ((best * 1e6) / names.length).toFixed(0) + (found < 0 ? ' ' : '')
}
