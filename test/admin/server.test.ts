/** The admin listener: who is answered, and who is not. */

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Admin, type AdminOptions, startAdmin } from '../../core/admin/server.ts'
import type { CacheAsk } from '../../core/cache/asks.ts'
import type { ListenAddress } from '../../core/plan/plan.ts'
import { type EndpointAsk, EndpointError } from '../../core/upstream/endpoint-asks.ts'
import { type ClientResponse, request } from '../support/client.ts'

const loopback: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 }
const everywhere: ListenAddress = { kind: 'tcp', host: '0.0.0.0', port: 0 }

test('it tells metrics, health, readiness and status', async () => {
  await using admin = await start()
  assert.is((await admin.get('/metrics')).text, 'sluice_x 1\n')
  assert.is((await admin.get('/healthz')).status, 200)
  assert.is((await admin.get('/readyz')).status, 200)
  assert.equal(JSON.parse((await admin.get('/api/status')).text), { pid: 1 })
  assert.equal(JSON.parse((await admin.get('/api/plugins')).text), [{ name: 'geo' }])
  assert.equal(JSON.parse((await admin.get('/api/upstreams')).text), [{ name: 'api' }])
  assert.is((await admin.get('/')).status, 404)
})

test('it is not ready while something is missing', async () => {
  await using admin = await start({ unready: () => 'draining' })
  const response = await admin.get('/readyz')
  assert.equal([response.status, response.text], [503, 'draining\n'])
  assert.is((await admin.get('/healthz')).status, 200)
})

test('it is ready though something is amiss, and says what', async () => {
  await using admin = await start({ remarks: ['upstream api: no endpoint is healthy'] })
  const response = await admin.get('/readyz')
  assert.equal([response.status, response.text], [200, 'ready\nupstream api: no endpoint is healthy\n'])
})

test('a page cannot reach it by a name that it rebound to this address', async () => {
  await using admin = await start()
  for (const host of ['evil.example', 'evil.example:9900', '127.0.0.1.evil.example'])
    assert.is((await admin.get('/metrics', { host })).status, 403, host)
  for (const host of ['localhost', 'LOCALHOST:9900', '127.0.0.1:9900', '[::1]:9900', '10.1.2.3'])
    assert.is((await admin.get('/metrics', { host })).status, 200, host)
})

test('a page of another origin is refused', async () => {
  await using admin = await start()
  assert.is((await admin.get('/api/status', { host: 'localhost:1', lines: 'Origin: http://evil.example\r\n' })).status, 403)
  assert.is((await admin.get('/api/status', { host: 'localhost:1', lines: 'Origin: http://localhost:1\r\n' })).status, 200)
})

test('it changes nothing, so it takes no other method', async () => {
  await using admin = await start()
  const response = await request(admin.port, 'POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
  assert.is(response.status, 405)
})

test('beyond loopback it does not start without a token', async () => {
  for (const address of [everywhere, { ...everywhere, host: null }, { ...everywhere, host: '::' }]) {
    await rejects(startAdmin(anAdmin({ listen: [address] })), /can be reached from other machines: set SLUICE_ADMIN_TOKEN/)
  }
})

test('with a token it asks for it, but for health', async () => {
  await using admin = await start({ listen: [everywhere], token: 'secret' })
  const withToken = (token: string): Promise<ClientResponse> =>
    admin.get('/metrics', { host: 'proxy.example', lines: `Authorization: Bearer ${token}\r\n` })
  assert.is((await admin.get('/metrics')).status, 401)
  assert.is((await withToken('wrong')).status, 401)
  assert.is((await withToken('secret')).status, 200)
  assert.is((await admin.get('/readyz', { host: 'proxy.example' })).status, 200)
})

test('an address that is taken is named', async () => {
  await using admin = await start()
  await rejects(
    startAdmin(anAdmin({ listen: [{ ...loopback, port: admin.port }] })),
    new RegExp(`admin cannot use 127.0.0.1:${admin.port}: another program`),
  )
})

test('caches are told of by GET, and purged by POST of JSON alone', async () => {
  await using admin = await start()
  const { port } = admin
  const post = (body: string, lines = 'Content-Type: application/json\r\n') =>
    request(
      port,
      `POST /api/cache/purge HTTP/1.1\r\nHost: localhost\r\n${lines}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    )
  const asked = async (body: string) => JSON.parse((await post(body)).text).asked
  assert.equal(await asked('{"url":"HTTPS://Example.com:443/a?b"}'), {
    ...{ kind: 'purge', cache: null },
    purge: { kind: 'url', url: 'https://example.com/a?b', soft: false },
  })
  assert.equal(await asked('{"tag":"news","soft":true,"cache":"big"}'), {
    kind: 'purge',
    cache: 'big',
    purge: { kind: 'tag', tag: 'news', soft: true },
  })
  assert.is((await post('{"all":true}')).status, 503)
  for (const body of [
    '',
    '[]',
    '{}',
    '{"url":"a","tag":"b"}',
    '{"url":"/a"}',
    '{"tag":""}',
    '{"host":1}',
    '{"all":"yes"}',
    '{"tag":"a","soft":1}',
  ])
    assert.is((await post(body)).status, 400, body)
  assert.is((await post('{"all":true}', 'Content-Type: text/plain\r\n')).status, 415)
  assert.is((await post('{"all":true}', 'Content-Type: application/json\r\nOrigin: http://evil.example\r\n')).status, 403)
  assert.is((await post(`{"tag":"${'x'.repeat(9000)}"}`)).status, 413)
  assert.equal(JSON.parse((await admin.get('/api/cache')).text).asked, { kind: 'stat', cache: null })
  assert.equal(JSON.parse((await admin.get('/api/cache?prefix=http://x/&most=5')).text).asked, {
    kind: 'list',
    cache: null,
    prefix: 'http://x/',
    most: 5,
  })
  assert.is((await admin.get('/api/cache?prefix=http://x/&most=5000')).status, 400)
})

test('endpoints are told of by GET, and changed by POST of JSON alone; what is wrong is said with its status', async () => {
  await using admin = await start()
  const post = (what: string, body: object, lines = 'Content-Type: application/json\r\n') => {
    const text = JSON.stringify(body)
    const head = `POST /api/endpoints/${what} HTTP/1.1\r\nHost: localhost\r\n${lines}Content-Length: ${text.length}\r\nConnection: close\r\n\r\n`
    return request(admin.port, head + text)
  }
  const asked = async (what: string, body: object) => JSON.parse((await post(what, body)).text).asked
  const at = { upstream: 'api', address: '10.0.0.9:80' }
  assert.equal(JSON.parse((await admin.get('/api/endpoints?upstream=api')).text).asked, { kind: 'list', upstream: 'api' })
  assert.equal(JSON.parse((await admin.get('/api/endpoints')).text).asked, { kind: 'list', upstream: null })
  assert.equal(await asked('add', { ...at, weight: 3 }), { kind: 'add', ...at, weight: 3, priority: 0, zone: null })
  assert.equal(await asked('drain', { ...at, sticky: '1m' }), { kind: 'drain', ...at, stickyMs: 60_000 })
  assert.equal(await asked('drain', at), { kind: 'drain', ...at, stickyMs: 600_000 })
  assert.equal(await asked('undrain', { ...at, kind: 'remove' }), { kind: 'undrain', ...at })
  for (const [what, body] of [
    ['add', { upstream: 'api' }],
    ['add', { ...at, address: 'http://10.0.0.9' }],
    ['add', { ...at, address: 'nonsense' }],
    ['add', { ...at, weight: 0 }],
    ['add', { ...at, priority: 101 }],
    ['add', { ...at, zone: 1 }],
    ['drain', { ...at, sticky: 'long' }],
    ['drain', { ...at, sticky: '8d' }],
    ['drain', { ...at, stickyMs: -1 }],
    ['remove', { address: 'a:1' }],
  ] as const)
    assert.is((await post(what, body)).status, 400, JSON.stringify(body))
  for (const [upstream, status] of [
    ['unknown', 404],
    ['conflict', 409],
    ['busy', 503],
  ] as const) {
    const response = await post('remove', { ...at, upstream })
    assert.equal([response.status, response.text], [status, 'it is so\n'])
  }
  assert.match((await post('undrain', { upstream: 'api', addres: '10.0.0.9:80' })).text, /^unknown key addres; did you mean address\?\n$/)
  const misspelled = await post('drian', at)
  assert.is(misspelled.status, 404)
  assert.match(misspelled.text, /to POST to, .* \/api\/endpoints\/ with add, drain, undrain or remove/)
  assert.is((await post('list', at)).status, 404)
  assert.is((await post('remove', at, 'Content-Type: text/plain\r\n')).status, 415)
  assert.is((await post('remove', at, 'Content-Type: application/json\r\nOrigin: http://evil.example\r\n')).status, 403)
  assert.is((await post('remove', { ...at, more: 'x'.repeat(9000) })).status, 413)
  await using guarded = await start({ token: 'secret' })
  const text = JSON.stringify(at)
  const head = `POST /api/endpoints/remove HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n`
  assert.is((await request(guarded.port, `${head}Connection: close\r\n\r\n${text}`)).status, 401)
})

test.run()

interface Overrides {
  readonly listen?: readonly ListenAddress[]
  readonly token?: string
  readonly unready?: () => string | null
  readonly remarks?: readonly string[]
}

function anAdmin({ listen = [loopback], token, unready = () => null, remarks = [] }: Overrides = {}): AdminOptions {
  const caches = async (ask: CacheAsk) => {
    if (ask.kind === 'purge' && ask.purge.kind === 'all') throw new Error('1 of 2 workers did not answer: ask again')
    return { counts: [], purged: 0, listed: [], names: [], problems: [], asked: ask }
  }
  const endpoints = async (ask: EndpointAsk) => {
    const { upstream } = ask
    if (upstream === 'unknown' || upstream === 'conflict' || upstream === 'busy') throw new EndpointError(upstream, 'it is so')
    return { asked: ask }
  }
  const metrics = async () => ({ type: 'text/plain', text: 'sluice_x 1\n' })
  const source = {
    ...{ metrics, unready, remarks: () => remarks, status: async () => ({ pid: 1 }) },
    ...{ plugins: async () => [{ name: 'geo' }], upstreams: async () => [{ name: 'api' }], caches, endpoints },
  }
  return { listen, token: token ?? null, source }
}

interface Running extends AsyncDisposable {
  readonly port: number
  get(path: string, request?: { host?: string; lines?: string }): Promise<ClientResponse>
}

async function start(overrides: Overrides = {}): Promise<Running> {
  const admin: Admin = await startAdmin(anAdmin(overrides))
  const port = Number(/:(\d+)$/.exec(admin.addresses[0]!)![1])
  const get: Running['get'] = (path, { host = 'localhost', lines = '' } = {}) =>
    request(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}Connection: close\r\n\r\n`)
  return { port, get, [Symbol.asyncDispose]: () => admin.close() }
}

async function rejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const outcome = await promise.then(
    () => 'it did not reject',
    (error: Error) => error.message,
  )
  assert.match(outcome, message)
}
