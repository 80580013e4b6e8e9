/** One block list over the network: whole and a list, or the one before stays. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fetchedAt, fetchList } from '../../core/process/fetch-list.ts'

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

test('a server that is not there is told as one', async () => {
  const it = await start(() => {})
  const { plan } = it
  await it[Symbol.asyncDispose]()
  const problem = await fetchList(plan, () => 1).catch((error: Error) => error.message)
  assert.match(String(problem), 'ECONNREFUSED')
  assert.is(existsSync(plan.file), false)
})

test.run()

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
