/**
 * Interception of one listener at work: whose TLS is read, by which certificates, and who has refused them. What is its authority's alone goes on
 * through reloads as long as that stays the same.
 */
import { readFileSync } from 'node:fs'
import { type AuthorityFiles, ensureAuthority, openAuthority } from '../forward/authority.ts'
import type { Interception } from '../http/interception.ts'
import { type Issuer, readIssuer } from '../net/certificate-issuer.ts'
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
  /** How often in a row a client has refused us for a host, by `address host`. */
  readonly refusals: Recent<number>
}

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

  terminationFor(host: string): Termination {
    return this.#authority.leaves.for(host)
  }

  originationTo(host: string): Origination {
    return { ...this.#authority.origination, servername: host, identity: `${this.#identity} ${host}` }
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
