/**
 * A forward proxy: clients name it as their proxy. `npm start` runs it, `npm run check` tells every mistake at its place.
 * A config is a program: import files, compute, read the environment.
 */
import { blocklist, defineConfig, env, forward } from 'sluice'
import plainAgent from './plugins/plain-agent/index.ts'

export default defineConfig({
  listeners: {
    out: forward({
      // From this machine only. One that others reach wants `auth: { users: { ann: env('ANN') } }` or `allow: { clients: ['10.0.0.0/8'] }`.
      listen: `127.0.0.1:${env('PORT', '3128')}`,

      // Names that nobody reaches through it, and all below them.
      block: blocklist({ hosts: ['||ads.example^'] }),

      // For every request that is not encrypted. A plugin runs in a sandbox: what it breaks is its own request, nothing else.
      use: [plainAgent({ agent: 'Mozilla/5.0' })],
    }),
  },
})
