import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkNames } from '../../core/check/names.ts'
import type { HostName } from '../../core/config/facts.ts'
import { wholeFile } from '../../core/config/problems.ts'
import type { Resolved } from '../../core/upstream/dns.ts'
import { check, load } from '../config/support.ts'

const place = wholeFile('/proxy.config.ts')
const host = (name: string): HostName => ({ name, path: `upstreams[0].${name}`, place })

test('a name that does not resolve is a warning at the endpoint that has it', async () => {
  const resolve = (name: string, done: Resolved): void => (name === 'good' ? done(['10.0.0.1'], null) : done(null, 'dns_error'))
  assert.equal(await checkNames([host('good'), host('bad')], { resolve }), [
    { severity: 'warning', path: 'upstreams[0].bad', message: 'the name bad does not resolve here', place },
  ])
})

test('a resolver that never answers is not waited for', async () => {
  const startedAt = performance.now()
  const problems = await checkNames([host('a'), host('b')], { resolve: () => {}, deadlineMs: 30 })
  assert.equal(
    problems.map(({ message }) => message),
    ['the name a did not resolve in time', 'the name b did not resolve in time'],
  )
  assert.ok(performance.now() - startedAt < 1_000)
})

test('all are asked for at once', async () => {
  const waiting: Resolved[] = []
  const resolve = (_name: string, done: Resolved): void => {
    waiting.push(done)
    if (waiting.length === 3) for (const one of waiting) one(['10.0.0.1'], null)
  }
  assert.equal(await checkNames([host('a'), host('b'), host('c')], { resolve, deadlineMs: 5_000 }), [])
})

test('localhost resolves, as it does for the proxy', async () => {
  assert.equal(await checkNames([host('localhost')]), [])
})

test('names of a config are told once, addresses and sockets not at all; loading alone asks no resolver', async () => {
  const config = `import { http, split, upstream } from 'sluice'
const api = upstream('api', { endpoints: ['127.0.0.1:1', 'api.test:2', { address: 'api.test:3' }, 'unix:/run/x.sock'] })
export default { listeners: { web: http({ listen: ':1', routes: [{ path: '/a', to: split([[api, 1], ['https://other.test', 1]]) }, { to: 'API.test:4' }] }) } }`
  assert.equal(await check(config), [])
  const { facts } = await load(config)
  assert.equal(
    facts?.hosts.map(({ name, path }) => [name, path]),
    [
      ['api.test', 'listeners.web.routes[0].to[0][0].endpoints[1]'],
      ['other.test', 'listeners.web.routes[0].to[1][0]'],
    ],
  )
  assert.equal(facts?.counts, { listeners: 1, routes: 2, upstreams: 3, plugins: 0 })
})

test.run()
