import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { check, lines } from './support.ts'

test('a route that earlier ones leave nothing to is told with the places of both', async () => {
  const problems = await check(`import { defineConfig, http, respond } from 'sluice'
const ok = respond(200)
export default defineConfig({
  listeners: {
    web: http({
      listen: 0,
      routes: [
        { host: '*.example.com', path: '/api/*', to: ok },
        { host: 'a.example.com', routes: [
          { name: 'users', path: '/api/users/:id', method: ['GET', 'POST'], to: ok },
          { path: '/free', to: ok },
        ] },
        { method: 'GET', path: '/x', to: ok },
        { method: 'PUT', path: '/x', to: ok },
        { method: ['PUT', 'GET'], path: '/x', to: ok },
      ],
    }),
  },
})`)
  assert.equal(lines(problems), [
    'proxy.config.ts:10:11 warning: listeners.web.routes[1].routes[0]: this route can never match: web[0] (proxy.config.ts:8) takes every request it would',
    'proxy.config.ts:15:9 warning: listeners.web.routes[4]: this route can never match: web[2] (proxy.config.ts:13) and web[3] (proxy.config.ts:14) take every request it would',
  ])
})

test('a route that contradicts its group is told', async () => {
  const problems = await check(`import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: 0, routes: [
    { path: '/admin/*', routes: [{ path: '/users', to: respond(200) }] },
  ] }) },
})`)
  assert.equal(lines(problems), [
    'proxy.config.ts:4:34 warning: listeners.web.routes[0].routes[0]: this route can never match: no request fits its path; it and the groups around it ask for different ones',
  ])
})

test('a loop that makes the same mistake ten thousand times is told a few times', async () => {
  const problems = await check(`import { defineConfig, http, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: 0, routes: [
    { to: respond(200) },
    ...Array.from({ length: 10_000 }, (_, i) => ({ path: '/' + i, to: respond(200) })),
  ] }) },
})`)
  assert.ok(problems.length < 30 && problems.length > 0, `${problems.length}`)
  assert.match(problems.at(-1)!.message, /nor can 9979 more of web/)
})

test('a login whose way back an earlier route takes is told; one that stands there, too, is not', async () => {
  const problems = await check(`import { defineConfig, http, oidc } from 'sluice'
const secret = 'a secret of more than thirty-two characters'
const shop = oidc({ issuer: 'https://login.example.com', clientId: 'shop', secret, callback: '/shop/back' })
const news = oidc({ issuer: 'https://login.example.com', clientId: 'news', secret, callback: 'https://news.example.com/back' })
const to = '127.0.0.1:3001'
export default defineConfig({
  listeners: {
    web: http({
      listen: 0,
      routes: [
        { path: '/shop/:page', method: 'GET', to },
        { path: '/shop/*', use: [shop], to },
        { host: 'other.example.com', to },
        { host: '*.example.com', routes: [{ path: '/bac*', to }, { use: [news], to }] },
      ],
    }),
    same: http({ listen: 0, routes: [{ path: '/shop/b*', use: [shop], to }, { path: '/shop/*', use: [shop], to }, { headers: { a: 'b' }, to }, { use: [news], to }] }),
  },
})`)
  assert.equal(lines(problems), [
    'proxy.config.ts:3:14 warning: listeners.web.routes[1].use[0]: browsers come back to /shop/back, which web[0] (proxy.config.ts:11) takes: put oidc() on the listener, or its route first',
    'proxy.config.ts:4:14 warning: listeners.web.routes[3].routes[1].use[0]: browsers come back to /back, which web[3][0] (proxy.config.ts:14) takes: put oidc() on the listener, or its route first',
  ])
})

test.run()
