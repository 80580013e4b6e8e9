/** `accessLog`: a route says what its lines tell, nothing that it adds breaks a line, and other routes go on as they were. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EndedExchange } from '../../core/events.ts'
import { type LogChoice, makeHook } from '../../core/hooks.ts'
import { type AccessLogOptions, accessLog, type HttpUse, http } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { type AccessFormat, formatter } from '../../core/observe/access-line.ts'
import { Counters } from '../../core/observe/counters.ts'
import { maxLineBytes } from '../../core/observe/line-sink.ts'
import { LogQueue } from '../../core/observe/log-queue.ts'
import { Traffic } from '../../core/observe/traffic.ts'
import { accessLog as kind } from '../../core/policy/access-log.ts'
import { contextForOne } from '../../core/policy/policy.ts'
import { anExchange } from '../support/exchange.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { get } from '../support/policy.ts'
import { startProxy } from '../support/proxy.ts'

/** The lines that requests to such a route leave, as they are written. */
async function linesOf(use: readonly HttpUse[], asked: readonly string[], { format = 'json', lines = [] }: Asking = {}): Promise<string[]> {
  await using origin = await startOrigin((req) =>
    answer('ok', Number(/^\/(\d{3})/.exec(req.target)?.[1] ?? 200), ['X-Took: 5', 'Set-Cookie: a=secret']),
  )
  const web = http({
    listen: ':8080',
    trust: ['127.0.0.1'],
    routes: [
      { path: '/plain', to: origin.address },
      { use, to: origin.address },
    ],
  })
  await using proxy = await startProxy({ config: { listeners: { web } } })
  using c = await proxy.connect()
  for (const path of asked) await c.send(get(path, ['User-Agent: curl/8', ...lines])).response()
  await proxy.exchange(asked.length)
  const write = formatter(format, { color: false })
  return proxy.ended.filter(({ logged }) => logged === null || logged.isWritten).map((x) => write(x))
}

interface Asking {
  readonly format?: AccessFormat
  readonly lines?: readonly string[]
}

test('fields of request and response, masked where they are secret, and what a function says', async () => {
  const use = accessLog({
    requestHeaders: ['X-Tenant', 'authorization', 'x-none', 'x-pin'],
    responseHeaders: ['X-Took', 'set-cookie'],
    redact: 'X-Pin',
    fields: (req, res) => ({ shop: req.query.get('shop'), slow: Number(res.headers.get('x-took')) > 3, code: res.status }),
  })
  const [plain, line] = await linesOf([use], ['/plain', '/a?shop=1'], {
    lines: ['X-Tenant: blüe "1"', 'Authorization: Basic x', 'X-Pin: 1234'],
  })
  assert.equal(Object.keys(JSON.parse(plain!)).slice(-3), ['host', 'path', 'peer'])
  const { requestHeaders, responseHeaders, shop, slow, code } = JSON.parse(line!)
  assert.equal(requestHeaders, { 'x-tenant': 'blüe "1"', authorization: '***', 'x-pin': '***' })
  assert.equal([responseHeaders, shop, slow, code], [{ 'x-took': '5', 'set-cookie': '***' }, '1', true, 200])
  assert.not.match(line!, /secret|1234|Basic/)
})

test('what is left out is in no format', async () => {
  const use = accessLog({ remove: ['userAgent', 'query', 'ip', 'endpoint', 'upstreamMs', 'peer'] })
  const [line] = await linesOf([use], ['/a?token=1'])
  const { userAgent, ip, peer, endpoint, upstreamMs, path, host, status } = JSON.parse(line!)
  assert.equal([userAgent, ip, peer, endpoint, upstreamMs], Array(5).fill(undefined))
  assert.equal([path, host, status], ['/a', 'example.com', 200])
  for (const format of ['combined', 'pretty'] as const) {
    const [other] = await linesOf([use], ['/a?token=1'], { format })
    assert.match(other!, /\/a[ "]/)
    assert.not.match(other!, /token|10\.0\.0\.1|curl/)
  }
})

test('lines of some statuses, a share of them, or none; the last choice on the way counts', async () => {
  const asked = ['/200', '/404', '/503', '/200', '/200', '/200', '/plain']
  const statuses = async (...options: (AccessLogOptions | false)[]): Promise<number[]> =>
    (await linesOf(options.map(accessLog), asked)).map((line) => JSON.parse(line).status)
  assert.equal(await statuses({ statuses: [404, '5xx'] }), [404, 503, 200])
  assert.equal(await statuses({ sample: 0.5 }), [404, 503, 200, 200])
  assert.equal(await statuses({ sample: 0 }), [503, 200])
  assert.equal(await statuses(false), [200])
  assert.equal((await statuses(false, {})).length, 7)
  assert.equal(await statuses({}, false), [200])
})

test('a function that fails costs its line no more than a word', async () => {
  const failing = accessLog({
    requestHeaders: 'user-agent',
    fields: () => {
      throw new Error('oh "no"\n')
    },
  })
  const [line] = await linesOf([failing], ['/a'])
  const { logError, requestHeaders, status } = JSON.parse(line!)
  assert.equal([logError, requestHeaders, status], ['oh "no"\n', { 'user-agent': 'curl/8' }, 200])
  const [none] = await linesOf([accessLog({ fields: () => 5 as never })], ['/a'])
  assert.is(JSON.parse(none!).logError, 'fields returned no object: number')
  const [taken] = await linesOf([accessLog({ fields: () => ({ own: 1, status: 500 }) })], ['/a'])
  assert.equal([JSON.parse(taken!).own, JSON.parse(taken!).status], [1, 200])
  assert.match(taken!, '"logError":"fields returned status, which lines have already"')
})

test('whatever is added, a line is one line of ASCII that stays whole on a pipe', () => {
  const write = formatter('json', { color: false })
  const value = fc.oneof(anyText(600), fc.double(), fc.boolean(), fc.constant(null))
  fc.assert(
    fc.property(fc.dictionary(anyText(400), value, { maxKeys: 30 }), fc.string({ maxLength: 9_000 }), (own, path) => {
      const { request, choice } = chosen({ fields: () => own as Record<string, string>, remove: ['host'] })
      const logged = choice.of({ request, response: null, ip: '10.0.0.1', status: 200, reason: null })
      const line = write(anExchange({ logged, path }))
      assert.match(line, /^[\x20-\x7e]+\n$/)
      assert.ok(line.length <= maxLineBytes)
      const read = JSON.parse(line)
      assert.equal([read.id, read.host], ['0123456789abcdef', undefined])
    }),
    { numRuns: 20 },
  )
})

/** Halves of surrogate pairs, too. */
function anyText(maxLength: number): fc.Arbitrary<string> {
  return fc.uint16Array({ maxLength }).map((units) => String.fromCharCode(...units))
}

function anyRequest(): RequestHead {
  return new RequestHead('', 0, 'GET', 1)
}

function chosen(options: AccessLogOptions) {
  const request = anyRequest()
  const choices: LogChoice[] = []
  const { onRequest } = kind.bind(options, contextForOne('/'))
  onRequest!({ request, response: null, ip: '10.0.0.1', part: null, ended: false, resume() {}, log: (one) => choices.push(one) })
  return { request, choice: choices[0]! }
}

test('a line that is not wanted is counted all the same, and hooks of the log are not asked about it', () => {
  const written: string[] = []
  const counters = new Counters()
  const sink = { append: (line: string) => written.push(line), isTerminal: false, hasColor: false, dropped: 0 }
  const traffic = new Traffic({ counters, sink: sink as never, onPluginLine() {}, onChangeLine() {} } as never)
  traffic.configure({ access: true, level: 'info', format: 'json' })
  const asked = makeHook('log', {
    onLog: () => {
      throw new Error('it was asked')
    },
  })
  const silent: EndedExchange['logged'] = { isWritten: false, without: new Set(), more: null }
  traffic.exchangeEnded(anExchange({ logged: silent, logHooks: [asked] }))
  traffic.exchangeEnded(anExchange({ logged: silent }))
  assert.is(written.length, 0)
  assert.is([...counters.values].filter((value) => value === 2).length > 0, true)
})

test('a line that a hook fails to look at has nothing that was added', () => {
  const lines: string[] = []
  const write = formatter('json', { color: false })
  const queue = new LogQueue({ write: (line) => lines.push(write(line as EndedExchange)), count() {}, warn() {} })
  const logged: EndedExchange['logged'] = { isWritten: true, without: new Set(), more: { tenant: 'blue' } }
  queue.add(anExchange({ logged }), [makeHook('fine', { onLog: () => null })])
  queue.flush()
  const failing = (): never => {
    throw new Error('oh')
  }
  queue.add(anExchange({ logged }), [makeHook('failing', { onLog: failing })])
  queue.flush()
  assert.equal(
    lines.map((line) => JSON.parse(line).tenant),
    ['blue', undefined],
  )
})

test('explain tells what a line will have', () => {
  const request = anyRequest()
  assert.is(kind.describe(false, request), 'no line in the access log')
  assert.is(kind.describe({}, request), 'lines as ever')
  assert.is(
    kind.describe(
      { statuses: '4xx', sample: 0.1, remove: ['query'], requestHeaders: 'x-a', responseHeaders: 'x-b', fields: () => ({}) },
      request,
    ),
    'lines of 4xx, 10% of what went well, without query, with x-a of the request, with x-b of the response, with fields of your own',
  )
})

test.run()
