/**
 * Bytes that passed the forward side, by user and by the host that was reached. Users are those of the config; hosts are chosen by clients,
 * so that only the first of those that answered have series of their own, and the rest is counted as `other`.
 */
import type { Counters, Family } from './counters.ts'

export interface Passed {
  readonly listener: string
  readonly user: string | null
  /** `example.com:443` */
  readonly destination: string | null
  readonly bytesIn: number
  readonly bytesOut: number
}

/** A worker, over all its listeners. */
const MOST_USERS = 1_000
const MOST_HOSTS = 256
const OTHER = 'other'

export class ForwardBytes {
  readonly #users: Series
  readonly #hosts: Series

  constructor(counters: Counters) {
    this.#users = new Series(counters, ['user_received_bytes_total', 'user_sent_bytes_total'], MOST_USERS)
    this.#hosts = new Series(counters, ['destination_received_bytes_total', 'destination_sent_bytes_total'], MOST_HOSTS)
  }

  /** `isReached`: a connection to the destination was there. */
  count(x: Passed, isReached: boolean): void {
    if (x.user !== null) this.#users.count(x, x.user)
    if (x.destination !== null && isReached) this.#hosts.count(x, x.destination.slice(0, x.destination.lastIndexOf(':')))
  }
}

class Series {
  readonly #counters: Counters
  readonly #families: readonly [received: Family, sent: Family]
  readonly #most: number
  readonly #slots = new Map<string, Slots>()

  constructor(counters: Counters, families: readonly [received: Family, sent: Family], most: number) {
    this.#counters = counters
    this.#families = families
    this.#most = most
  }

  count({ listener, bytesIn, bytesOut }: Passed, label: string): void {
    const { received, sent } = this.#slots.get(`${listener} ${label}`) ?? this.#add(listener, label)
    this.#counters.values[received]! += bytesIn
    this.#counters.values[sent]! += bytesOut
  }

  #add(listener: string, label: string): Slots {
    if (this.#slots.size >= this.#most && label !== OTHER) return this.#slots.get(`${listener} ${OTHER}`) ?? this.#add(listener, OTHER)
    const [received, sent] = this.#families
    const slots = { received: this.#counters.add(received, listener, label), sent: this.#counters.add(sent, listener, label) }
    this.#slots.set(`${listener} ${label}`, slots)
    return slots
  }
}

interface Slots {
  readonly received: number
  readonly sent: number
}
