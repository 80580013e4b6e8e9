/** A disk's folder with its index, for this proxy alone: where the index is damaged, another one is begun beside it. */
import { join } from 'node:path'
import type { TierHome } from '../tier.ts'
import { DiskFolder } from './disk-folder.ts'
import { DiskIndex } from './disk-index.ts'
import { FolderLock } from './folder-lock.ts'

export interface OpenedFolder {
  readonly folder: DiskFolder
  readonly index: DiskIndex
  /** Null: its path is this proxy's anyway. */
  readonly lock: FolderLock | null
}

export function openFolder(
  { kind, path }: { readonly kind: 'disk' | 'shared'; readonly path: string },
  name: string,
  home: TierHome,
): OpenedFolder {
  const base = join(path, name)
  const lock = kind === 'disk' ? FolderLock.take(base) : null
  try {
    return { ...openIndex(DiskFolder.open(base), home), lock }
  } catch (error) {
    lock?.release()
    throw error
  }
}

function openIndex(folder: DiskFolder, home: TierHome): Omit<OpenedFolder, 'lock'> {
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
