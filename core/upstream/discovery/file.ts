/** Endpoints by a file of JSON: a list as in the config. It is read when it is another one than before, however it was written. */
import { readFile, stat } from 'node:fs/promises'
import { discoveredEndpoints } from '../../plan/endpoints.ts'
import type { DiscoveryPlan, EndpointPlan } from '../../plan/upstream-plan.ts'
import type { Source } from './source.ts'

const EVERY_MS = 1000
const MAX_BYTES = 4 * 1024 * 1024

export function fileSource({ path, zone }: Extract<DiscoveryPlan, { kind: 'file' }>): Source {
  let stamp = ''
  let last: readonly EndpointPlan[] = []
  const read = async (): Promise<readonly EndpointPlan[]> => {
    const { mtimeMs, size, ino } = await stat(path)
    const now = `${mtimeMs} ${size} ${ino}`
    if (now === stamp) return last
    if (size > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`)
    last = discoveredEndpoints(JSON.parse(await readFile(path, 'utf8')), zone)
    // After it was understood: one that is half written is read again.
    stamp = now
    return last
  }
  return {
    name: path,
    everyMs: EVERY_MS,
    ask: (done) => void read().then(done, (error: Error) => done(error.message)),
  }
}
