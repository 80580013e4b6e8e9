/**
 * Whose a folder is: the workers of one proxy hold one lock in it together, and the system takes it back from each that ends, however it ends. Two
 * proxies in one folder would delete what the other writes, and not hear of each other's purges. Containers are told apart, too: the lock is the file's.
 */
import { mkdirSync, readdirSync, readlinkSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { isBusy } from './disk-index.ts'

/** So long it is waited for who looks whether we are still there. */
const LOOK_MS = 1000
const SUFFIX = '.lock'

export class FolderLock {
  readonly #db: DatabaseSync

  private constructor(db: DatabaseSync) {
    this.#db = db
  }

  /** Throws an Error that says who else has it. */
  static take(folder: string, owner = ownerHere()): FolderLock {
    const locks = join(folder, 'used')
    mkdirSync(locks, { recursive: true, mode: 0o700 })
    refuseOthers(locks, owner)
    const db = holdShared(join(locks, owner + SUFFIX))
    try {
      // Who came at the same time has seen us, or is seen now.
      refuseOthers(locks, owner)
      return new FolderLock(db)
    } catch (error) {
      db.close()
      throw error
    }
  }

  release(): void {
    this.#db.close()
  }
}

/** The supervisor's process id and the namespace that this number is of. */
export function ownerHere(): string {
  return `${process.ppid}-${namespaceOf()}`
}

/** In which process ids are told apart; `0` where there are no such. */
export function namespaceOf(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    return '0'
  }
}

function refuseOthers(locks: string, owner: string): void {
  for (const name of readdirSync(locks)) {
    const [, pid, namespace] = /^(\d+)-(\d+)\.lock$/.exec(name) ?? []
    if (pid === undefined || name === owner + SUFFIX || !isHeld(join(locks, name))) continue
    const where = owner.endsWith(`-${namespace}`) ? '' : ' of another container'
    throw new Error(`another proxy uses it (process ${pid}${where}), and each needs a folder of its own`)
  }
}

/** What nobody holds any more goes. */
function isHeld(file: string): boolean {
  try {
    const db = open(file, 0)
    try {
      db.exec('BEGIN EXCLUSIVE')
      unlinkSync(file)
      return false
    } finally {
      db.close()
    }
  } catch (error) {
    if (isBusy(error)) return true
    // Another one has found the same, and was faster.
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return false
    throw error
  }
}

/** Until it is closed. */
function holdShared(file: string): DatabaseSync {
  for (;;) {
    const db = open(file, LOOK_MS)
    try {
      const before = statSync(file).ino
      db.exec('BEGIN; SELECT 1 FROM sqlite_schema')
      // Else it was deleted before it was held, and nobody would see it.
      if (statSync(file, { throwIfNoEntry: false })?.ino === before) return db
      db.close()
    } catch (error) {
      db.close()
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
}

function open(file: string, timeout: number): DatabaseSync {
  // Only workers whose config has such a cache load it.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  return new DatabaseSync(file, { timeout })
}
