/** Policies that write fields: `headers`, `requestId`, `cors`. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cors, headers, requestId } from '../../core/index.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { get, startWith } from '../support/policy.ts'

test('fields of requests and responses are taken out, set and added, by the request if need be', async () => {
  await using origin = await startOrigin(() =>
    answer('ok', 200, ['Server: nginx/1.2', 'X-Powered-By: x', 'X-Int-A: 1', 'x-int-b: 2', 'X-A: 1']),
  )
  const rules = headers({
    request: {
      remove: ['x-secret', 'x-int-*'],
      set: { 'X-Client': (req) => req.ip, 'X-None': () => null },
      add: { 'X-Tag': 'two', 'X-Not': () => null },
    },
    response: { remove: ['server', 'x-powered-by', 'X-INT-*'], set: { 'x-a': 'b' }, add: { 'x-path': (req) => req.path } },
  })
  await using proxy = await startWith([rules], origin)
  using c = await proxy.connect()
  const lines = ['X-Secret: a', 'X-Int-User: root', 'X-Client: forged', 'X-None: forged', 'X-Tag: one']
  const response = await c.send(get('/p', lines)).response()
  const { head } = await origin.request()
  for (const gone of ['Secret', 'root', 'forged', 'X-None', 'X-Not']) assert.not.match(head, gone)
  assert.match(head, 'X-Client: 10.0.0.1\r\n')
  assert.match(head, /X-Tag: one\r\n(?:.*\r\n)*X-Tag: two\r\n/)
  assert.equal(
    ['server', 'x-powered-by', 'x-int-a', 'x-int-b', 'x-a', 'x-path', 'content-length'].map((name) => response.headers[name]),
    [undefined, undefined, undefined, undefined, 'b', '/p', '2'],
  )
})

test('a * takes out no field of the connection', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([headers({ request: { remove: 'c*' }, response: { remove: ['c*', 't*'] } })], origin)
  using c = await proxy.connect()
  const request = ['POST / HTTP/1.1', 'Host: x', 'Content-Length: 2', 'Cookie: a=b', '', 'ok'].join('\r\n')
  const response = await c.send(request).response()
  assert.is(response.text, 'ok')
  assert.is((await origin.request()).text, 'ok')
  assert.not.match(origin.requests[0]!.head, 'Cookie')
})

test('a value that is none answers 500, and the endpoint gets nothing', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([headers({ request: { set: { 'x-path': () => 'a\r\nX-Evil: 1' } } })], origin)
  using c = await proxy.connect()
  assert.is((await c.send(get()).response()).status, 500)
  assert.is(origin.requests.length, 0)
})

test('the endpoint and the client are told the id of the log, and a client only chooses one where it is trusted', async () => {
  await using origin = await startOrigin(() => answer('ok', 200, ['X-Request-Id: the-endpoints']))
  await using proxy = await startWith([requestId(), requestId({ header: 'X-Trace', trust: true })], origin)
  using c = await proxy.connect()
  const response = await c.send(get('/', ['x-request-id: forged', 'x-trace: abc-1'])).response()
  const { id } = await proxy.exchange()
  assert.equal([response.headers['x-request-id'], response.headers['x-trace']], [id, 'abc-1'])
  const { headers: sent } = await origin.request()
  assert.equal([sent['x-request-id'], sent['x-trace']], [id, 'abc-1'])
  const other = await c.send(get('/', [`x-trace: ${'x'.repeat(129)}`])).response()
  assert.is(other.headers['x-trace'], (await proxy.exchange(2)).id)
})

const preflight = (origin: string): string =>
  get('/x', [`Origin: ${origin}`, 'Access-Control-Request-Method: PUT', 'Access-Control-Request-Headers: x-a, x-b'], '10.0.0.1', 'OPTIONS')

test('a preflight is answered here, for the origins that are let in', async () => {
  await using origin = await startOrigin()
  const rules = cors({
    origins: ['https://a.example', /https:\/\/[a-z]+\.b\.example/],
    methods: ['GET', 'PUT'],
    credentials: true,
    maxAge: '1h',
  })
  await using proxy = await startWith([rules], origin)
  using c = await proxy.connect()
  const one = await c.send(preflight('https://a.example')).response()
  assert.is(one.status, 204)
  assert.equal(
    ['allow-origin', 'allow-methods', 'allow-headers', 'allow-credentials', 'max-age'].map((name) => one.headers[`access-control-${name}`]),
    ['https://a.example', 'GET, PUT', 'x-a, x-b', 'true', '3600'],
  )
  assert.match(one.headers.vary!, 'Origin')
  assert.is((await proxy.exchange()).decidedBy, 'cors')
  for (const stranger of ['https://a.example.evil', 'https://x.b.example.evil', 'http://a.example', 'null']) {
    const { status, headers: told } = await c.send(preflight(stranger)).response()
    assert.equal([status, told['access-control-allow-origin'], told['access-control-allow-methods']], [204, undefined, undefined], stranger)
  }
  assert.is((await c.send(preflight('https://x.b.example')).response()).headers['access-control-allow-origin'], 'https://x.b.example')
  assert.is(origin.requests.length, 0)
})

test('of a response browsers are told by the proxy alone who may read it', async () => {
  const lines = ['Access-Control-Allow-Origin: *', 'Access-Control-Allow-Credentials: true', 'Vary: Accept']
  await using origin = await startOrigin(() => answer('ok', 200, lines))
  await using proxy = await startWith([cors({ origins: 'https://a.example', expose: 'x-total' })], origin)
  using c = await proxy.connect()
  const told = async (more: string[]) => {
    const { status, headers: all } = await c.send(get('/', more)).response()
    const names = ['allow-origin', 'allow-credentials', 'expose-headers'].map((name) => all[`access-control-${name}`])
    return [status, ...names, all.vary]
  }
  assert.equal(await told(['Origin: https://a.example']), [200, 'https://a.example', undefined, 'x-total', 'Accept, Origin'])
  assert.equal(await told(['Origin: https://b.example']), [200, undefined, undefined, undefined, 'Accept, Origin'])
  assert.equal(await told([]), [200, undefined, undefined, undefined, 'Accept, Origin'])
})

test('everybody may be let in, and then nothing varies; an OPTIONS that is no preflight goes on', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([cors({ origins: '*' })], origin)
  using c = await proxy.connect()
  const { headers: told } = await c.send(get('/', ['Origin: https://b.example'], '10.0.0.1', 'OPTIONS')).response()
  assert.equal([told['access-control-allow-origin'], told.vary], ['*', undefined])
  assert.is(origin.requests.length, 1)
})

test.run()
