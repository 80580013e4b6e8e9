/** `onError` may put another page in the place of an error of the proxy's own; `onUpgrade` has the last word on an upgrade. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ErrorPart, Hook, HookCall } from '../../core/hooks.ts'
import { bodyHook, deny, respond } from '../support/body-hooks.ts'
import { startOrigin } from '../support/origin.ts'
import { Held, hook, startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

const page = (name: string, notes: string[] = []): Hook =>
  hook(name, {
    onError: (call) => {
      const { code, status, detail } = call.part as ErrorPart
      notes.push(`${name} ${code} ${status} ${detail}`)
      return respond(status, `sorry: ${code}`)
    },
    onResponse: (call) => {
      notes.push(`${name} < ${call.response!.status} ${call.part}`)
      return null
    },
  })

test('errors of the proxy get the page of the hook asked last: 404, 502, 504', async () => {
  const notes: string[] = []
  await using silent = await startOrigin(() => undefined)
  await using proxy = await startProxy({
    upstreams: { gone: { endpoints: ['127.0.0.1:1'] }, silent: { endpoints: [silent], timeouts: { response: 50 } } },
    listener: { hooks: [page('outer', notes)] },
    routes: [
      { path: '/gone', to: 'gone', hooks: [page('inner', notes), hook('none', {})] },
      { path: '/silent', to: 'silent' },
    ],
  })
  using c = await proxy.connect()
  const seen: unknown[] = []
  for (const path of ['/nowhere', '/gone', '/silent']) {
    const { status, text, headers } = await c.send(GET.replace('/', path)).response()
    seen.push([status, text, headers['proxy-status']])
  }
  assert.equal(seen, [
    [404, 'sorry: no_route', undefined],
    [502, 'sorry: connect_refused', undefined],
    [504, 'sorry: response_timeout', undefined],
  ])
  assert.equal(
    proxy.ended.map(({ reason, decidedBy, status }) => [reason, decidedBy, status]),
    [
      ['no_route', 'outer', 404],
      ['connect_refused', 'inner', 502],
      ['response_timeout', 'outer', 504],
    ],
  )
  assert.equal(notes.map((note) => note.replace(/(?<=\d{3}) .*ECONN.*| No .*/, '…')).slice(0, 5), [
    'outer no_route 404…',
    'outer < 404 null',
    'inner connect_refused 502…',
    'inner < 502 null',
    'outer < 502 null',
  ])
})

test('a hook that fails in it, or lets it pass, leaves the error to the next, and in the end as it is', async () => {
  const bad = hook('bad', {
    onError: () => {
      throw new Error('in the page')
    },
  })
  const invalid = hook('invalid', { onError: () => ({ kind: 'respond', status: 200, body: '', headers: { 'X-A': 'a\r\nb' } }) })
  const passing = hook('passing', { onError: () => null })
  for (const [hooks, text] of [
    [[bad, invalid, passing], /^404 Not Found/],
    [[page('last'), bad, invalid, passing], /^sorry/],
  ] as const) {
    await using proxy = await startProxy({ listener: { hooks }, routes: [{ path: '/x' }] })
    using c = await proxy.connect()
    assert.match((await c.send(GET).response()).text, text)
    assert.is(proxy.ended[0]!.reason, 'no_route')
  }
})

test('it may take its time; a client that goes meanwhile is gone', async () => {
  const held = new Held()
  await using proxy = await startProxy({ listener: { hooks: [hook('slow', { onError: held.pending })] }, routes: [{ path: '/x' }] })
  using c = await proxy.connect()
  c.send(GET)
  const first = await held.call(1)
  assert.is((first.part as ErrorPart).code, 'no_route')
  first.resume(respond(404, 'found nothing'))
  assert.is((await c.response()).text, 'found nothing')
  c.send(GET)
  const second = await held.call(2)
  c.reset()
  assert.is((await proxy.exchange(2)).reason, 'client_gone')
  second.resume(respond(200))
  await proxy.open(0)
  assert.is(proxy.ended.length, 2)
})

test('what a hook of a response or of a body made an error is asked about as well', async () => {
  await using origin = await startOrigin()
  const throwing = hook('throws', {
    onResponse: () => {
      throw new Error('x')
    },
  })
  for (const one of [throwing, bodyHook({ name: 'denies' }, () => deny)]) {
    await using proxy = await startProxy({ origin, listener: { hooks: [page('page'), one] } })
    using c = await proxy.connect()
    assert.match((await c.send(GET).response()).text, /^sorry: (?:hook_failed|response_denied)$/)
  }
})

test('a head that cannot be read is nobody’s to answer but the proxy’s', async () => {
  await using proxy = await startProxy({ listener: { hooks: [page('page')] } })
  using c = await proxy.connect()
  assert.match((await c.send('GET / HTTP/1.1\r\n\r\n').response()).text, /^400 Bad Request/)
})

test('an upgrade is asked about after every onRequest, in order, and may be edited', async () => {
  const notes: string[] = []
  const noting = (name: string) =>
    hook(name, {
      onRequest: () => {
        notes.push(`${name} request`)
        return null
      },
      onUpgrade: (call: HookCall) => {
        notes.push(`${name} upgrade`)
        call.request.set('X-Upgrade', name)
        return null
      },
    })
  await using origin = await startOrigin((req) =>
    req.headers.upgrade === undefined
      ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      : 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  await using proxy = await startProxy({ origin, listener: { hooks: [noting('a')] }, routes: [{ hooks: [noting('b')] }] })
  using c = await proxy.connect()
  await c.send(GET).response()
  assert.equal(notes.splice(0), ['a request', 'b request'])
  assert.is((await c.send(UPGRADE).response()).status, 101)
  assert.equal(notes, ['a request', 'b request', 'a upgrade', 'b upgrade'])
  assert.equal([origin.requests[1]!.headers['x-upgrade'], origin.requests[1]!.target], ['b', '/chat'])
})

test('an upgrade may be refused, at once or later, by an answer or by a failure; also on a way that a hook chose', async () => {
  const held = new Held()
  await using origin = await startOrigin()
  const to = hook('to', { onRequest: () => ({ kind: 'routeTo', upstream: 'api' }) })
  for (const [hooks, status, late] of [
    [[hook('no', { onUpgrade: () => respond(403, 'no') })], 403, null],
    [[hook('no', { onUpgrade: held.pending })], 403, respond(403, 'no')],
    [[hook('no', { onUpgrade: () => respond(403, 'no') }), to], 403, null],
    [[hook('no', { onUpgrade: () => ({ kind: 'routeTo', upstream: 'api' }) })], 500, null],
  ] as const) {
    await using proxy = await startProxy({ origin, listener: { hooks } })
    using c = await proxy.connect()
    c.send(UPGRADE)
    if (late !== null) (await held.call()).resume(late)
    assert.is((await c.response()).status, status)
    assert.equal([proxy.ended[0]!.decidedBy, proxy.ended[0]!.tunnel], ['no', false])
  }
  assert.is(origin.connections.length, 0)
})

test.run()
