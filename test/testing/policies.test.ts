/** Policies in a simulation: they are asked as elsewhere, and their time is the simulation's. */
import { simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { config } from './support.ts'

const proxy = await simulate(
  config(
    `{ path: '/admin/*', use: [basicAuth({ users: { ops: env('OPS_OF_TEST') } })], to: api },
     { path: '/*', use: [rateLimit({ key: 'ip', limit: 2, window: '10s' })], to: api }`,
    {
      before: `import { basicAuth, rateLimit } from 'sluice'
const api = upstream('api', { endpoints: ['10.0.0.1:80'] })`,
    },
  ),
  { upstreams: { api: () => new Response('hi') }, env: { OPS_OF_TEST: 'tuesday' } },
)
test.after(() => proxy.close())

test('who asks too often waits, and time that is put forward is time', async () => {
  const ask = async (from: string) => (await proxy.fetch('/x', { from })).status
  assert.equal([await ask('10.0.0.1'), await ask('10.0.0.1'), await ask('10.0.0.1'), await ask('10.0.0.2')], [200, 200, 429, 200])
  await proxy.advance('5s')
  assert.equal([await ask('10.0.0.1'), await ask('10.0.0.1')], [200, 429])
})

test('the policy that answered is named', async () => {
  const res = await proxy.fetch('/admin/x')
  assert.equal([res.status, res.decidedBy, res.reason], [401, 'basicAuth', 'unauthorized'])
  const headers = { authorization: `Basic ${btoa('ops:tuesday')}` }
  assert.is((await proxy.fetch('/admin/x', { headers })).status, 200)
})

test.run()
