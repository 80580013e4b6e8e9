/**
 * Answers in a Redis or Valkey, for all proxies of several machines that name it. One answer is one value: it is there as a whole or not at all.
 * No request waits for it longer than the store's timeout, and none at all while it is away; a purge that could not be told there is told later,
 * and nothing is taken from there before.
 */
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Deadlines, Timed } from '../../deadlines.ts'
import type { Store } from '../../store/store.ts'
import type { ListedResponse, TierCounts } from '../counts.ts'
import { selectVariant, type Variant } from '../memory-store.ts'
import { packHead, unpackHead } from '../packed.ts'
import type { Purge } from '../purge.ts'
import type { StoredResponse } from '../stored-response.ts'
import { LATER, type Tier, type TierHome, type Wanted } from '../tier.ts'
import { FIND, FORGET_URL, KEEP, MOST_PURGES, PURGE, PURGES } from './scripts.ts'
import { SharedPurges } from './shared-purges.ts'

export interface StoreLimits {
  readonly store: Store
  /** Of its plan: with another one it is another store. */
  readonly id: string
  readonly timeoutMs: number
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
/** Checksum of the rest, length of the head, number of the last purge. */
const FIXED_BYTES = 16

export class StoreTier implements Tier, Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  /** Of the plan in use. */
  store: Store
  readonly timeoutMs: number
  readonly #prefix: string
  readonly #home: TierHome
  readonly #deadlines: Deadlines
  /** Another proxy, or another worker, has purged something. */
  readonly #onPurges: (purges: readonly Purge[]) => void
  readonly #purges = new SharedPurges()
  #pending: Purge[] = []
  readonly #underWay = new Set<Promise<unknown>>()
  #found = 0
  #failed = 0
  #isClosed = false

  constructor(
    name: string,
    { store, timeoutMs }: StoreLimits,
    home: TierHome & { readonly deadlines: Deadlines; purgedElsewhere(purges: readonly Purge[]): void },
  ) {
    this.store = store
    this.timeoutMs = timeoutMs
    this.#prefix = `sluice:cache:${name}:`
    this.#home = home
    this.#deadlines = home.deadlines
    this.#onPurges = (purges) => home.purgedElsewhere(purges)
    this.#deadlines.add(this)
    this.#listen()
  }

  // ── found ────────────────────────────────────────────────────────────────────────────────────────────────────────

  find(wanted: Wanted, taker: (found: StoredResponse | null) => void): StoredResponse | null | typeof LATER {
    if (wanted.coding !== undefined || this.store.isAway || this.#pending.length > 0) return null
    void this.#look(wanted).then(taker, () => {
      this.#failed++
      taker(null)
    })
    return LATER
  }

  async #look({ key, request, than }: Wanted): Promise<StoredResponse | null> {
    const name = this.#answersOf(key)
    const [count, isOne, rest] = (await this.store.run(FIND, [name, this.#count], [NO_VARY], BYTES)) as [Buffer, number, Buffer | Buffer[]]
    if (Number(count) !== this.#purges.known) await this.#hear()
    let bytes: Buffer | null
    if (isOne === 1) bytes = rest as Buffer
    else {
      const variant = selectVariant((rest as Buffer[]).map(readName), request)
      bytes = variant === null ? null : ((await this.store.ask('HGET', [name, nameOf(variant)], BYTES)) as Buffer | null)
    }
    const response = bytes === null ? null : this.#read(bytes, key)
    if (response === null || (than !== null && response.freshness.bornAt <= than.freshness.bornAt)) return null
    this.#found++
    return response
  }

  #read(bytes: Buffer, key: string): StoredResponse | null {
    const headEnd = bytes.length < FIXED_BYTES ? 0 : FIXED_BYTES + bytes.readUInt32LE(4)
    if (headEnd === 0 || headEnd > bytes.length || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) return this.#damaged()
    const head = bytes.toString('utf8', FIXED_BYTES, headEnd)
    const body = bytes.subarray(headEnd)
    if (!this.#home.hasRoom(body.length)) return null
    const response = unpackHead(head, key, { bytes: body.length })
    // Of another version, or of another key with the same hash.
    if (response === null) return null
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

  keep(response: StoredResponse): void {
    if (this.#isClosed || this.store.isAway || this.#pending.length > 0 || this.#underWay.size >= MOST_UNDER_WAY) return
    if (response.length > MOST_BYTES || response.body.state !== 'complete') return
    const ttl = timeToLive(response, this.#home.clock())
    const number = this.#purges.numberAt(response.freshness.askedAt)
    if (ttl <= 0 || number < 0) return
    const head = Buffer.from(packHead(response))
    const bytes = Buffer.allocUnsafe(FIXED_BYTES + head.length + response.length)
    bytes.writeUInt32LE(head.length, 4)
    bytes.writeDoubleLE(number, 8)
    head.copy(bytes, FIXED_BYTES)
    response.body.bytes.copy(bytes, FIXED_BYTES + head.length, 0, response.length)
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0)
    const keys = [this.#answersOf(response.key), this.#keysOf(response.url)]
    this.#do(this.store.run(KEEP, keys, [nameOf(response), bytes, this.#home.variants, ttl]))
  }

  remove(response: StoredResponse): void {
    if (!this.store.isAway) this.#do(this.store.ask('HDEL', [this.#answersOf(response.key), nameOf(response)]))
  }

  invalidate(url: string): void {
    if (!this.store.isAway) this.#do(this.store.run(FORGET_URL, [this.#keysOf(url)], []))
  }

  /** A coding is made sooner than it is fetched from there. */
  keepCoded(): void {}

  /** What is on its way is there before anybody could say so. */
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
    this.#pending = this.#pending.length < MOST_PENDING ? [...this.#pending, purge] : [{ kind: 'all', soft: false }]
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

  async #hear(): Promise<void> {
    const keys = [this.#count, `${this.#prefix}purges`]
    const [count, first, entries] = (await this.store.run(PURGES, keys, [this.#purges.known])) as [string, string, string[]]
    const isFirst = this.#purges.known < 0
    const news = this.#purges.learn(Number(count), Number(first), entries, this.#home.clock())
    // What is in the memory before the first word is from before this tier: of whatever was purged then the worker was told.
    if (news !== null) this.#onPurges(news)
    else if (!isFirst) this.#onPurges([{ kind: 'all', soft: false }])
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
    await this.settled()
  }

  get #count(): string {
    return `${this.#prefix}purge-count`
  }

  #answersOf(key: string): string {
    return `${this.#prefix}answers:${hash('sha256', key, 'base64url').slice(0, 22)}`
  }

  #keysOf(url: string): string {
    return `${this.#prefix}url:${hash('sha256', url, 'base64url').slice(0, 22)}`
  }
}

const BYTES = { asBytes: true } as const

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
