/** `onLog` in a running proxy: what a user reads in its log, from the first line to those that are written while it ends. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import type { Sluice } from '../support/process.ts'
import { SharedSluice } from '../support/shared-sluice.ts'

const shared = new SharedSluice(test, ['--workers', '1'])

const REDACT = 'entries.map((entry) => ({ ...entry, query: entry.query.replace(/token=[^&]*/, "token=-") }))'

test('a token is not in the log, in JSON and in the combined format', async () => {
  for (const [format, written] of [
    ['json', '"path":"/hello?a=1&token=-"'],
    ['combined', '"GET /hello?a=1&token=- HTTP/1.1" 200'],
  ]) {
    const sluice = await start(`onLog: (entries) => ${REDACT}`, { log: `{ format: '${format}' }` })
    await ask(sluice, '/hello?a=1&token=s3cr3t')
    const line = await sluice.line(/hello/)
    assert.ok(line.includes(written!), line)
    assert.not.match(sluice.stdout.join('\n'), 's3cr3t')
  }
})

test('a line is left out, an async hook is waited for, and both are seen in the metrics', async () => {
  const sluice = await start('onLog: async (entries) => entries.map((entry) => (entry.query === "?health" ? null : entry))')
  const answered = 'requests_total{listener="web",route="web[0]",status="2xx"}'
  const before = [await metric(sluice, 'log_left_out_total'), await metric(sluice, answered, 0)] as const
  for (const query of ['?1', '?health', '?2']) await ask(sluice, `/hello${query}`)
  await sluice.line(/hello\?2/)
  assert.equal(paths(sluice), ['/hello?1', '/hello?2'])
  assert.is(await metric(sluice, 'log_left_out_total'), before[0] + 1)
  assert.is(await metric(sluice, answered), before[1] + 3)
})

test('a hook that fails masks its lines and says so once; another route is logged as ever', async () => {
  const sluice = await start('onLog() { throw new Error("no pattern") }', { more: `{ path: '/plain', respond: respond(200, 'hi') }` })
  const before = await metric(sluice, 'log_masked_total')
  for (const path of ['/hello?token=s3cr3t', '/plain?x', '/hello?token=s3cr3t']) await ask(sluice, path)
  await eventually(
    () => (paths(sluice).length === 3 ? true : undefined),
    () => sluice.stdout.join('\n'),
  )
  assert.equal(paths(sluice).sort(), ['-', '-', '/plain?x'])
  assert.not.match(sluice.stdout.join('\n'), 's3cr3t')
  assert.is(await metric(sluice, 'log_masked_total'), before + 2)
  const told = await eventually(
    () => (sluice.stderr.some((line) => line.includes('masked')) ? sluice.stderr : undefined),
    () => sluice.stderr.join('\n'),
  )
  assert.match(told.join('\n'), /web\[0\]\/use\[0\].*no pattern|no pattern.*web\[0\]\/use\[0\]/s)
})

test('with the access log off hooks are asked, and nothing is written', async () => {
  const sluice = await start('onLog(entries) { for (const { query } of entries) console.log("shipped " + query) }', {
    log: '{ access: false }',
  })
  await ask(sluice, '/hello?42')
  await eventually(
    () => (sluice.stderr.includes('shipped ?42') ? true : undefined),
    () => sluice.stderr.join('\n'),
  )
  assert.equal(paths(sluice), [])
})

test('lines of a plan that was replaced are still answered for by its hooks', async () => {
  const sluice = await start(`async onLog(entries) { await new Promise((resolve) => { globalThis.goOn = resolve }); return ${REDACT} }`)
  await ask(sluice, '/hello?token=s3cr3t')
  const generation = await metric(sluice, 'generation')
  sluice.write('proxy.config.ts', config('onLog: () => globalThis.goOn()', {}))
  await eventually(async () => ((await metric(sluice, 'generation')) === generation + 1 ? true : undefined), 'no reload', 10_000)
  assert.equal(paths(sluice), [])
  await ask(sluice, '/hello?new')
  await sluice.line(/token/)
  assert.equal(paths(sluice).sort(), ['/hello?new', '/hello?token=-'])
})

test('what waits for its batch or for an answer is written while the proxy ends', async () => {
  const slow = 'async onLog(entries) { await new Promise((resolve) => setTimeout(resolve, 300)); return entries }'
  const sluice = await start(slow)
  for (const query of ['?1', '?2']) await ask(sluice, `/hello${query}`)
  assert.is(await sluice.stop(), 0)
  assert.equal(paths(sluice), ['/hello?1', '/hello?2'])
})

test('a hook that never answers does not keep the proxy from ending, and nothing leaks', async () => {
  const sluice = await start('onLog: () => new Promise(() => {})')
  await ask(sluice, '/hello?token=s3cr3t')
  assert.is(await sluice.stop(), 0)
  assert.equal(paths(sluice), ['-'])
})

test.run()

interface Options {
  readonly log?: string
  /** Another route. */
  readonly more?: string
}

function start(hooks: string, options: Options = {}): Promise<Sluice> {
  return shared.take(config(hooks, options))
}

function config(hooks: string, { log = `{ format: 'json' }`, more = '' }: Options): string {
  return `import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ path: '/hello', use: [{ ${hooks} }], respond: respond(200, 'hi') }, ${more}] }) },
  admin: { listen: '127.0.0.1:0' }, log: ${log},
})
`
}

async function ask(sluice: Sluice, path: string): Promise<void> {
  const { status } = await request(await sluice.port('web'), `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  assert.is(status, 200)
}

/** Of the lines so far. */
function paths(sluice: Sluice): string[] {
  return sluice.stdout.filter((line) => line.startsWith('{')).map((line) => (JSON.parse(line) as { path: string }).path)
}

/** `absent`: where there is no such series. */
async function metric(sluice: Sluice, series: string, absent: number | null = null): Promise<number> {
  const { text } = await request(await sluice.port('admin'), 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  const line = text.split('\n').find((one) => one.startsWith(`sluice_${series} `))
  if (line === undefined && absent !== null) return absent
  assert.ok(line, `there is no ${series}`)
  return Number(line.slice(line.lastIndexOf(' ')))
}
