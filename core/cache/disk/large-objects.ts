/**
 * Bodies that are too long for the memory, in files of a disk's folder: made as they come, found once they are whole and have a row. What does not
 * become whole leaves nothing behind.
 */
import { unlink } from 'node:fs/promises'
import type { StoredResponse } from '../stored-response.ts'
import type { BodyWriterOptions } from './body-writer.ts'
import { newName } from './disk-folder.ts'
import { type Ending, LargeFile } from './large-file.ts'
import { fileBytes } from './object-file.ts'

export interface LargeLimits {
  /** Of one; 0: there are none. */
  readonly objectBytes: number
  /** Of those that are on their way. */
  readonly comingBytes: number
}

export class LargeObjects {
  readonly #options: BodyWriterOptions
  readonly #limits: LargeLimits
  /** As many as there are exchanges that bring one. */
  readonly #coming = new Set<LargeFile>()
  #comingBytes = 0

  constructor(options: BodyWriterOptions, limits: LargeLimits) {
    this.#options = options
    this.#limits = limits
  }

  takes(length: number): boolean {
    const { objectBytes, comingBytes } = this.#limits
    return length <= objectBytes && fileBytes(length) + this.#comingBytes <= comingBytes
  }

  /** For a body that comes now. `isWanted`: asked once it is whole. It is held until it can be found, or is given up. */
  create(response: StoredResponse, isWanted: () => boolean): LargeFile {
    const { folder, onError } = this.#options
    const bytes = fileBytes(response.length)
    const name = newName()
    const path = folder.newFileOf(name)
    const ended = Promise.withResolvers<Ending>()
    const file = LargeFile.create(path, response.length, ended.resolve)
    this.#comingBytes += bytes
    file.settled = ended.promise
      .then(async (ending) => {
        const isKept = ending === 'whole' && (await this.#takeIn(response, name, isWanted))
        if (!isKept) await unlink(path)
        if (ending instanceof Error) throw ending
      })
      .catch(async (error: unknown) => {
        onError(error)
        await unlink(path).catch(() => {})
      })
      .finally(() => {
        this.#comingBytes -= bytes
        this.#coming.delete(file)
        file.release()
      })
    this.#coming.add(file)
    return file
  }

  async #takeIn(response: StoredResponse, name: string, isWanted: () => boolean): Promise<boolean> {
    const { folder, addRow, removeRow, onWritten } = this.#options
    if (!(await addRow(response, name, isWanted))) return false
    try {
      await folder.takeIn(name)
    } catch (error) {
      removeRow(response, name)
      throw error
    }
    onWritten(response, name)
    return true
  }

  /** Resolves when those that are on their way are whole, or given up. */
  async settled(): Promise<void> {
    await Promise.all([...this.#coming].map((file) => file.settled))
  }
}
