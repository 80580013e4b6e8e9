/** What counts or keeps something is found wherever it stands, with what decides over what it does. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { partsOf } from '../../core/config/schema-parts.ts'
import { scopesOf } from '../../core/config/scopes.ts'
import { bandwidth, basicAuth, cache, concurrency, forward, http, rateLimit, tcp } from '../../core/index.ts'

test('policies of listeners, routes, groups and TCP, and the limits of users', () => {
  const limit = rateLimit({ key: 'ip', limit: 10, window: '1s' })
  const shared = rateLimit({ key: 'ip', limit: 10, window: '1s', store: 'redis://127.0.0.1' })
  const kept = cache({ disk: { path: './kept', size: '1gb' } })
  const routes = [
    {
      path: '/a/*',
      use: [kept],
      routes: [
        {
          path: '/a/b',
          use: [bandwidth({ response: '1mb' }), concurrency({ key: 'ip', limit: 5 }), bandwidth({ key: 'ip', response: '1mb' })],
          to: 'http://127.0.0.1:1',
        },
      ],
    },
  ]
  const config = {
    listeners: {
      web: http({ listen: ':1', use: [basicAuth({ users: { ann: 'x' } }), limit], routes }),
      raw: tcp({ listen: ':2', use: [shared], routes: [{ to: '127.0.0.1:1' }] }),
      out: forward({ listen: ':3', open: true, quota: { bytes: '1gb', per: '1d' }, bandwidth: { up: '1mb' } }),
    },
  }
  const found = scopesOf(partsOf(config)).map(({ what, path, over, tiers }) => [what, path, over, ...tiers].join(' '))
  assert.equal(found, [
    'rateLimit listeners.web.use[1] counters',
    'cache listeners.web.routes[0].use[0] cache disk',
    'bandwidth listeners.web.routes[0].routes[0].use[0] connection',
    'concurrency listeners.web.routes[0].routes[0].use[1] counters',
    'bandwidth listeners.web.routes[0].routes[0].use[2] counters',
    'rateLimit listeners.raw.use[0] store',
    'quota listeners.out.quota counters',
    'bandwidth listeners.out.bandwidth counters',
  ])
})

test.run()
