/** A saved config, seen from outside: what is live, on which connections, and who notices nothing. */
import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { startOrigin } from '../support/origin.ts'
import { commandOf, startSluice } from '../support/process.ts'
import { configOf, liveLines, refusals, reload } from '../support/reloading.ts'
import { SharedSluice } from '../support/shared-sluice.ts'

const admin = `admin: { listen: '127.0.0.1:0' }`
const shared = new SharedSluice(test, ['--workers', '1', '--drain', '500ms'])

test('what is saved is live, on open connections too: their next request takes it', async () => {
  await using sluice = await startSluice({ config: saying('one'), args: ['--workers', '2'] })
  const port = await sluice.port('web')
  using client = await connect(port)
  assert.is((await client.send(get('/')).response()).text, 'one')
  const line = await reload(sluice, saying('two'))
  assert.match(line, /^live in \d+ ms · 1 route changed · 0 of 1 connections touched$/)
  assert.is((await client.send(get('/')).response()).text, 'two')
  assert.is((await request(port, getOnce('/'))).text, 'two')
})

test('a config that writes what it is made of is loaded less and less often, and that is told', async () => {
  const config = `import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from './text.ts'
writeFileSync(join(import.meta.dirname, 'text.ts'), "export const text = 'one' // " + process.hrtime.bigint())
${saying('one').replace("'one'", 'text')}`
  await using sluice = await startSluice({ config, files: { 'text.ts': `export const text = 'one'` }, args: ['--workers', '1'] })
  await sluice.line(/change whenever it is loaded: does it write one of them\?/, 90_000)
  assert.is((await request(await sluice.port('web'), getOnce('/'))).text, 'one')
})

test('a config that speaks to its parent and prints is not in the way', async () => {
  const chatty = (text: string): string => `process.send?.('ready')
process.send?.(null)
console.log('hello from the config')
${saying(text)}`
  const sluice = await shared.take(chatty('one'))
  await reload(sluice, chatty('two'))
  assert.is((await request(await sluice.port('web'), getOnce('/'))).text, 'two')
  assert.not(
    sluice.stdout.some((line) => line.includes('hello')),
    'standard output is for access lines',
  )
  assert.ok(sluice.stderr.some((line) => line.includes('hello from the config')))
})

test('a WebSocket and a slow download live through twenty reloads; so does who sends one request after the other', async () => {
  await using origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then((head) => {
        if (head.startsWith('GET /chat')) return connection.write(GRANT)
        if (head.startsWith('GET /slow')) return connection.write('HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n')
        return connection.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok')
      })
      return undefined
    },
  })
  const config = (round: number): string =>
    web(`{ path: '/round', respond: respond(200, '${round}') }, { to: upstream('api', { endpoints: ['127.0.0.1:${origin.port}'] }) }`)
  const sluice = await shared.take(config(0))
  const port = await sluice.port('web')
  using socket = await connect(port)
  assert.is((await socket.send(UPGRADE).response()).status, 101)
  using download = await connect(port)
  download.send(get('/slow'))
  const asked = (mark: string) => eventually(() => origin.connections.find((one) => one.received.includes(mark)), `no ${mark}`)
  const [chat, slow] = [await asked('GET /chat'), await asked('GET /slow')]
  using busy = await connect(port)
  for (let round = 1; round <= 20; round++) {
    assert.match(await reload(sluice, config(round)), /1 route changed · 0 of 3 connections touched/)
    slow.write('x')
    socket.send(`ping ${round};`)
    await chat.until(`ping ${round};`)
    chat.write(`pong ${round};`)
    await socket.until(`pong ${round};`)
    assert.is((await busy.send(get('/round')).response()).text, String(round))
    assert.is((await busy.send(get('/other')).response()).text, 'ok')
  }
  slow.write('.')
  assert.is((await download.response()).text, `${'x'.repeat(20)}.`)
})

test('pipelined requests take the plan that is there when their turn comes', async () => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate'
  })
  const config = (text: string): string =>
    web(`{ path: '/slow', to: 'http://127.0.0.1:${origin.port}' }, { respond: respond(200, '${text}') }`)
  const sluice = await shared.take(config('one'))
  using client = await connect(await sluice.port('web'))
  client.send(get('/slow') + get('/'))
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  await reload(sluice, config('two'))
  release.resolve()
  assert.equal([(await client.response()).text, (await client.response()).text], ['late', 'two'])
})

test('the latest save wins: many in a row end in the last one, told at most once each', async () => {
  await using sluice = await startSluice({ config: saying('0'), args: ['--workers', '1'] })
  const port = await sluice.port('web')
  for (let i = 1; i <= 15; i++) {
    sluice.write('proxy.config.ts', saying(String(i)))
    await new Promise((resolve) => setTimeout(resolve, i * 3))
  }
  await eventually(async () => ((await request(port, getOnce('/'))).text === '15' ? true : undefined), 'the last one is not live', 10_000)
  assert.ok(liveLines(sluice).length <= 15)
  assert.equal(refusals(sluice), [])
})

test('a save during a slow reload makes that one give up', async () => {
  const slow = (text: string, ms: number): string =>
    `${configOf('', '', `import { setTimeout as later } from 'node:timers/promises'\nawait later(${ms})`).split('export default')[0]}
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ respond: respond(200, '${text}') }] }) } })\n`
  const sluice = await shared.take(saying('one'))
  const port = await sluice.port('web')
  sluice.write('proxy.config.ts', slow('given up', 1_000))
  // It is being evaluated: another process of its own has been started for that.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const line = await reload(sluice, saying('three'))
  assert.match(line, /1 route changed/)
  assert.is((await request(port, getOnce('/'))).text, 'three')
  assert.is(liveLines(sluice).length, 1)
})

test('files that the config imports are followed as it is; SIGHUP loads it again whether or not one has changed', async () => {
  const config = `import { text } from './text.ts'\n${web('{ respond: respond(200, text) }')}`
  const sluice = await shared.take(config, { 'text.ts': `export const text = 'one'` })
  const port = await sluice.port('web')
  await reload(sluice, () => sluice.write('text.ts', `export const text = 'two'`))
  assert.is((await request(port, getOnce('/'))).text, 'two')
  assert.match(await reload(sluice, () => sluice.signal('SIGHUP')), /nothing changed · 0 of \d connections touched/)
})

test('with --no-watch a save changes nothing until it is asked for', async () => {
  await using sluice = await startSluice({ config: saying('one'), args: ['--workers', '1', '--no-watch'] })
  const port = await sluice.port('web')
  sluice.write('proxy.config.ts', saying('two'))
  assert.is((await request(port, getOnce('/'))).text, 'one')
  await reload(sluice, () => sluice.signal('SIGHUP'))
  assert.is((await request(port, getOnce('/'))).text, 'two')
})

test('a plugin that changed is handed what the one before knew; one that did not is not touched', async () => {
  const plugin = (step: number): string => `import { definePlugin, respond } from 'sluice/plugin'
export default definePlugin({ name: 'count', setup(_options, host) {
  let n = host.restore() ?? 0
  return { onRequest: () => respond(200, String(n += ${step})), onReload: () => n }
} })`
  const config = (text: string): string =>
    `import count from './count.ts'\n${web(`{ path: '/count', use: [count({}, { timeout: '1s' })], respond: respond(500, '') }, { respond: respond(200, '${text}') }`)}`
  const sluice = await shared.take(config('a'), { 'count.ts': plugin(1) })
  const port = await sluice.port('web')
  const count = async (): Promise<string> => (await request(port, getOnce('/count'))).text
  assert.equal([await count(), await count()], ['1', '2'])
  await reload(sluice, config('b'))
  assert.is(await count(), '3')
  assert.match(await reload(sluice, () => sluice.write('count.ts', plugin(10))), /1 plugin changed/)
  assert.is(await count(), '13')
})

test('an old version of a plugin goes when nobody asks it any more: an exchange that began with it is the last', async () => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate'
  })
  const plugin = (version: number): string => `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'tag', setup: () => ({ onResponse(res) { res.headers.set('x-version', '${version}') } }) })`
  // In a process of its own, which can be counted.
  const config = `import tag from './tag.ts'\n${web(`{ use: [tag({}, { isolation: 'process' })], to: 'http://127.0.0.1:${origin.port}' }`)}`
  const sluice = await shared.take(config, { 'tag.ts': plugin(0) })
  const port = await sluice.port('web')
  using slow = await connect(port)
  slow.send(get('/slow'))
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  for (let version = 1; version <= 4; version++) await reload(sluice, () => sluice.write('tag.ts', plugin(version)))
  const running = (): number => sluice.processes().filter((pid) => commandOf(pid).includes('engine/host')).length
  await eventually(
    () => (running() === 2 ? true : undefined),
    () => `${running()} versions run`,
    5_000,
  )
  release.resolve()
  assert.is((await slow.response()).headers['x-version'], '0')
  assert.is((await slow.send(get('/')).response()).headers['x-version'], '4')
  await eventually(
    () => (running() === 1 ? true : undefined),
    () => `${running()} versions run`,
    5_000,
  )
})

test('status and metrics tell of the reloads', async () => {
  await using sluice = await startSluice({ config: web(`{ respond: respond(200, 'one') }`, admin), args: ['--workers', '1'] })
  const port = await sluice.port('admin')
  const line = await reload(sluice, web(`{ respond: respond(200, 'two') }`, admin))
  const status = JSON.parse((await request(port, getOnce('/api/status'))).text)
  assert.equal([status.generation, status.lastReload.ok, status.lastReload.text], [2, true, line])
  const { text } = await request(port, getOnce('/metrics'))
  assert.match(text, 'sluice_config_reloads_total{result="ok"} 1')
  assert.match(text, 'sluice_config_last_reload_successful 1')
  assert.match(text, /sluice_config_last_reload_seconds \d{10}/)
})

test('a package that the config imports is loaded by new workers; tunnels of the old ones live on', async () => {
  await using origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then(() => connection.write(GRANT))
      return undefined
    },
  })
  const config = `import { text } from 'words'\n${web(`{ path: '/chat', to: 'http://127.0.0.1:${origin.port}' }, { respond: respond(200, text) }`)}`
  const files = {
    'node_modules/words/package.json': JSON.stringify({ name: 'words', version: '1.0.0', type: 'module', main: 'index.js' }),
    'node_modules/words/index.js': `export const text = 'one'\n`,
  }
  await using sluice = await startSluice({ config, files, args: ['--workers', '2', '--drain', '500ms'] })
  const port = await sluice.port('web')
  using socket = await connect(port)
  assert.is((await socket.send(UPGRADE).response()).status, 101)
  const line = await reload(sluice, () => {
    writeFileSync(`${sluice.folder}/node_modules/words/index.js`, `export const text = 'two'\n`)
    writeFileSync(`${sluice.folder}/node_modules/words/package.json`, files['node_modules/words/package.json'].replace('1.0.0', '2.0.0'))
    sluice.signal('SIGHUP')
  })
  assert.match(line, /a package changed: 2 new workers/)
  const answers = await Promise.all(Array.from({ length: 20 }, () => request(port, getOnce('/'))))
  assert.equal(new Set(answers.map(({ status, text }) => `${status} ${text}`)), new Set(['200 two']))
  const [chat] = origin.connections
  socket.send('ping;')
  await chat!.until('ping;')
  chat!.write('pong;')
  await socket.until('pong;')
  socket.destroy()
})

test.run()

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'

function web(routes: string, more = ''): string {
  return configOf(`web: http({ listen: '127.0.0.1:0', routes: [${routes}] })`, more)
}

function saying(text: string): string {
  return web(`{ respond: respond(200, '${text}') }`)
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

function getOnce(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
}
