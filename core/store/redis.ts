/** One connection to a Redis or a Valkey by the library iovalkey. Loaded when a plan first names a store. */
import { Redis, type RedisOptions } from 'iovalkey'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { StoreAddress } from '../net/store-url.ts'
import type { Argument, Link, LinkEvents, StorePlan } from './store.ts'

const CONNECT_MS = 2000
/** From one attempt to the next: from the first to the second number, twice as long each time. */
const RETRY_MS = [100, 2000] as const

export interface LinkParts {
  readonly address: StoreAddress
  readonly plan: StorePlan
  readonly deadlines: Deadlines
  readonly events: LinkEvents
  /** From 0 up to 1: workers must not all come back at once. */
  readonly random: () => number
}

export function openLink(parts: LinkParts): Link {
  return new RedisLink(parts)
}

class RedisLink implements Link, Timed {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  underWay = 0
  heardAt = Number.NEGATIVE_INFINITY
  readonly #client: Redis
  readonly #deadlines: Deadlines
  readonly #events: LinkEvents
  readonly #waiting = new Set<(error: Error) => void>()
  #lastError = ''
  #isClosed = false

  constructor({ address, plan, deadlines, events, random }: LinkParts) {
    this.#deadlines = deadlines
    this.#events = events
    this.#client = new Redis({ ...optionsOf(address, plan), retryStrategy: (times) => delayMs(times, random()) })
    this.#client.on('error', (error: Error) => {
      this.#lastError = error.message
    })
    this.#client.on('connect', () => {
      this.dueAt = deadlines.in(CONNECT_MS)
    })
    this.#client.on('ready', () => this.#onReady())
    this.#client.on('close', () => this.#onClose())
    deadlines.add(this)
  }

  get isReady(): boolean {
    return this.#client.status === 'ready'
  }

  send(command: string, args: readonly Argument[], asBytes: boolean): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.add(reject)
    this.underWay++
    const settled = (): void => {
      this.#waiting.delete(reject)
      this.underWay--
    }
    const sent = asBytes ? this.#client.callBuffer(command, [...args]) : this.#client.call(command, [...args])
    // The library forgets what was under way when a connection ends: it is rejected from #onClose.
    sent.then(resolve, reject)
    sent.then(this.#onHeard, this.#onHeard)
    return promise.finally(settled)
  }

  /** Connected, but it does not say that it is ready. */
  onDeadline(): void {
    this.reset(`no answer within ${CONNECT_MS / 1000} s`)
  }

  reset(why: string): void {
    this.#lastError = why
    // Not by `disconnect`, which waits for the other side.
    this.#client.stream?.destroy()
  }

  close(): void {
    this.#isClosed = true
    this.#deadlines.remove(this)
    this.#client.disconnect()
    this.reset('')
    this.#rejectAll()
  }

  readonly #onHeard = (): void => {
    this.heardAt = this.#deadlines.read()
  }

  #onReady(): void {
    this.dueAt = Number.POSITIVE_INFINITY
    this.#lastError = ''
    this.#events.ready()
  }

  #onClose(): void {
    this.dueAt = Number.POSITIVE_INFINITY
    this.#rejectAll()
    if (!this.#isClosed) this.#events.lost(this.#lastError === '' ? 'the connection was closed' : this.#lastError)
  }

  #rejectAll(): void {
    const error = new Error('the connection was closed')
    for (const reject of [...this.#waiting]) reject(error)
  }
}

function delayMs(times: number, chance: number): number {
  const [least, most] = RETRY_MS
  return Math.min(most, least * 2 ** Math.min(times - 1, 10)) * (0.75 + chance / 2)
}

function optionsOf({ place, isSecure, user, password, database }: StoreAddress, plan: StorePlan): RedisOptions {
  const { ca, cert, key, servername } = plan
  const given = Object.entries({ ca, cert, key, servername }).filter(([, value]) => value !== null)
  return {
    ...(place.kind === 'unix' ? { path: place.path } : { host: place.host, port: place.port }),
    ...(user === null ? {} : { username: user }),
    ...(password === null ? {} : { password }),
    ...(isSecure ? { tls: Object.fromEntries(given) } : {}),
    ...{ db: database, connectTimeout: CONNECT_MS, connectionName: 'sluice', keepAlive: 10_000 },
    // What cannot be asked now is refused now: whoever asked has a deadline.
    // A server that became a replica: by its name there may be another one by now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...{ enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: null },
  }
}
