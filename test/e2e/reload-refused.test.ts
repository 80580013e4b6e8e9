/** A reload that cannot be: nothing changes, it is told once, with its place; and the next one that can be is taken. */
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import * as net from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { connect, request } from '../support/client.ts'
import { freePort, type Sluice, startSluice } from '../support/process.ts'
import { configOf, liveLines, refusals, refusedReload, reload } from '../support/reloading.ts'
import { SharedSluice } from '../support/shared-sluice.ts'

const shared = new SharedSluice(test, ['--workers', '2'])

const plugins = {
  'tag.ts': `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'tag', setup(options: { fail?: boolean }) {
  if (options.fail) throw new Error('no tags today')
  return { onResponse(res) { res.headers.set('x-tag', '1') } }
} })`,
}

test('syntax, a wrong value, a plugin that throws, a certificate that is not there: each is told at its place, and nothing changes', async () => {
  const good = (text: string): string => using(`{ use: [tag({})], respond: respond(200, '${text}') }`)
  const sluice = await shared.take(good('one'), plugins)
  const port = await sluice.port('web')
  using client = await connect(port)
  const mustServe = async (text: string): Promise<void> => {
    const response = await client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()
    assert.equal([response.text, response.headers['x-tag']], [text, '1'])
  }
  await mustServe('one')
  const wrong: readonly (readonly [config: string, words: RegExp])[] = [
    [`${good('two')}\nlet x = (`, /proxy\.config\.ts:\d+:\d+.*error/],
    [using(`{ pth: '/', respond: respond(200, 'two') }`), /proxy\.config\.ts:\d+:\d+: error: .*pth/],
    [using(`{ use: [tag({ fail: true })], respond: respond(200, 'two') }`), /tag\.ts:3:\d+.*no tags today/s],
    [configOf(`web: http({ listen: '127.0.0.1:0', tls: { cert: 'no.pem', key: 'no.key' }, routes: [] })`), /no\.pem/],
    [using(`{ path: '/' + Math.random(), respond: respond(200, 'two') }`), /Math|chance|differ|same/],
  ]
  for (const [config, words] of wrong) {
    const told = await refusedReload(sluice, config)
    assert.match(told, words)
    await mustServe('one')
  }
  // Once each.
  assert.is(refusals(sluice).length, wrong.length)
  assert.equal(liveLines(sluice), [])
  assert.match(await reload(sluice, good('three')), /1 route changed/)
  await mustServe('three')
})

test('a port that is taken fails all of it: what else it would have brought is not there, and nothing is left bound', async () => {
  const other = net.createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const taken = (other.address() as net.AddressInfo).port
  const free = await freePort()
  const config = (text: string, more = ''): string =>
    configOf(`web: http({ listen: '127.0.0.1:0', routes: [{ respond: respond(200, '${text}') }] })${more}`)
  const listener = (name: string, port: number): string => `, ${name}: http({ listen: '127.0.0.1:${port}', routes: [] })`
  const sluice = await shared.take(config('one'))
  const told = await refusedReload(sluice, config('two', listener('more', free) + listener('most', taken)))
  assert.match(told, `error: listeners.most.listen: listener most cannot use 127.0.0.1:${taken}: another program uses it already`)
  assert.match(told, new RegExp(`proxy\\.config\\.ts:\\d+:\\d+: .*${taken}`))
  assert.is(await ask(await sluice.port('web')), 'one')
  await mustBeFree(free)
  other.close()
  await once(other, 'close')
  await reload(sluice, () => sluice.signal('SIGHUP'))
  assert.is(await ask(await sluice.port('web')), 'two')
})

test('admin at a port that is taken fails the reload; at a free one it moves', async () => {
  const other = net.createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const taken = (other.address() as net.AddressInfo).port
  const config = (text: string, port: number): string =>
    configOf(
      `web: http({ listen: '127.0.0.1:0', routes: [{ respond: respond(200, '${text}') }] })`,
      `admin: { listen: '127.0.0.1:${port}' }`,
    )
  const [first, second] = [await freePort(), await freePort()]
  const sluice = await shared.take(config('one', first))
  const port = await sluice.port('web')
  assert.match(await refusedReload(sluice, config('two', taken)), `admin cannot use 127.0.0.1:${taken}`)
  other.close()
  assert.is(await ask(port), 'one')
  assert.is((await request(first, health)).status, 200)
  assert.match(await reload(sluice, config('three', second)), /1 route changed, admin changed/)
  assert.is((await request(second, health)).status, 200)
  await mustBeFree(first)
})

test('a config that is gone is told, and followed again when it is back', async () => {
  const config = (text: string): string => using(`{ respond: respond(200, '${text}') }`)
  const sluice = await shared.take(config('one'), plugins)
  const port = await sluice.port('web')
  const told = await refusedReload(sluice, () => rmSync(join(sluice.folder, 'proxy.config.ts')))
  assert.match(told, /proxy\.config\.ts/)
  assert.is(await ask(port), 'one')
  await reload(sluice, config('two'))
  assert.is(await ask(port), 'two')
})

test('metrics say that the last one failed, until one succeeds', async () => {
  const config = (routes: string): string =>
    configOf(`web: http({ listen: '127.0.0.1:0', routes: [${routes}] })`, `admin: { listen: '127.0.0.1:0' }`)
  await using sluice = await startSluice({ config: config(''), args: ['--workers', '1'] })
  const state = async (): Promise<string | undefined> => {
    const { text } = await request(await sluice.port('admin'), health.replace('/healthz', '/metrics'))
    return /^sluice_config_last_reload_successful (\d)/m.exec(text)?.[1]
  }
  assert.is(await state(), '1')
  await refusedReload(sluice, config('{ nothing: 1 }'))
  assert.is(await state(), '0')
  assert.is((await statusOf(sluice)).lastReload.ok, false)
  await reload(sluice, config(`{ respond: respond(200, 'ok') }`))
  assert.is(await state(), '1')
})

test.run()

const health = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

function using(routes: string): string {
  return configOf(`web: http({ listen: '127.0.0.1:0', routes: [${routes}] })`, '', `import tag from './tag.ts'\nvoid tag`)
}

async function ask(port: number): Promise<string> {
  return (await request(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).text
}

async function statusOf(sluice: Sluice): Promise<{ lastReload: { ok: boolean } }> {
  return JSON.parse((await request(await sluice.port('admin'), health.replace('/healthz', '/api/status'))).text)
}

async function mustBeFree(port: number): Promise<void> {
  const server = net.createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
}
