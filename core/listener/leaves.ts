/**
 * Certificates of hosts, signed by an authority of the operator: made when a host is first asked for, for one key, and kept: at most so many,
 * the one asked for longest ago goes first. What is kept is good for days yet.
 */
import { type IssueOptions, issueFor, type Keys, keyPem, makeKeys, pemOf } from '../net/certificate.ts'
import type { Issuer } from '../net/certificate-issuer.ts'
import type { TicketKeys } from '../net/ticket-keys.ts'
import { Recent } from '../policy/recent.ts'
import { makeTermination, type Termination } from './termination.ts'

/** A worker and authority; one takes about 30 KB. */
const MOST_LEAVES = 1000
const DAY_MS = 86_400_000
/** Clocks of clients may be behind. */
const BEFORE_MS = 2 * DAY_MS
const VALID_MS = 30 * DAY_MS
const RENEWED_MS = 15 * DAY_MS
const ALPN = ['h2', 'http/1.1']
const NONE: readonly string[] = []

export interface LeavesOptions {
  readonly issuer: Issuer
  /** PEM: what is to be sent along with a certificate, for clients that trust the root alone; `''`: nothing. */
  readonly chain: string
  readonly ticketKeys: TicketKeys | null
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly most?: number
}

/** What can be told of an authority at work, since it was read. */
export interface AuthorityCounts {
  readonly made: number
  readonly kept: number
  readonly evicted: number
  /** By clients. */
  readonly refused: number
  readonly makingMs: number
}

export class Leaves implements AuthorityCounts {
  readonly #options: LeavesOptions
  readonly #now: () => number
  readonly #known: Recent<Termination>
  readonly #keys: Keys = makeKeys()
  readonly #key: string
  made = 0
  makingMs = 0
  /** Told by who shakes hands. */
  refused = 0

  constructor(options: LeavesOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#known = new Recent(options.most ?? MOST_LEAVES)
    this.#key = keyPem(this.#keys)
  }

  get kept(): number {
    return this.#known.size
  }

  get evicted(): number {
    return this.#known.evictions
  }

  /** `host`: a name in lower case, or an address. `others`: names that it is for as well. */
  for(host: string, others: readonly string[] = NONE): Termination {
    const now = this.#now()
    const key = others.length === 0 ? host : `${host} ${others.join(' ')}`
    const known = this.#known.get(key, now)
    if (known !== undefined) return known
    const made = this.#make([host, ...others], now)
    this.#known.set(key, made, now + RENEWED_MS)
    return made
  }

  #make(hosts: readonly [string, ...string[]], now: number): Termination {
    const began = performance.now()
    const { issuer, chain, ticketKeys } = this.#options
    const { validFromDate, validToDate } = issuer.certificate
    // Not before the authority, nor longer: some clients look at that, too.
    const period: Pick<IssueOptions, 'from' | 'to'> = {
      from: new Date(Math.max(now - BEFORE_MS, validFromDate.getTime())),
      to: new Date(Math.min(now + VALID_MS, validToDate.getTime())),
    }
    const der = issueFor(this.#keys.spki, { name: hosts[0], use: 'server', hosts, ...period }, issuer)
    const made = makeTermination({ cert: pemOf(der) + chain, key: this.#key, alpn: ALPN }, ticketKeys)
    this.made++
    this.makingMs += performance.now() - began
    return made
  }
}
