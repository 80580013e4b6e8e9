/**
 * Answers on the disk of a machine: one copy for all its workers, which outlives them. An answer is found from the moment its file is whole and
 * its row is written; whatever of it is missing or damaged is as if it had never been kept. What goes wrong is told once, and costs no request more
 * than a miss does.
 */
import { existsSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import type { BodySource } from '../body-source.ts'
import type { ListedResponse, TierCounts } from '../counts.ts'
import { unpackHead } from '../packed.ts'
import { isPurged, type Purge } from '../purge.ts'
import type { FolderTier, Heard } from '../store/heard.ts'
import { StoredResponse } from '../stored-response.ts'
import { LATER, type TierHome, type Wanted } from '../tier.ts'
import { BodyWriter, type BodyWriterOptions } from './body-writer.ts'
import type { DiskFolder } from './disk-folder.ts'
import { type DiskIndex, isBusy, isFull, type Range, type Row, rangesOf, type Totals } from './disk-index.ts'
import { listRows } from './disk-list.ts'
import { DiskReader } from './disk-reader.ts'
import { checksumOf, hashOf, headRow, rowFor, rowOf, varyText } from './disk-rows.ts'
import { DiskWrites } from './disk-writes.ts'
import type { FolderLock } from './folder-lock.ts'
import type { LargeFile } from './large-file.ts'
import { LargeObjects } from './large-objects.ts'
import { DamagedFile, fileBytes, isOneBlock } from './object-file.ts'
import { isDamage, openFolder, words } from './open-folder.ts'
import { purgeRange } from './purge-range.ts'

export interface DiskLimits {
  /** `shared`: the folder is in memory, and goes with the proxy. */
  readonly kind: 'disk' | 'shared'
  /** Absolute. */
  readonly path: string
  readonly bytes: number
  readonly timeoutMs: number
  /** Of a body that is too long for the memory, and lies here alone; 0: there are none. */
  readonly largeBytes: number
}

/** So long nothing is told again. */
const TOLD_MS = 600_000
/** Of single URLs, under way. */
const MOST_INVALIDATIONS = 4096

export class DiskTier implements FolderTier {
  readonly timeoutMs: number
  readonly #kind: DiskLimits['kind']
  readonly #home: TierHome
  readonly #onGone: () => void
  readonly #bytes: number
  readonly #largeBytes: number
  readonly #folder: DiskFolder
  readonly #index: DiskIndex
  readonly #lock: FolderLock | null
  readonly #writes: DiskWrites
  /** Bodies that lie in a file; a renewed answer has the same one. */
  readonly #files = new WeakMap<BodySource, string>()
  readonly #reader: DiskReader
  readonly #bodies: BodyWriter
  readonly #large: LargeObjects
  /** While the disk is full: what fits. */
  #fits = Number.POSITIVE_INFINITY
  #lastTotals: Totals = { objects: 0, bytes: 0, evictions: 0 }
  #found = 0
  #failed = 0
  /** What has been told; the same is told once more after it went well. */
  readonly #told = new Map<string, number>()
  #invalidations = 0
  #isBroken = false
  #isClosed = false

  /** Throws an Error that says why the folder cannot be used. `onGone`: told, now and then, that somebody has removed it. */
  constructor(name: string, limits: DiskLimits, home: TierHome, onGone: () => void) {
    const { kind, bytes, timeoutMs, largeBytes } = limits
    this.#kind = kind
    this.#home = home
    this.#onGone = onGone
    this.#bytes = bytes
    this.#largeBytes = largeBytes
    this.timeoutMs = timeoutMs
    const { folder, index, lock } = openFolder(limits, name, home)
    this.#lock = lock
    this.#folder = folder
    this.#index = index
    this.#writes = this.#openWrites()
    this.#reader = new DiskReader(folder, {
      visited: (row) => this.#visited(row),
      lost: (response) => home.lost(response),
      removeFile: (key, file) => this.#removeFile(key, file),
      failed: (error) => this.#fail('cannot be read', error),
    })
    const options: BodyWriterOptions = {
      folder,
      addRow: (response, file, isWanted) => this.#addRow(response, file, isWanted),
      removeRow: ({ key }, file) => this.#removeFile(key, file),
      onWritten: (response, file) => this.#written(response, file),
      onError: (error) => this.#writeFailed(error),
    }
    this.#bodies = new BodyWriter(options)
    this.#large = new LargeObjects(options, { objectBytes: largeBytes, comingBytes: bytes / 4 })
    // Where nothing can be deleted nothing can be written: that is told.
    void folder.sweep().catch(() => {})
  }

  #openWrites(): DiskWrites {
    const index = this.#index
    return new DiskWrites({
      index,
      // What is not there is deleted.
      delete: (file) => unlink(this.#folder.fileOf(file)).catch(() => {}),
      excess: () => {
        const most = Math.min(this.#bytes, this.#fits)
        return this.#isBroken || this.#totals().bytes <= most ? null : (changed) => changed.evict(most)
      },
      onError: (error) => this.#indexFailed(error),
      onDropped: () => this.#dropped(),
    })
  }

  // ── found ────────────────────────────────────────────────────────────────────────────────────────────────────────

  find(wanted: Wanted, taker: (found: StoredResponse | null) => void): StoredResponse | null | typeof LATER {
    const { request, than, coding } = wanted
    const key = coding === undefined ? wanted.key : this.#codedKey(coding.of, coding.name)
    if (this.#isBroken || key === null) return null
    const row = this.#rowFor(key, request)
    if (row === null || (than !== null && row.born <= than.freshness.bornAt)) return null
    const isLarge = !this.#home.hasRoom(row.length)
    if (isLarge && (coding !== undefined || row.length > this.#largeBytes)) return null
    const response = this.#headOf(row, key, isLarge)
    if (response === null) return null
    this.#files.set(response.body, row.file)
    if (isLarge) {
      this.#reader.open(row, response, taker)
      return LATER
    }
    if (this.#kind === 'shared' && isOneBlock(row.length)) return this.#reader.readNow(row, response)
    this.#reader.read(row, response, taker)
    return LATER
  }

  #rowFor(key: string, request: Wanted['request']): Row | null {
    try {
      return rowFor(this.#index.rowsOf(hashOf(key)), request)
    } catch (error) {
      this.#indexFailed(error)
      return null
    }
  }

  #headOf(row: Row, key: string, isLarge: boolean): StoredResponse | null {
    try {
      const head = this.#index.headOf(row.id)
      if (head === undefined) return null
      const response =
        checksumOf(head.head, row.file) === head.checksum ? unpackHead(head.head, key, { bytes: row.length, isElsewhere: isLarge }) : null
      if (response !== null) {
        if (row.purged !== null) response.purge(row.purged)
        return response
      }
      this.#removeFile(key, row.file)
      this.#fail('has damaged rows', new DamagedFile('they are not what was written'))
    } catch (error) {
      this.#indexFailed(error)
    }
    return null
  }

  #visited({ id }: Row): void {
    this.#found++
    this.#writes.mayMake((index) => {
      index.visit(id)
      return []
    })
  }

  #removeFile(key: string, file: string): void {
    this.#writes.make((index) => index.removeFile(hashOf(key), file))
  }

  // ── kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  keep(response: StoredResponse): void {
    if (this.#isClosed || this.#isBroken || fileBytes(response.length) > this.#bytes / 4) return
    const file = this.#files.get(response.body)
    if (file === undefined) return this.#bodies.add(response)
    const key = hashOf(response.key)
    const { born, lifetime, head, checksum } = headRow(response, file)
    let isThere = false
    this.#writes.mayMake(
      (index) => {
        isThere = index.renew({ file, born, lifetime, head, checksum, tags: response.tags }, key)
        return []
      },
      (isMade) => {
        if (!isMade || isThere || response.large !== null || response.body.state !== 'complete') return
        this.#files.delete(response.body)
        if (response.stage !== 'gone') this.#bodies.add(response)
      },
    )
  }

  /** Beside the file of that body: it is found by the name of that, which no other body ever has. */
  keepCoded(response: StoredResponse, coding: string): void {
    const body = response.body.coded?.get(coding)
    const key = this.#codedKey(response.body, coding)
    if (key === null || body === undefined || body.state !== 'complete' || this.#files.has(body)) return
    const coded = new StoredResponse({
      ...response,
      ...{ key, vary: null, variant: coding, lines: '', etag: null, body, madeOf: body, length: body.filled, part: null, pieces: null },
    })
    coded.seal()
    this.keep(coded)
  }

  /** Null: that body lies in no file. */
  #codedKey(body: BodySource, coding: string): string | null {
    const file = this.#files.get(body)
    return file === undefined ? null : `${file} ${coding}`
  }

  takesLarge(length: number): boolean {
    return !this.#isClosed && !this.#isBroken && this.#large.takes(length)
  }

  /** For a body that comes now; `isWanted`: asked once it is whole. */
  createLarge(response: StoredResponse, isWanted: () => boolean): LargeFile {
    return this.#large.create(response, isWanted)
  }

  #addRow(response: StoredResponse, file: string, isWanted: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      let isAdded = false
      const add = (index: DiskIndex) => {
        isAdded = isWanted()
        return isAdded ? index.add(rowOf(response, file), this.#home.variants) : []
      }
      this.#writes.mayMake(add, (isMade) => resolve(isMade && isAdded))
    })
  }

  #written(response: StoredResponse, file: string): void {
    this.#files.set(response.body, file)
    if (response.body.coded !== null) for (const coding of response.body.coded.keys()) this.keepCoded(response, coding)
    this.#fits = Number.POSITIVE_INFINITY
  }

  #writeFailed(error: unknown): void {
    const isNoSpace = isFull(error) || (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT'))
    // There is less room than was said: what is there makes room for what comes.
    if (isNoSpace) this.#fits = this.#totals().bytes * 0.95
    this.#fail(isNoSpace ? 'is full' : 'cannot be written', error)
    if (!this.#isClosed && !existsSync(this.#folder.index)) this.#onGone()
  }

  // ── put out ──────────────────────────────────────────────────────────────────────────────────────────────────────

  remove({ key, vary, variant }: StoredResponse): void {
    if (this.#isBroken) return
    const names = varyText({ vary })
    this.#bodies.purge((one) => one.key === key && one.variant === variant && varyText(one) === names)
    this.#writes.make((index) => index.remove(hashOf(key), names, variant))
  }

  /** Clients can have as many of them as they like. */
  invalidate(url: string): void {
    if (this.#invalidations >= MOST_INVALIDATIONS) return this.#dropped()
    this.#invalidations++
    void this.purge({ kind: 'url', url, soft: false }).finally(() => {
      this.#invalidations--
    })
  }

  #dropped(): void {
    this.#fail('cannot be told what is out of date', new Error('another process does not let its index be written'))
  }

  forgetComing(purge: Purge): void {
    this.#bodies.purge((response) => isPurged(response, purge))
  }

  heard(store: string): Heard | null {
    try {
      return this.#isBroken ? null : this.#index.heard(store)
    } catch (error) {
      this.#indexFailed(error)
      return null
    }
  }

  hear(store: string, heard: Heard): void {
    if (this.#isBroken || this.#isClosed) return
    this.#writes.make((index) => {
      index.hear(store, heard)
      return []
    })
  }

  async purge(purge: Purge): Promise<number> {
    if (this.#isBroken) return 0
    this.forgetComing(purge)
    const now = this.#home.clock()
    let count = 0
    for (const range of rangesOf(purge)) count += await this.#purgeRange(range, purge.soft ? now : null)
    return count
  }

  async #purgeRange(range: Range, stale: number | null): Promise<number> {
    const { count, isDone } = await purgeRange(this.#writes, { range, stale, isOver: () => this.#isBroken })
    if (isDone) return count
    // What was to be purged must not be found.
    this.#isBroken = true
    this.#fail('cannot be purged and is not used any more', new Error('its index cannot be written'))
    return count
  }

  // ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  get counts(): TierCounts {
    const { objects, bytes, evictions } = this.#totals()
    return { tier: this.#kind, objects, bytes, maxBytes: this.#bytes, evictions, found: this.#found, failed: this.#failed }
  }

  /** As they were last, while another process does not let them be read. */
  #totals(): Totals {
    try {
      if (!this.#isBroken) this.#lastTotals = this.#index.totals
    } catch (error) {
      this.#indexFailed(error)
    }
    return this.#lastTotals
  }

  async list(prefix: string, most: number): Promise<readonly ListedResponse[]> {
    if (this.#isBroken) return []
    try {
      return await listRows(this.#index, { prefix, most, now: this.#home.clock(), where: this.#kind })
    } catch (error) {
      this.#indexFailed(error)
      return []
    }
  }

  async settled(): Promise<void> {
    await Promise.all([this.#bodies.settled(), this.#large.settled()])
    await this.#writes.settled()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.settled()
    this.#isBroken = true
    this.#index.close()
    this.#lock?.release()
  }

  // ── gone wrong ───────────────────────────────────────────────────────────────────────────────────────────────────

  #indexFailed(error: unknown): void {
    if (isBusy(error) || this.#isBroken) return
    if (isFull(error)) return this.#writeFailed(error)
    this.#fail('has an index that cannot be used', error)
    // What else it says is not to be believed: it begins anew with the next start, beside what others still read.
    this.#isBroken = isDamage(error)
    try {
      if (this.#isBroken) this.#folder.next()
    } catch {
      // Then it is found damaged once more.
    }
  }

  #fail(what: string, error: unknown): void {
    this.#failed++
    const now = this.#home.clock()
    if (now < (this.#told.get(what) ?? Number.NEGATIVE_INFINITY)) return
    this.#told.set(what, now + TOLD_MS)
    this.#home.warn(`the folder of a cache ${what}, so less is kept: ${this.#folder.path}: ${words(error)}`)
  }
}
