/** Faults on purpose: whom they meet, in what shares, and what the client sees of them. */
import * as http2 from 'node:http2'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FaultsOptions, faults } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { makeFaults } from '../../core/policy/faults.ts'
import { contextForOne } from '../../core/policy/policy.ts'
import { request } from '../support/client.ts'
import { within } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startWith, webOf } from '../support/policy.ts'
import { startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

/** What becomes of so many requests, with lots drawn evenly. */
function outcomes(options: FaultsOptions, count: number, head = new RequestHead('', 0, 'GET', 1)): Record<string, number> {
  let drawn = 0
  const hook = makeFaults(() => (drawn++ % count) / count).bind(options, contextForOne('/'))
  const found: Record<string, number> = {}
  for (let i = 0; i < count; i++) {
    const verdict = hook.onRequest!({ request: head, response: null, ip: '', part: null, ended: false, resume() {} })
    const kind = verdict === null ? 'passes' : typeof verdict === 'symbol' ? 'waits' : verdict.kind
    found[kind] = (found[kind] ?? 0) + 1
  }
  return found
}

test('shares are of all requests, and what fails is drawn once', () => {
  const all = { abort: { status: 503, share: 0.25 }, cut: { share: 0.125 } }
  assert.equal(outcomes(all, 1000), { respond: 250, cut: 125, passes: 625 })
  assert.equal(outcomes({ abort: { status: 503, share: 0 } }, 100), { passes: 100 })
  assert.equal(outcomes({ abort: { status: 503, share: 1 } }, 100), { respond: 100 })
})

test('with headers, only requests that have them are met', () => {
  const head = new RequestHead('', 0, 'GET', 1)
  const options: FaultsOptions = { abort: { status: 500, share: 1 }, headers: { 'X-Fault': ['yes', /^\d+$/] } }
  assert.equal(outcomes(options, 10, head), { passes: 10 })
  for (const value of ['yes', '7']) {
    head.set('x-fault', value)
    assert.equal(outcomes(options, 10, head), { respond: 10 })
  }
  head.set('x-fault', 'no')
  assert.equal(outcomes(options, 10, head), { passes: 10 })
})

test('an error is answered with its status, and the log says who decided', async () => {
  await using origin = await startOrigin()
  await using proxy = await startWith([faults({ abort: { status: 418, share: 1 } })], origin)
  const { status, text } = await request(proxy.port, GET)
  assert.equal([status, text], [418, 'a fault on purpose\n'])
  const { reason, decidedBy } = await proxy.exchange()
  assert.equal([reason, decidedBy], ['fault_injected', 'faults'])
  assert.is(origin.requests.length, 0)
})

test('a cut is the end of the connection, and over HTTP/2 of the stream alone', async () => {
  await using origin = await startOrigin(() => answer('ok'))
  await using proxy = await startWith([faults({ cut: { share: 1 }, headers: { 'x-fault': true } })], origin)
  using c = await proxy.connect()
  c.send('GET / HTTP/1.1\r\nHost: x\r\nX-Fault: 1\r\n\r\n')
  await c.closed()
  assert.is(c.received.length, 0)
  const { status, reason, decidedBy } = await proxy.exchange()
  assert.equal([status, reason, decidedBy], [0, 'fault_injected', 'faults'])
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`)
  try {
    const cut = session.request({ ':path': '/', 'x-fault': '1' })
    await within(new Promise((resolve) => cut.once('error', resolve)), 'a reset')
    const served = session.request({ ':path': '/' })
    assert.is(await within(new Promise((resolve) => served.once('response', (fields) => resolve(fields[':status']))), 'an answer'), 200)
  } finally {
    session.destroy()
  }
})

test('a request waits for its time, and a client that does not wait is let go', async () => {
  const { deadlines, turn } = turnable()
  await using origin = await startOrigin(() => answer('ok'))
  const use = [faults({ delay: { for: '10s', share: 1 } })]
  await using proxy = await startProxy({ config: { listeners: { web: webOf(use, origin) } }, deadlines })
  using waiting = await proxy.connect()
  using leaving = await proxy.connect()
  await Promise.all([waiting.send('GET /a HTTP/1.1\r\nHost: x\r\n\r\n').sent(), leaving.send('GET /b HTTP/1.1\r\nHost: x\r\n\r\n').sent()])
  await proxy.settled()
  leaving.socket.resetAndDestroy()
  assert.is((await proxy.exchange()).reason, 'client_gone')
  assert.is(origin.requests.length, 0)
  turn(10_200)
  assert.is((await waiting.response()).text, 'ok')
  assert.equal(
    origin.requests.map(({ target }) => target),
    ['/a'],
  )
})

test.run()
