/**
 * A body that is in a file, whole or still coming, on its way to one client, a block at a time and as fast as that one takes it. Where this exchange's
 * own endpoint brings it, the disk is written at the endpoint's pace; should that fail, the rest goes to this client past the cache.
 */
import type { StoredAnswer } from '../cache/answers.ts'
import type { BodyReader } from '../cache/body-source.ts'
import type { Inflow } from '../cache/cache-side.ts'
import type { LargeFile } from '../cache/disk/large-file.ts'
import type { Detour } from './detour.ts'
import type { StoredTaker } from './stored-body.ts'

export class LargeBody implements Detour, BodyReader {
  readonly isLent = false
  readonly #taker: StoredTaker
  readonly #file: LargeFile
  #inflow: Inflow | null
  #at: number
  readonly #to: number
  /** What comes behind the file's end that it could not take; null: it takes all. Its first byte is at `#lateAt`. */
  #late: Buffer[] | null = null
  #lateAt = 0
  #isHeard: boolean
  /** The endpoint is not read on. */
  #isHeldUp = false
  #isStarted = false
  #isSilent = false
  #isBlocked = false
  #isReading = false
  #isDone = false
  #isClosed = false

  constructor(
    taker: StoredTaker,
    { from, to }: StoredAnswer,
    { file, inflow, isHeard }: { file: LargeFile; inflow: Inflow | null; isHeard: boolean },
  ) {
    this.#taker = taker
    this.#file = file
    this.#inflow = inflow
    this.#at = from
    this.#to = to
    this.#isHeard = isHeard
    file.hold()
    file.join(this)
    if (inflow !== null) file.onRoom = () => this.#takeMore()
  }

  /** The head is written. */
  start(isSilent: boolean): void {
    this.#isStarted = true
    this.#isSilent = isSilent
    this.#go()
  }

  // ── from the endpoint ────────────────────────────────────────────────────────────────────────────────────────────

  push(bytes: Buffer, from: number, to: number): void {
    if (this.#inflow === null) return
    if (this.#file.state === 'growing') this.#inflow.push(bytes, from, to)
    else if (this.#wantsMore) this.#goPast().push(Buffer.from(bytes.subarray(from, to)))
  }

  pushText(text: string): void {
    this.push(Buffer.from(text, 'latin1'), 0, text.length)
  }

  readEnd(last: boolean): boolean {
    this.#isHeard = last
    if (last) this.#inflow?.complete()
    this.#go()
    this.#isHeldUp = !this.flows
    return !this.#isHeldUp
  }

  #takeMore(): void {
    if (!this.#isHeldUp || this.#isDone || !this.flows) return
    this.#isHeldUp = false
    this.#taker.takeMoreResponse()
  }

  get flows(): boolean {
    if (this.#inflow === null) return true
    if (this.#file.state !== 'broken') return this.#file.hasRoom
    return !this.#wantsMore || this.#goPast().length === 0
  }

  /** This client is to be sent more. */
  get #wantsMore(): boolean {
    return !this.#isSilent && this.#at < this.#to
  }

  get isShared(): boolean {
    return !this.#isHeard && this.#file.state !== 'broken' && this.#inflow?.isShared === true
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  onMore(): void {
    this.#go()
  }

  onBroken(): void {
    this.#go()
  }

  drained(): void {
    this.#isBlocked = false
    this.#go()
    this.#takeMore()
  }

  leave(): void {
    this.#isSilent = true
    this.#isBlocked = false
  }

  close(): void {
    this.#isDone = true
    this.#file.leave(this)
    if (this.#inflow !== null) this.#file.onRoom = null
    if (!this.#isHeard) this.#inflow?.break()
    this.#inflow = null
    if (!this.#isClosed) this.#file.release()
    this.#isClosed = true
  }

  #go(): void {
    if (!this.#isStarted || this.#isDone || this.#isBlocked || this.#isReading) return
    // Nobody gets it.
    if (this.#isSilent && this.#file.state === 'broken') return this.#taker.breakStored()
    if (this.#wantsMore) {
      if (this.#at < this.#file.readable) return this.#read()
      if (this.#file.state === 'broken' && !this.#sendLate()) return
    }
    if (!this.#isHeard || this.#wantsMore) return
    this.#isDone = true
    this.#taker.endStored()
  }

  #read(): void {
    this.#isReading = true
    this.#file.read(this.#at, (bytes) => {
      this.#isReading = false
      if (this.#isDone) return
      if (this.#isSilent) this.#go()
      else if (bytes === null) return this.#taker.breakStored()
      else {
        this.#send(bytes)
        this.#go()
      }
      this.#takeMore()
    })
  }

  #send(bytes: Buffer): void {
    const count = Math.min(bytes.length, this.#to - this.#at)
    this.#at += count
    const isTaken = this.#taker.sendStored(bytes, 0, count)
    // The last goes with the end.
    const isLast = this.#isHeard && this.#at === this.#to
    this.#isBlocked = !isTaken || (!isLast && !this.#taker.flushStored())
  }

  /** False: there is nothing to go on with. */
  #sendLate(): boolean {
    if (this.#inflow === null) {
      this.#taker.breakStored()
      return false
    }
    const late = this.#goPast()
    while (late.length > 0 && !this.#isBlocked && this.#at < this.#to) {
      const bytes = late.shift()!
      const skipped = Math.min(bytes.length, Math.max(0, this.#at - this.#lateAt))
      this.#lateAt += bytes.length
      if (skipped < bytes.length) this.#send(bytes.subarray(skipped))
    }
    return !this.#isBlocked
  }

  /** From now on it is this client's alone. */
  #goPast(): Buffer[] {
    if (this.#late === null) {
      this.#lateAt = this.#file.readable
      this.#late = this.#file.takeRest()
    }
    return this.#late
  }
}
