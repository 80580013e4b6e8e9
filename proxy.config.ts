/**
 * A tour of Sluice that needs nothing else running: `npm start`, then try the commands in the comments.
 * A config is a program: import, compute, read the environment; every problem is shown at its place before anything starts.
 */
import { defineConfig, env, http, redirect, respond, split, upstream } from 'sluice'
import blockBots from './plugins/block-bots/index.ts'

// import evil from './plugins/evil/index.ts'

// A named group of endpoints. These two are served by the listeners `one` and `two` below.
const api = upstream('api', {
  endpoints: ['127.0.0.1:8081', { address: '127.0.0.1:8082', weight: 3 }],
  timeouts: { connect: '1s', response: '10s' },
})

export default defineConfig({
  listeners: {
    web: http({
      listen: `:${env('PORT', '8080')}`,

      // Plugins run in a sandbox, in this order, for every request of the listener.
      //   curl -A evilbot localhost:8080      403, and the other requests never notice
      use: [blockBots({ agents: ['evilbot', 'badcrawler'] })],

      // The first route whose every field matches wins.
      routes: [
        //   curl localhost:8080
        { path: '/', respond: respond(200, 'Sluice is running. Try /api/hello, /old/page, /canary, /me\n') },

        //   curl localhost:8080/api/hello     one of two endpoints; the second gets three of four requests
        { name: 'api', path: '/api/*', to: api },

        //   curl -i localhost:8080/old/page?x=1
        { path: '/old/*', redirect: redirect('/api/*') },

        //   curl localhost:8080/canary        nine of ten go to one address, the rest to another
        {
          path: '/canary',
          rewrite: '/api/canary',
          to: split([
            ['127.0.0.1:8081', 90],
            ['127.0.0.1:8082', 10],
          ]),
        },

        // A group adds its fields to those of its routes; `use` also takes hooks of your own, and `when` any condition.
        //   curl -H 'x-user: ann' localhost:8080/me
        {
          path: '/me',
          use: [
            {
              onResponse(res) {
                res.headers.set('cache-control', 'no-store')
              },
            },
          ],
          routes: [
            { headers: { 'x-user': true }, when: (req) => req.headers.get('x-user') !== 'root', respond: respond(200, 'hello, you\n') },
            { respond: respond(401, 'who are you? (-H "x-user: ann")\n') },
          ],
        },

        // A plugin that loops for ever. Take away the two slashes here and at the import: /evil answers 500 once it is stopped, then 503,
        // and all the rest goes on as if nothing were wrong.
        // { path: '/evil', use: [evil()], respond: respond(200, 'never seen\n') },
      ],
    }),

    // Two endpoints for the tour; in real life these are your own servers.
    one: http({ listen: '127.0.0.1:8081', routes: [{ path: '/api/*', respond: respond(200, 'hello from one\n') }] }),
    two: http({ listen: '127.0.0.1:8082', routes: [{ path: '/api/*', respond: respond(200, 'hello from two\n') }] }),
  },

  //   curl localhost:9900/metrics           also /healthz, /readyz
  admin: { listen: '127.0.0.1:9900' },
})
