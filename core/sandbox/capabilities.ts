/**
 * What a plugin may have done for it outside of the wall: the sandbox hands on what the guest asks, with what it was granted, and
 * gives the answer back. Implemented elsewhere; the sandbox knows this contract alone.
 */

export interface Capabilities {
  /**
   * Does it, or rejects with an Error whose message the plugin is shown. Never throws. `method`: `kv.get`, `fetch`, `subtle.sign` …;
   * what is not granted, and what does not exist, is rejected.
   */
  perform(wish: Wish): Promise<string>
}

export interface Wish {
  /** Name of the plugin. */
  readonly plugin: string
  readonly method: string
  /** JSON, as the guest wrote it: not to be trusted. */
  readonly args: string
  /** Of all uses of the plugin: they share an isolate. */
  readonly grant: readonly string[]
}

/** For a place where there are none. */
export const noCapabilities: Capabilities = {
  perform: async ({ method }) => {
    throw new Error(`${method} is not there`)
  },
}
