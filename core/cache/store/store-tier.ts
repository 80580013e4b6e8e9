/**
 * Answers in a Redis or Valkey, for all proxies of several machines that name it. One answer is one value: it is there as a whole or not at all.
 * No request waits for it longer than the store's timeout, and none at all while it is away; a purge that could not be told there is told later,
 * and nothing is taken from there before. What requests put out (RFC 9111 §4.4) leaves it at once, and the memories of all who listen.
 */
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Deadlines, Timed } from '../../deadlines.ts'
import type { Store } from '../../store/store.ts'
import type { ListedResponse, TierCounts } from '../counts.ts'
import type { Gathered } from '../gathered.ts'
import { selectVariant, type Variant } from '../memory-store.ts'
import { packHead, unpackHead } from '../packed.ts'
import { hostOf, type Purge } from '../purge.ts'
import type { StoredResponse } from '../stored-response.ts'
import { LATER, type Tier, type TierHome, type Wanted } from '../tier.ts'
import { type FolderTier, type Heard, lesserOf } from './heard.ts'
import { FIND, HEAR, INVALIDATE, KEEP, MOST_PURGES, PURGE } from './scripts.ts'
import { readInvalidated, SharedInvalidations } from './shared-invalidations.ts'
import { SharedPurges } from './shared-purges.ts'
import { Teller } from './teller.ts'

export interface StoreLimits {
  readonly store: Store
  /** Of its plan: with another one it is another store. */
  readonly id: string
  readonly timeoutMs: number
}

export interface StoreHome extends TierHome {
  readonly deadlines: Deadlines
  /** What outlives this process. */
  readonly folders: readonly FolderTier[]
  /** Others have. Resolves when the folders are told. */
  purgedElsewhere(purges: readonly Purge[]): Promise<unknown>
}

/** A longer body is not kept there: it would hold up all that is asked for on the same connection. */
const MOST_BYTES = 1024 ** 2
/** Answers on their way there: more are not kept. */
const MOST_UNDER_WAY = 64
/** What can be asked about stays so long behind its freshness. */
const STALE_MS = 3_600_000
const MOST_TTL_MS = 30 * 86_400_000
/** What others purge is heard of within so long. */
const LISTEN_MS = 1000
/** Purges that wait until the store is back; with more of them it is one of all. */
const MOST_PENDING = 64
/** Checksum of the rest, length of the head, numbers of the last purge and of the last invalidation. */
const FIXED_BYTES = 24

export class StoreTier implements Tier, Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** Of the plan in use. */
  store: Store
  readonly timeoutMs: number
  readonly #prefix: string
  readonly #home: StoreHome
  readonly #deadlines: Deadlines
  readonly #purges = new SharedPurges()
  readonly #invalidations = new SharedInvalidations()
  /** What had been heard by those who have left something behind; null: nothing is known of any. */
  #before: Heard | null = null
  /** Resolves when the folders have done what was heard so far. */
  #done: Promise<unknown> = Promise.resolve()
  #noted: Heard | null = null
  readonly #teller: Teller
  /** The last one that was begun, whatever became of it. */
  #hearing: Promise<unknown> = Promise.resolve()
  /** The one behind it; null: nobody has asked for one. */
  #nextHearing: Promise<void> | null = null
  #pending: Purge[] = []
  readonly #underWay = new Set<Promise<unknown>>()
  #found = 0
  #failed = 0
  #isClosed = false

  constructor(name: string, { store, timeoutMs }: StoreLimits, home: StoreHome) {
    this.store = store
    this.timeoutMs = timeoutMs
    this.#prefix = `sluice:cache:${name}:`
    this.#home = home
    this.#deadlines = home.deadlines
    this.#teller = new Teller({ deadlines: home.deadlines, tell: (put) => this.#invalidate(put) })
    this.#deadlines.add(this)
    this.#listen()
  }

  // ── found ────────────────────────────────────────────────────────────────────────────────────────────────────────

  find(wanted: Wanted, taker: (found: StoredResponse | null) => void): StoredResponse | null | typeof LATER {
    if (wanted.coding !== undefined || this.store.isAway || this.#pending.length > 0 || this.#teller.has(wanted.url)) return null
    void this.#look(wanted).then(taker, () => {
      this.#failed++
      taker(null)
    })
    return LATER
  }

  async #look({ key, url, request, than }: Wanted): Promise<StoredResponse | null> {
    const name = this.#answersOf(key)
    const since = this.#invalidations.known
    const keys = [name, this.#count, this.#state, this.#keysOf(url)]
    const [count, invalidations, doubt, isListed, isOne, rest] = (await this.store.run(FIND, keys, [NO_VARY, hostOf(url)], BYTES)) as Found
    // Nobody knows what was put out.
    if (Number(invalidations) < 0) return null
    this.#invalidations.saw(Number(invalidations), this.#home.clock())
    if (Number(count) !== this.#purges.known) await this.#hear()
    let bytes: Buffer | null
    if (isOne === 1) bytes = rest as Buffer
    else {
      const variant = selectVariant((rest as Buffer[]).map(readName), request)
      bytes = variant === null ? null : ((await this.store.ask('HGET', [name, nameOf(variant)], BYTES)) as Buffer | null)
    }
    const response = bytes === null ? null : this.#read(bytes, key, { since, doubt })
    if (response === null || (than !== null && response.freshness.bornAt <= than.freshness.bornAt)) return null
    // With a key of the config's own it may be of another URL.
    const isOfUrl = response.url === url ? isListed === 1 : await this.store.ask('SISMEMBER', [this.#keysOf(response.url), name])
    if (!isOfUrl) return null
    this.#found++
    return response
  }

  /** `doubt`: up to this number all of its host is put out. */
  #read(bytes: Buffer, key: string, { since, doubt }: { since: number; doubt: number }): StoredResponse | null {
    const headEnd = bytes.length < FIXED_BYTES ? 0 : FIXED_BYTES + bytes.readUInt32LE(4)
    if (headEnd === 0 || headEnd > bytes.length || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) return this.#damaged()
    const number = bytes.readDoubleLE(16)
    if (number < doubt) return null
    const head = bytes.toString('utf8', FIXED_BYTES, headEnd)
    const body = bytes.subarray(headEnd)
    if (!this.#home.hasRoom(body.length)) return null
    const response = unpackHead(head, key, { bytes: body.length })
    // Of another version, or of another key with the same hash.
    if (response === null || !this.#invalidations.allows(response.url, number, since)) return null
    response.body.push(body, 0, body.length)
    response.body.complete()
    return this.#purges.allows(response, bytes.readDoubleLE(8), this.#home.clock()) ? response : null
  }

  #damaged(): null {
    this.#failed++
    this.#home.warn(`the store ${this.store.name} has what no cache wrote there`)
    return null
  }

  // ── kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** An endpoint is asked then: the numbers that have been seen by now are the answer's. */
  asks(at: number): void {
    this.#purges.asks(at)
    this.#invalidations.asks(at)
  }

  keep(response: StoredResponse): void {
    if (this.#isClosed || this.store.isAway || this.#pending.length > 0 || this.#underWay.size >= MOST_UNDER_WAY) return
    if (response.length > MOST_BYTES || response.body.state !== 'complete') return
    const ttl = timeToLive(response, this.#home.clock())
    const { askedAt } = response.freshness
    const purge = this.#purges.numberAt(askedAt)
    const invalidation = this.#invalidations.numberAt(askedAt)
    if (ttl <= 0 || purge < 0 || invalidation < 0 || this.#teller.has(response.url)) return
    const head = Buffer.from(packHead(response))
    const bytes = Buffer.allocUnsafe(FIXED_BYTES + head.length + response.length)
    bytes.writeUInt32LE(head.length, 4)
    bytes.writeDoubleLE(purge, 8)
    bytes.writeDoubleLE(invalidation, 16)
    head.copy(bytes, FIXED_BYTES)
    response.body.bytes.copy(bytes, FIXED_BYTES + head.length, 0, response.length)
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0)
    const keys = [this.#answersOf(response.key), this.#keysOf(response.url), this.#state, this.#invalidated]
    const of = [response.url, hostOf(response.url), invalidation]
    this.#do(this.store.run(KEEP, keys, [nameOf(response), bytes, this.#home.variants, ttl, ...of]))
  }

  remove(response: StoredResponse): void {
    if (!this.store.isAway) this.#do(this.store.ask('HDEL', [this.#answersOf(response.key), nameOf(response)]))
  }

  invalidate(url: string): void {
    this.#teller.add(url)
  }

  /** A coding is made sooner than it is fetched from there. */
  keepCoded(): void {}

  /** It is looked at there. */
  forgetComing(): void {}

  #do(work: Promise<unknown>): void {
    const done = work
      .catch(() => {
        this.#failed++
      })
      .finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
  }

  // ── purged ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** How many answers it was about nobody counts. */
  async purge(purge: Purge): Promise<number> {
    if (await this.#tell(purge)) return 0
    this.#pending = this.#pending.length < MOST_PENDING ? [...this.#pending, purge] : [ALL]
    throw new Error(`the store ${this.store.name} cannot be told now: it will be, and nothing is taken from there before`)
  }

  async #tell(purge: Purge): Promise<boolean> {
    try {
      await this.store.run(PURGE, [this.#count, `${this.#prefix}purges`, `${this.#prefix}last-purge`], [JSON.stringify(purge), MOST_PURGES])
      await this.#hear()
      return true
    } catch {
      this.#failed++
      return false
    }
  }

  async #invalidate(put: Gathered): Promise<void> {
    if (this.store.isAway) throw new Error('it cannot be told now')
    const urls = [...put.urls]
    const keys = [this.#state, this.#invalidated, ...urls.map((url) => this.#keysOf(url))]
    try {
      const number = await this.store.run(INVALIDATE, keys, [this.#home.clock(), put.isAll ? 1 : 0, ...urls, ...put.hosts])
      this.#invalidations.told(urls, Number(number), this.#home.clock())
    } catch (error) {
      this.#failed++
      throw error
    }
  }

  /** One at a time, so that what is heard comes in its order; who asks while one is under way hears by the next. */
  #hear(): Promise<void> {
    this.#nextHearing ??= this.#hearing.then(() => {
      this.#nextHearing = null
      const heard = this.#hearNow()
      this.#hearing = heard.catch(() => {})
      return heard
    })
    return this.#nextHearing
  }

  async #hearNow(): Promise<void> {
    const keys = [this.#count, `${this.#prefix}purges`, this.#state, this.#invalidated]
    const since = this.#invalidations.known
    const args = [this.#home.clock(), this.#purges.known, since]
    const [count, first, entries, state, urls] = (await this.store.run(HEAR, keys, args)) as Said
    const now = this.#home.clock()
    const isFirst = this.#purges.known < 0
    const news = this.#purges.learn(Number(count), Number(first), entries, now)
    // What is in the memory before the first word is from before this tier: of whatever was purged then the worker was told.
    const purges = !isFirst ? news : this.#before === null ? [] : this.#purges.since(this.#before.purges)
    this.#before = null
    const invalidated = readInvalidated(state, urls)
    this.#leave([...(purges ?? [ALL]), ...this.#invalidations.learn(invalidated, since, now)])
    if (invalidated.isPart) await this.#hearNow()
  }

  #leave(purges: readonly Purge[]): void {
    const done = this.#home.purgedElsewhere(purges)
    const heard = { purges: this.#purges.known, invalidations: this.#invalidations.known }
    const isKnown = this.#noted?.purges === heard.purges && this.#noted.invalidations === heard.invalidations
    if (isKnown || heard.purges < 0) return
    this.#noted = heard
    this.#done = this.#done
      .then(() => done)
      .then(() => {
        for (const folder of this.#home.folders) folder.hear(this.#place, heard)
      })
      .catch(() => {})
  }

  /** What is there already may be from before something that others have put out. */
  meet(folder: FolderTier): void {
    const heard = folder.heard(this.#place)
    if (heard === null) return
    if (this.#purges.known < 0) {
      this.#before = lesserOf(this.#before, heard)
      this.#invalidations.known = this.#before.invalidations
      return
    }
    const missed = [...(this.#purges.since(heard.purges) ?? [ALL])]
    if (heard.invalidations < this.#invalidations.known) missed.push({ kind: 'all', soft: true })
    for (const purge of missed) void folder.purge(purge)
  }

  onDeadline(): void {
    this.#listen()
  }

  #listen(): void {
    if (this.#isClosed) return
    void this.#catchUp()
      .catch(() => {})
      .finally(() => {
        if (!this.#isClosed) this.dueAt = this.#deadlines.in(LISTEN_MS)
      })
  }

  async #catchUp(): Promise<void> {
    if (this.store.isAway) return
    while (this.#pending.length > 0) {
      const first = this.#pending[0]!
      if (!(await this.#tell(first))) return
      // Meanwhile they may have become one of all.
      if (this.#pending[0] === first) this.#pending.shift()
    }
    await this.#hear()
  }

  // ── told ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  get counts(): TierCounts {
    return { tier: 'store', objects: null, bytes: null, maxBytes: null, evictions: null, found: this.#found, failed: this.#failed }
  }

  /** It would have to walk through all that is in the store. */
  async list(): Promise<readonly ListedResponse[]> {
    return []
  }

  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#deadlines.remove(this)
    await this.#teller.close()
    await this.settled()
  }

  /** Which numbers these are. */
  get #place(): string {
    return `${this.store.name} ${this.#prefix}`
  }

  get #count(): string {
    return `${this.#prefix}purge-count`
  }

  get #state(): string {
    return `${this.#prefix}invalidations`
  }

  get #invalidated(): string {
    return `${this.#prefix}invalidated`
  }

  #answersOf(key: string): string {
    return `${this.#prefix}answers:${hash('sha256', key, 'base64url').slice(0, 22)}`
  }

  #keysOf(url: string): string {
    return `${this.#prefix}url:${hash('sha256', url, 'base64url').slice(0, 22)}`
  }
}

const ALL: Purge = { kind: 'all', soft: false }

const BYTES = { asBytes: true } as const
type Found = [count: Buffer, invalidations: Buffer, doubt: number, isListed: number, isOne: number, rest: Buffer | Buffer[]]
type Said = [count: string, first: string, purges: string[], state: string[], urls: string[]]

/** In the place of the names that an answer varies by. */
const NO_VARY = '-'

function nameOf({ vary, variant }: Variant): string {
  return vary === null ? NO_VARY : `${vary.join()}\r${variant}`
}

function readName(bytes: Buffer): Variant {
  const text = bytes.toString()
  const at = text.indexOf('\r')
  return at < 0 ? { vary: null, variant: '' } : { vary: text.slice(0, at).split(','), variant: text.slice(at + 1) }
}

/** As long as somebody may get it: fresh, stale, or after asking about it. */
function timeToLive(response: StoredResponse, now: number): number {
  const { staleWhileRevalidate, staleIfError } = response.freshness
  const isAskable = response.etag !== null || !Number.isNaN(response.lastModified)
  const stale = Math.max(staleWhileRevalidate * 1000, staleIfError * 1000, isAskable ? STALE_MS : 0)
  return Math.min(MOST_TTL_MS, Math.max(0, response.ttl(now)) * 1000 + stale)
}
