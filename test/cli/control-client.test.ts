/** The client side of the control socket: which proxy is meant, and what is said of those that do not answer as they should. */
import { once } from 'node:events'
import { chownSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ask, askOnce, type Choice, ControlError, chooseProxy } from '../../core/cli/control-client.ts'
import type { RunningProxy } from '../../core/process/control-folder.ts'

const root = process.cwd()
const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'sluice-client-')))
test.after.each(() => process.chdir(root))
test.after(() => rmSync(folder, { recursive: true }))

const nothing: Choice = { config: null, pid: null, control: null }
const here = proxy(1, path.resolve('proxy.config.ts'))
const shop = proxy(22, '/srv/shop/proxy.config.ts')
const again = proxy(333, '/srv/shop/proxy.config.ts')
const byUrl = proxy(4, 'http://localhost:3000')

test('unnamed, it is the proxy of this folder’s config', async () => {
  assert.is(await chooseProxy(nothing, [shop, here]), here.socket)
  const other = await failure(chooseProxy(nothing, [shop]))
  assert.match(other, /^no proxy runs the proxy\.config\.ts of this folder; name another with -c FILE or --pid PID\n {2}pid 22 {2}/)
})

test('unnamed, in a folder without a config, it is the only one', async () => {
  process.chdir(folder)
  assert.is(await chooseProxy(nothing, [shop]), shop.socket)
  assert.match(await failure(chooseProxy(nothing, [])), /^no proxy is running$/)
  const several = await failure(chooseProxy(nothing, [shop, byUrl]))
  assert.is(
    several,
    '2 proxies are running; name one with -c FILE or --pid PID\n  pid 22  /srv/shop/proxy.config.ts\n  pid 4   http://localhost:3000',
  )
})

test('named, it is that one or none', async () => {
  const all = [here, shop, byUrl]
  assert.is(await chooseProxy({ ...nothing, config: '/srv/shop/proxy.config.ts' }, all), shop.socket)
  assert.is(await chooseProxy({ ...nothing, config: './proxy.config.ts' }, all), here.socket)
  assert.is(await chooseProxy({ ...nothing, config: 'http://localhost:3000' }, all), byUrl.socket)
  assert.is(await chooseProxy({ ...nothing, pid: 22 }, all), shop.socket)
  assert.is(await chooseProxy({ ...nothing, control: '/run/x.sock' }, all), '/run/x.sock')
  assert.match(
    await failure(chooseProxy({ ...nothing, pid: 5 }, [shop])),
    /^no proxy has the pid 5; name another with -c FILE or --pid PID\n {2}pid 22/,
  )
  assert.match(await failure(chooseProxy({ ...nothing, config: '/srv/shop/proxy.config.ts' }, [shop, again])), /^2 proxies are running/)
})

test('answers are read line by line, however they arrive', async () => {
  const socket = await serve('pieces', (connection) => {
    connection.write('{"kind":"drai')
    setImmediate(() => connection.end('ning"}\n{"kind":"drained"}\n'))
  })
  const kinds: string[] = []
  for await (const { kind } of ask(socket, { do: 'stop', now: false })) kinds.push(kind)
  assert.equal(kinds, ['draining', 'drained'])
})

test('whatever is no answer becomes a sentence', async () => {
  const of = (name: string, text: string): Promise<string> => serve(name, (connection) => connection.end(text))
  const status = (socket: string): Promise<string> => failure(askOnce(socket, { do: 'status' }, 'status'))
  assert.match(await status(await of('html', 'HTTP/1.1 400 Bad Request\n')), /html does not answer as a proxy does/)
  assert.is(await status(await of('error', '{"kind":"error","message":"not now"}\n')), 'not now')
  assert.is(await status(await of('silent', '')), 'the proxy ended before it answered')
  assert.is(await status(await of('torn', '{"kind":"sta')), 'the proxy ended before it answered')
  const mute = await serve('mute', () => {})
  assert.match(await failure(askOnce(mute, { do: 'status' }, 'status', 20)), /^the proxy does not answer: .*mute$/)
  assert.match(await status(path.join(folder, 'absent')), /no proxy listens on .*absent/)
})

// Only root can make what belongs to another user.
const asRoot = process.getuid?.() === 0 ? test : test.skip
asRoot('a socket that another user has made is not asked, for its answers name a config that would be run', async () => {
  let isAsked = false
  const socket = await serve('foreign', () => {
    isAsked = true
  })
  chownSync(socket, 1234, 1234)
  assert.match(await failure(askOnce(socket, { do: 'status' }, 'status', 200)), /foreign belongs to another user/)
  assert.not(isAsked)
})

test.run()

function proxy(pid: number, config: string): RunningProxy {
  return { pid, config, startedAt: '2026-01-01T00:00:00Z', version: '1.2.3', socket: `/run/${pid}.sock` }
}

/** A socket that says one thing to whoever asks. */
async function serve(name: string, say: (connection: net.Socket) => void): Promise<string> {
  const socket = path.join(folder, name)
  const server = net.createServer((connection) => connection.once('data', () => say(connection))).listen(socket)
  await once(server, 'listening')
  server.unref()
  return socket
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, ControlError)
    return (error as Error).message
  }
  throw new Error('it did not fail')
}
