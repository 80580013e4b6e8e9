/**
 * `npm run bench [-- --quick] [--lanes plain,plugin] [--only sluice,nginx] [--logs off|on|both] [--rounds N] [--seconds N] [--json FILE]`:
 * the same work by Sluice, nginx, nginx+njs, nginx+Lua, HAProxy and Varnish, on this machine, in alternating rounds. See README.md.
 */
import { writeFileSync } from 'node:fs'
import { type Lane, lanes, type SubjectName } from './lanes.ts'
import { type Measured, measureLane } from './measure.ts'
import { readOptions } from './options.ts'
import { startOrigin } from './origin.ts'
import { isInstalled, stopAll } from './processes.ts'
import { faults, tables } from './table.ts'

const values = readOptions(import.meta.filename, {
  quick: { type: 'boolean', default: false },
  lanes: { type: 'string' },
  only: { type: 'string' },
  logs: { type: 'string', default: 'both' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  json: { type: 'string' },
})

for (const command of ['wrk', 'h2load', 'nginx', 'taskset']) {
  if (!isInstalled(command)) fail(`${command} is needed for load and origin (apt-get install wrk nghttp2-client nginx util-linux)`)
}
const chosen = choose('lane', values.lanes, lanes, (lane) => lane.name)
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5))
const seconds = Number(values.seconds ?? (values.quick ? 2 : 5))
const logs = values.logs === 'both' ? [false, true] : [values.logs === 'on']

const origin = await startOrigin('0')
const results: Measured[] = []
const began = performance.now()
for (const lane of chosen) {
  for (const accessLog of logs) {
    const options = { lane, accessLog, rounds, seconds, warmUpSeconds: 1, originPort: origin.port, subjects: subjectsOf(lane) }
    results.push(...(await measureLane({ ...options, progress })))
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 1)}\n`)
  }
}
console.log(`\n${tables(results)}\n`)
console.log(
  'µs CPU: of all processes of the proxy; in brackets the part of its first process (supervisor, master), if it did any. So with MB.',
)
for (const fault of faults(results)) console.log(`!! ${fault}`)
await stopAll()
process.exit(results.length === 0 ? 1 : 0)

function subjectsOf(lane: Lane): SubjectName[] {
  const only = values.only?.toLowerCase().split(',')
  return lane.subjects.filter(
    (name) =>
      only === undefined || only.some((part) => name.toLowerCase() === part || (part !== 'nginx' && name.toLowerCase().includes(part))),
  )
}

function choose<T>(what: string, names: string | undefined, all: readonly T[], nameOf: (one: T) => string): T[] {
  if (names === undefined) return [...all]
  return names
    .split(',')
    .map((name) => all.find((one) => nameOf(one) === name) ?? fail(`no ${what} ${name}; there are: ${all.map(nameOf).join(', ')}`))
}

function progress(line: string): void {
  console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${line}`)
}

function fail(text: string): never {
  console.error(text)
  process.exit(2)
}
