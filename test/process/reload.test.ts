/**
 * A supervisor with real workers, and a worker that dies at the worst moments of a reload; a plan that is not taken; a port that moves
 * to another listener. What a client sees of it.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Bundle } from '../../core/config/bundle.ts'
import { entryFile } from '../../core/entry-files.ts'
import { BindError } from '../../core/process/bind.ts'
import { type Reloaded, type ReloadOptions, StaleError, Supervisor, type SupervisorOptions } from '../../core/process/supervisor.ts'
import { PrepareError } from '../../core/process/worker-process.ts'
import { connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { freePort } from '../support/process.ts'

const workerFile = entryFile('process/worker')

class Rig implements AsyncDisposable {
  readonly logged: string[] = []
  readonly supervisor: Supervisor
  /** What happens just before the commit point. */
  beforeCommit: () => Promise<void> = async () => {}

  constructor(options: Partial<SupervisorOptions> = {}) {
    this.supervisor = new Supervisor({
      ...{ workers: 2, workerFile, logTarget: '/dev/null', cacheFolder: null, hangMs: 5_000, drainMs: 300, prepareMs: 5_000 },
      beforeCommit: () => this.beforeCommit(),
      events: { log: ({ text }) => this.logged.push(text), metrics: () => {}, retired: () => {} },
      ...options,
    })
    this.supervisor.spawn()
  }

  async start(bundle: Bundle): Promise<number> {
    const summary = await this.supervisor.prepare(bundle)
    await this.supervisor.bind(summary)
    await this.supervisor.commit()
    return Number(/:(\d+)$/.exec(this.supervisor.describe()[0]!)?.[1])
  }

  reload(bundle: Bundle, options: Partial<ReloadOptions> = {}): Promise<Reloaded> {
    const alongside = async (): Promise<{ commit(): void; abort(): void }> => ({ commit() {}, abort() {} })
    return this.supervisor.reload(bundle, { isStale: () => false, alongside, ...options })
  }

  pids(): number[] {
    return this.supervisor.workers.filter(({ isLive }) => isLive).map(({ pid }) => pid)
  }

  async ready(): Promise<void> {
    await eventually(
      () => (this.supervisor.isReady ? true : undefined),
      () => `not all workers are back: ${this.logged.join('; ')}`,
      10_000,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.supervisor.kill()
    await this.supervisor.drain()
  }
}

test('a worker killed between prepare and commit fails nothing: the others commit, its replacement takes what is committed', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  const [victim, survivor] = rig.pids()
  rig.beforeCommit = async () => {
    process.kill(victim!, 'SIGKILL')
    await eventually(() => (rig.logged.some((text) => text.includes('SIGKILL')) ? true : undefined), 'it did not die')
  }
  const { difference } = await rig.reload(saying('two'))
  assert.is(difference?.routes.changed, 1)
  assert.equal(await answers(port, 30), new Set(['two']))
  await rig.ready()
  assert.ok(rig.pids().includes(survivor!) && !rig.pids().includes(victim!))
  assert.equal(await answers(port, 40), new Set(['two']))
})

test('a replacement that prepared the plan before opens its sockets on the new one', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  // It dies, its replacement has prepared and committed the old plan, and only then the new one is committed.
  rig.beforeCommit = async () => {
    const [victim, survivor] = rig.pids()
    process.kill(victim!, 'SIGKILL')
    const hasOld = (): boolean =>
      rig.supervisor.workers.some(({ pid, generation }) => pid !== victim && pid !== survivor && generation === 1)
    await eventually(() => (hasOld() ? true : undefined), 'no replacement', 10_000)
  }
  await rig.reload(saying('two'))
  await rig.ready()
  assert.equal(await answers(port, 40), new Set(['two']))
})

test('the only worker killed between prepare and commit: the next one serves the new plan, whoever connected has waited', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start(saying('one'))
  rig.beforeCommit = async () => process.kill(rig.pids()[0]!, 'SIGKILL') as unknown as undefined
  await rig.reload(saying('two'))
  assert.equal(await answers(port, 10), new Set(['two']))
})

test('a worker that dies while it prepares is not waited for', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  const [victim] = rig.pids()
  // One worker alone ends itself; its replacement, another process, does not.
  const code = `if (process.pid === ${victim}) process.kill(process.pid, 'SIGKILL'); ${codeSaying('two')}`
  await rig.reload(bundleOf(code))
  assert.equal(await answers(port, 30), new Set(['two']))
  await rig.ready()
})

test('a plan that kills every worker that prepares it is refused, and they come back on the one before', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  await rejects(rig.reload(bundleOf(`process.kill(process.pid, 'SIGKILL'); ${codeSaying('two')}`)), PrepareError, /no worker outlived/)
  await rig.ready()
  assert.equal(await answers(port, 30), new Set(['one']))
})

test('workers that do not understand it alike, or one that throws: nothing changes', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  const byChance = bundleOf(codeSaying('two').replace('listen:', `limits: { fields: process.pid }, listen:`))
  const other = bundleOf(`return { listeners: { ['web' + process.pid]: http({ listen: '127.0.0.1:0', routes: [] }) } }`)
  await rejects(rig.reload(other), PrepareError, /not the same in each worker/)
  await rejects(rig.reload(bundleOf('throw new Error("not today")')), PrepareError, /not today/)
  assert.equal(await answers(port, 20), new Set(['one']))
  // What the data path alone sees is compared by the hash of the data, where the checker has told one.
  await rig.reload(byChance)
  await rig.reload(saying('three'))
  assert.equal(await answers(port, 20), new Set(['three']))
})

test('one that is not wanted any more, or fails beside the plan, leaves nothing bound', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  const free = await freePort()
  const more = bundleOf(codeSaying('two', `, more: http({ listen: '127.0.0.1:${free}', routes: [] })`))
  let isStale = false
  rig.beforeCommit = async () => {
    isStale = true
  }
  await rejects(rig.reload(more, { isStale: () => isStale }), StaleError, /wanted/)
  rig.beforeCommit = async () => {}
  await rejects(rig.reload(more, { alongside: () => Promise.reject(new Error('no admin')) }), Error, /no admin/)
  assert.is(rig.supervisor.describe().length, 1)
  await using second = new Rig({ workers: 1 })
  await second.start(bundleOf(`return { listeners: { web: http({ listen: '127.0.0.1:${free}', routes: [] }) } }`))
  await rejects(rig.reload(more), BindError, /another program uses it already/)
  assert.equal(await answers(port, 20), new Set(['one']))
})

test('an address that another listener takes over is never closed: nobody who connects meanwhile is refused', async () => {
  await using rig = new Rig()
  const port = await freePort()
  const named = (name: string): Bundle =>
    bundleOf(`return { listeners: { ${name}: http({ listen: '127.0.0.1:${port}', routes: [{ respond: respond(200, '${name}') }] }) } }`)
  await rig.start(named('a'))
  using held = await connect(port)
  assert.is((await held.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).text, 'a')
  let stop = false
  let asked = 0
  const asking = (async () => {
    for (; !stop; asked++) assert.match([...(await answers(port, 1))][0]!, /^[a-e]$/)
  })()
  for (const name of ['b', 'c', 'd', 'e']) {
    const { difference, touched } = await rig.reload(named(name))
    assert.equal([difference?.listeners.renamed, touched], [1, 0])
    assert.is((await held.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).text, name)
  }
  stop = true
  await asking
  assert.ok(asked > 4)
})

test('after a listener came, a worker that dies gets its sockets too, and the stand-in had them meanwhile', async () => {
  await using rig = new Rig()
  const port = await rig.start(saying('one'))
  const free = await freePort()
  await rig.reload(
    bundleOf(codeSaying('two', `, more: http({ listen: '127.0.0.1:${free}', routes: [{ respond: respond(200, 'more') }] })`)),
  )
  process.kill(rig.pids()[0]!, 'SIGKILL')
  assert.equal(await answers(free, 20), new Set(['more']))
  await rig.ready()
  assert.equal([await answers(free, 20), await answers(port, 20)], [new Set(['more']), new Set(['two'])])
})

test.run()

function codeSaying(text: string, more = ''): string {
  return `return { listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ respond: respond(200, '${text}') }] })${more} } }`
}

function saying(text: string): Bundle {
  return bundleOf(codeSaying(text))
}

/** A bundle as the config's loader makes one, without a file. */
function bundleOf(code: string): Bundle {
  const bindings = ['http', 'respond'].map((name) => ({ imported: name, local: name }))
  return {
    ...{ file: '/tmp/proxy.config.ts', code, plugins: [], files: [], named: [], dataHash: null, packagesStamp: '' },
    externals: [{ specifier: 'sluice', name: 'sluice', bindings }],
    map: JSON.stringify({ version: 3, sources: [], sourcesContent: [], names: [], mappings: '' }),
  }
}

/** What so many requests, each on a connection of its own, are answered. */
async function answers(port: number, count: number): Promise<Set<string>> {
  const ask = async (): Promise<string> => {
    using client = await connect(port, { deadlineMs: 5_000 })
    return (await client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n').response()).text
  }
  return new Set(await Promise.all(Array.from({ length: count }, ask)))
}

async function rejects(promise: Promise<unknown>, kind: new (...args: never[]) => Error, message: RegExp): Promise<void> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, kind)
    assert.match((error as Error).message, message)
    return
  }
  throw new Error(`it did not reject with ${message}`)
}
