/** Requests and responses come through a simulation as they would over sockets, and a test says what it wants to say. */
import type { RequestView } from 'sluice/plugin'
import { type Simulated, simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { certificates } from '../support/certificates.ts'
import { config } from './support.ts'

const file = config(
  `{ host: 'inside.example.com', from: '10.0.0.0/8', respond: respond(200, 'inside') },
   { path: '/v1/*', rewrite: '/*', to: upstream('api', { endpoints: ['10.0.0.1:80'] }) },
   { path: '/*', to: upstream('echo', { endpoints: ['10.0.0.2:80'], host: 'name' }) },`,
  {
    listener: `trust: '192.168.0.0/16',`,
    more: `secure: http({ listen: ':8443', tls: TLS, routes: [{ respond: respond(200, 'secret') }] })`,
    before: tls(),
  },
)
const proxy = await simulate(file, {
  upstreams: {
    api: (req) => Response.json({ path: req.path, host: req.headers.get('host'), xff: req.headers.get('x-forwarded-for'), ip: req.ip }),
    echo: async (req) => {
      switch (req.path) {
        case '/304':
          return new Response(null, { status: 304, headers: { etag: '"a"' } })
        case '/204':
          return new Response(null, { status: 204 })
        case '/chunked':
          return new Response('in pieces', { headers: { 'transfer-encoding': 'chunked' } })
        case '/cookies':
          return new Response('', {
            headers: [
              ['set-cookie', 'a=1'],
              ['set-cookie', 'b=2; Path=/'],
            ],
          })
        default:
          return new Response(await req.bytes(), {
            headers: { 'x-method': req.method, 'x-type': req.headers.get('content-type') ?? 'none' },
          })
      }
    },
  },
})
test.after(() => proxy.close())

test('a megabyte goes through both ways unchanged', async () => {
  const body = new Uint8Array(1024 ** 2).map((_, i) => (i * 7) % 256)
  const res = await proxy.fetch('/upload', { method: 'PUT', body })
  assert.is(res.headers.get('x-method'), 'PUT')
  assert.ok(Buffer.from(await res.arrayBuffer()).equals(Buffer.from(body)))
})

test('so it does in chunks', async () => {
  const body = 'many words '.repeat(50_000)
  const res = await proxy.fetch('/upload', { method: 'POST', body, headers: { 'transfer-encoding': 'chunked' } })
  assert.ok((await res.text()) === body)
  assert.is(await (await proxy.fetch('/chunked')).text(), 'in pieces')
})

test('a body brings its type along, as with fetch', async () => {
  const res = await proxy.fetch('/form', { method: 'POST', body: new URLSearchParams({ a: 'b' }) })
  assert.is(res.headers.get('x-type'), 'application/x-www-form-urlencoded;charset=UTF-8')
  assert.is(await res.text(), 'a=b')
})

test('what has no body has none', async () => {
  const head = await proxy.fetch('/page', { method: 'HEAD' })
  assert.is(head.status, 200)
  assert.is(await head.text(), '')
  const notModified = await proxy.fetch('/304')
  assert.is(notModified.status, 304)
  assert.is(notModified.headers.get('etag'), '"a"')
  assert.is((await proxy.fetch('/204')).status, 204)
})

test('cookies stay apart', async () => {
  assert.equal((await proxy.fetch('/cookies')).headers.getSetCookie(), ['a=1', 'b=2; Path=/'])
})

test('the address of the client is the one given, or the one that a trusted peer tells', async () => {
  const told = async (from: string) => (await proxy.fetch('/v1/me', { from, headers: { 'x-forwarded-for': '10.9.9.9' } })).json()
  assert.equal(await told('172.16.0.1'), { path: '/me', host: 'localhost', xff: '172.16.0.1', ip: '172.16.0.1' })
  assert.equal(await told('192.168.1.1'), { path: '/me', host: 'localhost', xff: '10.9.9.9, 192.168.1.1', ip: '10.9.9.9' })
  assert.is((await proxy.fetch('http://inside.example.com/', { from: '10.2.3.4' })).route, 'web[0]')
  assert.is((await proxy.fetch('http://inside.example.com/', { from: '11.2.3.4' })).route, 'web[2]')
})

test('a target can be sent that a URL would tidy up', async () => {
  const res = await proxy.fetch('/', { target: '/v1/%2e%2e/admin//x' })
  assert.is(res.sent?.path, '/admin/x')
  assert.is((await proxy.fetch('/', { target: '/a%2fb' })).reason, 'bad_path')
})

test('HTTP/1.0 is spoken when asked for', async () => {
  const res = await proxy.fetch('/page', { http: '1.0', method: 'POST', body: 'old' })
  assert.is(await res.text(), 'old')
  assert.match(res.sent!.headers.get('via')!, '1.0 sluice')
})

test('what the proxy does by itself is among the changes', async () => {
  const res = await proxy.fetch('http://example.com/v1/me?x=1', { headers: { connection: 'x-drop', 'x-drop': '1' } })
  const texts = res.changes.map(({ by, what }) => `${by}: ${what}`)
  assert.equal(texts.slice(0, 2), ['sluice: rewrite path /v1/me?x=1 → /me?x=1', 'sluice: remove x-drop: 1'])
  assert.ok(texts.includes('sluice: set via: 1.1 sluice'))
  const renamed = await proxy.fetch('http://example.com/page')
  const host = renamed.changes.find(({ field }) => field === 'host')
  assert.equal(host, { by: 'sluice', hook: null, field: 'host', from: 'example.com', to: 'echo', what: 'set host: echo (was example.com)' })
})

test('a listener with TLS is entered by https, past the handshake', async () => {
  const res = await proxy.fetch('https://example.com/')
  assert.is(res.listener, 'secure')
  assert.is(await res.text(), 'secret')
  assert.is((await proxy.fetch('/', { listener: 'secure' })).listener, 'secure')
})

test('a URL that fits no listener is refused, with those there are', async () => {
  const error = await proxy.fetch('http://example.com:9999/').then(
    () => null,
    (reason: Error) => reason,
  )
  assert.match(error!.message, 'no listener listens on port 9999 for http; there are web (http, :8080), secure (https, :8443)')
  const unknown = await proxy.fetch('/', { listener: 'wob' }).then(
    () => null,
    (reason: Error) => reason,
  )
  assert.match(unknown!.message, 'there is no listener wob; did you mean web?')
})

test('the shapes are those that were promised', () => {
  interface Promised {
    fetch(
      url: string,
      init?: RequestInit & { from?: string },
    ): Promise<Response & { readonly route: string | null; readonly decidedBy: string | null }>
    close(): Promise<void>
  }
  type Options = { upstreams?: Record<string, (req: RequestView) => Response | Promise<Response>> }
  const promised: (config: string, options?: Options) => Promise<Promised> = simulate
  assert.type(promised, 'function')
  assert.type(proxy satisfies Simulated & Promised, 'object')
})

test.run()

function tls(): string {
  const { certFile, keyFile } = certificates!.server
  return `const TLS = { cert: ${JSON.stringify(certFile)}, key: ${JSON.stringify(keyFile)} }`
}
