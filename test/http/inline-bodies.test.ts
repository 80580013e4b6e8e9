/** Inline hooks of bodies, upgrades and errors, as a config writes them. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inlineHook } from '../../core/http/inline.ts'
import { deny, respond } from '../../core/plugin.ts'
import { eventually } from '../support/deadline.ts'
import { collectGarbage } from '../support/garbage.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const post = (body: string) => `POST / HTTP/1.1\r\nHost: x\r\nX-From: me\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const withHook = (origin: { readonly address: string }, ...hooks: Parameters<typeof inlineHook>[1][]) =>
  startProxy({ origin, listener: { hooks: hooks.map((one, i) => inlineHook(`web/use[${i}]`, one)) } })

test('functions of the config, sync and async, see pieces, the request and what they kept', async () => {
  const decoder = () => new TextDecoder()
  for (const isAsync of [false, true]) {
    await using origin = await startOrigin((_, connection) => {
      const text = Buffer.from('größer, kürzer, größer')
      connection.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n`)
      for (const byte of text) connection.write(Uint8Array.of(byte))
      return undefined
    })
    await using proxy = await withHook(origin, {
      onResponseBody(chunk, req, { last, type, state }) {
        state.decoder ??= decoder()
        state.count = Number(state.count ?? 0) + 1
        const text = (state.decoder as TextDecoder).decode(chunk, { stream: !last }).toUpperCase()
        const all = last ? `${text} ${req.headers.get('x-from')} ${type}` : text
        return isAsync ? Promise.resolve(all) : all
      },
    })
    using c = await proxy.connect()
    for (let i = 0; i < 2; i++) assert.is((await c.send(post('')).response()).text, 'GRÖSSER, KÜRZER, GRÖSSER me text/plain')
  }
})

test('what a hook keeps of a chunk is still there at the next one', async () => {
  // Mechanism: chunks are views of a buffer that is read into again.
  const parts = Array.from({ length: 40 }, (_, i) => String.fromCharCode(65 + i).repeat(5000))
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    const more = (i: number): void => {
      if (i === parts.length) connection.write('0\r\n\r\n')
      else connection.socket.write(`${parts[i]!.length.toString(16)}\r\n${parts[i]}\r\n`, () => setImmediate(more, i + 1))
    }
    more(0)
    return undefined
  })
  await using proxy = await withHook(origin, {
    onResponseBody(chunk, _, { last, state }) {
      state.kept ??= []
      const kept = state.kept as Uint8Array[]
      kept.push(chunk)
      return last ? Buffer.concat(kept) : ''
    },
  })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, parts.join(''))
})

test('options: a whole body, of some types, up to a size; the function may live in them', async () => {
  await using origin = await startOrigin((req) => answer(req.text === '' ? '{"a":1}' : req.text, 200, ['Content-Type: application/json']))
  await using proxy = await withHook(origin, {
    onRequestBody: { mode: 'buffer', max: '8b', handle: (chunk) => new TextEncoder().encode(`<${Buffer.from(chunk)}>`) },
    onResponseBody: {
      ...{ mode: 'buffer', types: ['Application/JSON'] },
      handle(chunk, _, { last }) {
        return `${Buffer.from(chunk)}${last}`
      },
    },
  })
  using c = await proxy.connect()
  assert.is((await c.send(GET).response()).text, '{"a":1}true')
  assert.is((await c.send(post('12345678')).response()).text, '<12345678>true')
  assert.is((await c.send(post('123456789')).response()).status, 413)
})

test('they may refuse, answer, throw and reject', async () => {
  await using origin = await startOrigin(() => answer('secret'))
  const ends = {
    deny: () => deny(),
    respond: () => respond(422, 'no'),
    throws: () => throwing(),
    rejects: async () => throwing(),
    wrong: () => 5 as never,
  }
  const seen: unknown[] = []
  for (const handle of Object.values(ends)) {
    for (const side of ['onRequestBody', 'onResponseBody'] as const) {
      await using proxy = await withHook(origin, { [side]: handle })
      using c = await proxy.connect()
      seen.push((await c.send(post('x')).response()).status)
      assert.is(proxy.ended[0]!.decidedBy, 'web/use[0]')
    }
  }
  assert.equal(seen, [403, 502, 422, 500, 500, 500, 500, 500, 500, 500])
})

test('what is kept for a body goes with it, however it ends', async () => {
  await using origin = await startOrigin((_, connection) => {
    connection.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst')
    return undefined
  })
  let kept: WeakRef<object> | null = null
  await using proxy = await withHook(origin, {
    onResponseBody(_chunk, _req, { state }) {
      kept = new WeakRef(state)
    },
  })
  const c = await proxy.connect()
  await c.send(GET).until('first')
  c.reset()
  await proxy.exchange()
  await eventually(() => {
    collectGarbage()
    return kept!.deref() === undefined ? true : undefined
  }, 'the state of a body stays')
})

test('onUpgrade and onError', async () => {
  await using proxy = await startProxy({
    listener: {
      hooks: [
        inlineHook('web/use[0]', {
          onUpgrade: (req) => (req.headers.get('origin') === null ? respond(403, 'no origin') : undefined),
          onError: ({ code, status, detail }, req) => respond(status, `${code} ${req.path} ${detail !== ''}`, { 'X-Page': '1' }),
        }),
      ],
    },
    routes: [{ path: '/x' }],
  })
  using c = await proxy.connect()
  const page = await c.send('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n').response()
  assert.equal([page.status, page.text, page.headers['x-page']], [404, 'no_route /nowhere true', '1'])
  const refused = await c.send('GET /x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n').response()
  assert.equal([refused.status, refused.text], [403, 'no origin'])
})

test.run()

function throwing(): never {
  throw new Error('secret')
}
