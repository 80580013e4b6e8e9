/** HTTP/2 goes through the same exchange as HTTP/1: the same hooks, routes and records, and the same care with bodies and ends. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as http2 from 'node:http2'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import type { HookCall } from '../../core/hooks.ts'
import { bodyLimit, compress } from '../../core/index.ts'
import { Policies } from '../../core/policy/policies.ts'
import { bodyHook, bytes, deny } from '../support/body-hooks.ts'
import { type Certificates, terminate, withCertificates } from '../support/certificates.ts'
import { type ConnectOptions, request } from '../support/client.ts'
import { eventually, within } from '../support/deadline.ts'
import { connectFrames, END_STREAM, frameType } from '../support/http2-frames.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { hook, type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const secure = withCertificates(test)
const MB = 1024 * 1024
const GET = [':method', 'GET', ':scheme', 'https', ':authority', 'example.com', ':path', '/']
const POST = GET.map((text) => (text === 'GET' ? 'POST' : text))

secure('one plan, three ways to ask: the same hooks, routes, answers and records', async (made) => {
  await using origin = await startOrigin((req) =>
    answer(`${req.method} ${req.target} ${req.text}`, 200, ['X-From: origin', 'Set-Cookie: a=1']),
  )
  const asked: string[] = []
  const options: ProxyOptions = {
    origin,
    routes: [
      { id: 'web/bots', path: '/bots/*', to: { kind: 'respond', status: 403, body: 'no bots', headers: {} } },
      { id: 'web/old', path: '/old/*', to: { kind: 'redirect', to: '/new/*', status: 308 } },
      { id: 'web/api', path: '/api/*', hooks: [tagging(asked)] },
    ],
  }
  await using plain = await startProxy(options)
  await using secured = await start(made, options)
  await using session = await dial(secured, made)
  const tls: ConnectOptions = { tls: { ca: made.ca.cert, servername: 'example.com', ALPNProtocols: ['http/1.1'] } }
  const ways = {
    'HTTP/1.1': (one: Asked) => askHttp1(plain.port, one, {}),
    'HTTP/1.1 over TLS': (one: Asked) => askHttp1(secured.port, one, tls),
    'HTTP/2': (one: Asked) => session.ask(one),
  }
  const requests: Asked[] = [
    { path: '/api/a?x=1', fields: { 'user-agent': 'test', cookie: 'a=1' } },
    { method: 'POST', path: '/api/b', body: 'hello' },
    { method: 'HEAD', path: '/api/c' },
    { path: '/api/%61dmin/../d' },
    { path: '/bots/x' },
    { path: '/old/a?b=c' },
    { path: '/nowhere', fields: { accept: 'application/json' } },
    { path: '/api/%2f' },
  ]
  const told: Record<string, unknown[]> = {}
  for (const [name, ask] of Object.entries(ways)) {
    asked.length = 0
    for (const proxy of [plain, secured]) proxy.ended.length = 0
    const answers: unknown[] = []
    for (const one of requests) answers.push(comparable(await ask(one)))
    const records = [...plain.ended, ...secured.ended].map(
      ({ route, upstream, status, reason, decidedBy, method, host, path, search, bytesIn, bytesOut }) => {
        return { route, upstream, status, reason, decidedBy, method, host, path, search, bytesIn, bytesOut }
      },
    )
    told[name] = [answers, records, [...asked]]
    assert.is(records.length, requests.length)
  }
  assert.equal(told['HTTP/1.1 over TLS'], told['HTTP/1.1'])
  assert.equal(told['HTTP/2'], told['HTTP/1.1'])
  assert.equal([...new Set(secured.ended.map(({ protocol }) => protocol))], ['HTTP/2'])
  const [last] = origin.requests.slice(-1)
  assert.is(last?.headers.via, '2.0 sluice')
  assert.is(last?.headers['x-forwarded-proto'], 'https')
  assert.is(origin.malformed.length, 0)
})

secure('streams of one connection are answered independently', async (made) => {
  let release = () => {}
  await using origin = await startOrigin((req, connection) => {
    if (req.target !== '/slow') return answer(req.target)
    release = () => connection.write(answer('slow'))
    return undefined
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const slow = session.ask({ path: '/slow' })
  await origin.request()
  const others = await Promise.all(Array.from({ length: 20 }, (_, i) => session.ask({ path: `/${i}` })))
  assert.equal(
    others.map(({ text }) => text),
    others.map((_, i) => `/${i}`),
  )
  release()
  assert.is((await slow).text, 'slow')
})

secure('a body of unknown length goes on in chunks, with its trailers; trailers come back', async (made) => {
  await using origin = await startOrigin((req) => {
    const sum = `X-Sum: ${req.trailers.join()}`
    return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${req.text.length.toString(16)}\r\n${req.text}\r\n0\r\n${sum}\r\n\r\n`
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const stream = session.open({ method: 'POST', path: '/' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-checksum': 'abc', host: 'not.this' }))
  stream.write('hello ')
  await origin.connection()
  stream.end('world')
  const response = await session.response(stream)
  assert.is(response.text, 'hello world')
  assert.is(response.trailers['x-sum'], 'x-checksum: abc')
  assert.equal(origin.malformed, [])
  assert.is(origin.requests[0]!.framing, 'chunked')
})

secure('interim responses go on; a client that expects 100-continue gets it', async (made) => {
  await using origin = await startOrigin((req) => answer(req.text), {
    onHead: () => 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n',
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const stream = session.open({ method: 'POST', path: '/', fields: { expect: '100-continue', 'content-length': '2' } })
  const hints = once(stream, 'headers')
  stream.once('continue', () => stream.end('hi'))
  const response = await session.response(stream)
  assert.is((await hints)[0].link, '</a.css>')
  assert.is(response.text, 'hi')
})

secure('hooks of bodies see streams as they see connections: pieces, exact lengths, refusals, trailers', async (made) => {
  await using origin = await startOrigin((req) => {
    if (req.target === '/fixed') return answer(req.text)
    return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${req.text.length.toString(16)}\r\n${req.text}\r\n0\r\nX-Sum: 1\r\n\r\n`
  })
  const upper = (text: string) => (text.includes('evil') ? deny : bytes(Buffer.from(text.toUpperCase(), 'latin1')))
  for (const mode of ['stream', 'buffer'] as const) {
    const hooks = [bodyHook({ side: 'request', mode }, (text) => bytes(`${text}.`)), bodyHook({ mode }, upper)]
    await using proxy = await start(made, { origin, listener: { hooks } })
    await using session = await dial(proxy, made)
    const fixed = await session.ask({ method: 'POST', path: '/fixed', body: 'hello' })
    assert.match(fixed.text, /^HELLO\.+$/)
    assert.is(fixed.fields['content-length'], mode === 'buffer' ? '6' : undefined)
    const open = await session.ask({ method: 'POST', path: '/chunked', body: 'hello' })
    assert.match(open.text, /^HELLO\.+$/)
    assert.is(open.trailers['x-sum'], mode === 'buffer' ? undefined : '1')
    assert.is((await session.ask({ method: 'POST', path: '/fixed', body: 'evil' })).status, 502)
    const stream = session.open({ method: 'POST', path: '/fixed', fields: { expect: '100-continue', 'content-length': '2' } })
    stream.once('continue', () => stream.end('hi'))
    if (mode === 'buffer') assert.is((await session.response(stream)).text, 'HI.')
    else stream.close()
  }
  assert.equal(origin.malformed, [])
})

secure('a stream whose response a hook refuses in its middle is reset', async (made) => {
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst')
    return undefined
  })
  const second = bodyHook({}, (text) => (text === 'first' ? null : deny))
  await using proxy = await start(made, { origin, listener: { hooks: [second] } })
  await using session = await dial(proxy, made)
  const stream = session.open({ path: '/' })
  stream.on('error', () => {})
  const closed = new Promise((resolve) => stream.once('close', resolve))
  await within(once(stream, 'data'), 'no data')
  origin.connections[0]!.write('last!')
  await within(closed, 'still open')
  assert.is(stream.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR)
  assert.is((await proxy.exchange()).reason, 'response_denied')
})

secure('16 MB reach a slow reader intact, and wait at the origin meanwhile', async (made) => {
  const total = 16 * MB
  const part = randomBytes(MB)
  let written = 0
  await using origin = await startOrigin(async (_, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
    for (; written < total; written += MB) await connection.write(part).written()
    return undefined
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const stream = session.open({ path: '/' })
  await once(stream, 'response')
  await stalled(() => written)
  assert.ok(written < 8 * MB, `${written / MB} MB had left the origin before one byte was read`)
  // Others are not held up by it.
  const received = createHash('sha256')
  let bytes = 0
  for await (const piece of stream as AsyncIterable<Buffer>) {
    bytes += piece.length
    received.update(piece)
  }
  const expected = createHash('sha256')
  for (let i = 0; i < 16; i++) expected.update(part)
  assert.is(bytes, total)
  assert.is(received.digest('hex'), expected.digest('hex'))
})

secure('an upload waits for an endpoint that does not read, and arrives intact', async (made) => {
  await using origin = await startOrigin((req) => answer(createHash('sha256').update(req.body).digest('hex')), {
    onConnection: (connection) => {
      connection.pause()
      return undefined
    },
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const body = randomBytes(12 * MB)
  const stream = session.open({ method: 'PUT', path: '/', fields: { 'content-length': `${body.length}` } })
  let taken = 0
  for (let at = 0; at < body.length; at += MB) stream.write(body.subarray(at, at + MB), () => (taken += MB))
  stream.end()
  const endpoint = await origin.connection()
  await stalled(() => taken)
  assert.ok(taken < 8 * MB, `${taken / MB} MB were taken from the client`)
  endpoint.resume()
  assert.is((await session.response(stream)).text, createHash('sha256').update(body).digest('hex'))
})

secure('a client that resets its stream aborts the attempt, and no other', async (made) => {
  await using origin = await startOrigin((req) => (req.target === '/slow' ? undefined : answer('ok')))
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const stream = session.open({ path: '/slow' })
  stream.on('error', () => {})
  const { connection } = await origin.request()
  stream.close(http2.constants.NGHTTP2_CANCEL)
  await connection.closed()
  const ended = await proxy.exchange()
  assert.equal([ended.status, ended.reason], [0, 'client_gone'])
  assert.is((await session.ask({ path: '/' })).text, 'ok')
})

secure('a reset in the middle of a body is never the end of one', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  using client = await connectFrames(proxy.port, { ca: made.ca.cert, servername: 'example.com' })
  client.headers(1, POST).send(frameType.data, 0, 1, 'half')
  const endpoint = await origin.connection()
  await endpoint.until('half')
  client.send(frameType.reset, 0, 1, '\0\0\0\x08')
  await endpoint.closed()
  assert.is(origin.requests.length, 0)
  assert.is((await proxy.exchange()).reason, 'client_gone')
})

secure('a body of another length than was announced never reaches the endpoint as a request', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  for (const length of ['5', '2']) {
    using client = await connectFrames(proxy.port, { ca: made.ca.cert, servername: 'example.com' })
    client.headers(1, [...POST, 'content-length', length]).send(frameType.data, END_STREAM, 1, 'abc')
    assert.is((await client.head(1)).status, 400)
    assert.is((await proxy.exchange(proxy.ended.length)).reason, 'bad_framing')
  }
  using client = await connectFrames(proxy.port, { ca: made.ca.cert, servername: 'example.com' })
  client.headers(1, GET, END_STREAM)
  assert.is(await client.end(1), 'complete')
  assert.equal(
    origin.requests.map(({ method }) => method),
    ['GET'],
  )
  assert.equal(origin.malformed, [])
})

secure('nothing that a field list could smuggle reaches the endpoint', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin })
  const put = (name: string, value: string) => GET.map((text, i) => (GET[i - 1] === name ? value : text))
  const cases: readonly (readonly string[])[] = [
    put(':method', 'GET / HTTP/1.1\r\nhost: x\r\n\r\nGET'),
    put(':path', '/ HTTP/1.1\r\nx: y'),
    put(':path', '/a b'),
    put(':path', 'https://other.com/'),
    put(':authority', 'example.com\r\nx: y'),
    put(':authority', 'a@example.com'),
    put(':method', 'CONNECT'),
    [...GET, 'x', 'a\r\nb: c'],
    [...GET, 'x', 'a\nb'],
    [...GET, 'x', 'a\0b'],
    [...GET, 'x y', 'z'],
    [...GET, 'X-Upper', 'z'],
    [...GET, 'x\r\ny', 'z'],
    [...GET, 'transfer-encoding', 'chunked'],
    [...GET, 'connection', 'close'],
    [...GET, 'upgrade', 'h2c'],
    [...GET, 'host', 'other.com'],
    [...GET, ':path', '/b'],
    [...GET, 'content-length', '5'],
    [...GET, 'content-length', '0', 'content-length', '0x5'],
  ]
  for (const fields of cases) {
    using client = await connectFrames(proxy.port, { ca: made.ca.cert, servername: 'example.com' })
    client.headers(1, fields, END_STREAM)
    const { status } = await client.head(1)
    assert.ok(status === 400 || status === 501, `${status}: ${JSON.stringify(fields)}`)
  }
  assert.is(origin.requests.length, 0)
  assert.equal(origin.malformed, [])
})

secure('a client that disappears abandons all of its exchanges', async (made) => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  for (const path of ['/1', '/2', '/3']) session.open({ path }).on('error', () => {})
  await origin.request(3)
  session.destroy()
  await proxy.exchange(3)
  assert.equal(
    proxy.ended.map(({ reason }) => reason),
    ['client_gone', 'client_gone', 'client_gone'],
  )
  await proxy.open(0)
})

secure('an answer that breaks off resets the stream, so that nobody takes it for complete', async (made) => {
  await using origin = await startOrigin((req, connection) => {
    if (req.target === '/ok') return answer('ok')
    connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    req.connection.end()
    return undefined
  })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const failed = await session.ask({ path: '/' }).catch((error: NodeJS.ErrnoException) => error)
  assert.instance(failed, Error)
  assert.match((failed as Error).message, 'INTERNAL_ERROR')
  assert.is((await proxy.exchange()).reason, 'response_incomplete')
  assert.is((await session.ask({ path: '/ok' })).text, 'ok')
})

secure('an answer before the end of the request: it arrives whole, the rest is not wanted', async (made) => {
  await using origin = await startOrigin(undefined, { onHead: () => answer('too large', 413, ['Connection: close']) })
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const stream = session.open({ method: 'POST', path: '/', fields: { 'content-length': '1000000' } })
  stream.write('a')
  const response = await session.response(stream)
  assert.equal([response.status, response.text], [413, 'too large'])
  assert.is((await session.ask({ path: '/missing', method: 'HEAD' })).status, 413)
})

secure('what is malformed is answered or reset, and none of it goes on', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin, limits: { bodyBytes: 100 } })
  await using session = await dial(proxy, made)
  assert.is((await session.ask({ path: '/', fields: { host: 'other.com' } })).status, 400)
  assert.is((await session.ask({ path: '/a%00' })).status, 400)
  assert.is((await session.ask({ method: 'POST', path: '/', fields: { 'content-length': '101' } })).status, 413)
  assert.is((await session.ask({ method: 'POST', path: '/', body: 'a'.repeat(101), chunked: true })).status, 413)
  assert.is(origin.requests.length, 0)
  assert.equal(
    proxy.ended.map(({ reason }) => reason),
    ['bad_host', 'bad_path', 'body_too_large', 'body_too_large'],
  )
})

secure('what policies say of bodies holds here, too', async (made) => {
  await using origin = await startOrigin(() => answer('plain text '.repeat(200), 200, ['Content-Type: text/plain']))
  const policies = new Policies(new Deadlines()).open('/')
  const hooks = [compress({ encodings: 'gzip' }), bodyLimit('1kb')].map((use) => policies.hookOf(use))
  await using proxy = await start(made, { origin, listener: { hooks } })
  await using session = await dial(proxy, made)
  const ask = (bytes: number) =>
    session.ask({ method: 'POST', path: '/', body: 'a'.repeat(bytes), chunked: true, fields: { 'accept-encoding': 'gzip' } })
  const right = await ask(1024)
  assert.equal([right.status, right.fields['content-encoding'], right.fields['content-length']], [200, 'gzip', undefined])
  assert.is(gunzipSync(Buffer.from(right.text, 'latin1')).length, 2200)
  assert.is((await ask(1025)).status, 413)
  assert.is((await proxy.exchange(2)).reason, 'body_too_large')
})

secure('a request body that stops coming ends with 408', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin, times: { requestBodyIdle: 100 } })
  await using session = await dial(proxy, made)
  const stream = session.open({ method: 'POST', path: '/', fields: { 'content-length': '10' } })
  stream.write('a')
  assert.is((await session.response(stream)).status, 408)
})

secure('what HTTP/1.1 passes on is passed on: a status that nobody knows, bytes above ASCII, several values', async (made) => {
  await using origin = await startOrigin((req) =>
    req.target === '/600'
      ? answer('?', 799)
      : answer('ok', 200, ['Content-Type: a/b', 'Content-Type: c/d', 'X-Latin: caf\xe9', 'Age: 1', 'Age: 2']),
  )
  await using proxy = await start(made, { origin })
  await using session = await dial(proxy, made)
  const response = await session.ask({ path: '/' })
  assert.equal([response.status, response.fields['x-latin']], [200, 'caf\xe9'])
  assert.is((await session.ask({ path: '/600' })).status, 799)
  assert.is((await session.ask({ path: '/' })).status, 200)
})

secure('after its last request a connection is announced to end, and nothing under way is refused', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin, limits: { requestsPerConnection: 5 } })
  await using session = await dial(proxy, made)
  const goneAway = session.goneAway()
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => session.ask({ path: `/${i}` })))
  assert.ok(answers.every(({ status }) => status === 200))
  assert.is(await goneAway, http2.constants.NGHTTP2_NO_ERROR)
  const refused = await session.ask({ path: '/' }).catch((error: unknown) => error)
  assert.instance(refused, Error)
})

secure('an idle connection is closed with GOAWAY, at its deadline and when the listener drains', async (made) => {
  await using origin = await startOrigin()
  await using proxy = await start(made, { origin, times: { keepAlive: 100 } })
  await using idle = await dial(proxy, made)
  const goneAway = idle.goneAway()
  assert.is((await idle.ask({ path: '/' })).status, 200)
  assert.is(await goneAway, http2.constants.NGHTTP2_NO_ERROR)
  await proxy.open(1)

  await using slow = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha')
    return undefined
  })
  await using draining = await start(made, { origin: slow })
  await using session = await dial(draining, made)
  const stream = session.open({ path: '/' })
  const done = session.response(stream)
  const { connection } = await slow.request()
  const told = session.goneAway()
  draining.runtime.listener('web')!.drain()
  await told
  connection.write('lf')
  assert.is((await done).text, 'half')
  await draining.open(1)
})

secure('a stream keeps the plan it began with, the next one of the same connection takes the new', async (made) => {
  const release = Promise.withResolvers<void>()
  await using origin = await startOrigin(async () => {
    await release.promise
    return answer('late')
  })
  const options = (body: string): ProxyOptions => ({
    origin,
    listener: { tls: terminate(made.server, { alpn: ['h2'] }) },
    routes: [{ id: `web/${body}`, path: '/slow' }, { to: { kind: 'respond', status: 200, body, headers: {} } }],
  })
  await using proxy = await startProxy(options('one'))
  await using session = await dial(proxy, made)
  const slow = session.ask({ path: '/slow' })
  await eventually(() => (origin.requests.length > 0 ? true : undefined), 'no request')
  proxy.use(options('two'))
  assert.is((await session.ask({ path: '/' })).text, 'two')
  release.resolve()
  assert.is((await slow).text, 'late')
  assert.equal(
    proxy.ended.map(({ route }) => route),
    ['web[1]', 'web/one'],
  )
})

test.run()

interface Asked {
  readonly method?: string
  readonly path: string
  readonly fields?: Readonly<Record<string, string>>
  readonly body?: string
  /** Do not announce the length. */
  readonly chunked?: boolean
}

interface Answered {
  readonly status: number
  readonly fields: Readonly<Record<string, unknown>>
  readonly text: string
}

function start(made: Certificates, options: ProxyOptions): Promise<RunningProxy> {
  return startProxy({
    ...options,
    listener: { tls: terminate(made.server, { alpn: ['h2', 'http/1.1'] }), ...options.listener },
  })
}

function tagging(asked: string[]) {
  return hook('tag', {
    onRequest: (call: HookCall) => {
      asked.push(`${call.request.method} ${call.request.path} ${call.ip}`)
      call.request.set('X-Tag', 'v1')
      return null
    },
    onResponse: (call: HookCall) => {
      asked.push(`${call.response!.status}`)
      call.response!.set('X-Proxy', 'sluice')
      return null
    },
  })
}

/** Without what differs by time, by place, or by protocol as it should. */
function comparable({ status, fields, text }: Answered): unknown {
  const { date, connection, 'set-cookie': cookie, ...rest } = fields
  const withoutId = (value: string) => value.replace(/[a-z0-9]+-[a-z0-9]+(?=\n|"\})/g, 'ID')
  return { status, cookie: String(cookie), rest, text: withoutId(text) }
}

async function askHttp1(port: number, one: Asked, options: ConnectOptions): Promise<Answered> {
  const { method = 'GET', path, fields = {}, body } = one
  const lines = {
    host: 'example.com',
    connection: 'close',
    ...fields,
    ...(body === undefined ? {} : { 'content-length': `${body.length}` }),
  }
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`)
  const response = await request(port, `${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n${body ?? ''}`, { ...options, to: method })
  return { status: response.status, fields: response.headers, text: response.text }
}

async function dial(proxy: RunningProxy, made: Certificates): Promise<Session> {
  const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: made.ca.cert, servername: 'example.com' })
  session.on('error', () => {})
  await within(once(session, 'connect'), 'no HTTP/2 connection')
  return new Session(session)
}

class Session implements AsyncDisposable {
  readonly #session: http2.ClientHttp2Session

  constructor(session: http2.ClientHttp2Session) {
    this.#session = session
  }

  open({ method = 'GET', path, fields = {} }: Asked, options: http2.ClientSessionRequestOptions = {}): http2.ClientHttp2Stream {
    const head = { ':method': method, ':path': path, ':authority': 'example.com', ':scheme': 'https', ...fields }
    return this.#session.request(head, { endStream: method === 'GET' || method === 'HEAD', ...options })
  }

  async ask(one: Asked): Promise<Answered & { trailers: Record<string, unknown> }> {
    const length = one.body === undefined || one.chunked ? {} : { 'content-length': `${one.body.length}` }
    const stream = this.open({ ...one, fields: { ...one.fields, ...length } })
    if (one.body !== undefined) stream.end(one.body)
    return await this.response(stream)
  }

  async response(stream: http2.ClientHttp2Stream): Promise<Answered & { trailers: Record<string, unknown> }> {
    let head: Record<string, unknown> = {}
    let trailers: Record<string, unknown> = {}
    let text = ''
    stream.on('response', (fields) => {
      head = { ...fields }
    })
    stream.on('trailers', (fields) => {
      trailers = { ...fields }
    })
    stream.setEncoding('latin1')
    stream.on('data', (piece: string) => {
      text += piece
    })
    await within(once(stream, 'end'), 'no complete response', 10_000)
    if (stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR) throw new Error(`reset ${stream.rstCode}`)
    const { ':status': status, ...fields } = head
    return { status: Number(status), fields, text, trailers }
  }

  async goneAway(): Promise<number> {
    const [code] = await within(once(this.#session, 'goaway'), 'no GOAWAY')
    return code
  }

  destroy(): void {
    this.#session.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy()
  }
}

/** Resolves once a figure has stopped growing. */
async function stalled(read: () => number): Promise<void> {
  let before = -1
  let same = 0
  const check = () => {
    same = read() === before ? same + 1 : 0
    before = read()
    return same >= 20 ? true : undefined
  }
  await eventually(check, 'it goes on', 10_000)
}
