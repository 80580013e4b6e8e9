/** Health checks over the wire: what is asked, what counts as an answer, what becomes of it, and what another worker learns of it. */
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { HealthCheckPlan } from '../../core/plan/upstream-plan.ts'
import type { EndpointVerdict } from '../../core/upstream/health-checks.ts'
import { withCertificates } from '../support/certificates.ts'
import { Waiting } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
/** Nobody listens there. */
const CLOSED = '127.0.0.1:1'
const fast: Partial<HealthCheckPlan> = { interval: 50, unhealthyAfter: 1, healthyAfter: 1 }

/** One that checks, and tells what it finds. */
async function startChecking(options: ProxyOptions): Promise<RunningProxy & { verdict(wanted: string): Promise<EndpointVerdict> }> {
  const proxy = await startProxy(options)
  let last: readonly EndpointVerdict[] = []
  const waiting = new Waiting()
  proxy.runtime.health.onVerdicts = (verdicts) => {
    last = verdicts
    waiting.poke()
  }
  proxy.runtime.health.isOn = true
  const verdict = (wanted: string): Promise<EndpointVerdict> =>
    waiting.until(
      () => last.find(({ endpoint, isHealthy }) => `${endpoint} ${isHealthy}` === wanted),
      () => `not ${wanted}: ${JSON.stringify(last)}`,
    )
  return Object.assign(proxy, { verdict })
}

test('an endpoint that stops to answer well gets nothing until it does again', async () => {
  let status = 200
  const start = (name: string) =>
    startOrigin((request) => (request.target === '/healthz' ? answer('', name === 'a' ? status : 200) : answer(name)))
  await using a = await start('a')
  await using b = await start('b')
  await using proxy = await startChecking({ endpoints: [a, b], healthCheck: { ...fast, path: '/healthz' } })
  await proxy.verdict(`${a.address} true`)
  assert.equal(proxy.changes, [], 'that all is well is no news')
  status = 503
  await proxy.verdict(`${a.address} false`)
  using c = await proxy.connect()
  for (let i = 0; i < 4; i++) assert.is((await c.send(GET).response()).text, 'b')
  status = 204
  await proxy.verdict(`${a.address} true`)
  const seen = new Set<string>()
  for (let i = 0; i < 4; i++) seen.add((await c.send(GET).response()).text)
  assert.equal([...seen].sort(), ['a', 'b'])
  assert.equal(
    proxy.changes.map(({ endpoint, state, why }) => [endpoint, state, why]),
    [
      [a.address, 'unhealthy', 'a check failed, the last: status 503'],
      [a.address, 'healthy', 'a check passed, the last: status 204'],
    ],
  )
})

test('a check is a plain request on a connection of its own, which is closed after it', async () => {
  await using origin = await startOrigin(() => answer('whatever'))
  await using proxy = await startChecking({ origin, healthCheck: { ...fast, path: '/up?deep=1', host: 'app.example' } })
  const { headers, target, method, connection } = await origin.request()
  assert.equal([method, target, headers.host, headers['user-agent']], ['GET', '/up?deep=1', 'app.example', 'sluice-health-check'])
  await connection.closed()
  await proxy.verdict(`${origin.address} true`)
  assert.is(proxy.ended.length, 0)
})

test('which statuses are good can be said', async () => {
  await using origin = await startOrigin(() => answer('', 401))
  for (const [statuses, isHealthy] of [
    [null, false],
    [[200, 401], true],
  ] as const) {
    await using proxy = await startChecking({ origin, healthCheck: { ...fast, statuses } })
    assert.is((await proxy.verdict(`${origin.address} ${isHealthy}`)).isHealthy, isHealthy)
  }
})

test('who does not connect, does not answer in time, or answers nonsense is unhealthy, and it is said why', async () => {
  await using silent = await startOrigin(() => undefined)
  await using nonsense = await startOrigin(() => 'HTTP/1.1 200 OK\nX: 1\n\n')
  await using rude = await startOrigin((_, connection) => void connection.destroy())
  const endpoints = [CLOSED, silent, nonsense, rude]
  await using proxy = await startChecking({ endpoints, healthCheck: { ...fast, timeout: 100 } })
  const whyOf = async (address: string): Promise<string> => (await proxy.verdict(`${address} false`)).why
  assert.match(await whyOf(CLOSED), /the last: connect_refused/)
  assert.match(await whyOf(silent.address), /the last: no answer within 100 ms/)
  assert.match(await whyOf(nonsense.address), /the last: response_malformed/)
  assert.match(await whyOf(rude.address), /the last: upstream_closed/)
})

test('where connecting is enough, nothing is asked', async () => {
  await using origin = await startOrigin(() => undefined)
  await using proxy = await startChecking({ endpoints: [origin, CLOSED], healthCheck: { ...fast, type: 'tcp' } })
  await proxy.verdict(`${origin.address} true`)
  await proxy.verdict(`${CLOSED} false`)
  const connection = await origin.connection()
  await connection.closed()
  assert.is(connection.receivedBytes, 0)
})

test('a check speaks TLS and the PROXY protocol where the upstream does', async () => {
  await using origin = await startOrigin(undefined, { raw: true })
  await using proxy = await startChecking({ origin, proxyProtocol: 1, healthCheck: fast })
  const received = await (await origin.connection()).until('\r\n\r\n')
  assert.match(received, /^PROXY UNKNOWN\r\nGET \/ HTTP\/1\.1\r\n/)
  await using plain = await startOrigin(undefined, { raw: true })
  await using secure = await startChecking({ origin: plain, healthCheck: { ...fast, type: 'tls', timeout: 100 } })
  await (await plain.connection()).until('\x16\x03')
  await secure.verdict(`${plain.address} false`)
  assert.ok(proxy.port !== secure.port)
})

withCertificates(test)('any certificate will do where TLS is not ours to end', async ({ selfSigned: { cert, key } }) => {
  const server = tls.createServer({ cert, key })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as { port: number }
    await using proxy = await startChecking({ endpoints: [`127.0.0.1:${port}`], healthCheck: { ...fast, type: 'tls' } })
    await proxy.verdict(`127.0.0.1:${port} true`)
  } finally {
    server.close()
  }
})

test('nobody checks who was not told to', async () => {
  await using origin = await startOrigin()
  await using proxy = await startProxy({ origin, healthCheck: fast })
  for (let i = 0; i < 5; i++) proxy.runtime.deadlines.tick()
  await proxy.settled()
  assert.is(origin.connections.length, 0)
})

test('another worker keeps off what this one has found, and tells nobody again', async () => {
  await using origin = await startOrigin()
  const options = { endpoints: [CLOSED, origin], healthCheck: fast }
  await using proxy = await startChecking(options)
  const verdict = await proxy.verdict(`${CLOSED} false`)
  await using other = await startProxy(options)
  other.runtime.health.apply([verdict])
  using c = await other.connect()
  for (let i = 0; i < 4; i++) assert.is((await c.send(GET).response()).status, 200)
  assert.equal(
    other.changes.map(({ endpoint, state, isShared }) => [endpoint, state, isShared]),
    [[CLOSED, 'unhealthy', true]],
  )
  other.runtime.health.apply([{ ...verdict, isHealthy: true }])
  assert.is((await c.send(GET).response()).status + (await c.send(GET).response()).status, 702)
})

test('a reload knows what was known of what it checks alike, and forgets what was found by other checks', async () => {
  await using origin = await startOrigin()
  const options = { endpoints: [CLOSED, origin], healthCheck: fast }
  await using proxy = await startChecking(options)
  await proxy.verdict(`${CLOSED} false`)
  proxy.runtime.health.isOn = false
  const isKnown = (): boolean | null => proxy.runtime.upstreamStates[0]!.endpoints[0]!.isHealthy
  proxy.use({ ...options, idleConnections: 7 })
  assert.is(isKnown(), false)
  proxy.use({ ...options, healthCheck: { ...fast, path: '/other' } })
  assert.is(isKnown(), null)
  const count = (state: string): number => proxy.changes.filter((change) => change.state === state).length
  assert.is(count('unhealthy') - count('healthy'), 0, 'gauges come out even')
})

test('checks end with the upstream that they are of', async () => {
  await using silent = await startOrigin(() => undefined)
  await using proxy = await startChecking({ origin: silent, healthCheck: { ...fast, timeout: 60_000 } })
  const { connection } = await silent.request()
  proxy.use({ origin: silent })
  await connection.closed()
  await proxy.open(0)
})

test.run()
