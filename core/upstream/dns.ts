/**
 * Names → addresses for dialling: c-ares through one cache that keeps to the records' TTL. `getaddrinfo` would hold threads of
 * the pool that files and zlib share. `localhost` and /etc/hosts answer without a query (RFC 6761 §6.3).
 */

import { Resolver, type SrvRecord } from 'node:dns'
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'

export type Resolved = (addresses: readonly string[] | null, error: 'dns_error' | 'dns_timeout' | null) => void

const MIN_TTL_MS = 1000
const MAX_TTL_MS = 300_000
const NEGATIVE_TTL_MS = 1000
/** So long after its TTL an address still answers while a new query is on its way. */
const MAX_STALE_MS = 60_000
/** Clients of the forward side choose the names: of more than so many, the one asked for first is forgotten. */
const MAX_NAMES = 10_000
/** For one to forget. */
const MOST_LOOKED = 16
const HOSTS = '/etc/hosts'
const HOSTS_CHECK_MS = 5000

interface Entry {
  addresses: readonly string[]
  error: 'dns_error' | 'dns_timeout' | null
  expiresAt: number
  waiting: Resolved[] | null
}

export class DnsCache {
  readonly #entries = new Map<string, Entry>()
  readonly #resolver: Resolver
  readonly #clock: () => number
  #hosts = new Map<string, string[]>()
  #hostsStamp = -1
  #hostsCheckedAt = Number.NEGATIVE_INFINITY

  constructor(options: { servers?: readonly string[]; clock?: () => number } = {}) {
    this.#resolver = new Resolver({ timeout: 2000, tries: 2 })
    if (options.servers !== undefined) this.#resolver.setServers(options.servers)
    this.#clock = options.clock ?? (() => performance.now())
  }

  /** IPv4 addresses first. Answers at once when it can; an expired entry still answers while no better one is there. */
  resolve(written: string, done: Resolved): void {
    const name = written.toLowerCase()
    if (isIP(name) !== 0) return done([name], null)
    const known = this.#fromHosts(name)
    if (known !== null) return done(known, null)
    const now = this.#clock()
    const entry = this.#entries.get(name)
    if (entry !== undefined && entry.waiting !== null) {
      if (entry.addresses.length > 0) return done(entry.addresses, null)
      entry.waiting.push(done)
      return
    }
    if (entry !== undefined && entry.expiresAt > now) return done(entry.error === null ? entry.addresses : null, entry.error)
    if (entry !== undefined && entry.addresses.length > 0 && now - entry.expiresAt < MAX_STALE_MS) {
      // Nobody waits for what is most likely the same again.
      this.#query(name, entry, () => {})
      return done(entry.addresses, null)
    }
    this.#query(name, entry ?? { addresses: [], error: null, expiresAt: 0, waiting: null }, done)
  }

  /** Of SRV records there is no TTL to keep to: each is a query. `error`: in words. */
  resolveServices(name: string, done: (records: readonly SrvRecord[] | null, error: string) => void): void {
    this.#resolver.resolveSrv(name, (error, records) => {
      if (error === null) return done(records, '')
      done(null, error.code === 'ETIMEOUT' ? 'nobody answers' : 'there are no such records')
    })
  }

  #query(name: string, entry: Entry, done: Resolved): void {
    entry.waiting = [done]
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    if (this.#entries.size > MAX_NAMES) this.#forgetOldest()
    const found: { address: string; ttl: number }[] = []
    let failed: string | null = null
    let left = 2
    const collect = (error: NodeJS.ErrnoException | null, records: readonly { address: string; ttl: number }[] | undefined) => {
      if (error === null) found.push(...(records ?? []))
      else if (error.code !== 'ENODATA') failed = error.code ?? 'EUNKNOWN'
      if (--left === 0) this.#settle(entry, found, failed)
    }
    this.#resolver.resolve4(name, { ttl: true }, collect)
    this.#resolver.resolve6(name, { ttl: true }, collect)
  }

  /** One that is being asked for stays: of those there are as many as who waits for one, which is bounded. */
  #forgetOldest(): void {
    let looked = 0
    for (const [name, { waiting }] of this.#entries) {
      if (waiting === null) {
        this.#entries.delete(name)
        return
      }
      if (++looked === MOST_LOOKED) return
    }
  }

  #settle(entry: Entry, found: readonly { address: string; ttl: number }[], failed: string | null): void {
    const waiting = entry.waiting ?? []
    const now = this.#clock()
    entry.waiting = null
    if (found.length > 0) {
      const isV4 = (address: string) => (address.includes(':') ? 1 : 0)
      entry.addresses = found.map((record) => record.address).sort((a, b) => isV4(a) - isV4(b))
      entry.error = null
      const ttl = Math.min(...found.map((record) => record.ttl)) * 1000
      entry.expiresAt = now + Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, ttl))
    } else {
      entry.error = failed === 'ETIMEOUT' ? 'dns_timeout' : 'dns_error'
      entry.expiresAt = now + NEGATIVE_TTL_MS
      // A resolver that is down for a moment must not take down what answered before; NXDOMAIN may.
      if (entry.addresses.length > 0 && failed !== 'ENOTFOUND') entry.error = null
      else entry.addresses = []
    }
    for (const done of waiting) done(entry.error === null ? entry.addresses : null, entry.error)
  }

  #fromHosts(name: string): readonly string[] | null {
    if (name === 'localhost' || name.endsWith('.localhost')) return ['127.0.0.1', '::1']
    const now = this.#clock()
    if (now - this.#hostsCheckedAt > HOSTS_CHECK_MS) this.#readHosts(now)
    return this.#hosts.get(name) ?? null
  }

  #readHosts(now: number): void {
    this.#hostsCheckedAt = now
    try {
      const stamp = statSync(HOSTS).mtimeMs
      if (stamp === this.#hostsStamp) return
      this.#hostsStamp = stamp
      this.#hosts = parseHosts(readFileSync(HOSTS, 'utf8'))
    } catch {
      this.#hosts = new Map()
    }
  }
}

/** `address name name … # comment`, hosts(5). */
export function parseHosts(text: string): Map<string, string[]> {
  const hosts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (address === undefined || isIP(address) === 0) continue
    for (const name of names) {
      const lower = name.toLowerCase()
      const list = hosts.get(lower)
      if (list === undefined) hosts.set(lower, [address])
      else list.push(address)
    }
  }
  return hosts
}
