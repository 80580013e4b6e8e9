/**
 * TCP and TLS by server name, nothing decrypted. `npm start` runs it, `npm run check` tells every mistake at its place.
 * A config is a program: import files, compute, read the environment.
 */
import { defineConfig, env, tcp, upstream } from 'sluice'
import denyAddresses from './plugins/deny-addresses/index.ts'

// The servers behind the proxy. Write yours here.
const web = upstream('web', { endpoints: [env('WEB', '127.0.0.1:3443')] })
const rest = upstream('rest', { endpoints: [env('REST', '127.0.0.1:4443')] })

export default defineConfig({
  listeners: {
    edge: tcp({
      listen: `:${env('PORT', '8443')}`,

      // For every connection. A plugin runs in a sandbox: what it breaks is its own connection, nothing else.
      use: [denyAddresses({ addresses: ['192.0.2.66'] })],

      // Tried in this order; the first whose every field matches wins.
      routes: [
        // By the name that the client asks for in its first message.
        { name: 'web', sni: ['example.com', '*.example.com'], to: web },

        // All the rest, TLS or not.
        { name: 'rest', to: rest },
      ],
    }),
  },
})
