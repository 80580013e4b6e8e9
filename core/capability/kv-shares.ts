/** How much each plugin may keep in kv: plain numbers out of the plan, for the process that holds the store. */

/** Of a plugin whose use does not say; and of all together that no plan names any more. */
export const KV_SHARE_BYTES = 16 * 1024 ** 2
/** Of all plugins of a config together: it is memory of the supervisor. */
export const MOST_KV_BYTES = 1024 ** 3

export interface KvUse {
  /** Of the plugin. */
  readonly name: string
  /** Null: it was not granted kv. */
  readonly kvBytes: number | null
}

/** Of one plugin, now. */
export interface KvUsage {
  readonly plugin: string
  readonly bytes: number
  readonly maxBytes: number
  readonly keys: number
  /** Entries that had to go for others. */
  readonly evictions: number
}

/** By the plugin's name: the most that one of its uses is given. */
export function kvShares(uses: readonly KvUse[]): ReadonlyMap<string, number> {
  const shares = new Map<string, number>()
  for (const { name, kvBytes } of uses) if (kvBytes !== null) shares.set(name, Math.max(kvBytes, shares.get(name) ?? 0))
  return shares
}
