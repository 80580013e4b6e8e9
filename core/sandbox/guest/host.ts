/** The second argument of `setup`. */
import { createKv } from './kv.ts'

export function createHost(restored: unknown): object {
  return { restore: () => restored, kv: createKv() }
}
