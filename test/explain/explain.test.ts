import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FilesStep, Sent } from '../../core/explain/explanation.ts'
import { formatExplanation } from '../../core/explain/format.ts'
import { askedAgain } from '../../core/explain/recalled.ts'
import type { RecalledExchange } from '../../core/observe/recorder.ts'
import { explainer } from './support.ts'

const CONFIG = `import { defineConfig, files, http, upstream, split, respond, redirect } from 'sluice'
import bots from './bots.ts'
const api = upstream('api', { endpoints: ['127.0.0.1:3001', { address: '127.0.0.1:3002', weight: 3 }], retries: { attempts: 2, on: ['connect'] }, buffer: { response: true } })
const next = upstream('next', { endpoints: ['10.0.0.1:443'], tls: { servername: 'next.internal' }, host: 'name' })
export default defineConfig({
  use: [{ onRequest() {} }],
  listeners: {
    web: http({
      listen: ':8080', trust: '10.0.0.0/8',
      use: [bots({ agents: ['evil'] })],
      routes: [
        { path: '/v1/*', method: 'POST', to: api },
        { host: '*.example.com', use: [{ onRequest() {}, onResponse() {}, onResponseBody: { mode: 'buffer', handle() {} } }], routes: [
          { path: '/users/:id', to: split([[api, 90], [next, 10]]), rewrite: '/u/:id' },
          { path: '/next', to: next, mirror: { to: api, share: 0.25 } },
        ] },
        { path: '/old/*', redirect: redirect('/new/*') },
        { path: '/health', respond: respond(200, 'ok', { 'x-a': '1' }) },
        { path: '/site/*', to: files('.'), rewrite: '/*' },
      ],
    }),
    plain: http({ listen: [':8081', '127.0.0.1:8082'], routes: [{ to: api }] }),
  },
})`

const BOTS = `import { definePlugin } from 'sluice/plugin'
export default definePlugin({
  name: 'bots', sees: ['user-agent', 'x-none'], match: { path: ['/users/*', '/v1/*'] },
  setup: (_: { agents: string[] }) => ({ onRequest() {}, onResponse() {} }),
})`

const BUFFERED = 'answers are buffered: 64 KB each in memory, 1024 MB of disk for all'

const ask = await explainer({ 'proxy.config.ts': CONFIG, 'bots.ts': BOTS })

test('the whole way of a request: listener, client, use, routes, destination, back', async () => {
  const found = await ask({
    url: 'http://a.example.com/x/../users/7?q=1',
    from: '10.0.0.9',
    headers: { 'User-Agent': 'curl', 'X-Forwarded-For': '1.2.3.4' },
  })
  assert.equal(found.listener!.name, 'web')
  assert.equal([found.request!.path, found.request!.writtenPath], ['/users/7', '/x/../users/7'])
  assert.equal(found.request!.client, {
    ...{ ip: '1.2.3.4', peer: '10.0.0.9', because: 'the rightmost address in X-Forwarded-For that is not trusted' },
  })
  assert.equal(
    found.use!.map(({ key, kind, place, isAsked }) => [key, kind, place, isAsked]),
    [
      ['use[0]', 'inline', 'proxy.config.ts:6:9', true],
      ['web/use[0]', 'plugin', 'proxy.config.ts:10:13', true],
      ['web[1]/use[0]', 'inline', 'proxy.config.ts:13:40', true],
    ],
  )
  assert.equal(found.use![2]!.hooks, ['onRequest', 'onResponse', 'onResponseBody'])
  assert.equal(found.use![1]!.sees, [
    { name: 'user-agent', value: 'curl', isHidden: false },
    { name: 'x-none', value: null, isHidden: false },
  ])
  assert.equal(found.routes!.earlier, [
    {
      ...{ id: 'web[0]', place: 'proxy.config.ts:12:9', routes: 1, isGroup: false },
      mismatch: { field: 'path', name: null, wanted: '/v1/*', got: '/users/7' },
    },
  ])
  assert.equal(found.routes!.matched, {
    ...{ id: 'web[1][0]', place: 'proxy.config.ts:14:11', params: { id: '7' } },
    held: [
      { field: 'host', name: null, wanted: '*.example.com' },
      { field: 'path', name: null, wanted: '/users/:id' },
    ],
  })
  const sent = found.outcome as Sent
  assert.equal(
    [sent.upstream, sent.first, sent.safeguards, sent.requestLine],
    ['api', '127.0.0.1:3002', ['up to 2 tries, on connect', BUFFERED], 'GET /u/7?q=1 HTTP/1.1'],
  )
  assert.equal(sent.split, [
    { upstream: 'api', percent: 90 },
    { upstream: 'next', percent: 10 },
  ])
  assert.equal(found.responseUse, ['web[1]/use[0]', 'web/use[0]'])
  assert.equal(
    found.timeouts.filter(({ name }) => name === 'response'),
    [{ name: 'response', ms: 60_000, of: 'api' }],
  )
})

test('a plugin whose match says no is not asked, neither on the way there nor back', async () => {
  const found = await ask({ url: 'http://a.example.com/next' })
  assert.equal(
    found.use!.map(({ isAsked }) => isAsked),
    [true, false, true],
  )
  assert.equal(found.responseUse, ['web[1]/use[0]'])
  const sent = found.outcome as Sent
  assert.equal(sent.mirror, { upstream: 'api', percent: 25 })
  assert.match(formatExplanation(found, { color: false }), 'and a copy of 25% to api')
  assert.equal([sent.host.value, sent.host.because, sent.tls], ['next', "the upstream's name", { servername: 'next.internal' }])
})

test('answers of the config itself', async () => {
  assert.equal((await ask({ url: '/old/a?b' })).outcome, { kind: 'redirect', status: 308, location: '/new/a?b' })
  assert.equal((await ask({ url: '/health' })).outcome, {
    ...{ kind: 'respond', status: 200, headers: [{ name: 'x-a', value: '1' }], body: 'ok' },
  })
})

test('a file: which one, as what, or why none', async () => {
  const found = (await ask({ url: '/site/bots.ts', headers: { range: 'bytes=0-9' } })).outcome as FilesStep
  assert.equal([found.kind, found.status, found.file, found.coding], ['files', 206, join(found.root, 'bots.ts'), null])
  const because = `there is no file for ${join(found.root, 'none.ts')}`
  assert.equal((await ask({ url: '/site/none.ts' })).outcome, { kind: 'error', code: 'file_not_found', status: 404, because })
  assert.equal((await ask({ url: '/site?a' })).outcome, { kind: 'redirect', status: 301, location: './site/?a' })
  assert.is(((await ask({ url: '/site/bots.ts', method: 'POST' })).outcome as { code: string }).code, 'method_not_allowed')
})

test('no route: what would have matched', async () => {
  const { outcome, routes } = await ask({ url: 'http://x/v1/me' })
  assert.equal(outcome, { kind: 'error', code: 'no_route', status: 404, because: 'no route matches' })
  assert.equal(routes!.nearest, {
    ...{ id: 'web[0]', place: 'proxy.config.ts:12:9' },
    mismatches: [{ field: 'method', name: null, wanted: 'POST', got: 'GET' }],
  })
  assert.match(
    formatExplanation(await ask({ url: 'http://x/v1/me' }), { color: false }),
    /nearest: web\[0\] .* would match if the method were POST/,
  )
  const group = (await ask({ url: 'http://x/other' })).routes!.earlier.find(({ isGroup }) => isGroup)
  assert.equal([group!.id, group!.routes, group!.mismatch.field], ['web[1]', 2, 'host'])
})

test('the listener is chosen by name, by port, by scheme', async () => {
  const chosen = async (url: string, listener: string | null = null) => {
    const found = await ask({ url, listener })
    return found.wrong ?? `${found.listener!.name}: ${found.listener!.because}`
  }
  assert.is(await chosen('http://x:8082/'), 'plain: it listens on port 8082')
  assert.is(await chosen('http://x/'), 'web: it is the first one that speaks http')
  assert.is(await chosen('http://x:9/'), 'web: nothing listens on port 9; it is the first one that speaks http')
  assert.match(await chosen('https://x:8080/'), /^web: it listens on port 8080; but it speaks http/)
  assert.is(await chosen('https://x/'), 'web: none speaks https; this is the first')
  assert.is(await chosen('/', 'plain'), 'plain: it was named')
  assert.is(await chosen('/', 'wbe'), 'there is no listener wbe; there are web, plain')
  assert.is(await chosen('ftp://x/'), 'ftp://x/ is no URL of a kind that is known: http, https, udp, tcp, tls, socks4 or socks5')
})

test('what the listener refuses, with the reason', async () => {
  const refused = async (url: string, headers: Record<string, string> = {}) => {
    const { request, outcome } = await ask({ url, headers })
    return [request!.refused!.status, request!.refused!.code, outcome!.kind, request!.refused!.because]
  }
  assert.equal((await refused('/a%2fb')).slice(0, 3), [400, 'bad_path', 'error'])
  assert.match(String((await refused('/a%2Fb'))[3]), /^%2F in the path is an encoded slash/)
  assert.match(String((await refused('/a%zz'))[3]), /^%zz in the path is no escape/)
  assert.match(String((await refused('/..;/a'))[3]), /begins with \.\.;/)
  assert.equal((await refused('/', { 'Transfer-Encoding': 'gzip' })).slice(0, 2), [501, 'unsupported_transfer_coding'])
})

test('credentials are nowhere in it', async () => {
  const found = await ask({
    url: 'http://a.example.com/users/1',
    headers: { Authorization: 'Bearer s3cr3t', Cookie: 'sid=s3cr3t', 'X-Api-Key': 's3cr3t' },
  })
  assert.not.match(JSON.stringify(found), /s3cr3t/)
  assert.match(JSON.stringify(found), /Bearer \*\*\*/)
})

test('what a client sent cannot steer the terminal, also where the request was refused', async () => {
  const ask = await explainer(`import { defineConfig, http, respond } from 'sluice'
    export default defineConfig({ listeners: { web: http({ listen: ':1', routes: [{ path: '/:id', respond: respond(200) }] }) } })`)
  for (const steering of ['\x1b[2J', '\x9b2J', '\x07']) {
    const heads = [
      `GET /${steering} HTTP/1.1\r\nHost: a${steering}\r\n\r\n`,
      `GET /a HTTP/1.1\r\nHost: a${steering}\r\n\r\n`,
      `GET http://a${steering}/ HTTP/1.1\r\nHost: a\r\n\r\n`,
      `G${steering} /a HTTP/1.1\r\nHost: a\r\n\r\n`,
      `GET /a?${steering} HTTP/1.1\r\nHost: a\r\nX-A: ${steering}\r\nX${steering}: 1\r\nX-Forwarded-For: ${steering}\r\n\r\n`,
    ]
    for (const head of heads) {
      const recalled = { head, isCut: false, scheme: 'http', listener: 'web', peer: '127.0.0.1', protocol: 'HTTP/1.1' } as RecalledExchange
      const text = formatExplanation(await ask({ ...askedAgain(recalled, true), headers: {} }), { color: false })
      assert.not.match(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/, JSON.stringify(head))
    }
  }
})

test('as text: one screen, the place beside each step, and colours only where they are asked for', async () => {
  const found = await ask({ url: 'http://a.example.com/users/7', headers: { 'User-Agent': 'curl\x9b2J' } })
  const text = formatExplanation(found, { color: false })
  for (const line of text.split('\n')) assert.ok(line.length <= 100, line)
  assert.not.match(formatExplanation(await ask({ url: 'http://x/v1/me' }), { color: false }), / $/m)
  for (const part of [
    'listener  web  http on :8080',
    '✗ web[0] ',
    '✓ web[1][0]',
    'id = 7',
    '90% api, 10% next',
    'GET /u/7 HTTP/1.1  (rewritten)',
    '+ Via: 1.1 sluice',
  ])
    assert.ok(text.includes(part), `${part} in\n${text}`)
  assert.not.match(text, /[\x1b\x9b]/)
  assert.match(formatExplanation(found, { color: true }), /\x1b\[32m✓/)
})

test.run()
