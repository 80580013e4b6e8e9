/** The block lists of a plan, read before it is taken into use. Lists whose files did not change are the same objects as before. */
import { type BigIntStats, existsSync, statSync } from 'node:fs'
import type { BlocklistPlan, ListFilePlan } from '../plan/forward-plan.ts'
import { type Blocklist, readBlocklist, whyUnreadable } from './blocklist.ts'

export interface Blocklists {
  readonly of: ReadonlyMap<BlocklistPlan, Blocklist>
  /** By all that one is made of. */
  readonly made: ReadonlyMap<string, Blocklist>
  /** What can be seen of each file from outside, by its path. */
  readonly files: ReadonlyMap<string, string>
}

export const NO_BLOCKLISTS: Blocklists = { of: new Map(), made: new Map(), files: new Map() }

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
    const seen = plan.files.map(lookAt)
    for (const { file, signature } of seen) files.set(file, signature)
    const key = JSON.stringify([plan, seen.map(({ signature, unsure }) => signature + unsure)])
    const list = made.get(key) ?? before?.made.get(key) ?? (await readBlocklist(plan, pause))
    made.set(key, list)
    of.set(plan, list)
  }
  return { of, made, files }
}

interface Seen {
  readonly file: string
  /** The same as before: so is the content, most likely. */
  readonly signature: string
  /** Never the same, where that cannot be told. */
  readonly unsure: string
}

function lookAt({ file, fetched }: ListFilePlan): Seen {
  // It has not come yet.
  if (fetched !== null && !existsSync(file)) return { file, signature: 'none', unsure: '' }
  try {
    const { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats = statSync(file, { bigint: true })
    const now = BigInt(Date.now()) * 1_000_000n
    return { file, signature: [dev, ino, size, mtimeNs, ctimeNs].join(' '), unsure: now - ctimeNs < SURE_AFTER_NS ? ` at ${now}` : '' }
  } catch (error) {
    throw new Error(whyUnreadable(file, error))
  }
}
