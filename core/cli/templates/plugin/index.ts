/** Adds a header field to requests. Runs in a sandbox: no modules of Node, no files, no network but what the config grants. */
import { definePlugin } from 'sluice/plugin'

/** What a config writes: PLUGIN_NAME({ value: 'yes' }). */
export interface Options {
  /** Default: the method and the path. */
  value?: string
}

export default definePlugin({
  name: 'PLUGIN_LABEL',
  // The header fields it reads. What it does not see costs nothing.
  sees: [],
  // What a config has to grant, or the plugin is not loaded: 'credentials' shows it cookies, 'request.body' gives it bodies.
  permissions: [],
  setup({ value }: Options) {
    return {
      // Before the request is sent to its upstream. Return respond(403) to answer instead.
      onRequest(req) {
        req.headers.set('x-PLUGIN_LABEL', value ?? `${req.method} ${req.path}`)
      },
      // With the permission request.body: what it returns goes on in the place of the body.
      // onRequestBody: { mode: 'buffer', types: ['text/plain'], handle: (body) => new TextDecoder().decode(body).trim() },
    }
  },
})
