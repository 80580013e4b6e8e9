/** StoreOptions of a config, which were found valid → a StorePlan. Reads the files it names, and throws with the name of one that cannot be read. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseDuration } from '../config/units.ts'
import type { StoreOptions } from '../dsl/store.ts'
import type { StorePlan } from './store.ts'

export function planStore(store: string | StoreOptions, folder: string): StorePlan {
  const { url, ca, cert, key, servername = null, connections = 2, timeout = '100ms' } = typeof store === 'string' ? { url: store } : store
  const read = (written: string | undefined): string | null => {
    if (written === undefined) return null
    return written.includes('-----BEGIN') ? written : readFileSync(resolve(folder, written), 'utf8')
  }
  return { url, ca: read(ca), cert: read(cert), key: read(key), servername, connections, timeout: parseDuration(timeout)! }
}
