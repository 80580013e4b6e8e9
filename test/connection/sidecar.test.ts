/** Two sidecars by the config of the README: plain HTTP to applications, mutual TLS in between, routes by who asks, and what fails is tried again outside of the application. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from '../../core/config/evaluate.ts'
import type { Config } from '../../core/index.ts'
import { bundle } from '../config/support.ts'
import { type Certificates, issue, type Pair, withCertificates } from '../support/certificates.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const secure = withCertificates(test)
const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8')
const source = /^\/\/ sidecar: proxy\.config\.ts\n.*?(?=^```)/ms.exec(readme)![0]
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: orders\r\n\r\n`

/** The one of those two listeners alone; the environment as it is beside that application. */
async function startSidecar(
  listener: 'out' | 'in',
  pair: Pair,
  environment: Readonly<Record<string, string>>,
  more: Partial<ProxyOptions> = {},
): Promise<RunningProxy> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-sidecar-'))
  const files = { 'sidecar.pem': pair.cert, 'sidecar.key': pair.key, 'ca.pem': made!.ca.cert }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o600 })
  Object.assign(process.env, { CERTS: folder, ...environment })
  try {
    const { listeners } = (await evaluate(await bundle({ 'proxy.config.ts': source }))) as Config
    return await startProxy({ config: { listeners: { [listener]: listeners[listener]! } }, ...more })
  } finally {
    for (const name of ['CERTS', ...Object.keys(environment)]) delete process.env[name]
    rmSync(folder, { recursive: true })
  }
}

let made: Certificates | null = null
const called = (name: string) => issue(name, { issuer: made!.ca, names: `DNS:${name}.example.com,URI:spiffe://example.com/${name}` })

secure('applications speak plain HTTP, and who asks is known by the certificate of its sidecar', async (all) => {
  made = all
  await using application = await startOrigin((request) => answer(`${request.target} by ${request.headers['x-forwarded-proto']}`))
  await using inside = await startSidecar('in', called('orders'), { APPLICATION: application.address })
  const to = { ORDERS: `127.0.0.1:${inside.port}`, ORDERS_2: `127.0.0.1:${inside.port}` }
  for (const [name, orders, admin] of [
    ['shop', 200, 403],
    ['ops', 200, 200],
    ['stranger', 403, 403],
  ] as const) {
    await using outside = await startSidecar('out', called(name), to)
    using c = await outside.connect()
    const first = await c.send(get('/orders/1')).response()
    assert.is(first.status, orders, name)
    if (orders === 200) assert.is(first.text, '/orders/1 by https')
    assert.is((await c.send(get('/admin/x')).response()).status, admin, name)
    assert.is((await c.send(get('/').replace('orders', 'nobody')).response()).status, 404)
  }
  assert.ok(inside.ended[0]!.clientCertificate!.names.includes('URI:spiffe://example.com/shop'))
})

secure('whose certificate nobody stands behind has no connection, and neither has whoever shows none', async (all) => {
  made = all
  await using application = await startOrigin(() => answer('in'))
  await using inside = await startSidecar('in', called('orders'), { APPLICATION: application.address })
  const to = { ORDERS: `127.0.0.1:${inside.port}`, ORDERS_2: `127.0.0.1:${inside.port}` }
  await using outside = await startSidecar('out', issue('mallory', { names: 'DNS:shop.example.com,URI:spiffe://example.com/shop' }), to)
  using c = await outside.connect()
  assert.is((await c.send(get('/orders/1')).response()).status, 502)
  using plain = await inside.connect()
  plain.send(get('/orders/1'))
  await plain.closed()
  assert.is(application.connections.length, 0)
})

secure(
  'an endpoint that is gone is passed over, and one that is silent costs so long and no longer, without the application’s doing',
  async (all) => {
    made = all
    await using application = await startOrigin((request) => (request.target === '/orders/slow' ? undefined : answer('in')))
    await using inside = await startSidecar('in', called('orders'), { APPLICATION: application.address })
    const { deadlines, turn } = turnable()
    await using outside = await startSidecar(
      'out',
      called('shop'),
      { ORDERS: '127.0.0.1:1', ORDERS_2: `127.0.0.1:${inside.port}` },
      { deadlines },
    )
    using c = await outside.connect()
    for (let i = 0; i < 4; i++) assert.is((await c.send(get('/orders/1')).response()).text, 'in')
    assert.ok(outside.ended.some(({ attempts }) => attempts === 2))
    c.send(get('/orders/slow'))
    await application.request(5)
    turn(2_500)
    const late = await c.response()
    assert.is(late.status, 504)
    assert.match(late.text, 'response_timeout')
  },
)

test.run()
