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

test.run()
