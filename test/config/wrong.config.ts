/** Mistakes that the editor must show. Never run: each `@ts-expect-error` fails `npm run check` once its line compiles. */
import { defineConfig, http, redirect, respond, split, tcp, upstream } from 'sluice'
import blockBots from '../../plugins/block-bots/index.ts'

const api = upstream('api', { endpoints: ['127.0.0.1:1'] })

// @ts-expect-error: a config has listeners
defineConfig({})
// @ts-expect-error: listeners are made by helpers
defineConfig({ listeners: { web: { listen: ':1', routes: [] } } })
// @ts-expect-error: a listener listens somewhere
defineConfig({ listeners: { web: http({ routes: [] }) } })
// @ts-expect-error: unknown key of a listener
http({ listen: ':1', route: [], routes: [] })
// @ts-expect-error: routes are a list
http({ listen: ':1', routes: { to: api } })
// @ts-expect-error: unknown field of a route
http({ listen: ':1', routes: [{ pth: '/', to: api }] })
// @ts-expect-error: no destination
http({ listen: ':1', routes: [{ path: '/' }] })
// @ts-expect-error: two destinations
http({ listen: ':1', routes: [{ to: api, respond: respond(200) }] })
// @ts-expect-error: rewrite without an upstream
http({ listen: ':1', routes: [{ respond: respond(200), rewrite: '/' }] })
// @ts-expect-error: a number is no path
http({ listen: ':1', routes: [{ path: 1, to: api }] })
// @ts-expect-error: when is a function
http({ listen: ':1', routes: [{ when: true, to: api }] })
// @ts-expect-error: an answer of when is true or false
http({ listen: ':1', routes: [{ when: async () => true, to: api }] })
// @ts-expect-error: a request has no such field
http({ listen: ':1', routes: [{ when: (req) => req.bdy === '', to: api }] })
// @ts-expect-error: a listener's use takes no such hook
http({ listen: ':1', use: [{ onRequst() {} }], routes: [] })
// @ts-expect-error: an uncalled plugin
http({ listen: ':1', use: [blockBots], routes: [] })
// @ts-expect-error: options of a plugin
blockBots({ agents: 5 })
// @ts-expect-error: options of a plugin are required
blockBots()
// @ts-expect-error: unknown limit of a use
blockBots({ agents: [] }, { timout: '5ms' })
// @ts-expect-error: no such permission
blockBots({ agents: [] }, { grant: ['root'] })
// @ts-expect-error: a duration has no space
upstream('x', { endpoints: [], timeouts: { connect: '5 s' } })
// @ts-expect-error: a duration has a unit
upstream('x', { endpoints: [], timeouts: { connect: 5 } })
// @ts-expect-error: no such timeout
upstream('x', { endpoints: [], timeouts: { conect: '5s' } })
// @ts-expect-error: endpoints are required
upstream('x', {})
// @ts-expect-error: a weight is a number
upstream('x', { endpoints: [{ address: 'a:1', weight: '3' }] })
// @ts-expect-error: no such retry
upstream('x', { endpoints: [], retries: { on: ['always'] } })
// @ts-expect-error: no such Host rule
upstream('x', { endpoints: [], host: 'keep' })
// @ts-expect-error: a split has weights
split([[api]])
// @ts-expect-error: 200 is no redirect
redirect('/x', 200)
// @ts-expect-error: a TCP listener sends to no reply
tcp({ listen: ':1', routes: [{ to: respond(200) }] })
// @ts-expect-error: a certificate has a key
http({ listen: ':1', tls: { cert: 'c' }, routes: [] })
// @ts-expect-error: trust is text
http({ listen: ':1', trust: true, routes: [] })
// @ts-expect-error: a limit of bytes has a unit
http({ listen: ':1', limits: { head: 32 }, routes: [] })
