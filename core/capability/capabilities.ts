/**
 * What a plugin may have done for it outside of the wall. The plugin is hostile: what it asks is read value by value, what it was not
 * granted is refused with the grant that is missing, and only so much of it is under way at a time.
 */
import type { Capabilities, Wish } from '../sandbox/capabilities.ts'
import { Arguments } from './arguments.ts'
import { createFetch } from './fetch.ts'
import { readFetch } from './fetch-request.ts'
import { mustBeGranted } from './grants.ts'
import { type KvOperation, type KvStore, MOST_KEY, MOST_VALUE } from './kv-store.ts'
import { createSubtle } from './subtle.ts'
import { createTransport, type Transport } from './transport.ts'

/** Of one plugin in one worker. */
const MOST_UNDER_WAY = 256
const MOST_FETCHES = 64
/** Characters: a body of 1 MiB as base64, or a key, a signature and data, have room. */
const MOST_ARGS = 4 * 1024 * 1024

export interface CapabilityOptions {
  readonly kv: KvStore
  /** Sends requests of `fetch`; default: over the network. */
  readonly transport?: Transport
}

type Method = (args: Arguments, wish: Wish) => Promise<unknown>

export function createCapabilities({ kv, transport = createTransport() }: CapabilityOptions): Capabilities {
  const fetch = createFetch(transport)
  const methods = new Map<string, Method>(Object.entries({ ...kvMethods(kv), ...createSubtle() }))
  methods.set('fetch', (args, { grant }) => fetch(readFetch(args), grant))
  const load = new Load()
  return {
    async perform(wish) {
      const method = methods.get(wish.method)
      if (method === undefined) throw new Error(`there is no ${wish.method.slice(0, 64)}`)
      load.begin(wish)
      try {
        if (wish.args.length > MOST_ARGS) throw new Error(`${wish.method} takes up to ${MOST_ARGS} characters of arguments`)
        return JSON.stringify((await method(new Arguments(wish.method, JSON.parse(wish.args)), wish)) ?? null)
      } finally {
        load.end(wish)
      }
    },
  }
}

/** How much each plugin has under way. */
class Load {
  readonly #all = new Map<string, number>()
  readonly #fetches = new Map<string, number>()

  begin({ plugin, method }: Wish): void {
    const all = this.#all.get(plugin) ?? 0
    const fetches = this.#fetches.get(plugin) ?? 0
    if (all >= MOST_UNDER_WAY) throw new Error(`${method}: ${all} calls of this plugin are under way already; await some of them first`)
    if (method === 'fetch') {
      if (fetches >= MOST_FETCHES)
        throw new Error(`fetch: ${fetches} requests of this plugin are under way already; await some of them first`)
      this.#fetches.set(plugin, fetches + 1)
    }
    this.#all.set(plugin, all + 1)
  }

  end({ plugin, method }: Wish): void {
    decrement(this.#all, plugin)
    if (method === 'fetch') decrement(this.#fetches, plugin)
  }
}

function decrement(counts: Map<string, number>, name: string): void {
  const left = (counts.get(name) ?? 0) - 1
  if (left > 0) counts.set(name, left)
  else counts.delete(name)
}

function kvMethods(store: KvStore): Record<string, Method> {
  const method =
    (read: (args: Arguments, at: { readonly space: string; readonly key: string }) => KvOperation): Method =>
    async (args, { plugin, method, grant }) => {
      mustBeGranted(method, 'kv', grant)
      return store.perform(read(args, { space: plugin, key: args.text('key', MOST_KEY) }))
    }
  const ttl = (args: Arguments): number => args.duration('ttl', 0)
  return {
    'kv.get': method((_, at) => ({ kind: 'get', ...at })),
    'kv.set': method((args, at) => ({ kind: 'set', ...at, value: storable(args, 'value'), ttlMs: ttl(args) })),
    'kv.delete': method((_, at) => ({ kind: 'delete', ...at })),
    'kv.incr': method((args, at) => ({ kind: 'incr', ...at, by: args.has('by') ? args.whole('by') : 1, ttlMs: ttl(args) })),
    'kv.compareAndSet': method((args, at) => {
      const expected = args.textOrNull('expected', MOST_VALUE)
      return { kind: 'compareAndSet', ...at, expected, value: storable(args, 'value'), ttlMs: ttl(args) }
    }),
  }
}

function storable(args: Arguments, name: string): string {
  const value = args.text(name, MOST_VALUE)
  if (Buffer.byteLength(value) > MOST_VALUE) throw args.wrong(name, `takes up to ${MOST_VALUE} bytes`)
  return value
}
