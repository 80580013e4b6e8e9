/** Refuses requests of the user agents it is told, and marks the rest. Runs in a sandbox: no modules of Node, no files, no network. */
import { definePlugin, respond } from 'sluice/plugin'

export default definePlugin({
  name: 'block-bots',
  // The header fields it reads. What it does not see costs nothing.
  sees: ['user-agent'],
  // Once, when the proxy starts; the options come from the config, and are checked there by their type.
  setup({ agents }: { agents: string[] }) {
    return {
      // Before the request is sent to its upstream. What it returns is the answer; otherwise the request goes on.
      onRequest(req) {
        const agent = req.headers.get('user-agent') ?? ''
        if (agents.some((bad) => agent.includes(bad))) return respond(403, 'no bots\n')
        req.headers.set('x-checked', 'yes')
      },
      // Before the response is sent to the client.
      onResponse(res) {
        res.headers.set('x-proxy', 'sluice')
      },
    }
  },
})
