/** `sluice explain` as a user types it: by a config, and of a request that the running proxy has logged. */
import { createConnection } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeFolder } from '../config/support.ts'
import { request } from '../support/client.ts'
import { runCommand, type Sluice, startSluice } from '../support/process.ts'

const CONFIG = `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:0', routes: [
  { path: '/a', method: 'POST', respond: respond(200, 'posted') },
  { host: 'x', path: '/b', headers: { 'x-a': '1' }, respond: respond(200, 'hi') },
] }) } })
`

test('by a config: text, JSON, and the exit code tells whether it could be explained', async () => {
  const folder = makeFolder({ 'proxy.config.ts': CONFIG, 'wrong.config.ts': CONFIG.replace('path:', 'pth:') })
  const typed = (...command: string[]) => runCommand(['explain', ...command], { folder })
  const text = await typed('GET', 'http://x/b', '-H', 'X-A: 1')
  assert.is(text.code, 0)
  assert.match(text.stdout, /✗ web\[0\] {2}proxy\.config\.ts:3:3 {2}path wants \/a, got \/b\n/)
  assert.match(text.stdout, /✓ web\[1\] {2}proxy\.config\.ts:4:3 {2}/)
  const json = await typed('/a', '--json')
  const { ok, explanation } = JSON.parse(json.stdout)
  assert.equal([json.code, ok, explanation.outcome.code, explanation.routes.nearest.id], [0, true, 'no_route', 'web[0]'])
  const wrong = await typed('/a', '-c', 'wrong.config.ts')
  assert.is(wrong.code, 78)
  assert.match(wrong.stderr, /wrong\.config\.ts:3:5: error: .*unknown key/)
  assert.is((await typed('/a', '--listener', 'wbe')).code, 2)
  const usage = await typed('/a', '-H', 'nothing')
  assert.equal([usage.code, /-H takes 'name: value'/.test(usage.stderr)], [2, true])
})

test('of a logged request: what happened, and after a reload that another config is in force', async () => {
  const both = CONFIG.replace('http, respond', 'http, respond, tcp').replace(
    '{ web:',
    "{ edge: tcp({ listen: '127.0.0.1:0', routes: [{ to: '127.0.0.1:1' }] }), web:",
  )
  await using sluice = await startSluice({ config: both, args: ['--workers', '2', '--no-watch'] })
  const port = await sluice.port('web')
  await request(port, 'GET /b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cr3t\r\nConnection: close\r\n\r\n')
  const { id } = JSON.parse(await sluice.line(/^\{.*"path":"\/b"/))
  const before = await typed(sluice, 'explain', id)
  assert.is(before.code, 0)
  assert.match(before.stdout, /answer {4}404 {2}no_route/)
  assert.match(before.stdout, /would match if the header x-a were 1/)
  assert.not.match(before.stdout, /s3cr3t|is in force/)
  // It is reset as soon as its endpoint has refused, which may be before it is told that it is connected.
  const tunnel = createConnection(await sluice.port('edge'), '127.0.0.1').on('error', () => {})
  await new Promise((resolve) => tunnel.once('close', resolve))
  const ended = JSON.parse(await sluice.line(/^\{.*"listener":"edge"/))
  const story = await typed(sluice, 'explain', ended.id)
  assert.match(story.stdout, /end {7}connect_refused/)
  assert.match(story.stdout, /way {7}edge → edge\[0\] → 127\.0\.0\.1:1 → 127\.0\.0\.1:1\n/)
  sluice.write('proxy.config.ts', both.replace("headers: { 'x-a': '1' }, ", ''))
  assert.is((await typed(sluice, 'reload')).code, 0)
  const after = await typed(sluice, 'explain', id)
  assert.match(after.stdout, /it ran on config 1; now 2 is in force/)
  assert.match(after.stdout, /✓ web\[1\]/)
  const { happened, generation } = JSON.parse((await typed(sluice, 'explain', id, '--json')).stdout)
  assert.equal([happened.status, happened.reason, happened.generation, generation], [404, 'no_route', 1, 2])
  const unknown = await typed(sluice, 'explain', `${id}zzzz`)
  assert.is(unknown.code, 1)
  assert.match(unknown.stderr, /does not remember/)
})

/** A command typed in the folder of a running proxy. */
function typed(sluice: Sluice, ...command: string[]) {
  return runCommand(command, { folder: sluice.folder, env: { XDG_RUNTIME_DIR: sluice.folder } })
}

test.run()
