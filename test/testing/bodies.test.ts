/** Plugins that look at bodies, upgrades, errors and what they may have done, in a simulation: from the client's bytes to the endpoint's and back. */
import { simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { config, write } from './support.ts'

const plugin = (name: string, permissions: readonly string[], hooks: string): string =>
  write(
    `${name}.ts`,
    `import { definePlugin, respond, deny } from 'sluice/plugin'
export default definePlugin({ name: '${name}', permissions: ${JSON.stringify(permissions)}, setup(_options: object, host) { return { ${hooks} } } })
`,
  )

plugin(
  'shout',
  ['request.body', 'response.body'],
  `onRequestBody(chunk, req, body) {
    body.state.bytes = ((body.state.bytes as number) ?? 0) + chunk.length
    if (new TextDecoder().decode(chunk).includes('evil')) return respond(403, 'no evil\\n')
    return body.last ? new TextDecoder().decode(chunk) + '|' + body.state.bytes : undefined
  },
  onResponseBody: { types: ['text/*'], handle: (chunk) => new TextDecoder().decode(chunk).toUpperCase() },
  onError: ({ code, status }) => respond(status, 'sorry: ' + code),`,
)
plugin(
  'whole',
  ['response.body', 'kv'],
  `onResponseBody: { mode: 'buffer', max: '64kb', async handle(body) {
    const n = await host.kv.incr('bodies')
    return JSON.stringify({ n, length: body.length })
  } },`,
)

const file = config(
  `{ path: '/whole', use: [whole({}, { grant: ['response.body', 'kv'], timeout: '500ms' })], to: api },
   { path: '/*', use: [shout({}, { grant: ['request.body', 'response.body'], timeout: '500ms' })], to: api },`,
  { before: `import shout from './shout.ts'\nimport whole from './whole.ts'\nconst api = upstream('api', { endpoints: ['10.0.0.1:80'] })` },
)
const proxy = await simulate(file, {
  upstreams: {
    api: async (req) => {
      if (req.path === '/image') return new Response('abc', { headers: { 'content-type': 'image/png', 'content-length': '3' } })
      return new Response(`got ${await req.text()}`, { headers: { 'content-type': 'text/plain', etag: '"1"' } })
    },
  },
})
test.after(() => proxy.close())

test('a plugin changes what the client sends and what it gets', async () => {
  const res = await proxy.fetch('/x', { method: 'POST', body: 'hello' })
  assert.equal([res.status, await res.text()], [200, 'GOT HELLO|5'])
  assert.equal([res.headers.get('etag'), res.headers.get('content-length')], ['W/"1"', null])
  assert.is(res.sent?.headers.get('accept-encoding'), 'identity')
})

test('a type that it does not want passes as it is', async () => {
  const res = await proxy.fetch('/image')
  assert.equal([await res.text(), res.headers.get('content-length')], ['abc', '3'])
})

test('a body is answered instead of sent', async () => {
  const res = await proxy.fetch('/x', { method: 'POST', body: 'evil' })
  assert.equal([res.status, res.decidedBy, await res.text()], [403, 'shout', 'no evil\n'])
})

test('an error of the proxy gets the words of the plugin', async () => {
  await proxy.stub('api', { failure: 'refused' })
  const res = await proxy.fetch('/x')
  assert.equal([res.status, res.reason, await res.text()], [502, 'connect_refused', 'sorry: connect_refused'])
  await proxy.stub('api', () => new Response('x'.repeat(100)))
})

test('a whole body comes in one call, which may await, and goes out with its length', async () => {
  for (const n of [1, 2]) {
    const res = await proxy.fetch('/whole')
    const text = JSON.stringify({ n, length: 100 })
    assert.equal([await res.text(), res.headers.get('content-length')], [text, String(text.length)])
  }
  await proxy.stub('api', () => new Response('x'.repeat(70_000)))
  assert.is((await proxy.fetch('/whole')).status, 502)
})

test.run()
