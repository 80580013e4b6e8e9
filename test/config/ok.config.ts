// Everything a user of Vite, ESLint flat config or Hono would write without reading: all of it ought to be green.

import type { HttpRoute, HttpUse, Upstream, UpstreamOptions } from 'sluice'
import {
  basicAuth,
  blocklist,
  defineConfig,
  forward,
  http,
  intercept,
  leastRequest,
  rateLimit,
  redirect,
  respond,
  roundRobin,
  socks,
  split,
  tcp,
  terminate,
  upstream,
} from 'sluice'
import blockBots from '../../plugins/block-bots/index.ts'

const prod = process.env.NODE_ENV === 'production'

// shared defaults, spread
const defaults = {
  balancer: prod ? leastRequest() : roundRobin(),
  timeouts: { connect: '1s', idle: '60s' },
  retries: { attempts: 2, on: ['connect', 502] },
} satisfies Partial<UpstreamOptions>
const frozen = { timeouts: { connect: '1s' }, retries: { on: ['reset', 503] } } as const
const api = upstream('api', { ...defaults, endpoints: ['127.0.0.1:3001', prod && '127.0.0.1:3002'] })
const img = upstream('img', { ...frozen, endpoints: (process.env.IMG ?? '127.0.0.1:3003').split(',') })

// conditional values and entries
const guard: HttpUse[] = [rateLimit({ key: 'ip', limit: 1000, window: '1s' }), blockBots({ agents: ['evil'] })]
// a module of routes
const team: HttpRoute[] = [
  { name: 'me', path: '/me', to: api },
  { path: '/pic/*', to: img },
]
const make = (host: string, to: Upstream): HttpRoute => ({ host, path: '/*', to })
// generated
const tenants = Array.from({ length: 1000 }, (_, i) => ({ host: `t${i}.example.com`, path: '/*', to: api }))
const weights = [api, img].map((u, i) => [u, i + 1] as const)

export default defineConfig(async () => ({
  listeners: {
    web: http({
      listen: process.env.LISTEN ?? [':8080', '[::1]:8081'],
      tls: prod ? terminate({ cert: 'c', key: 'k' }) : undefined,
      use: [
        ...guard,
        prod && basicAuth({ users: { ops: process.env.OPS! } }),
        {
          onRequest(req) {
            req.headers.set('x', req.path)
          },
          onResponse: (res) => {
            res.status = 200
          },
        },
      ],
      routes: [
        ...team,
        ...tenants,
        make('x', img),
        {
          host: ['a', 'b'],
          method: ['GET', 'HEAD'],
          path: ['/a', /^\/b/],
          headers: { a: /x/, b: false, c: ['1', '2'] },
          from: '10.0.0.0/8',
          to: split(weights),
        },
        {
          host: 'api.example.com',
          use: [rateLimit({ key: (req) => req.headers.get('x-key') ?? req.ip, limit: 5, window: '1m' })],
          routes: [{ path: '/a', to: api }, { path: '/b', to: respond(404) }, !prod && { path: '/c', to: redirect('/d') }],
        },
        { path: '/x', to: prod ? api : 'http://127.0.0.1:1' },
        prod ? { path: '/y', to: api } : null,
      ],
    }),
    edge: tcp({
      listen: ':8443',
      routes: [{ sni: '*.x', tls: { cert: 'c', key: 'k', alpn: ['h2'] }, to: http({ routes: team }) }, { to: 'tcp://10.0.0.1:443' }],
    }),
    out: forward({
      listen: '127.0.0.1:3128',
      auth: { users: { ann: 'pw' } },
      allow: { ports: [443], clients: ['10.0.0.0/8'] },
      block: blocklist({ files: ['./ads.txt'] }),
      intercept: intercept({ ca: { cert: 'a', key: 'b', create: true }, except: ['bank.example.com'] }),
      anonymity: 'high',
      parent: 'http://ann:pw@10.0.0.1:3128',
      use: guard,
    }),
    s: socks({ listen: '127.0.0.1:1080', udp: true, open: true }),
  },
  admin: { listen: '127.0.0.1:9900' },
  log: { access: false },
}))
