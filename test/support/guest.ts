/** The globals of the sandbox in a bare context, with a test on the other side of the wall: all that crosses is JSON. */
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { build } from 'esbuild'
import type { PluginSource } from '../../core/sandbox/source.ts'

export type Perform = (method: string, args: string) => Promise<string>

export class GuestContext {
  readonly #context = vm.createContext(Object.create(null))

  static async create(perform: Perform): Promise<GuestContext> {
    const result = await build({
      stdin: {
        contents: `export * from './asks.ts'\nexport { webGlobals } from './web.ts'\nexport { createKv } from './kv.ts'`,
        resolveDir: fileURLToPath(new URL('../../core/sandbox/guest', import.meta.url)),
      },
      ...{ bundle: true, format: 'iife', globalName: 'guest', platform: 'neutral', target: 'esnext', write: false, minifySyntax: true },
    })
    return new GuestContext(result.outputFiles[0]!.text, perform)
  }

  private constructor(prelude: string, perform: Perform) {
    const start = vm.runInContext(
      `(function (post, timer, seed) { "use strict"; ${prelude}
        const { useTape, takeAsks, settleAsk, webGlobals, createKv } = guest
        useTape(new Int32Array(16))
        globalThis.pump = () => {
          for (const { id, method, args } of takeAsks())
            post(method, args, (json) => settleAsk(id, true, json), (message) => settleAsk(id, false, message))
        }
        globalThis.setTimeout = timer
        Object.assign(globalThis, webGlobals(seed), { kv: createKv() })
      })`,
      this.#context,
    )
    const post = (method: string, args: string, resolve: (json: string) => void, reject: (message: string) => void): void => {
      perform(method, args).then(resolve, (error: Error) => reject(error.message))
    }
    start(post, (callback: () => void, ms: number) => void setTimeout(callback, ms), '\x07'.repeat(32))
  }

  /** The body of an async function; what it returns comes back as a copy. */
  async run(code: string): Promise<unknown> {
    let isOver = false
    const running = vm.runInContext(`(async () => { ${code} })().then((value) => JSON.stringify(value))`, this.#context) as Promise<unknown>
    const over = running.finally(() => {
      isOver = true
    })
    over.catch(() => undefined)
    // What was asked leaves the guest after each turn, as in the sandbox after each crossing.
    while (!isOver) {
      vm.runInContext('pump()', this.#context)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const json = await over
    return json === undefined ? undefined : JSON.parse(String(json))
  }

  /** Evaluates a bundled plugin; `code` finds what it defined as `plugin`. */
  async runPlugin({ code: bundled }: PluginSource, code: string): Promise<unknown> {
    vm.runInContext(
      `globalThis.plugin = (function (__sluice) {\n${bundled}\nreturn __plugin.default })({
        definePlugin: (definition) => definition, respond: (status, body) => ({ status, body }) })`,
      this.#context,
    )
    return this.run(code)
  }
}
