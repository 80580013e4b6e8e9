/** A config with a cache can be tried out: what is kept is answered without the stub, also for those who ask at once, on the simulated clock. */
import { type Stub, simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { config } from './support.ts'

const file = config(`{ path: '/*', use: [cache({ ttl: '1m' })], to: upstream('api', { endpoints: ['api.internal:80'] }) }`, {
  before: `import { cache } from 'sluice'`,
})
let asked = 0
const api: Stub = () => new Response(`answer ${++asked}`)

test('one request reaches the stub, whoever asks, until the time is over', async () => {
  await using proxy = await simulate(file, { upstreams: { api } })
  const texts = await Promise.all(['/a', '/a', '/a'].map(async (path) => (await proxy.fetch(path)).text()))
  assert.equal(texts, ['answer 1', 'answer 1', 'answer 1'])
  const hit = await proxy.fetch('/a')
  assert.is(hit.headers.get('cache-status'), 'sluice; hit; ttl=60')
  await proxy.advance('61s')
  assert.is(await (await proxy.fetch('/a')).text(), 'answer 2')
})

test.run()
