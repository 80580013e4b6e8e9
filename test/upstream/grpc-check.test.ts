/** Health checks of gRPC: what is asked over HTTP/2, what counts as an answer, and that whatever else comes is none. */
import { once } from 'node:events'
import * as http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { nobody } from '../../core/net/wire.ts'
import { MemoryNetwork } from '../../core/testing/memory-wire.ts'
import { GrpcCheck } from '../../core/upstream/grpc-check.ts'
import { withCertificates } from '../support/certificates.ts'
import { Waiting } from '../support/deadline.ts'
import { startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

interface Answering {
  readonly status?: number
  readonly message?: Buffer
  readonly trailers?: Record<string, string>
}

const serving = (status: number): Buffer => Buffer.of(0, 0, 0, 0, 2, 8, status)

/** A server of gRPC whose health the test says. */
async function startServer(how: Answering & { tls?: http2.SecureServerOptions } = {}) {
  const asked: { headers: http2.IncomingHttpHeaders; body: Buffer }[] = []
  const server = how.tls === undefined ? http2.createServer() : http2.createSecureServer(how.tls)
  const state: { now: Answering } = { now: how }
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', () => {})
    stream.on('end', () => {
      asked.push({ headers, body: Buffer.concat(chunks) })
      const { status = 200, message = serving(1), trailers = { 'grpc-status': '0' } } = state.now
      stream.respond({ ':status': status, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers(trailers))
      stream.end(message)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    asked,
    state,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]: () => void server.close(),
  }
}

async function verdictOn(endpoint: { readonly address: string }, options: object = {}, upstream: object = {}) {
  const check = { type: 'grpc' as const, interval: 50, unhealthyAfter: 1, healthyAfter: 1, ...options }
  await using proxy = await startProxy({ endpoints: [endpoint], healthCheck: check, ...upstream })
  const waiting = new Waiting()
  let found: { isHealthy: boolean; why: string } | undefined
  proxy.runtime.health.onVerdicts = ([verdict]) => {
    if (verdict!.isHealthy !== null) found = { isHealthy: verdict!.isHealthy, why: verdict!.why }
    waiting.poke()
  }
  proxy.runtime.health.isOn = true
  const { isHealthy, why } = await waiting.until(() => found, 'no verdict')
  return [isHealthy, why.replace(/^.*, the last: /, '')]
}

test('a server that serves is healthy, and was asked as gRPC asks', async () => {
  using server = await startServer()
  assert.equal(await verdictOn(server, { service: 'shop.Orders', host: 'orders.internal' }), [true, 'SERVING'])
  const { headers, body } = server.asked[0]!
  assert.equal(
    [':method', ':scheme', ':path', ':authority', 'content-type', 'te'].map((name) => headers[name]),
    ['POST', 'http', '/grpc.health.v1.Health/Check', 'orders.internal', 'application/grpc', 'trailers'],
  )
  assert.equal(body, Buffer.from('\0\0\0\0\x0d\x0a\x0bshop.Orders', 'latin1'))
  assert.equal(await verdictOn(server), [true, 'SERVING'])
  assert.equal(server.asked.at(-1)!.body, Buffer.alloc(5))
})

test('whatever else it says, it is not', async () => {
  using server = await startServer()
  const answers: [Answering, string][] = [
    [{ message: serving(2) }, 'NOT_SERVING'],
    [{ message: serving(3) }, 'SERVICE_UNKNOWN'],
    [{ message: Buffer.alloc(5) }, 'UNKNOWN'],
    [{ message: Buffer.alloc(0), trailers: { 'grpc-status': '12' } }, 'grpc-status 12'],
    [{ status: 503 }, 'status 503'],
    [{ message: Buffer.from('hello') }, 'its message cannot be read'],
    [{ message: Buffer.alloc(4_000) }, 'its answer is too long'],
  ]
  for (const [answer, why] of answers) {
    server.state.now = answer
    assert.equal(await verdictOn(server), [false, why])
  }
})

test('what speaks no HTTP/2, or nothing, is not either', async () => {
  await using http1 = await startOrigin()
  const [isHealthy] = await verdictOn(http1)
  assert.is(isHealthy, false)
  await using silent = await startOrigin(undefined, { raw: true })
  assert.equal(await verdictOn(silent, { timeout: 100 }), [false, 'no answer within 100 ms'])
  assert.is((await verdictOn({ address: '127.0.0.1:1' }))[0], false)
})

const secure = withCertificates(test)
secure('over TLS it is asked for h2', async (made) => {
  using server = await startServer({ tls: { cert: made.server.cert, key: made.server.key } })
  const tls = { servername: 'example.com', ca: made.ca.cert, cert: null, key: null }
  assert.equal(await verdictOn(server, {}, { tls }), [true, 'SERVING'])
  assert.is(server.asked[0]!.headers[':scheme'], 'https')
})

test('bytes of any kind end in one word, and never in an exception', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), fc.boolean(), async (pieces, isFramed) => {
      const { near, far } = new MemoryNetwork().connect('10.0.0.1')
      let [said, closed] = [0, 0]
      new GrpcCheck(near, { host: 'x', isSecure: false, service: '', done: () => said++, closed: () => closed++ })
      far.owner = nobody
      far.resume()
      if (isFramed) far.writeText('\0\0\0\x04\0\0\0\0\0')
      for (const piece of pieces) far.write('', Buffer.from(piece), 0, piece.length)
      far.end()
      for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve))
      near.destroy()
      assert.equal([said, closed], [1, 1])
    }),
    { numRuns: 60 },
  )
})

test.run()
