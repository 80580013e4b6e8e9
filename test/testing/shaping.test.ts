/** The README's config for what is tried on live traffic, as it stands there: who gets where, and what endpoints and clients see of it. */
import { readFileSync } from 'node:fs'
import { type Stub, simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { write } from './support.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const [config] = /(?<=^```ts\n)\/\/ shape: proxy\.config\.ts\n.*?(?=^```$)/ms.exec(readme)!
const seen: string[] = []
const stub =
  (name: string): Stub =>
  (req) => {
    seen.push(`${name} ${req.method} ${req.path} ${req.headers.get('x-mirrored') ?? ''}`.trim())
    return new Response(name, { headers: { server: 'secret', location: 'http://127.0.0.1:3001/x' } })
  }
const proxy = await simulate(write('shaping.config.ts', config.replace('share: 0.1, body', 'share: 1, body')), {
  upstreams: { api: stub('api'), 'api-next': stub('next') },
})
test.after(() => proxy.close())
test.before.each(() => {
  seen.length = 0
})

test('who asks for the next version by a field or a cookie gets it', async () => {
  for (const headers of [{ 'x-canary': 'yes' }, { cookie: 'canary=1' }]) {
    const res = await proxy.fetch('/api/users', { headers })
    assert.equal([await res.text(), res.route], ['next', headers.cookie === undefined ? 'web[0]' : 'web[1]'])
  }
  assert.equal(seen, ['next GET /users', 'next GET /users'])
})

test('of the others each stays where its cookie puts it', async () => {
  const parts = new Map<string, number>()
  for (let user = 0; user < 60; user++) {
    const ask = async (): Promise<string> => (await proxy.fetch('/api/x', { headers: { cookie: `user=${user}` } })).text()
    const part = await ask()
    assert.is(await ask(), part)
    parts.set(part, (parts.get(part) ?? 0) + 1)
  }
  assert.ok(parts.get('api')! > 45, String([...parts]))
})

test('answers say nothing of where they come from, and lead back to where they were asked for', async () => {
  const { headers } = await proxy.fetch('/api/x')
  assert.equal([headers.get('server'), headers.get('location')], [null, '/api/x'])
})

test('the next version gets a copy with a mark, and nothing of what it answers is seen', async () => {
  const res = await proxy.fetch('/home', { method: 'POST', body: 'x' })
  assert.is(await res.text(), 'api')
  await proxy.advance('1s')
  assert.equal(seen.sort(), ['api POST /home', 'next POST /home 1'])
})

test.run()
