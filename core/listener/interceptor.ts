/**
 * Interception of one listener at work: whose TLS is read, by which certificates, and who has refused them. What is its authority's alone goes on
 * through reloads as long as that stays the same.
 */
import type { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type AuthorityFiles, ensureAuthority, openAuthority } from '../forward/authority.ts'
import type { Interception, OtherHosts } from '../http/interception.ts'
import { type Issuer, readIssuer } from '../net/certificate-issuer.ts'
import { namesOf } from '../net/certificate-names.ts'
import { formatDestination, type NamedDestination } from '../net/destination.ts'
import { NameTable } from '../net/name-table.ts'
import type { TicketKeys } from '../net/ticket-keys.ts'
import { loadTls } from '../net/tls.ts'
import type { InterceptPlan } from '../plan/forward-plan.ts'
import { Recent } from '../policy/recent.ts'
import { makeOrigination, type Origination } from '../upstream/dial.ts'
import { type AuthorityCounts, Leaves } from './leaves.ts'
import type { Termination } from './termination.ts'

/** What does not depend on the rules of a plan. */
export interface Authority {
  readonly issuer: Issuer
  readonly leaves: Leaves
  readonly origination: Origination
  /** What servers have shown, by `place name`. */
  readonly serverNames: Recent<ServerNames>
  /** How often in a row a client has refused us for a host, by `address host`. */
  readonly refusals: Recent<number>
}

/** Names in the certificate of a server. */
interface ServerNames {
  readonly names: readonly string[]
  readonly table: NameTable<true>
}

/** Places that were looked at, a worker; of the names of one so many, each of up to 255 bytes. */
const MOST_SERVERS = 1000
const MOST_NAMES = 100
/** Certificates are exchanged. */
const LOOKED_MS = 3_600_000
/** Of clients with hosts, a worker. */
const MOST_REFUSALS = 4096
const REMEMBERED_MS = 86_400_000

/** PEM texts of the files that it is made of, to know it again by. Throws with a sentence. */
export interface AuthorityTexts {
  readonly cert: string
  readonly key: string
  readonly upstreamCa: string | null
  readonly verifies: boolean
}

/** Throws with a sentence if a file cannot be read, or the key be read by others. */
export function readAuthority({ cert, key, create, upstreamCa, verifies }: InterceptPlan, now: number): AuthorityTexts {
  const files: AuthorityFiles = { cert, key }
  if (create) ensureAuthority(files)
  openAuthority(files, now)
  const ca = upstreamCa === null || upstreamCa.includes('-----BEGIN') ? upstreamCa : readFileSync(upstreamCa, 'utf8')
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), upstreamCa: ca, verifies }
}

export function makeAuthority({ cert, key, upstreamCa, verifies }: AuthorityTexts, ticketKeys: TicketKeys | null): Authority {
  const issuer = readIssuer({ cert, key })
  const { certificate } = issuer
  const isRoot = certificate.checkIssued(certificate)
  const ca = upstreamCa === null ? null : [...loadTls().getCACertificates('default'), upstreamCa]
  return {
    issuer,
    leaves: new Leaves({ issuer, chain: isRoot ? '' : cert, ticketKeys }),
    origination: makeOrigination({ servername: null, ca, cert: null, key: null }, verifies),
    serverNames: new Recent(MOST_SERVERS),
    refusals: new Recent(MOST_REFUSALS),
  }
}

export interface InterceptorParts {
  readonly authority: Authority
  /** The same for authorities that are interchangeable. */
  readonly identity: string
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

export class Interceptor implements Interception {
  readonly #plan: InterceptPlan
  readonly #authority: Authority
  readonly #identity: string
  readonly #now: () => number

  constructor(plan: InterceptPlan, { authority, identity, now = Date.now }: InterceptorParts) {
    this.#plan = plan
    this.#authority = authority
    this.#identity = identity
    this.#now = now
  }

  reads(host: string, ip: string): boolean {
    const { except, exceptAfter } = this.#plan
    const { issuer, refusals } = this.#authority
    if (except?.passes({ host }) === true || !issuer.maySignFor(host)) return false
    return exceptAfter === Number.POSITIVE_INFINITY || (refusals.get(`${ip} ${host}`, this.#now()) ?? 0) < exceptAfter
  }

  /** The server that a client wants to reach at `destination`, by that name, has to be looked at before its certificate is made. */
  hasToLook(name: string, destination: NamedDestination): boolean {
    return this.#plan.names === 'server' && this.#shownBy(name, destination) === null
  }

  terminationFor(name: string, destination: NamedDestination): Termination {
    const shown = this.#shownBy(name, destination)
    return this.#authority.leaves.for(
      name,
      shown?.names.filter((one) => one !== name),
    )
  }

  /** Hosts that the certificate for `name` is for as well; null: none. */
  othersOf(name: string, destination: NamedDestination): OtherHosts | null {
    const shown = this.#shownBy(name, destination)
    if (shown === null) return null
    return {
      has: (host) => shown.table.find(host) !== null,
      originationTo: (host) => this.originationTo(host, { ...destination, kind: 'name', host }),
    }
  }

  originationTo(name: string, destination: NamedDestination): Origination {
    const { origination, issuer } = this.#authority
    const own = { ...origination, servername: name, identity: `${this.#identity} ${name}` }
    if (this.#plan.names === 'asked') return own
    // Connections of another authority would tell that one what they are shown.
    const identity = `${own.identity} ${issuer.certificate.fingerprint256}`
    return { ...own, identity, shown: (certificate) => this.#learn(name, destination, certificate) }
  }

  #learn(name: string, destination: NamedDestination, certificate: X509Certificate): void {
    const { issuer, serverNames } = this.#authority
    const { except } = this.#plan
    const isRead = (one: string): boolean => except?.passes({ host: one }) !== true && issuer.maySignFor(one.replace(/^\*\./, ''))
    const names = namesOf(certificate).filter(isRead).slice(0, MOST_NAMES)
    const table = new NameTable<true>()
    for (const one of names) table.set(one, true)
    const now = this.#now()
    serverNames.set(keyOf(name, destination), { names, table }, now + LOOKED_MS)
  }

  #shownBy(name: string, destination: NamedDestination): ServerNames | null {
    if (this.#plan.names === 'asked') return null
    return this.#authority.serverNames.get(keyOf(name, destination), this.#now()) ?? null
  }

  /** Returns how often this client has refused us for that host by now, one time after the other. */
  refused(host: string, ip: string): number {
    const { refusals, leaves } = this.#authority
    leaves.refused++
    const now = this.#now()
    const count = (refusals.get(`${ip} ${host}`, now) ?? 0) + 1
    refusals.set(`${ip} ${host}`, count, now + REMEMBERED_MS)
    return count
  }

  /** It took our certificate: what it did before counts no more. */
  accepted(host: string, ip: string): void {
    const { refusals } = this.#authority
    if (refusals.size > 0) refusals.delete(`${ip} ${host}`)
  }

  /** By the file of its certificate. */
  get counts(): readonly [file: string, counts: AuthorityCounts] {
    return [this.#plan.cert, this.#authority.leaves]
  }

  get exceptAfter(): number {
    return this.#plan.exceptAfter
  }
}

function keyOf(name: string, destination: NamedDestination): string {
  return `${formatDestination(destination)} ${name}`
}
