/**
 * The folder of a cache on disk: `NAME/1/index.db`, bodies in `NAME/1/objects/`, and those that are still being written in `NAME/1/new/`, under
 * the ids of the proxy and the process that write them. When the index turns out to be damaged, all begin anew in `NAME/2`.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { mkdir, readdir, rename, rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ownerHere } from './folder-lock.ts'

export class DiskFolder {
  readonly #base: string
  readonly #number: number
  readonly #owner = ownerHere()

  private constructor(base: string, number: number) {
    this.#base = base
    this.#number = number
  }

  /** The newest there is, or the first. Throws what the system says. */
  static open(base: string): DiskFolder {
    mkdirSync(base, { recursive: true, mode: 0o700 })
    const numbers = readdirSync(base).filter((name) => /^\d{1,9}$/.test(name))
    return new DiskFolder(base, Math.max(1, ...numbers.map(Number))).#make()
  }

  /** For when this one is damaged. Another process may have made it already. */
  next(): DiskFolder {
    return new DiskFolder(this.#base, this.#number + 1).#make()
  }

  get index(): string {
    return join(this.path, 'index.db')
  }

  get path(): string {
    return join(this.#base, String(this.#number))
  }

  fileOf(name: string): string {
    return join(this.path, 'objects', name.slice(0, 2), name)
  }

  newFileOf(name: string): string {
    return join(this.path, 'new', `${this.#owner}-${process.pid}-${name}`)
  }

  /** It is whole: from now on `fileOf` is where it is. */
  async takeIn(name: string): Promise<void> {
    const from = this.newFileOf(name)
    const to = this.fileOf(name)
    try {
      await rename(from, to)
    } catch (error) {
      if (!existsSync(from)) throw error
      await mkdir(join(to, '..'), { recursive: true, mode: 0o700 })
      await rename(from, to)
    }
  }

  /** Deletes what processes that are gone were writing, and the folders before this one. No other proxy uses it. */
  async sweep(): Promise<void> {
    for (const name of await readdir(join(this.path, 'new'))) {
      if (name.startsWith(`${this.#owner}-`) && isBeingWritten(name.slice(this.#owner.length + 1))) continue
      await unlink(join(this.path, 'new', name)).catch(() => {})
    }
    for (const name of await readdir(this.#base))
      if (/^\d+$/.test(name) && Number(name) < this.#number) await rm(join(this.#base, name), { recursive: true, force: true })
  }

  #make(): this {
    mkdirSync(join(this.path, 'new'), { recursive: true, mode: 0o700 })
    return this
  }
}

/** By this process, and not by one that had its number before, or by another worker. */
function isBeingWritten(name: string): boolean {
  const pid = Number.parseInt(name, 10)
  return pid === process.pid ? madeAt(name) > Date.now() - process.uptime() * 1000 : pid > 0 && isAlive(pid)
}

/** A name of a body: unlike any other, and it says when it was made. */
export function newName(): string {
  return randomBytes(12).toString('hex') + Date.now().toString(16).padStart(12, '0')
}

export function madeAt(name: string): number {
  return Number.parseInt(name.slice(-12), 16)
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Of another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
