/** Refuses requests of the user agents it is told, tags the rest, and counts what it refused across reloads. */
import { definePlugin, respond } from 'sluice/plugin'
import * as z from 'zod/mini'

export default definePlugin({
  name: 'block-bots',
  options: z.object({ agents: z.array(z.string()) }),
  sees: ['user-agent'],
  setup({ agents }, host) {
    let seen = host.restore<number>() ?? 0
    return {
      onRequest(req) {
        const agent = req.headers.get('user-agent') ?? ''
        if (agents.some((bad) => agent.includes(bad))) {
          seen++
          return respond(403, 'no bots\n')
        }
        req.headers.set('x-tag', `v1-${req.path}`)
      },
      onResponse(res) {
        res.headers.set('x-proxy', 'sluice')
      },
      onReload: () => seen,
    }
  },
})
