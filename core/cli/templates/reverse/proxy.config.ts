/**
 * A reverse proxy. `npm start` runs it, `npm run check` tells every mistake at its place, `npm test` runs proxy.config.test.ts.
 * A config is a program: import files, compute, read the environment.
 */
import { defineConfig, env, http, redirect, respond, upstream } from 'sluice'
import blockBots from './plugins/block-bots/index.ts'

// The servers behind the proxy. Write yours here, or start with APP=127.0.0.1:5000.
const app = upstream('app', {
  endpoints: [env('APP', '127.0.0.1:3000')],
  timeouts: { connect: '1s', response: '30s' },
})

export default defineConfig({
  listeners: {
    web: http({
      listen: `:${env('PORT', '8080')}`,

      // For every request, in this order. A plugin runs in a sandbox: what it breaks is its own request, nothing else.
      use: [blockBots({ agents: ['evilbot'] })],

      // Tried in this order; the first whose every field matches wins.
      routes: [
        // Answered here, also when the app is down:  curl localhost:8080/health
        { name: 'health', path: '/health', respond: respond(200, 'ok\n') },

        // /old/a → /new/a
        { name: 'old', path: '/old/*', redirect: redirect('/new/*') },

        // More fields: host, method, headers, query, cookies, from (networks), when (a function).
        // { host: '*.example.com', path: '/api/*', method: ['GET', 'POST'], to: api },

        // All the rest.
        { name: 'app', path: '/*', to: app },
      ],
    }),
  },

  // Metrics and health of the proxy itself, on this machine only:  curl localhost:9900/metrics
  // admin: { listen: '127.0.0.1:9900' },
})
