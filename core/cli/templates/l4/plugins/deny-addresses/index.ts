/** Closes connections from the addresses it is told. Runs in a sandbox: no modules of Node, no files, no network. */
import { definePlugin, deny } from 'sluice/plugin'

export default definePlugin({
  name: 'deny-addresses',
  // Once, when the proxy starts; the options come from the config, and are checked there by their type.
  setup({ addresses }: { addresses: string[] }) {
    const denied = new Set(addresses)
    return {
      // Before anything of the connection is read. What it returns is the answer; otherwise the connection goes on.
      onConnection(conn) {
        if (denied.has(conn.ip)) return deny()
      },
    }
  },
})
