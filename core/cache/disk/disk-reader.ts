/** Bodies out of a disk's folder, in whatever way is the best for one: as it is sent, into the memory behind the backs of requests, or at once. */
import type { StoredResponse } from '../stored-response.ts'
import { isYoung } from './body-writer.ts'
import type { DiskFolder } from './disk-folder.ts'
import type { Row } from './disk-index.ts'
import { LargeFile } from './large-file.ts'
import { readObject, readObjectNow } from './object-file.ts'

export interface ReaderHome {
  /** Its file is what was written, as far as was read. */
  visited(row: Row): void
  /** The rest of what was found will not come. */
  lost(response: StoredResponse): void
  /** Nothing is to find it any more. */
  removeFile(key: string, file: string): void
  failed(error: unknown): void
}

export class DiskReader {
  readonly #folder: DiskFolder
  readonly #home: ReaderHome

  constructor(folder: DiskFolder, home: ReaderHome) {
    this.#folder = folder
    this.#home = home
  }

  /** It is read as it is sent. */
  open(row: Row, response: StoredResponse, taker: (found: StoredResponse | null) => void): void {
    LargeFile.open(this.#folder.fileOf(row.file), row.length, (error, file) => {
      if (file === null) {
        this.#unread(row, response, error)
        return taker(null)
      }
      file.onDamage = (damage) => this.#unread(row, response, damage)
      response.large = file
      this.#home.visited(row)
      taker(response)
      file.releaseLater()
    })
  }

  read(row: Row, response: StoredResponse, taker: (found: StoredResponse | null) => void): void {
    let hasBegun = false
    readObject(this.#folder.fileOf(row.file), response.body, row.length, {
      onBegun: () => {
        hasBegun = true
        this.#home.visited(row)
        taker(response)
      },
      onError: (error) => {
        this.#unread(row, response, error)
        if (hasBegun) {
          response.body.break()
          this.#home.lost(response)
        } else taker(null)
      },
    })
  }

  /** No disk is waited for. */
  readNow(row: Row, response: StoredResponse): StoredResponse | null {
    try {
      readObjectNow(this.#folder.fileOf(row.file), response.body, row.length)
      this.#home.visited(row)
      return response
    } catch (error) {
      this.#unread(row, response, error)
      return null
    }
  }

  #unread({ file }: Row, { key }: StoredResponse, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? error.code : null
    const isGone = code === 'ENOENT'
    // This process, or the machine, is short of descriptors: that says nothing of the file.
    if (code === 'EMFILE' || code === 'ENFILE') return this.#home.failed(error)
    // Another worker has put it out, or its file is about to get its name.
    if (!isGone) this.#home.failed(error)
    if (!isGone || !isYoung(file)) this.#home.removeFile(key, file)
  }
}
