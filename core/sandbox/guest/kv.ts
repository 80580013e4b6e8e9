/** `host.kv`: each method is a wish, and the host decides. */
import { ask } from './asks.ts'

export function createKv(): object {
  const method = (name: string) => (key: unknown) => ask(`kv.${name}`, { key })
  return { get: method('get') }
}
