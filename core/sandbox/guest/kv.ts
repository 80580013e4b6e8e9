/** `host.kv`: every check is the host's, for it believes nothing that comes from here. */
import type { Kv } from '../../plugin.ts'
import { ask } from './asks.ts'

export function createKv(): Kv {
  return Object.freeze<Kv>({
    async get(key) {
      return (await ask('kv.get', { key })) as string | null
    },
    async set(key, value, options) {
      await ask('kv.set', { key, value, ttl: options?.ttl })
    },
    async delete(key) {
      return (await ask('kv.delete', { key })) as boolean
    },
    async incr(key, by, options) {
      return (await ask('kv.incr', { key, by, ttl: options?.ttl })) as number
    },
    async compareAndSet(key, expected, value, options) {
      return (await ask('kv.compareAndSet', { key, expected, value, ttl: options?.ttl })) as boolean
    },
  })
}
