/**
 * The requests that wait for a connection of an upstream that has as many as it may have. Whoever came first is served first, but that a
 * connection that is kept goes to one who wants that endpoint, so that no other has to be opened in its place: so often, and no more.
 */
import type { Deadlines } from '../deadlines.ts'
import type { PendingPlan } from '../plan/upstream-plan.ts'
import type { UpstreamConnection } from './connection.ts'
import type { Endpoint } from './endpoint.ts'
import type { Pool } from './pool.ts'
import type { PrivateConnections } from './private-connections.ts'
import { type Waiter, WaitQueue } from './wait-queue.ts'

/** Among the first so many somebody is looked for who wants the endpoint of a kept connection. */
const LOOK_AHEAD = 16
/** The first is overtaken so often in a row at most. */
const MOST_OVERTAKEN = 16

export interface ConnectionQueueParts {
  readonly plan: PendingPlan
  readonly deadlines: Deadlines
  /** At that moment. */
  pools(): readonly Pool[]
  /** Another one may be opened, if need be in the place of one that is idle. */
  hasRoom(): boolean
  dropIdle(): boolean
  /** So many more, or less, wait. */
  counted(change: 1 | -1): void
}

export interface QueuedRequest {
  readonly endpoint: Endpoint
  readonly privates: PrivateConnections | null
  readonly takesKept: boolean
  /** A kept connection; or null, and one may be opened. Returns how to give that up. */
  go(kept: UpstreamConnection | null): (() => void) | null
  late(): void
}

export class ConnectionQueue {
  readonly #parts: ConnectionQueueParts
  readonly #queue: WaitQueue<Place>
  /** Those that tell of room. */
  #watched: readonly Pool[] = []
  #overtaken = 0
  #isAboutToServe = false

  constructor(parts: ConnectionQueueParts) {
    const { plan, deadlines } = parts
    this.#parts = parts
    this.#queue = new WaitQueue({ most: plan.most, maxWaitMs: plan.maxWait, deadlines })
  }

  get size(): number {
    return this.#queue.size
  }

  /** Returns how to leave, before and after it was served; null: it is full. */
  add(request: QueuedRequest): (() => void) | null {
    const place = new Place(request, () => this.#left())
    if (!this.#queue.add(place)) return null
    this.#parts.counted(1)
    if (this.size === 1) this.#watch(this.#parts.pools())
    return () => {
      if (this.#queue.remove(place)) this.#left()
      else place.giveUp?.()
    }
  }

  /** The endpoints are others: these tell of room from now on. */
  useOthers(): void {
    if (this.size === 0) return
    this.#watch(this.#parts.pools())
    this.#onRoom()
  }

  /** Called in the midst of what made room: a connection that is just being released. */
  readonly #onRoom = (): void => {
    if (this.#isAboutToServe) return
    this.#isAboutToServe = true
    queueMicrotask(() => {
      this.#isAboutToServe = false
      while (this.#serveOne()) {}
    })
  }

  /** Returns whether to go on. */
  #serveOne(): boolean {
    const { first } = this.#queue
    if (first === null) return false
    const kept = this.#takeFor(first)
    if (kept !== null || this.#parts.hasRoom()) return this.#serve(first, kept)
    if (this.#overtaken < MOST_OVERTAKEN)
      for (const other of this.#queue.upTo(LOOK_AHEAD)) {
        const theirs = this.#takeFor(other)
        if (theirs === null) continue
        this.#serve(other, theirs)
        this.#overtaken++
        return true
      }
    return this.#parts.dropIdle() && this.#serve(first, null)
  }

  #takeFor({ request: { endpoint, privates, takesKept } }: Place): UpstreamConnection | null {
    return takesKept ? endpoint.pool.take(privates) : null
  }

  #serve(place: Place, kept: UpstreamConnection | null): true {
    if (place === this.#queue.first) this.#overtaken = 0
    this.#queue.remove(place)
    this.#left()
    place.giveUp = place.request.go(kept)
    return true
  }

  #left(): void {
    this.#parts.counted(-1)
    if (this.size === 0) this.#watch([])
  }

  #watch(pools: readonly Pool[]): void {
    for (const pool of this.#watched) pool.unwatch(this.#onRoom)
    for (const pool of pools) pool.watch(this.#onRoom)
    this.#watched = pools
  }
}

class Place implements Waiter {
  readonly request: QueuedRequest
  giveUp: (() => void) | null = null
  readonly #left: () => void

  constructor(request: QueuedRequest, left: () => void) {
    this.request = request
    this.#left = left
  }

  late(): void {
    this.#left()
    this.request.late()
  }
}
