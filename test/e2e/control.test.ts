/** A running proxy and the commands that speak to it: status, reload and stop, as a user types them. */
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { runCommand, type Sluice, startSluice } from '../support/process.ts'

const hello = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ path: '/hello', respond: respond(200, 'hi') }] }) } })
`
const get = 'GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
const cached = `import { cache, defineConfig, http } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ path: '/*', use: [cache()], to: 'http://127.0.0.1:PORT' }] }) } })
`
const slow = hello.replace("respond: respond(200, 'hi')", "to: 'http://127.0.0.1:PORT'")

/** For tests that ask it and leave it running; the last of them kills it. */
let kept: Sluice | null = null
test.after(async () => {
  await kept?.stop()
})

test('status tells what the proxy of this folder does', async () => {
  const sluice = await unchanging()
  const text = await typed(sluice, 'status')
  assert.is(text.code, 0)
  for (const line of [
    /^state +ready, up /m,
    /^pid +\d+ /m,
    /^config +.*proxy\.config\.ts$/m,
    /^generation +1/m,
    /^listeners +web http:/m,
  ]) {
    assert.match(text.stdout, line)
  }
  assert.match(text.stdout, /^0 +\d+ +live/m)
  const { pid, state, workers } = JSON.parse((await typed(sluice, 'status', '--json')).stdout)
  assert.equal([pid, state, workers.length], [sluice.pid, 'ready', 1])
  assert.match((await typed(sluice, 'status', '--all')).stdout, new RegExp(`^${sluice.pid} .*proxy\\.config\\.ts$`, 'm'))
})

test('reload tells what is live; of a wrong config it tells the place, and what runs goes on', async () => {
  const sluice = await unchanging()
  const port = await sluice.port('web')
  const { generation } = JSON.parse((await typed(sluice, 'status', '--json')).stdout)
  sluice.write('proxy.config.ts', hello.replace("'hi'", "'changed'"))
  const good = await typed(sluice, 'reload')
  assert.equal([good.code, good.stderr], [0, ''])
  assert.match(good.stdout, /^live in \d+ ms · 1 route changed · 0 of 0 connections touched$/)
  assert.is((await request(port, get)).text, 'changed')
  sluice.write('proxy.config.ts', hello.replace('path:', 'pth:'))
  const wrong = await typed(sluice, 'reload')
  assert.equal([wrong.code, wrong.stdout], [78, ''])
  assert.match(wrong.stderr, /proxy\.config\.ts:2:\d+.*unknown key/)
  assert.match(wrong.stderr, /^not reloaded: the running config stays$/m)
  assert.is((await request(port, get)).text, 'changed')
  const { stdout } = await typed(sluice, 'status')
  assert.match(stdout, new RegExp(`^generation +${generation + 1}, loaded `, 'm'))
  assert.match(stdout, /^last reload +failed: the config before it runs on, /m)
  assert.match(stdout, /unknown key/)
})

test('cache purge by each of its ways puts out what is kept, ls and stat tell what is there', async () => {
  await using origin = await startOrigin((req) => answer(`kept ${req.target}`, 200, ['Cache-Control: max-age=60', 'Cache-Tag: a']))
  const config = cached.replace('PORT', String(origin.port))
  await using sluice = await start({ config })
  const port = await sluice.port('web')
  const ask = async (): Promise<string> => (await request(port, get)).headers['cache-status']!
  const url = 'http://x/hello'
  assert.match(await ask(), /fwd=uri-miss/)
  assert.match((await typed(sluice, 'cache', 'ls')).stdout, /http:\/\/x\/hello/)
  await typed(sluice, 'cache', 'purge', '--all')
  for (const how of [[url], ['http://x/*'], ['--host', 'x'], ['--tag', 'a']]) {
    assert.match(await ask(), /fwd=uri-miss/, how.join(' '))
    assert.match(await ask(), /hit/)
    const purged = await typed(sluice, 'cache', 'purge', ...how)
    assert.equal([purged.code, purged.stderr], [0, ''])
    assert.match(purged.stdout, /1/)
  }
  assert.match((await typed(sluice, 'cache', 'stat')).stdout, /0 answers/)
  const wrong = await typed(sluice, 'cache', 'purge')
  assert.is(wrong.code, 2)
})

test('stop drains, tells what is left, and ends when the proxy is gone', async () => {
  const origin = net.createServer().listen(0, '127.0.0.1')
  await once(origin, 'listening')
  await using sluice = await start({ config: slow.replace('PORT', String((origin.address() as net.AddressInfo).port)) })
  const client = net.connect(await sluice.port('web'), '127.0.0.1')
  client.write('GET /hello HTTP/1.1\r\nHost: x\r\n\r\n')
  const [held] = (await once(origin, 'connection')) as [net.Socket]
  held.on('error', () => {})
  // Until the supervisor has heard of it.
  await eventually(
    async () => (JSON.parse((await typed(sluice, 'status', '--json')).stdout).connections === 1 ? true : undefined),
    'no connection',
    8_000,
  )
  const stopping = typed(sluice, 'stop')
  await sluice.line(/draining/)
  held.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
  const { code, stdout } = await stopping
  assert.is(code, 0)
  assert.match(stdout, /^draining: 1 connection left\nsluice stop --now does not wait$/m)
  assert.match(stdout, /^stopped$/m)
  assert.is(await sluice.exited(), 0)
  assert.equal(readdirSync(join(sluice.folder, 'sluice')), [])
  client.destroy()
  origin.close()
})

test('stop --now does not wait', async () => {
  await using sluice = await start({ args: ['--workers', '1', '--drain', '1h'] })
  const client = net.connect(await sluice.port('web'), '127.0.0.1')
  await once(client, 'connect')
  client.on('error', () => {})
  assert.is((await typed(sluice, 'stop', '--now')).code, 0)
  await sluice.exited()
  client.destroy()
})

test('with several proxies, one must be named: by its config or its pid', async () => {
  const one = await unchanging()
  one.write('other.ts', hello)
  await using two = await startSluice({ args: ['--workers', '1', '-c', 'other.ts'], folder: one.folder })
  await using elsewhere = await start({ env: { XDG_RUNTIME_DIR: one.folder } })
  const pidOf = async (...args: string[]): Promise<number> => JSON.parse((await typed(one, 'status', '--json', ...args)).stdout).pid
  assert.is(await pidOf(), one.pid)
  assert.is(await pidOf('-c', 'other.ts'), two.pid)
  assert.is(await pidOf('--pid', String(elsewhere.pid)), elsewhere.pid)
  const wrong = await typed(one, 'status', '-c', 'third.ts')
  assert.is(wrong.code, 1)
  assert.match(wrong.stderr, /^sluice: no proxy runs third\.ts; name another/m)
  const unclear = await runCommand(['stop'], { env: { XDG_RUNTIME_DIR: one.folder } })
  assert.is(unclear.code, 1)
  assert.match(unclear.stderr, /proxies are running; name one with -c FILE or --pid PID/)
  for (const { pid } of [one, two, elsewhere]) assert.match(unclear.stderr, `pid ${pid} `)
})

test('what a killed proxy left behind is cleared away by whoever looks next', async () => {
  const sluice = await unchanging()
  sluice.signal('SIGKILL')
  await sluice.exited()
  assert.is(readdirSync(join(sluice.folder, 'sluice')).length, 2)
  assert.is((await typed(sluice, 'status')).code, 1)
  assert.equal(readdirSync(join(sluice.folder, 'sluice')), [])
})

test('where no proxy runs, that is said, with exit code 1', async () => {
  for (const command of ['status', 'reload', 'stop']) {
    const { code, stdout, stderr } = await runCommand([command, '-c', 'proxy.config.ts'])
    assert.equal([code, stdout, stderr.split(/[;\n]/)[0]], [1, '', 'sluice: no proxy runs proxy.config.ts'])
  }
})

test('a socket can be put elsewhere, or nowhere', async () => {
  await using sluice = await start({ args: ['--workers', '1', '--control', 'mine.sock'] })
  assert.is((await typed(sluice, 'status', '--control', 'mine.sock')).code, 0)
  const byEnvironment = await runCommand(['status'], { folder: sluice.folder, env: { SLUICE_CONTROL: 'mine.sock' } })
  assert.is(byEnvironment.code, 0)
  await using off = await start({ args: ['--workers', '1', '--control', 'off'] })
  assert.not(existsSync(join(off.folder, 'sluice')))
  assert.match((await typed(off, 'status', '--control', 'absent')).stderr, /no proxy listens on absent/)
})

test('a proxy whose socket cannot be made says so, and carries traffic', async () => {
  await using sluice = await start({ args: ['--workers', '1', '--control', 'no/such/folder'] })
  assert.match(await sluice.line(/control/), /no control socket: .*no\/such\/folder cannot be listened on/)
})

test('--log in a folder that is not there is told with the option', async () => {
  const { code, stderr } = await runCommand(['run', '--log', '/no/such/dir/x'], { config: hello })
  assert.equal([code, stderr], [1, 'sluice: --log /no/such/dir/x: there is no folder /no/such/dir'])
})

test.run()

async function unchanging(): Promise<Sluice> {
  if (kept !== null && kept.processes().length > 0) return kept
  await kept?.kill()
  kept = await start({ args: ['--workers', '1', '--no-watch'] })
  return kept
}

function start(options: Parameters<typeof startSluice>[0] = {}): Promise<Sluice> {
  return startSluice({ config: hello, args: ['--workers', '1'], ...options })
}

/** A command typed in the folder of a running proxy. */
function typed(sluice: Sluice, ...command: string[]) {
  return runCommand(command, { folder: sluice.folder, env: { XDG_RUNTIME_DIR: sluice.folder } })
}
