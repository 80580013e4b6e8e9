/** The supervisor with real worker processes and a proxy of a few lines: who dies, who hangs, who replaces, and what a client sees of it. */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Bundle } from '../../core/config/bundle.ts'
import { BindError } from '../../core/process/bind.ts'
import type { LogEntry, MetricsSnapshot } from '../../core/process/messages.ts'
import { Supervisor, type SupervisorOptions } from '../../core/process/supervisor.ts'
import { PrepareError } from '../../core/process/worker-process.ts'
import { type Client, connect } from '../support/client.ts'
import { eventually, Waiting } from '../support/deadline.ts'
import type { FakeBundle } from '../support/fake-worker.ts'
import { fakeWorkerFile, freePort } from '../support/process.ts'

class Rig implements AsyncDisposable {
  readonly logged: LogEntry[] = []
  readonly snapshots: MetricsSnapshot[] = []
  readonly waiting = new Waiting()
  readonly supervisor: Supervisor

  constructor(options: Partial<SupervisorOptions> = {}) {
    this.supervisor = new Supervisor({
      ...{
        workers: 2,
        workerFile: fakeWorkerFile,
        workerFlags: ['--disable-warning=ExperimentalWarning'],
        logTarget: '/dev/null',
        cacheFolder: null,
        hangMs: 15_000,
        drainMs: 2_000,
        prepareMs: 15_000,
      },
      events: {
        log: (entry) => {
          this.logged.push(entry)
          this.waiting.poke()
        },
        metrics: (_, snapshot) => this.snapshots.push(snapshot),
        retired: () => this.waiting.poke(),
      },
      ...options,
    })
    this.supervisor.spawn()
  }

  async start(bundle: Bundle = aBundle()): Promise<number> {
    const summary = await this.supervisor.prepare(bundle)
    await this.supervisor.bind(summary)
    await this.supervisor.commit()
    return Number(/:(\d+)$/.exec(this.supervisor.describe()[0]!)?.[1])
  }

  pids(): number[] {
    return this.supervisor.workers.filter(({ isLive }) => isLive).map(({ pid }) => pid)
  }

  said(pattern: RegExp, ms?: number): Promise<LogEntry> {
    return this.waiting.until(
      () => this.logged.find(({ text }) => pattern.test(text)),
      () => `no ${pattern} in ${JSON.stringify(this.logged)}`,
      ms,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.supervisor.kill()
    await this.supervisor.drain()
  }
}

test('workers accept on one port, each on a socket of its own', async () => {
  await using rig = new Rig()
  const port = await rig.start()
  const pids = new Set<number>()
  for (let i = 0; i < 60; i++) pids.add(await ask(port))
  assert.equal([...pids].sort(), rig.pids().sort())
})

test('a worker that is killed is replaced, what connects meanwhile is answered, and what was changed at run time goes on', async () => {
  await using rig = new Rig()
  const port = await rig.start()
  const endpoints = async () => (await rig.supervisor.upstreams(5_000)).map(([api]) => api!.endpoints.map(({ address }) => address))
  const place = { upstream: 'api', address: '10.0.0.9:80' }
  await rig.supervisor.endpoints.change({ kind: 'add', ...place, weight: 1, priority: 0, zone: null })
  assert.equal(await endpoints(), [['10.0.0.9:80'], ['10.0.0.9:80']])
  const [victim] = rig.pids()
  process.kill(victim!, 'SIGKILL')
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(port)))
  assert.is(answers.length, 40)
  assert.not(answers.includes(victim!))
  await rig.said(/is back/)
  assert.is(rig.pids().length, 2)
  assert.equal(rig.supervisor.restartCounts, { SIGKILL: 1 })
  assert.equal(await endpoints(), [['10.0.0.9:80'], ['10.0.0.9:80']])
})

test('whoever connects to the slot of a dead worker is served by another one until the replacement is there', async () => {
  // The replacement never gets so far: each one dies while it is preparing.
  const marker = `/tmp/sluice-test-${process.pid}.marker`
  await using rig = new Rig()
  const port = await rig.start(aBundle({ prepare: 'once', marker }))
  const [victim, survivor] = rig.pids()
  process.kill(victim!, 'SIGKILL')
  await rig.said(/worker \d ended/)
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(port)))
  assert.ok(answers.every((pid) => pid === survivor))
  rmSync(marker)
  await rig.said(/is back/, 10_000)
  await eventually(async () => ((await ask(port)) === survivor ? undefined : true), 'the replacement is not asked')
  const back = rig.pids().find((pid) => pid !== survivor)!
  // The stand-in has let go: what falls into the slot goes to its own worker alone.
  process.kill(survivor!, 'SIGSTOP')
  const reached = await Promise.allSettled(Array.from({ length: 20 }, () => ask(port)))
  process.kill(survivor!, 'SIGCONT')
  assert.ok(reached.some((result) => result.status === 'fulfilled' && result.value === back))
})

test('a single worker that is killed leaves its queue to the next', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start()
  const before = await ask(port)
  process.kill(before, 'SIGKILL')
  const after = await Promise.all(Array.from({ length: 20 }, () => ask(port)))
  assert.is(new Set(after).size, 1)
  assert.is.not(after[0], before)
})

test('a worker whose event loop stands still is killed and replaced', async () => {
  await using rig = new Rig({ workers: 1, hangMs: 400 })
  const port = await rig.start()
  using client = await connect(port)
  client.send('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n')
  const entry = await rig.said(/event loop stood still for 0.4 s/, 15_000)
  assert.is(entry.level, 'error')
  assert.type(await ask(port), 'number')
  assert.equal(rig.supervisor.restartCounts, { hang: 1 })
})

test('a mistake of the proxy ends that worker alone, and its stack is logged', async () => {
  await using rig = new Rig()
  const port = await rig.start()
  using client = await connect(port)
  client.send('GET /crash HTTP/1.1\r\nHost: a\r\n\r\n')
  const entry = await rig.said(/a worker failed: a mistake of the proxy/)
  assert.match(String(entry.fields.stack), 'fake-worker')
  await rig.said(/is back/)
  assert.equal(rig.supervisor.restartCounts, { 'exit 1': 1 })
})

test('draining lets exchanges finish, and ends every worker', async () => {
  await using rig = new Rig()
  const port = await rig.start()
  using client = await connect(port)
  client.send('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is((await client.response()).status, 100)
  const drained = rig.supervisor.drain()
  const response = await client.response()
  assert.is(response.text, 'waited')
  assert.is(response.headers.connection, 'close')
  await drained
  assert.equal(rig.supervisor.workers, [])
})

test('draining does not wait longer than its deadline', async () => {
  await using rig = new Rig({ drainMs: 200 })
  const port = await rig.start()
  using client = await connect(port)
  client.send('GET /stay HTTP/1.1\r\nHost: a\r\n\r\n')
  const began = performance.now()
  await rig.supervisor.drain()
  assert.ok(performance.now() - began < 2_000)
})

test('a worker that somebody else ends drains, while another one takes its place', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start()
  const before = await ask(port)
  process.kill(before, 'SIGTERM')
  await rig.said(/was told to end/)
  await rig.said(/is back/)
  assert.is.not(await ask(port), before)
})

test('a worker short of descriptors gets its sockets back when it asks', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start()
  using client = await connect(port)
  client.send('GET /press HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.is((await client.response()).text, 'pressed')
  // Whoever connects in between waits in the queue.
  assert.type(await ask(port), 'number')
  await rig.said(/accepts again/)
})

test('where the runtime cannot bind without accepting, workers bind by themselves', async () => {
  await using rig = new Rig({ bindAlone: true })
  const port = await rig.start()
  const pids = new Set(await Promise.all(Array.from({ length: 60 }, () => ask(port))))
  assert.is(pids.size, 2)
  process.kill(rig.pids()[0]!, 'SIGKILL')
  await rig.said(/is back/)
  assert.type(await ask(port), 'number')
})

test('a unix socket is shared by all workers, replaces a stale one, and is gone in the end', async () => {
  const path = `/tmp/sluice-test-${process.pid}.sock`
  const dies = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', dies])
  assert.ok(existsSync(path))
  {
    await using rig = new Rig()
    await rig.start(aBundle({ path }))
    process.kill(rig.pids()[0]!, 'SIGKILL')
    assert.type(await ask(path), 'number')
    await rig.said(/is back/)
    await using second = new Rig({ workers: 1 })
    await rejects(second.start(aBundle({ path })), /another program listens there/)
  }
  assert.not(existsSync(path))
})

test('a plan that a worker cannot prepare binds nothing', async () => {
  await using rig = new Rig()
  await rejects(rig.start(aBundle({ prepare: 'throw' })), /the plugin tag threw/)
  assert.equal(rig.supervisor.describe(), [])
})

test('a config that never finishes evaluating is refused', async () => {
  await using rig = new Rig({ workers: 1, prepareMs: 300 })
  const error = await rejects(rig.start(aBundle({ prepare: 'loop' })), /did not finish evaluating within 0.3 s/)
  assert.instance(error, PrepareError)
})

test('a port that is taken is named with its listener, and nothing stays bound', async () => {
  await using first = new Rig({ workers: 1 })
  const port = await first.start()
  await using second = new Rig({ workers: 2 })
  const free = await freePort()
  const error = await rejects(
    second.start(aBundle({ ports: [free, port] })),
    new RegExp(`listener web cannot use 127.0.0.1:${port}: another program`),
  )
  assert.instance(error, BindError)
})

test('counters of workers come with their names first, then as numbers', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start()
  await ask(port)
  await rig.supervisor.collect(5_000)
  const families = rig.snapshots.flatMap(({ delta }) => delta.map(({ family }) => family))
  assert.ok(families.includes('requests_total'))
  const known = families.length
  await rig.supervisor.collect(5_000)
  assert.is(rig.snapshots.flatMap(({ delta }) => delta).length, known)
})

test('a purge is carried out by all workers, and says of how many answers; what a request puts out of one goes from all', async () => {
  await using rig = new Rig({ workers: 2 })
  const port = await rig.start()
  const purge = (tag: string | null) =>
    rig.supervisor.askCaches(
      { kind: 'purge', cache: null, purge: tag === null ? { kind: 'all', soft: false } : { kind: 'tag', tag, soft: false } },
      5_000,
    )
  assert.is((await purge('other')).purged, 0)
  using client = await connect(port)
  client.send('GET /invalidate HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.response()
  const listed = async () => (await rig.supervisor.askCaches({ kind: 'list', cache: null, prefix: 'http://x/', most: 5 }, 5_000)).listed
  const isOut = async () => (await listed()).every(({ url }) => url === 'http://x/a')
  await eventually(async () => ((await isOut()) ? true : undefined), 'another worker still has it')
  assert.is((await listed()).length, 2)
  const { counts, purged } = await purge(null)
  assert.equal([purged, counts.length, counts[0]!.objects], [2, 1, 0])
  assert.equal(await listed(), [])
})

test('what plugins of two workers count at the same time adds up exactly', async () => {
  await using rig = new Rig()
  const port = await rig.start()
  const pids = new Set<number>()
  const clients: Client[] = []
  try {
    // Which worker takes a connection is the kernel's to say.
    while (clients.length < 8 || (pids.size < 2 && clients.length < 100)) {
      const client = await connect(port)
      clients.push(client)
      client.send('GET /pid HTTP/1.1\r\nHost: a\r\n\r\n')
      pids.add(Number((await client.response()).text))
    }
    assert.is(pids.size, 2)
    const count = async (client: Client): Promise<number[]> => {
      client.send(`GET /perform/25/kv.incr/${encodeURIComponent('{"key":"n"}')} HTTP/1.1\r\nHost: a\r\n\r\n`)
      return JSON.parse((await client.response()).text)
    }
    const sums = (await Promise.all(clients.map(count))).flat()
    assert.equal(
      sums.sort((a, b) => a - b),
      Array.from({ length: clients.length * 25 }, (_, i) => i + 1),
    )
  } finally {
    for (const client of clients) client[Symbol.dispose]()
  }
})

test('what a worker has stored is there for the one that replaces it', async () => {
  await using rig = new Rig({ workers: 1 })
  const port = await rig.start()
  const perform = async (method: string, args: object): Promise<unknown> => {
    using client = await connect(port)
    client.send(`GET /perform/1/${method}/${encodeURIComponent(JSON.stringify(args))} HTTP/1.1\r\nHost: a\r\n\r\n`)
    return JSON.parse((await client.response()).text)
  }
  assert.equal(await perform('kv.set', { key: 'a', value: 'kept' }), [null])
  process.kill(await ask(port), 'SIGKILL')
  await rig.said(/is back/, 20_000)
  assert.equal(await perform('kv.get', { key: 'a' }), ['kept'])
})

test('all workers seal TLS tickets with one key, which changes for all of them, and a new worker has it too', async () => {
  await using rig = new Rig({ ticketRotationMs: 400 })
  const port = await rig.start()
  const keys = async (): Promise<Map<string, string>> => {
    const byPid = new Map<string, string>()
    for (let i = 0; byPid.size < 2 && i < 60; i++) {
      using client = await connect(port)
      client.send('GET /ticket-key HTTP/1.1\r\nHost: a\r\n\r\n')
      const [pid = '', key = ''] = (await client.response()).text.split(' ')
      byPid.set(pid, key)
    }
    return byPid
  }
  /** The key of both, once it is another one than that. */
  const shared = (before: string): Promise<string> =>
    eventually(
      async () => {
        const [a, b] = [...(await keys()).values()]
        return a !== undefined && a === b && a !== before ? a : undefined
      },
      'they do not have one key',
      10_000,
    )
  const first = await shared('')
  const second = await shared(first)
  process.kill(rig.pids()[0]!, 'SIGKILL')
  await rig.said(/is back/, 20_000)
  await shared(second)
})

test.run()

interface FakeOptions {
  readonly prepare?: FakeBundle['prepare']
  readonly ports?: readonly number[]
  readonly path?: string
  readonly marker?: string
}

function aBundle({ prepare = 'ok', ports = [0], path, marker = '' }: FakeOptions = {}): Bundle {
  const addresses = path === undefined ? ports.map((port) => ({ kind: 'tcp', host: '127.0.0.1', port })) : [{ kind: 'unix', path }]
  const plan = {
    listeners: [{ kind: 'http', name: 'web', addresses, tls: null, forward: null }],
    log: { access: true, level: 'info', format: null },
    admin: null,
  }
  // The fake proxy takes this in place of a bundle; everything between only passes it on.
  return { plan, prepare, marker } as unknown as Bundle
}

/** The pid of the worker that answers. */
async function ask(port: number | string): Promise<number> {
  using client = await connect(port)
  client.send('GET /pid HTTP/1.1\r\nHost: a\r\n\r\n')
  return Number((await client.response()).text)
}

async function rejects(promise: Promise<unknown>, message: RegExp): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    assert.match(error instanceof Error ? error.message : String(error), message)
    return error
  }
  throw new Error(`it did not reject with ${message}`)
}
