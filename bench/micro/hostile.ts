/**
 * The hostile list in both engines, as a table: what ended each one, after how long, the peak memory of the process it ran in, and
 * what became of the others: calls of the same batch, and of another plugin.
 *
 *     node --no-node-snapshot --no-concurrent-osr bench/micro/hostile.ts [worker|process] [name]
 *
 * In the worker engine each case has a process of its own here, for some take theirs along.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type HostileCase, hostileCases } from '../../test/suites/hostile.ts'
import { requestHead } from '../../test/support/heads.ts'
import { ask, type Isolation, outcome, Sandboxed } from '../../test/support/sandboxed.ts'

interface Row {
  readonly outcome: string
  readonly detail: string
  readonly ms: number
  readonly peakMb: number
  readonly others: string
  readonly neighbour: string
}

const [wanted, only, isChild] = process.argv.slice(2)
if (isChild === 'child') await runCase(wanted as Isolation, hostileCases.find(({ name }) => name === only)!)
else for (const isolation of ['worker', 'process'] as const) if (wanted === undefined || wanted === isolation) await table(isolation)

async function table(isolation: Isolation): Promise<void> {
  console.log(
    `\n| ${isolation} engine | what ended it | ms | peak MB | others of its batch | neighbour's failed |\n| --- | --- | --- | --- | --- | --- |`,
  )
  for (const hostile of hostileCases) {
    if (only !== undefined && only !== hostile.name) continue
    const row = await runChild(isolation, hostile.name)
    console.log(
      `| ${hostile.name} | ${row.outcome}: ${row.detail} | ${row.ms.toFixed(0)} | ${row.peakMb.toFixed(0)} | ${row.others} | ${row.neighbour} |`,
    )
  }
}

function runChild(isolation: Isolation, name: string): Promise<Row> {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    ['--no-node-snapshot', '--no-concurrent-osr', fileURLToPath(import.meta.url), isolation, name, 'child'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  const deadline = setTimeout(() => child.kill('SIGKILL'), 20_000)
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(deadline)
      const ms = performance.now() - began
      if (output !== '') resolve(JSON.parse(output) as Row)
      else
        resolve({ outcome: 'the worker died', detail: signal ?? `code ${code}`, ms, peakMb: 0, others: 'lost', neighbour: 'all under way' })
    })
  })
}

/** One evil call amid nine honest ones; a neighbour plugin in the same sandbox is asked all the while. */
async function runCase(isolation: Isolation, hostile: HostileCase): Promise<void> {
  const it = await Sandboxed.create(isolation)
  const neighbour = await it.plugin(`return { onRequest(req) { req.headers.set('x-n', '1') } }`)
  const keyword = hostile.isAsync === true ? 'async' : ''
  const evil = await it.plugin(
    `return { ${keyword} onRequest(req) { if (req.path === '/evil') { ${hostile.body} } req.headers.set('x', req.path) } }`,
    { timeoutMs: 50, deadlineMs: 500 },
  )
  const peak = watchMemory()
  let asking = true
  let asked = 0
  let failed = 0
  const neighbours = (async () => {
    while (asking) {
      asked++
      if (outcome(await ask(neighbour)) !== 'went on') failed++
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })()
  const began = performance.now()
  let ms = 0
  const answers = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const answer = await ask(evil, { request: requestHead({ path: i === 4 ? '/evil' : `/${i}` }) })
      if (i === 4) ms = performance.now() - began
      return answer
    }),
  )
  asking = false
  await neighbours
  const honest = answers.filter((_, i) => i !== 4)
  const went = honest.filter((answer) => answer.request.get('x') === answer.request.path).length
  const row: Row = {
    outcome: outcome(answers[4]!),
    detail:
      it.told.failures[0] === undefined ? '' : `${it.told.failures[0].why}, ${it.told.failures[0].detail.split('\n')[0]!.slice(0, 60)}`,
    ms,
    peakMb: peak(),
    others: `${went} of ${honest.length} went on`,
    neighbour: `${failed} of ${asked}`,
  }
  process.stdout.write(JSON.stringify(row), () => process.exit(0))
}

/** The most that this process, or a child of it, has held. */
function watchMemory(): () => number {
  const sums = (): number => {
    let most = 0
    for (const pid of [process.pid, ...children(process.pid)]) {
      try {
        const line = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
        most = Math.max(most, Number(line?.[1] ?? 0) / 1024)
      } catch {
        // It has ended.
      }
    }
    return most
  }
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, sums())
  }, 20)
  timer.unref()
  return () => Math.max(peak, sums())
}

function children(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}
