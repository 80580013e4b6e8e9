/** The running proxy as a set of processes: what clients, logs and metrics notice when one of them dies, hangs or is told to end. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { freePort, mainFile, runCommand, type Sluice, startSluice } from '../support/process.ts'

test('a worker killed under load loses only its own exchanges: nobody is refused, and another one serves at once', async () => {
  await using origin = await startOrigin()
  await using sluice = await startSluice({ config: proxyTo(origin.port), args: ['--workers', '2'] })
  const port = await sluice.port('web')
  const load = startLoad(port, 16)
  for (let round = 0; round < 3; round++) {
    const seen = load.answered
    await eventually(() => (load.answered > seen + 100 ? true : undefined), 'no load')
    const [victim] = await workerPids(sluice)
    process.kill(victim!, 'SIGKILL')
    await eventually(async () => ((await workerPids(sluice)).includes(victim!) ? undefined : true), 'it was not noticed')
    await eventually(async () => ((await status(sluice)).state === 'ready' ? true : undefined), 'no replacement', 5_000)
  }
  const { refused, cut } = await load.stop()
  assert.is(refused, 0)
  // A killed worker held at most all the connections of the load.
  assert.ok(cut <= 3 * 16, `${cut} exchanges lost: ${sluice.stderr.join('\n')}`)
})

test('counters never go back when a worker dies, and add up again afterwards', async () => {
  await using sluice = await startSluice({ config: answering, args: ['--workers', '2'] })
  const port = await sluice.port('web')
  for (let i = 0; i < 20; i++) await request(port, get('/hello'))
  assert.is(await metric(sluice, 'requests_total', 'status="2xx"'), 20)
  const [victim] = await workerPids(sluice)
  process.kill(victim!, 'SIGKILL')
  await eventually(async () => ((await workerPids(sluice)).includes(victim!) ? undefined : true), 'it was not noticed')
  assert.is(await metric(sluice, 'requests_total', 'status="2xx"'), 20)
  for (let i = 0; i < 20; i++) await request(port, get('/hello'))
  assert.is(await metric(sluice, 'requests_total', 'status="2xx"'), 40)
  assert.is(await metric(sluice, 'worker_restarts_total', 'why="SIGKILL"'), 1)
  assert.not.match(sluice.stderr.join(), 'ExperimentalWarning')
})

test('while it drains it is not ready, whoever comes is refused and does not wait for nobody, and what is under way finishes', async () => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return answer('late')
  })
  await using sluice = await startSluice({ config: proxyTo(origin.port), args: ['--workers', '2'] })
  const port = await sluice.port('web')
  using client = await connect(port)
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  const admin = await sluice.port('admin')
  sluice.signal('SIGTERM')
  await sluice.line(/SIGTERM: draining/)
  await eventually(async () => ((await request(admin, get('/readyz'))).status === 503 ? true : undefined), 'still ready')
  // By then every worker drains.
  await eventually(
    () =>
      connect(port).then(
        (late) => void late[Symbol.dispose](),
        (error: NodeJS.ErrnoException) => error.code === 'ECONNREFUSED' || undefined,
      ),
    'new connections are still taken',
  )
  release.resolve()
  const response = await client.response()
  assert.equal([response.text, response.headers.connection], ['late', 'close'])
  assert.is(await sluice.exited(), 0)
})

test('the same config started twice: the second run names the first', async () => {
  const port = await freePort()
  await using sluice = await startSluice({ config: proxyTo(1).replace('127.0.0.1:0', `127.0.0.1:${port}`), args: ['--workers', '1'] })
  const { code, stderr } = await runCommand(['run', '--workers', '1'], { folder: sluice.folder })
  assert.is(code, 1)
  assert.match(stderr, new RegExp(`proxy\\.config\\.ts:\\d+:\\d+: error: .*127\\.0\\.0\\.1:${port}: another program uses it already`))
  assert.match(stderr, `this config is being served already, by pid ${sluice.pid}`)
})

test('a second signal ends it at once', async () => {
  await using origin = await startOrigin(() => new Promise<never>(() => {}))
  await using sluice = await startSluice({ config: proxyTo(origin.port), args: ['--workers', '1'] })
  using client = await connect(await sluice.port('web'))
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  sluice.signal('SIGTERM')
  await sluice.line(/SIGTERM: draining/)
  sluice.signal('SIGTERM')
  assert.is(await sluice.exited(), 1)
  await client.closed()
})

test('what is not finished at the deadline of draining is cut', async () => {
  await using origin = await startOrigin(() => new Promise<never>(() => {}))
  await using sluice = await startSluice({ config: proxyTo(origin.port), args: ['--workers', '1', '--drain', '200ms'] })
  using client = await connect(await sluice.port('web'))
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  sluice.signal('SIGTERM')
  await client.closed()
  assert.is(await sluice.exited(), 0)
})

test('when the supervisor is killed, workers finish what they have and end', async () => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return answer('late')
  })
  await using sluice = await startSluice({ config: proxyTo(origin.port), args: ['--workers', '2'] })
  using client = await connect(await sluice.port('web'))
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  process.kill(sluice.pid, 'SIGKILL')
  release.resolve()
  assert.is((await client.response()).text, 'late')
  await eventually(() => (sluice.processes().length === 0 ? true : undefined), 'workers are left', 5_000)
})

test('a function of the config that never returns costs its worker, which is replaced', async () => {
  const config = answering.replace('routes: [', `routes: [{ path: '/loop', when: () => { for (;;) {} }, respond: respond(200, 'never') }, `)
  await using sluice = await startSluice({ config, args: ['--workers', '2'], env: { SLUICE_HANG_MS: '500' } })
  const port = await sluice.port('web')
  using client = await connect(port)
  client.send(get('/loop'))
  await sluice.line(/its event loop stood still for 0.5 s/, 10_000)
  assert.is((await request(port, get('/hello'))).text, 'hi')
  await sluice.line(/is back/, 10_000)
  assert.is(await metric(sluice, 'worker_restarts_total', 'why="hang"'), 1)
})

test('at the limit of file descriptors connections wait, and are served when others close', async () => {
  await using limited = await startByShell(answering, 'ulimit -n 200; exec "$@"', ['--workers', '1'])
  const port = limited.port('web')
  const held = await Promise.all(Array.from({ length: 180 }, () => connect(port)))
  await eventually(() => (limited.errors.includes('pauses accepting') ? true : undefined), 'no pause', 15_000)
  using late = await connect(port)
  late.send(get('/hello'))
  assert.is(late.bodyBytes, 0)
  for (const client of held) client.destroy()
  assert.is((await late.response()).text, 'hi')
  await eventually(() => (limited.errors.includes('accepts again') ? true : undefined), 'it does not say that it accepts again')
})

test('a reader that does not read the log costs counted lines, not answers; its lines are whole', async () => {
  await using sluice = await startByShell(answering, 'exec "$@"', ['--workers', '2'])
  const { child } = sluice
  child.stdout.pause()
  const load = startLoad(sluice.port('web'), 8, `/hello?${'x'.repeat(2_500)}`)
  const dropped = (): Promise<number> => metricAt(sluice.port('admin'), 'log_dropped_total')
  await eventually(async () => ((await dropped()) > 0 ? true : undefined), 'nothing was dropped', 30_000)
  const { refused, cut } = await load.stop()
  assert.equal([refused, cut], [0, 0])
  child.stdout.resume()
  await eventually(
    async () => ((sluice.output.match(/^\{/gm) ?? []).length + (await dropped()) === load.answered ? true : undefined),
    'lines that were not dropped are missing',
    10_000,
  )
  const lines = sluice.output.trimEnd().split('\n')
  for (const line of lines.filter((one) => !/^(listening|ready)/.test(one))) JSON.parse(line)
})

test.run()

const admin = `admin: { listen: '127.0.0.1:0' }, log: { format: 'json' }`
const answering = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ path: '/hello', respond: respond(200, 'hi') }] }) }, ${admin} })
`

function proxyTo(port: number): string {
  return `import { defineConfig, http } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ to: 'http://127.0.0.1:${port}' }] }) }, ${admin} })
`
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
}

interface Started extends AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly output: string
  readonly errors: string
  port(listener: string): number
}

/** For what the start of a test's own cannot do: limits, and an output that is not read. */
async function startByShell(config: string, script: string, args: readonly string[]): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  writeFileSync(join(folder, 'proxy.config.ts'), config)
  const command = [process.execPath, mainFile, 'run', ...args]
  const child = spawn('sh', ['-c', script, 'sh', ...command], { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('latin1').on('data', (chunk: string) => {
    output += chunk
  })
  child.stderr.setEncoding('latin1').on('data', (chunk: string) => {
    errors += chunk
  })
  const started: Started = {
    child,
    get output() {
      return output
    },
    get errors() {
      return errors
    },
    port: (listener) => Number(new RegExp(`listening ${listener} .*:(\\d+)`).exec(output)?.[1]),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await eventually(
    () => (output.includes('\nready') ? true : undefined),
    () => `not ready: ${errors}`,
    15_000,
  )
  return started
}

interface Status {
  readonly state: string
  readonly workers: readonly { readonly pid: number; readonly live: boolean }[]
}

async function status(sluice: Sluice): Promise<Status> {
  return JSON.parse((await request(await sluice.port('admin'), get('/api/status'))).text) as Status
}

async function workerPids(sluice: Sluice): Promise<number[]> {
  return (await status(sluice)).workers.filter(({ live }) => live).map(({ pid }) => pid)
}

async function metric(sluice: Sluice, name: string, label = ''): Promise<number> {
  return metricAt(await sluice.port('admin'), name, label)
}

/** The sum of all series of that name which carry the label. */
async function metricAt(port: number, name: string, label = ''): Promise<number> {
  const { text } = await request(port, get('/metrics'))
  const lines = text.split('\n').filter((line) => line.startsWith(`sluice_${name}`) && line.includes(label))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** Keep-alive clients, each one request after the other, until it is stopped. */
function startLoad(port: number, clients: number, path = '/'): { answered: number; stop(): Promise<{ refused: number; cut: number }> } {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients })
  let stopped = false
  const counts = { refused: 0, cut: 0 }
  const load = {
    answered: 0,
    stop: async () => {
      stopped = true
      await Promise.all(running)
      agent.destroy()
      return counts
    },
  }
  const run = async (): Promise<void> => {
    while (!stopped) {
      const code = await getOnce(agent, port, path)
      if (code === null) load.answered++
      else if (code === 'ECONNREFUSED') counts.refused++
      else counts.cut++
    }
  }
  const running = Array.from({ length: clients }, run)
  return load
}

/** null, or the code of what went wrong. */
function getOnce(agent: http.Agent, port: number, path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message)
    const sent = http.get({ agent, port, path, host: '127.0.0.1' }, (response) => {
      response
        .on('error', failed)
        .on('end', () => resolve(null))
        .resume()
    })
    sent.on('error', failed)
  })
}
