/** The same cache for clients of HTTP/2: answers that are kept are written as frames, under the client's windows. */
import { once } from 'node:events'
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fresh, startCached } from '../support/cache.ts'

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
}

function ask(session: ClientHttp2Session, fields: Readonly<Record<string, string>>): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const stream = session.request({ ':authority': 'example.com', ...fields }, { endStream: true })
  let headers: Readonly<Record<string, unknown>> = {}
  let text = ''
  stream.setEncoding('latin1')
  stream.on('response', (found) => {
    headers = found
  })
  stream.on('data', (part: string) => {
    text += part
  })
  stream.on('error', reject)
  stream.on('end', () => resolve({ status: Number(headers[':status']), headers, text }))
  return promise
}

test('what one protocol brought, the other gets: whole, in part, and as the word that it is unchanged', async () => {
  const large = 'y'.repeat(1_000_000)
  const chunked = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nkiw\r\n1\r\ni\r\n0\r\n\r\n'
  await using cached = await startCached(
    ({ target }) => (target === '/chunked' ? chunked : fresh(target === '/large' ? large : 'kiwi', 60, ['ETag: "1"'])),
    { h2c: true },
  )
  const session = connect(`http://127.0.0.1:${cached.proxy.port}`)
  try {
    const small = await ask(session, { ':path': '/small' })
    assert.equal([small.status, small.text, small.headers['cache-status']], [200, 'kiwi', 'sluice; fwd=uri-miss; stored'])
    assert.is((await cached.get('/small')).headers['cache-status'], 'sluice; hit; ttl=60')
    const again = await ask(session, { ':path': '/small' })
    assert.equal([again.text, again.headers['cache-status'], again.headers['content-length']], ['kiwi', 'sluice; hit; ttl=60', '4'])
    assert.is((await ask(session, { ':path': '/small', 'if-none-match': '"1"' })).status, 304)
    assert.is((await ask(session, { ':path': '/small', range: 'bytes=1-2' })).text, 'iw')
    const head = await ask(session, { ':path': '/small', ':method': 'HEAD' })
    assert.equal([head.status, head.text, head.headers['content-length']], [200, '', '4'])
    const many = await Promise.all(Array.from({ length: 5 }, () => ask(session, { ':path': '/large' })))
    assert.ok(many.every(({ text }) => text === large))
    assert.is((await ask(session, { ':path': '/large' })).text, large)
    const shared = await Promise.all([ask(session, { ':path': '/chunked' }), ask(session, { ':path': '/chunked' })])
    assert.equal(
      shared.map(({ text }) => text),
      ['kiwi', 'kiwi'],
    )
    assert.is(cached.asked, 3)
  } finally {
    session.destroy()
  }
})

test('what waits for the window of a stream stays as it is when it is put out, and when another one that has it ends', async () => {
  const bodyOf = (target: string): string => target.repeat(300_000 / target.length)
  await using cached = await startCached(({ target }) => fresh(bodyOf(target)), { h2c: true, memory: '2mb', maxObject: '500kb' })
  await cached.get('/slow')
  const session = connect(`http://127.0.0.1:${cached.proxy.port}`)
  try {
    const streams = Array.from({ length: 3 }, () => session.request({ ':authority': 'example.com', ':path': '/slow' }, { endStream: true }))
    await Promise.all(streams.map((stream) => once(stream, 'response')))
    streams[0]!.close(constants.NGHTTP2_CANCEL)
    await once(streams[0]!, 'close')
    await cached.proxy.caches.tell({ kind: 'purge', cache: null, purge: { kind: 'all', soft: false } })
    // Into the memory that it had.
    for (let i = 0; i < 6; i++) await cached.get(`/other-${i}`)
    for (const stream of streams.slice(1)) assert.is(Buffer.concat(await stream.toArray()).latin1Slice(), bodyOf('/slow'))
    assert.is((await ask(session, { ':path': '/slow' })).text, bodyOf('/slow'))
  } finally {
    session.destroy()
  }
})

test.run()
