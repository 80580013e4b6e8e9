import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SimulatedInit, type SimulatedResponse, simulatePlugin } from '../../core/testing.ts'
import { htmlPage, prefersJson } from './page.ts'

const plugin = new URL('./index.ts', import.meta.url)
const HOUR_MS = 3_600_000
const at = (ms: number) => new Date(Date.now() + ms).toISOString()

test('a page for people, problem details for programs, both for a while and not to be kept', async () => {
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options: { title: 'Back <soon>', until: at(HOUR_MS) } })
  const page = await proxy.fetch('/', { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } })
  assert.is(page.status, 503)
  assert.is(page.headers.get('content-type'), 'text/html; charset=utf-8')
  assert.is(page.headers.get('cache-control'), 'no-store')
  const seconds = Number(page.headers.get('retry-after'))
  assert.ok(seconds > 3500 && seconds <= 3600, String(seconds))
  assert.match(await page.text(), '<h1>Back &lt;soon&gt;</h1>')
  const json = await proxy.fetch('/', { headers: { accept: 'application/json' } })
  assert.is(json.headers.get('content-type'), 'application/problem+json')
  const { title, status } = (await json.json()) as Record<string, unknown>
  assert.equal([title, status], ['Back <soon>', 503])
  assert.is(json.decidedBy, 'maintenance-page')
  assert.is(await (await proxy.fetch('/', { method: 'HEAD' })).text(), '')
})

test('lets through by network, by path and by a secret header that goes no further', async () => {
  const options = {
    allow: ['192.0.2.0/24', '2001:db8::1'],
    except: ['/healthz', '/status/*'],
    secret: { header: 'x-maintenance', value: 'let-me-in-4711' },
    retryAfter: 60,
  }
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options })
  const status = async (path: string, init: SimulatedInit = {}) => (await proxy.fetch(path, init)).status
  assert.is(await status('/', { from: '192.0.2.9' }), 200)
  assert.is(await status('/', { from: '2001:db8::1' }), 200)
  assert.is(await status('/', { from: '192.0.3.9' }), 503)
  assert.is(await status('/', { from: '2001:db8::2' }), 503)
  assert.is(await status('/healthz'), 200)
  assert.is(await status('/healthz/x'), 503)
  assert.is(await status('/status'), 200)
  assert.is(await status('/status/a'), 200)
  assert.is(await status('/statusx'), 503)
  const withHeader = (value: string): Promise<SimulatedResponse> => proxy.fetch('/', { headers: { 'x-maintenance': value } })
  const inside = await withHeader('let-me-in-4711')
  assert.is(inside.status, 200)
  assert.is(inside.sent?.headers.get('x-maintenance'), null)
  for (const wrong of ['let-me-in-4712', 'let-me-in', 'let-me-in-4711let-me-in-4711', ''])
    assert.is((await withHeader(wrong)).status, 503, wrong)
  assert.is((await withHeader('')).headers.get('retry-after'), '60')
})

test('lets through by a secret cookie, which it sees with credentials', async () => {
  const options = { secret: { cookie: 'inside', value: 'let-me-in-4711' } }
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options, grant: ['credentials'] })
  const status = async (cookie: string) => (await proxy.fetch('/', { headers: { cookie } })).status
  assert.is(await status('a=1; inside=let-me-in-4711'), 200)
  assert.is(await status('xinside=let-me-in-4711; inside='), 503)
})

test('only between from and until, and not at all when it is not enabled', async () => {
  for (const options of [{ from: at(HOUR_MS) }, { until: at(-HOUR_MS) }, { enabled: false }]) {
    await using proxy = await simulatePlugin(plugin, { timeout: '1s', options })
    assert.is((await proxy.fetch('/')).status, 200, JSON.stringify(options))
  }
  await using proxy = await simulatePlugin(plugin, {
    timeout: '1s',
    options: { from: at(-HOUR_MS), until: at(HOUR_MS), html: '<p>mine</p>' },
  })
  assert.is(await (await proxy.fetch('/')).text(), '<p>mine</p>')
})

test('says what is wrong with its options', async () => {
  const refusals: readonly (readonly [options: unknown, words: string])[] = [
    [{ from: at(HOUR_MS), until: at(0) }, 'until is not after from'],
    [{ allow: ['192.0.2.0/33'] }, 'allow: not an address or a network: 192.0.2.0/33'],
    [{ from: 'tomorrow', secret: { value: 'short' } }, 'from: '],
  ]
  for (const [options, words] of refusals) {
    try {
      await using proxy = await simulatePlugin(plugin, { timeout: '1s', options })
      assert.unreachable(`accepted ${JSON.stringify(options)}, ${proxy.logs.length}`)
    } catch (error) {
      assert.match((error as Error).message, words)
    }
  }
})

test('JSON only for those who would rather have it', () => {
  for (const accept of ['application/json', 'application/vnd.api+json, */*', 'text/html;q=0.5, application/json'])
    assert.ok(prefersJson(accept), accept)
  for (const accept of ['', '*/*', 'text/html', 'text/html, application/json', 'application/json;q=0, */*', 'application/json;q=x'])
    assert.not.ok(prefersJson(accept), accept)
})

test('words cannot become markup', () => {
  const page = htmlPage({ title: '</title><script>', message: '<img src=x onerror=alert(1)>', lang: '" onload="x', until: null })
  assert.not.match(page, /<script|<img|lang="" /)
})

test.run()
