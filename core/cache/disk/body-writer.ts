/** Writes answers into a disk's folder behind the back of requests: two at a time, and no more wait than it says here; what finds no place is not kept. */
import { unlink } from 'node:fs/promises'
import type { StoredResponse } from '../stored-response.ts'
import { type DiskFolder, madeAt, newName } from './disk-folder.ts'
import { writeObject } from './object-file.ts'

export interface BodyWriterOptions {
  readonly folder: DiskFolder
  /** Writes its row, unless `isWanted` says no by then; resolves false if there is none. */
  readonly addRow: (response: StoredResponse, file: string, isWanted: () => boolean) => Promise<boolean>
  readonly removeRow: (response: StoredResponse, file: string) => void
  readonly onWritten: (response: StoredResponse, file: string) => void
  readonly onError: (error: unknown) => void
}

interface Writing {
  readonly response: StoredResponse
  readonly file: string
  /** It was purged meanwhile. */
  isPurged: boolean
}

const MOST_WAITING = 256
const MOST_WAITING_BYTES = 32 * 1024 ** 2
const WRITERS = 2
/** After an error nothing is taken for so long. */
const PAUSE_MS = 10_000

export class BodyWriter {
  readonly #options: BodyWriterOptions
  readonly #waiting: Writing[] = []
  /** The same, and those that are being written, until their row is. */
  readonly #coming = new Set<Writing>()
  #waitingBytes = 0
  #writers = 0
  #pausedUntil = 0
  #idle: (() => void)[] = []

  constructor(options: BodyWriterOptions) {
    this.#options = options
  }

  add(response: StoredResponse): void {
    if (Date.now() < this.#pausedUntil || this.#waiting.length >= MOST_WAITING) return
    if (this.#waitingBytes > 0 && this.#waitingBytes + response.length > MOST_WAITING_BYTES) return
    const writing = { response, file: newName(), isPurged: false }
    this.#waiting.push(writing)
    this.#coming.add(writing)
    this.#waitingBytes += response.length
    // It takes no room of what the memory may hold: how much waits here has a bound of its own.
    response.body.keepers++
    if (this.#writers < WRITERS) void this.#work()
  }

  /** Those it is true of are not kept. */
  purge(isPurged: (response: StoredResponse) => boolean): void {
    for (const writing of this.#coming) if (isPurged(writing.response)) writing.isPurged = true
  }

  /** Resolves when nothing is being written. */
  settled(): Promise<void> {
    return this.#writers === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  async #work(): Promise<void> {
    this.#writers++
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!next.isPurged) await this.#write(next)
      this.#coming.delete(next)
      this.#waitingBytes -= next.response.length
      next.response.body.keepers--
      next.response.body.free()
    }
    if (--this.#writers === 0) for (const tell of this.#idle.splice(0)) tell()
  }

  async #write(writing: Writing): Promise<void> {
    const { response, file } = writing
    const { folder, addRow, removeRow, onWritten, onError } = this.#options
    const path = folder.newFileOf(file)
    try {
      await writeObject(path, response.body.bytes.subarray(0, response.length))
      // Its row first: a file without one would never be deleted.
      const hasRow = await addRow(response, file, () => !writing.isPurged)
      if (!hasRow) return await unlink(path)
      await folder.takeIn(file)
      onWritten(response, file)
    } catch (error) {
      this.#pausedUntil = Date.now() + PAUSE_MS
      onError(error)
      removeRow(response, file)
      await unlink(path).catch(() => {})
    }
  }
}

const YOUNG_MS = 10_000

/** Its row may be there, and its file about to get its name. */
export function isYoung(file: string): boolean {
  return Date.now() - madeAt(file) < YOUNG_MS
}
