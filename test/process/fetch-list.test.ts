/** One block list over the network: whole and a list, or the one before stays. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Guard } from '../../core/forward/guard.ts'
import type { FetchedListPlan } from '../../core/plan/forward-plan.ts'
import { type FetchOptions, fetchedAt, fetchList } from '../../core/process/fetch-list.ts'

const LIST = 'ads.example.com\n||tracker.test^\n# a remark\n'

test('it is kept, and asked for again by what was said of it', async () => {
  await using it = await start((request, response) => {
    if (request.headers['if-none-match'] === '"1"') return response.writeHead(304).end()
    response.writeHead(200, { ETag: '"1"', 'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }).end(LIST)
  })
  assert.is(fetchedAt(it.plan), null)
  assert.equal(await fetchList(it.plan, () => 1_000), { isNew: true, names: 2 })
  assert.equal([readFileSync(it.plan.file, 'utf8'), fetchedAt(it.plan)], [LIST, 1_000])
  assert.equal(await fetchList(it.plan, () => 2_000), { isNew: false, names: 2 })
  assert.is(fetchedAt(it.plan), 2_000)
  assert.is(it.requests[1]!.headers['if-modified-since'], 'Thu, 01 Jan 2026 00:00:00 GMT')
  rmSync(it.plan.file)
  assert.equal(await fetchList(it.plan, () => 3_000), { isNew: true, names: 2 }, 'without the file nothing is known of it')
})

const bad: readonly (readonly [what: string, answer: (response: ServerResponse) => unknown, says: RegExp])[] = [
  ['an error', (response) => response.writeHead(503).end('later'), /^the server answered 503$/],
  ['a page that is no list', (response) => response.end('<!doctype html>\n<title>Sign in</title>\n'), /^there is no name in it$/],
  [
    'a page whose words could be names',
    (response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('Forbidden\n'),
    /^it is a page, no list$/,
  ],
  ['nothing', (response) => response.end(), /^there is no name in it$/],
  ['too much', (response) => response.end(`${LIST}${'# \n'.repeat(1_000)}`), /^it has more than 0\.001953125 MB$/],
  [
    'half of it',
    (response) => {
      response.writeHead(200, { 'Content-Length': '1000' })
      response.write(LIST, () => response.destroy())
    },
    /terminated|closed|aborted/,
  ],
  [
    'half of it, in chunks',
    (response) => {
      response.write(LIST, () => response.destroy())
    },
    /terminated|closed|aborted/,
  ],
  ['nothing for long', () => {}, /^it has not come within 0\.1 s$/],
]
for (const [what, answer, says] of bad) {
  test(`${what} changes nothing of what was there`, async () => {
    let isBad = false
    await using it = await start((_, response) => {
      if (isBad) answer(response)
      else response.end(LIST)
    })
    await fetchList(it.plan, () => 1_000)
    isBad = true
    const limits = { bytes: 2_048, ms: what === 'nothing for long' ? 100 : 5_000 }
    const problem = await fetchList(it.plan, () => 2_000, limits).then(
      () => 'it was taken',
      (error: Error) => error.message,
    )
    assert.match(problem, says)
    assert.equal([readFileSync(it.plan.file, 'utf8'), fetchedAt(it.plan)], [LIST, 1_000])
    assert.equal(readdirSync(it.folder).sort(), ['list.txt', 'list.txt.json'])
  })
}

test('a list that comes coded is kept as what it says, and no longer than it may be then', async () => {
  await using it = await start((request, response) => {
    assert.is(request.headers['accept-encoding'], 'gzip')
    response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(gzipSync(LIST + '# \n'.repeat(1_000)))
  })
  assert.equal(await fetchList(it.plan, () => 1_000), { isNew: true, names: 2 })
  assert.match(readFileSync(it.plan.file, 'utf8'), /^ads\.example\.com\n/)
  rmSync(it.plan.file)
  assert.match(await whyNot(it.plan, { bytes: 2_048 }), /^it has more than/)
})

test('it may lead to another path of its own, or to a place that is nobody local', async () => {
  await using other = await start((_, response) => response.end(LIST))
  await using it = await start((request, response) => {
    if (request.url === '/ads.txt') return response.writeHead(302, { Location: '/b' }).end()
    if (request.url === '/b') return response.writeHead(308, { Location: other.plan.url }).end()
  })
  const asked: string[] = []
  const guard: Guard = (address, port) => {
    asked.push(`${address}:${port}`)
    return null
  }
  assert.equal(await fetchList(it.plan, () => 1_000, { guard }), { isNew: true, names: 2 })
  assert.equal(
    it.requests.map(({ url }) => url),
    ['/ads.txt', '/b'],
  )
  assert.equal(asked, [new URL(other.plan.url).host])
})

test('it is not led to this machine, its links and its cloud, by address or by name, nor to what is no HTTP, nor in circles', async () => {
  await using other = await start((_, response) => response.end(LIST))
  const { port } = new URL(other.plan.url)
  let location = ''
  await using it = await start((_, response) => response.writeHead(302, { Location: location }).end())
  for (const [to, says] of [
    [other.plan.url, /^it leads to a place that lists are not fetched from: 127\.0\.0\.1 is loopback; if that is meant, write its URL$/],
    [`http://localhost:${port}/`, /(127\.0\.0\.1|::1) is loopback/],
    [`http://[::ffff:127.0.0.1]:${port}/`, /is loopback/],
    ['http://169.254.169.254/latest/meta-data/', /169\.254\.169\.254 is metadata/],
    ['http://0x7f000001/', /is loopback/],
    ['file:///etc/passwd', /^it leads to what is no place of HTTP$/],
    ['ftp://example.com/', /^it leads to what is no place of HTTP$/],
    ['http://', /^it leads to what is no place of HTTP$/],
    ['http://a:b@example.com/', /^it leads to a place with a password in it$/],
    [it.plan.url, /^it leads from place to place, more than 10$/],
  ] as const) {
    location = to
    assert.match(await whyNot(it.plan), says, to)
  }
  assert.is(other.requests.length, 0)
  assert.is(existsSync(it.plan.file), false)
})

test('a long list is looked through in steps, between which the supervisor has other things to do', async () => {
  const lines = Array.from({ length: 100_000 }, (_, i) => `||host-${i}.example.com^\n`).join('')
  await using it = await start((_, response) => response.end(lines))
  let steps = 0
  const pause = (): Promise<void> => {
    steps++
    return new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(await fetchList(it.plan, () => 1_000, { pause }), { isNew: true, names: 100_000 })
  assert.is(steps, Math.ceil(lines.length / 65_536))
})

test('a server that is not there is told as one', async () => {
  const it = await start(() => {})
  const { plan } = it
  await it[Symbol.asyncDispose]()
  const problem = await fetchList(plan, () => 1).catch((error: Error) => error.message)
  assert.match(String(problem), 'ECONNREFUSED')
  assert.is(existsSync(plan.file), false)
})

test.run()

async function whyNot(plan: FetchedListPlan, options: Partial<FetchOptions> = {}): Promise<string> {
  return fetchList(plan, () => 1_000, options).then(
    () => 'it was taken',
    (error: Error) => error.message,
  )
}

async function start(handler: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const requests: IncomingMessage[] = []
  const server: Server = createServer((request, response) => {
    requests.push(request)
    handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const folder = mkdtempSync(join(tmpdir(), 'sluice-list-'))
  const { port } = server.address() as AddressInfo
  return {
    requests,
    folder,
    plan: { url: `http://127.0.0.1:${port}/ads.txt`, file: join(folder, 'list.txt'), everyMs: 60_000 },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
