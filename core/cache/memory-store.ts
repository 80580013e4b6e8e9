/**
 * The answers that a worker keeps in memory: by key, then by variant. It never holds more bytes than it may, those that are still
 * coming counted, no more of them on V8's heap than half of what that may become, and no more variants of a key than it may.
 */
import { getHeapStatistics } from 'node:v8'
import type { RequestHead } from '../net/http1/head.ts'
import type { BodySource } from './body-source.ts'
import { type Kept, Sieve } from './sieve.ts'
import type { StoredResponse } from './stored-response.ts'
import { variantOf } from './vary.ts'

export interface MemoryLimits {
  readonly bytes: number
  /** Of one body. */
  readonly objectBytes: number
  /** Of one key. */
  readonly variants: number
}

/** All that is known of one key. */
export interface KeyRecord<Pending> {
  readonly key: string
  /** Of which other keys may be, too. */
  readonly url: string
  /** The newest first. */
  responses: readonly StoredResponse[]
  /** Those of which only some of the body is kept; null: there are none, as mostly. */
  parts: readonly StoredResponse[] | null
  /** What is being fetched, and may be waited for. */
  pending: readonly Pending[]
  /** Answers to it were not for keeping: until then nobody waits for another's. */
  mark: Mark | null
  /** Others of the same URL. */
  next: KeyRecord<Pending> | null
  previous: KeyRecord<Pending> | null
  /** False: there was nothing left to know. */
  isKnown: boolean
}

/** What a mark takes beside its texts: measured. */
const MARK_BYTES = 336

/** "Not for keeping", kept: it takes part in eviction like an answer. */
export class Mark implements Kept {
  visited = false
  newer: Kept | null = null
  older: Kept | null = null
  readonly size: number
  readonly key: string
  readonly until: number

  get heapSize(): number {
    return this.size
  }

  constructor(key: string, until: number) {
    this.key = key
    this.until = until
    this.size = MARK_BYTES + key.length * 2
  }
}

export interface StoreCounts {
  readonly objects: number
  readonly bytes: number
  readonly evictions: number
}

export class MemoryStore<Pending> {
  #limits: MemoryLimits
  readonly #mostOnHeap: number
  readonly #records = new Map<string, KeyRecord<Pending>>()
  /** The first of each URL. */
  readonly #byUrl = new Map<string, KeyRecord<Pending>>()
  readonly #kept = new Sieve<StoredResponse | Mark>()
  /** Of bodies that are still coming. */
  #reserved = 0
  /** Of bodies that are not kept any more, and that slow clients are still sent. */
  #lent = 0
  #marks = 0
  #evictions = 0
  /** Not kept any more, to be freed once the code that runs has let go of them. */
  #unused: BodySource[] = []

  /** `mostOnHeap`: by default half of what V8 lets a heap become before it ends the process. */
  constructor(limits: MemoryLimits, mostOnHeap = getHeapStatistics().heap_size_limit / 2) {
    this.#limits = limits
    this.#mostOnHeap = mostOnHeap
  }

  get limits(): MemoryLimits {
    return this.#limits
  }
  get counts(): StoreCounts {
    return { objects: this.#kept.count - this.#marks, bytes: this.#kept.bytes + this.#reserved, evictions: this.#evictions }
  }

  /** With less room, what does not fit goes. */
  resize(limits: MemoryLimits): void {
    this.#limits = limits
    this.#makeRoom(0, 0)
  }

  find(key: string): KeyRecord<Pending> | undefined {
    return this.#records.get(key)
  }

  /** For who will fetch it. */
  open(key: string, url: string): KeyRecord<Pending> {
    let record = this.#records.get(key)
    if (record === undefined) {
      const next = this.#byUrl.get(url) ?? null
      record = { key, url, responses: NONE, parts: null, pending: NONE, mark: null, next, previous: null, isKnown: true }
      if (next !== null) next.previous = record
      this.#records.set(key, record)
      this.#byUrl.set(url, record)
    }
    return record
  }

  ofUrl(url: string): KeyRecord<Pending>[] {
    const records: KeyRecord<Pending>[] = []
    for (let record = this.#byUrl.get(url) ?? null; record !== null; record = record.next) records.push(record)
    return records
  }

  /** Forgets a key of which nothing is known any more. */
  tidy(record: KeyRecord<Pending>): void {
    if (record.responses.length > 0 || record.parts !== null || record.pending.length > 0 || record.mark !== null) return
    if (!record.isKnown) return
    record.isKnown = false
    this.#records.delete(record.key)
    const { next, previous } = record
    if (next !== null) next.previous = previous
    if (previous !== null) previous.next = next
    else if (next !== null) this.#byUrl.set(record.url, next)
    else this.#byUrl.delete(record.url)
  }

  /** False: there is no room for a body that is to come; `bytes` may be less than it becomes. */
  reserve(bytes: number): boolean {
    // The other half is for what is asked for again.
    if (this.#reserved + this.#lent + bytes > this.#limits.bytes / 2) return false
    this.#reserved += bytes
    this.#makeRoom(0, 0)
    return true
  }

  /** Whether it may come: the same as for `reserve`. */
  hasRoom(bytes: number): boolean {
    return bytes <= this.#limits.objectBytes && this.#reserved + this.#lent + bytes <= this.#limits.bytes / 2
  }

  unreserve(bytes: number): void {
    this.#reserved -= bytes
  }

  put(response: StoredResponse): void {
    const record = this.open(response.key, response.url)
    this.unmark(record)
    // Some of a body is nothing beside all of it, and nothing against it.
    if (response.pieces === null) for (const other of record.responses) if (isSameVariant(other, response)) this.#replace(other, response)
    if (record.parts !== null) for (const other of record.parts) if (isSameVariant(other, response)) this.#replace(other, response)
    const beside = (response.pieces === null ? record.responses : record.parts) ?? []
    for (const other of beside.slice(this.#limits.variants - 1)) this.remove(other)
    if (response.size > this.#limits.bytes - this.#uncollected(response.heapSize)) return this.tidy(record)
    this.#makeRoom(response.size, response.heapSize)
    // Making room may have forgotten the key.
    const kept = record.isKnown ? record : this.open(response.key, response.url)
    if (response.pieces === null) kept.responses = kept.responses.length === 0 ? [response] : [response, ...kept.responses]
    else kept.parts = [response, ...(kept.parts ?? [])]
    response.stage = 'kept'
    response.body.keepers++
    this.#kept.add(response)
  }

  /** With the same body under another head nothing of it has gone. */
  #replace(other: StoredResponse, response: StoredResponse): void {
    this.remove(other, other.pieces === null ? other.body === response.body : other.pieces === response.pieces)
  }

  remove(response: StoredResponse, staysElsewhere = false): void {
    if (response.stage !== 'kept') return
    response.stage = 'gone'
    response.body.keepers--
    this.#kept.remove(response)
    if (!staysElsewhere) {
      this.#discard(response.body)
      if (response.pieces !== null) for (const { body } of response.pieces.all) this.lend(body)
    }
    const record = this.#records.get(response.key)
    if (record === undefined) return
    if (response.pieces === null) record.responses = without(record.responses, response)
    else if (record.parts !== null) {
      const left = without(record.parts, response)
      record.parts = left.length === 0 ? null : left
    }
    this.tidy(record)
  }

  #discard(body: BodySource): void {
    if (body.coded !== null) for (const coded of body.coded.values()) this.#letGo(coded)
    this.#letGo(body)
  }

  #letGo(body: BodySource): void {
    if (body.isHeld) return this.#lend(body, () => this.#letGo(body))
    if (body.text !== null) return
    if (this.#unused.length === 0) void NOW.then(this.#free)
    this.#unused.push(body)
  }

  readonly #free = (): void => {
    const unused = this.#unused
    this.#unused = []
    for (const body of unused) body.free()
  }

  /** It is not kept any more. */
  lend(body: BodySource): void {
    if (body.coded !== null) for (const coded of body.coded.values()) this.lend(coded)
    if (body.isHeld) this.#lend(body, null)
  }

  #lend(body: BodySource, then: (() => void) | null): void {
    const { room } = body
    this.#lent += room
    body.whenFree(() => {
      this.#lent -= room
      then?.()
    })
  }

  /** It takes so much more, and on V8's heap: it was made in another coding, or asked for. */
  grow(response: StoredResponse, bytes: number, heapBytes: number): void {
    if (response.stage !== 'kept') return
    this.#kept.grow(response, bytes, heapBytes)
    this.#makeRoom(0, 0)
  }

  mark(key: string, url: string, until: number): void {
    this.unmark(this.open(key, url))
    const mark = new Mark(key, until)
    this.#makeRoom(mark.size, mark.heapSize)
    this.open(key, url).mark = mark
    this.#kept.add(mark)
    this.#marks++
  }

  unmark(record: KeyRecord<Pending>): void {
    if (record.mark === null) return
    this.#kept.remove(record.mark)
    this.#marks--
    record.mark = null
  }

  /** Besides what is there. */
  #fits(bytes: number, heapBytes: number): boolean {
    const onHeap = this.#kept.heapBytes + heapBytes
    const most = this.#limits.bytes
    // Of more of them all that is kept would have to go, and slow clients would have put it out.
    const lent = Math.min(this.#lent, most / 4)
    return onHeap <= this.#mostOnHeap && this.#kept.bytes + this.#reserved + lent + bytes + this.#uncollected(onHeap) <= most
  }

  /** What was put out and is not collected yet, while there is so much on the heap. */
  #uncollected(heapBytes: number): number {
    return heapBytes * UNCOLLECTED + Math.min(BESIDE_BYTES, this.#limits.bytes * MOST_OF_SMALL)
  }

  records(): IterableIterator<KeyRecord<Pending>> {
    return this.#records.values()
  }

  #makeRoom(bytes: number, heapBytes: number): void {
    while (!this.#fits(bytes, heapBytes)) {
      const next = this.#kept.next()
      if (next === null) return
      this.#evictions++
      if (!(next instanceof Mark)) this.remove(next)
      else {
        const record = this.#records.get(next.key)!
        this.unmark(record)
        this.tidy(record)
      }
    }
  }
}

/**
 * Bodies in buffers are freed when they are put out, the rest when V8 collects, and until then there is to be room for it, too. With the flags of a
 * worker (process/worker-process.ts) that is about so much of what is kept on the heap, while answers come and go all the time; and beside it V8 and
 * malloc hold 16 MB for gaps between what is kept and for what is on its way, however much that is (bench/cache-memory.ts).
 */
const UNCOLLECTED = 1 / 3
const BESIDE_BYTES = 16 * 1024 ** 2
/** Of a small memory it is no more than that. */
const MOST_OF_SMALL = 1 / 4

const NOW = Promise.resolve()

/** There are many keys, most of them with one answer: lists are as long as what is in them, and none is made for nothing. */
const NONE: readonly never[] = []

/** The same list without that one. */
export function without<T>(list: readonly T[], one: T): readonly T[] {
  if (list.length === 1 && list[0] === one) return NONE
  return list.filter((other) => other !== one)
}

/** What answers to one key are told apart by. */
export interface Variant {
  readonly vary: readonly string[] | null
  readonly variant: string
}

/** The newest that this request may get; null: there is none. */
export function selectVariant<T extends Variant>(kept: readonly T[], request: Pick<RequestHead, 'get'>): T | null {
  let names: readonly string[] | null = null
  let variant = ''
  for (const one of kept) {
    if (one.vary === null) return one
    if (one.vary !== names) {
      names = one.vary
      variant = variantOf(names, request)
    }
    if (one.variant === variant) return one
  }
  return null
}

export function isSameVariant(a: Variant, b: Variant): boolean {
  return a.variant === b.variant && (a.vary === b.vary || (a.vary !== null && b.vary !== null && a.vary.join() === b.vary.join()))
}
