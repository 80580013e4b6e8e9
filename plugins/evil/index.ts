/** A plugin that never answers: to see that nobody else notices. Not a package; proxy.config.ts shows where to switch it on. */
import { definePlugin } from 'sluice/plugin'

export default definePlugin({
  name: 'evil',
  setup() {
    return {
      onRequest() {
        for (;;) {
          // Until the sandbox ends it.
        }
      },
    }
  },
})
