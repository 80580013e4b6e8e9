/** The block lists of a plan, read before it is taken into use. Lists whose files did not change are the same objects as before. */
import { type BigIntStats, statSync } from 'node:fs'
import type { BlocklistPlan } from '../plan/plan.ts'
import { type Blocklist, readBlocklist, whyUnreadable } from './blocklist.ts'

export interface Blocklists {
  readonly of: ReadonlyMap<BlocklistPlan, Blocklist>
  /** By all that one is made of. */
  readonly made: ReadonlyMap<string, Blocklist>
  /** What can be seen of each file from outside, by its path. */
  readonly files: ReadonlyMap<string, string>
}

/** A file that has changed so shortly before it was read may change again without a trace in its times. */
const SURE_AFTER_NS = 100_000_000n

/** Rejects with the name of a file that cannot be read. `before`: those in use. */
export async function gatherBlocklists(
  plans: readonly BlocklistPlan[],
  { before = null, pause }: { readonly before?: Blocklists | null; readonly pause: () => Promise<void> },
): Promise<Blocklists> {
  const of = new Map<BlocklistPlan, Blocklist>()
  const made = new Map<string, Blocklist>()
  const files = new Map<string, string>()
  for (const plan of plans) {
    for (const { file } of plan.files) if (!files.has(file)) files.set(file, signatureOf(file))
    const key = JSON.stringify([plan, plan.files.map(({ file }) => files.get(file))])
    const list = made.get(key) ?? before?.made.get(key) ?? (await readBlocklist(plan, pause))
    made.set(key, list)
    of.set(plan, list)
  }
  return { of, made, files }
}

/** The same as before: so is the content. */
function signatureOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats = statSync(file, { bigint: true })
    const now = BigInt(Date.now()) * 1_000_000n
    const unsure = now - ctimeNs < SURE_AFTER_NS ? [now] : []
    return [dev, ino, size, mtimeNs, ctimeNs, ...unsure].join(' ')
  } catch (error) {
    throw new Error(whyUnreadable(file, error))
  }
}
