/** Tells every server the same user agent. Runs in a sandbox: no modules of Node, no files, no network. */
import { definePlugin } from 'sluice/plugin'

export default definePlugin({
  name: 'plain-agent',
  // The header fields it reads. What it does not see costs nothing.
  sees: [],
  // Once, when the proxy starts; the options come from the config, and are checked there by their type.
  setup({ agent }: { agent: string }) {
    return {
      // Before the request is sent. What it returns is the answer; otherwise the request goes on.
      onRequest(req) {
        req.headers.set('user-agent', agent)
      },
    }
  },
})
