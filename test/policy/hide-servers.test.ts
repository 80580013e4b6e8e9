/** Endpoints that name themselves in answers: what clients get to see of it, and where a reference leads then. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cache, type HttpListener, hideServers, http, redirect, split, upstream } from '../../core/index.ts'
import { cookieOutside, type OutsideView, referenceOutside, refreshOutside } from '../../core/policy/outside.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const view: OutsideView = { inside: '', outside: '/app', hosts: ['10.0.0.1:3000', 'app.internal'], host: 'Example.com', scheme: 'https' }

test('references: those to endpoints and to this host become paths of it, all others stay', () => {
  const cases = {
    'http://10.0.0.1:3000/a?b#c': '/app/a?b#c',
    'https://app.internal/': '/app/',
    'https://app.internal:443': '/app/',
    'http://app.internal:80?x': '/app/?x',
    '//app.internal/x': '/app/x',
    'http://user:pw@app.internal/x': '/app/x',
    'http://example.com/login': '/app/login',
    'https://example.com/login': 'https://example.com/app/login',
    'https://EXAMPLE.com:443/login': 'https://EXAMPLE.com:443/app/login',
    '/x/y?z=/q': '/app/x/y?z=/q',
    'x/y': 'x/y',
    '?a': '?a',
    '../x': '../x',
    'https://other.com/x': 'https://other.com/x',
    'https://example.com:8443/x': 'https://example.com:8443/x',
    'http://10.0.0.1:3001/x': 'http://10.0.0.1:3001/x',
    'mailto:a@app.internal': 'mailto:a@app.internal',
    'http://app.internal//evil.com/x': '/app//evil.com/x',
  }
  const told = Object.keys(cases).map((text) => [text, referenceOutside(text, view)])
  assert.equal(Object.fromEntries(told), cases)
  const moved = { ...view, inside: '/v2', outside: '/api' }
  const paths = ['/v2', '/v2/', '/v2?x', '/v2/a', '/v22/a', '/', '/other'].map((text) => referenceOutside(text, moved))
  assert.equal(paths, ['/api', '/api/', '/api?x', '/api/a', '/v22/a', '/', '/other'])
  const bare = { ...view, inside: '/v2', outside: '' }
  assert.equal(
    ['/v2', '/v2?x', '/v2/a', 'http://app.internal/v2//evil.com'].map((text) => referenceOutside(text, bare)),
    ['/', '/?x', '/a', '/evil.com'],
  )
  assert.is(refreshOutside("5; url='http://app.internal/x'", view), "5; url='/app/x'")
  assert.is(refreshOutside('5', view), '5')
})

test('no reference to a place here becomes one to another host', () => {
  const part = fc.stringMatching(/^[/\\a-z.?#@:]{0,12}$/)
  const prefix = fc.constantFrom('', '/app', '/v2')
  fc.assert(
    fc.property(
      part,
      prefix,
      prefix,
      fc.constantFrom('http://app.internal', 'https://example.com', '//app.internal', ''),
      (rest, inside, outside, origin) => {
        const text = origin === '' ? `/${rest.replace(/^[/\\]+/, '')}` : `${origin}/${rest}`
        const told = referenceOutside(text, { ...view, inside, outside })
        assert.ok(['example.com', 'app.internal'].includes(new URL(told, 'https://example.com/').hostname), `${text} → ${told}`)
      },
    ),
  )
})

test('cookies: a domain of endpoints goes, a path is told as it is outside, all else stays as it was', () => {
  const cases = {
    'a=1; Domain=app.internal; Path=/': 'a=1; Path=/app',
    'a=1; domain=.internal;HttpOnly': 'a=1;HttpOnly',
    'a=1; Domain=example.com; Path=/x/; Secure': 'a=1; Domain=example.com; Path=/app/x/; Secure',
    'a=1; Domain=other.com': 'a=1; Domain=other.com',
    'a="x; Path=/y': 'a="x; Path=/app/y',
    'a=1; Path=relative': 'a=1; Path=relative',
    '__Host-a=1; Path=/; Secure': '__Host-a=1; Path=/; Secure',
  }
  const told = Object.keys(cases).map((value) => [value, cookieOutside(value, view)])
  assert.equal(Object.fromEntries(told), cases)
  const moved = { ...view, inside: '/v2', outside: '/api' }
  assert.equal(
    ['a=1; Path=/', 'a=1; Path=/v2/', 'a=1; Path=/v2/x'].map((value) => cookieOutside(value, moved)),
    ['a=1; Path=/', 'a=1; Path=/api', 'a=1; Path=/api/x'],
  )
})

test('what is long and has nothing but space in it takes no longer than it is long', () => {
  const space = ' '.repeat(2_000_000)
  const cookie = `a=1; Domain=x${space}y; Path=/x${space}y`
  assert.ok(cookieOutside(cookie, view).startsWith('a=1; Domain=x'))
  assert.ok(refreshOutside(`0;url="/x${space}y`, view).startsWith('0;url="/x'))
})

test('what an endpoint answers is told so, through the rewrite of its route; what the proxy answers is not', async () => {
  await using origin = await startOrigin(({ target }) =>
    answer('moved', 302, [
      `Location: http://${origin.address}${target}/next?a=1`,
      `Content-Location: ${target}`,
      'Refresh: 0; url=/r',
      'Set-Cookie: a=1; Domain=127.0.0.1; Path=/',
      'Set-Cookie: b=2',
      'Server: secret/1.0',
      'X-Powered-By: secret',
      'Via: 1.1 inner',
      'X-Kept: yes',
    ]),
  )
  const app = upstream('app', { endpoints: [origin.address], host: 'name' })
  const web: HttpListener = http({
    listen: ':0',
    use: [hideServers()],
    routes: [
      { path: '/app/*', to: app, rewrite: '/*' },
      { path: '/u/:id/*', to: split([[app, 1]]), rewrite: '/users/:id/*' },
      { path: '/fixed', to: app, rewrite: '/elsewhere' },
      { path: '/old', redirect: redirect('/u/new') },
      { path: '/cached/*', use: [cache()], to: upstream('kept', { endpoints: [origin.address] }), rewrite: '/*' },
      { to: app },
    ],
  })
  await using proxy = await startProxy({ config: { listeners: { web } } })
  const told = async (path: string): Promise<unknown[]> => {
    const { headers } = await ask(proxy.port, path)
    return [headers.location, headers['content-location'], headers.refresh, headers['set-cookie']]
  }
  assert.equal(await told('/app/x'), ['/app/x/next?a=1', '/app/x', '0; url=/app/r', 'a=1; Path=/app, b=2'])
  assert.equal(await told('/u/7/x'), ['/u/7/x/next?a=1', '/u/7/x', '0; url=/r', 'a=1; Path=/, b=2'])
  assert.equal(await told('/fixed'), ['/elsewhere/next?a=1', '/elsewhere', '0; url=/r', 'a=1; Path=/, b=2'])
  assert.equal(await told('/x'), ['/x/next?a=1', '/x', '0; url=/r', 'a=1; Path=/, b=2'])
  assert.is((await ask(proxy.port, '/old')).headers.location, '/u/new')
  const { headers } = await ask(proxy.port, '/x')
  assert.equal([headers.server, headers['x-powered-by'], headers.via, headers['x-kept']], [undefined, undefined, undefined, 'yes'])
})

test('an answer out of a cache that stands behind it is told as one of the endpoint', async () => {
  await using origin = await startOrigin(({ target }) =>
    answer('found', 200, [`Content-Location: http://${origin.address}${target}`, 'Cache-Control: max-age=60', 'Server: secret']),
  )
  const web = http({ listen: ':0', use: [hideServers(), cache()], routes: [{ path: '/app/*', to: origin.address, rewrite: '/*' }] })
  await using proxy = await startProxy({ config: { listeners: { web } } })
  for (const [i, outcome] of ['miss', 'hit'].entries()) {
    const { headers } = await ask(proxy.port, '/app/x')
    assert.equal([headers['content-location'], headers.server, (await proxy.exchange(i + 1)).cache], ['/app/x', undefined, outcome])
  }
})

function ask(port: number, path: string): Promise<ClientResponse> {
  return request(port, `GET ${path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n`)
}

test.run()
