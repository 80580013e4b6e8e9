/**
 * What a plugin was granted is told once when it is loaded, whatever the number of workers; and it cannot help itself to more. What it keeps in kv is
 * told too, and outlives reloads.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { type Sluice, startSluice } from '../support/process.ts'
import { configOf, refusedReload, reload } from '../support/reloading.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`

function tag(value: string, permissions = '[]'): string {
  return `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'tag', sees: ['user-agent'], permissions: ${permissions}, setup() {
  return { onRequest(req) { if (req.path === '/throw') throw new Error('no') }, onResponse(res) { res.headers.set('x-tag', '${value}') } }
} })\n`
}

const web = "web: http({ listen: '127.0.0.1:0', use: [tag({})], routes: [{ respond: respond(200, 'hi') }] })"
const config = configOf(web, "admin: { listen: '127.0.0.1:0' }", "import tag from './tag.ts'")

test('an update that asks for more than was granted is not loaded, and the old one goes on', async () => {
  await using sluice = await startSluice({ config, files: { 'tag.ts': tag('1') }, args: ['--workers', '2'] })
  assert.is(loaded(sluice).length, 1)
  const told = await refusedReload(sluice, () => sluice.write('tag.ts', tag('2', "['credentials']")))
  assert.match(told, /plugin tag: it asks for the permission credentials: \{ grant: \['credentials'\] \} beside its options gives it/)
  assert.match(told, /proxy\.config\.ts:\d+:\d+/)
  assert.is((await request(await sluice.port('web'), get('/'))).headers['x-tag'], '1')
  assert.is(loaded(sluice).length, 1)

  await reload(sluice, config.replace('tag({})', "tag({}, { grant: ['credentials'] })"))
  assert.is((await request(await sluice.port('web'), get('/'))).headers['x-tag'], '2')
  const lines = loaded(sluice)
  assert.is(lines.length, 2)
  const { level, msg, isolation, hooks, grants, sees } = JSON.parse(lines[1]!)
  assert.equal(
    { level, msg, isolation, hooks, grants, sees },
    {
      ...{ level: 'info', msg: 'plugin tag is loaded', isolation: 'worker' },
      ...{ hooks: 'onRequest, onResponse', grants: 'credentials', sees: 'user-agent' },
    },
  )
})

const KEEP = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'keep', permissions: ['kv'], setup: (_, { kv }) => ({ async onRequest(req) {
  if (req.path === '/keep') await kv.incr('kept')
} }) })\n`

test('the admin listener tells of each plugin what it is, what it may do, and how it fares in all workers', async () => {
  const withKeep = (kvMemory: string): string =>
    config
      .replace('import tag', "import keep from './keep.ts'\nimport tag")
      .replace('tag({})', `tag({}), keep({}, { grant: ['kv'], kvMemory: '${kvMemory}', deadline: '5s' })`)
  await using sluice = await startSluice({
    config: withKeep('1mb'),
    files: { 'tag.ts': tag('1'), 'keep.ts': KEEP },
    args: ['--workers', '2'],
  })
  const port = await sluice.port('web')
  for (let i = 0; i < 6; i++) await request(port, get('/'))
  await request(port, get('/throw'))
  const plugins = async () => JSON.parse((await request(await sluice.port('admin'), get('/api/plugins'))).text)
  const [told, kept, ...others] = await plugins()
  assert.equal(others, [])
  assert.equal(kept.kv, { bytes: 0, maxBytes: 1024 ** 2, keys: 0, evictions: 0 })
  const { name, package: from, version, isolation, engine, hooks, grants, sees, failures, parked, restarts } = told
  assert.equal(
    { name, from, version, isolation, engine, hooks, grants, sees, parked, restarts, threw: failures.threw },
    {
      ...{ name: 'tag', from: null, version: null, isolation: 'worker', engine: 'worker', hooks: ['onRequest', 'onResponse'] },
      ...{ grants: [], sees: ['user-agent'], parked: [], restarts: 0, threw: 1 },
    },
  )
  assert.ok(told.calls >= 13, `${told.calls} calls`)
  assert.ok(told.microsecondsPerCall > 0)
  assert.equal(told.uses[0].limits, { timeoutMs: 5, deadlineMs: 1000, memoryMb: 64, kvBytes: null, onFailure: 'deny' })
  assert.is(told.kv, null)

  await request(port, get('/keep'))
  await reload(sluice, withKeep('2mb'))
  await request(port, get('/keep'))
  assert.equal((await plugins())[1].kv, { bytes: 205, maxBytes: 2 * 1024 ** 2, keys: 1, evictions: 0 })
  const scraped = (await request(await sluice.port('admin'), get('/metrics'))).text
  assert.match(scraped, /^sluice_plugin_kv_bytes\{plugin="keep"\} 205$/m)
})

function loaded(sluice: Sluice): string[] {
  return sluice.stderr.filter((line) => /plugin tag is loaded/.test(line))
}

test.run()
