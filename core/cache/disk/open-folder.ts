/** A disk's folder with its index: where that is damaged, another one is begun beside it. */
import type { TierHome } from '../tier.ts'
import type { DiskFolder } from './disk-folder.ts'
import { DiskIndex } from './disk-index.ts'

export function openFolder(folder: DiskFolder, home: TierHome): { readonly folder: DiskFolder; readonly index: DiskIndex } {
  try {
    return { folder, index: new DiskIndex(folder.index) }
  } catch (error) {
    if (!isDamage(error)) throw error
    home.warn(`the index of a cache is damaged, so what it kept is fetched anew: ${folder.path}: ${words(error)}`)
    const next = folder.next()
    return { folder: next, index: new DiskIndex(next.index) }
  }
}

const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

/** Of an index: what is in it is not to be believed. */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error)) return false
  const code = Number(error.errcode) & 0xff
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
