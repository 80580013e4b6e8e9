/**
 * What a plan needs besides itself: the certificates, keys and lists it names, read before it is taken into use, for reading can fail and
 * using cannot. What reads as before is the same object as before.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { type Blocklists, NO_BLOCKLISTS } from './blocking/gather.ts'
import { loadUserFile, type UserFile } from './config/user-file.ts'
import { type Authority, Interceptor, makeAuthority as makeInterceptingAuthority, readAuthority } from './listener/interceptor.ts'
import type { Termination, TlsChallenges } from './listener/termination.ts'
import { makeTerminations } from './listener/terminations.ts'
import { issueCertificate, makeAuthority } from './net/certificate.ts'
import type { Issued } from './net/certificate-issuer.ts'
import type { TicketKeys } from './net/ticket-keys.ts'
import { forwardListenersOf } from './plan/forward-listeners.ts'
import type { InterceptPlan } from './plan/forward-plan.ts'
import { httpListenersOf } from './plan/http-listeners.ts'
import type { AcmePlan, ListenerPlan, Plan, TcpRoutePlan, TlsPlan } from './plan/plan.ts'
import type { UpstreamPlan } from './plan/upstream-plan.ts'
import { makeOrigination, type Origination } from './upstream/dial.ts'

type Made = Termination | Origination | Authority

export interface Materials {
  readonly terminations: ReadonlyMap<ListenerPlan | TcpRoutePlan, Termination>
  readonly originations: ReadonlyMap<UpstreamPlan, Origination>
  readonly interceptors: ReadonlyMap<InterceptPlan, Interceptor>
  /** A hash of what was read, by who uses it: `listener web`. */
  readonly certificates: ReadonlyMap<string, string>
  /** By such a hash. */
  readonly made: ReadonlyMap<string, Made>
  readonly blocklists: Blocklists
  /** Of listeners of the forward side, by their whole paths. */
  readonly userFiles: ReadonlyMap<string, UserFile>
}

export interface GatherOptions {
  /** In use. */
  readonly before?: Materials | null
  /** Null: each context has keys of its own. */
  readonly ticketKeys?: TicketKeys | null
  /** What authorities are shown. */
  readonly challenges?: TlsChallenges | null
  /** Read apart, for that takes its time. */
  readonly blocklists?: Blocklists
}

/** Throws with the file's name. */
export function gatherMaterials(plan: Plan, options: GatherOptions = {}): Materials {
  const { before = null, ticketKeys = null, challenges = null, blocklists = NO_BLOCKLISTS } = options
  const made = new Map<string, Made>()
  const certificates = new Map<string, string>()
  const reuse = <T extends Made>(user: string, texts: object, make: () => T): T => {
    const kind = user.slice(0, user.indexOf(' '))
    const key = `${kind} ${createHash('sha256').update(JSON.stringify(texts)).digest('base64')}`
    // The kind is part of the key.
    const known = (made.get(key) ?? before?.made.get(key)) as T | undefined
    const material = known ?? make()
    made.set(key, material)
    certificates.set(user, key)
    return material
  }
  const terminations = new Map<ListenerPlan | TcpRoutePlan, Termination>()
  const originations = new Map<UpstreamPlan, Origination>()
  for (const listener of httpListenersOf(plan.listeners)) {
    if (listener.tls !== null) terminations.set(listener, readTermination(listener.name, listener.tls, { reuse, ticketKeys, challenges }))
  }
  for (const route of plan.listeners.flatMap((listener) => (listener.kind === 'tcp' ? listener.routes.routes : []))) {
    if (route.tls !== null) terminations.set(route, readTermination(route.id, route.tls, { reuse, ticketKeys, challenges }))
  }
  for (const upstream of plan.upstreams.values()) {
    if (upstream.tls !== null) originations.set(upstream, readOrigination(upstream, upstream.tls, reuse))
  }
  const interceptors = new Map<InterceptPlan, Interceptor>()
  const userFiles = new Map<string, UserFile>()
  for (const { listener, forward } of forwardListenersOf(plan.listeners)) {
    if (forward.intercept !== null)
      interceptors.set(forward.intercept, readInterceptor(listener.name, forward.intercept, { reuse, ticketKeys }))
    const file = forward.auth?.file ?? null
    if (file !== null && !userFiles.has(file)) userFiles.set(file, loadUserFile(file, before?.userFiles.get(file)))
  }
  return { terminations, originations, interceptors, certificates, made, blocklists, userFiles }
}

interface Making {
  readonly reuse: Reuse
  readonly ticketKeys: TicketKeys | null
  readonly challenges: TlsChallenges | null
}

type Reuse = <T extends Made>(user: string, texts: object, make: () => T) => T

function readTermination(name: string, tls: readonly TlsPlan[], { reuse, ticketKeys, challenges }: Making): Termination {
  const texts = tls.map(({ cert, key, acme, alpn, clients, minVersion, ocsp, keyLog }) => ({
    ...(acme !== null && !existsSync(acme.file) ? placeholderFor(acme) : { cert: readPem(cert)!, key: readPem(key)! }),
    ...{ alpn, minVersion, keyLog, staple: ocsp === null ? null : readFileSync(ocsp, 'base64') },
    clients: clients === null ? null : { ...clients, ca: readPem(clients.ca)! },
  }))
  const files = tls.flatMap(({ cert, key, clients, keyLog }) => [cert, key, clients?.ca ?? null, keyLog])
  const isLookedAt = tls.some(({ acme }) => acme?.challenge === 'tls-alpn-01')
  const make = (): Termination => ({ ...makeTerminations(texts, ticketKeys), challenges: isLookedAt ? challenges : null })
  return naming(files, () => reuse(`listener ${name}`, { texts, isLookedAt }, make))
}

function readOrigination(
  { name }: UpstreamPlan,
  { servername, ca, cert, key }: NonNullable<UpstreamPlan['tls']>,
  reuse: Reuse,
): Origination {
  const texts = { servername, ca: readPem(ca), cert: readPem(cert), key: readPem(key) }
  return naming([ca, cert, key], () => reuse(`upstream ${name}`, texts, () => makeOrigination(texts)))
}

function readInterceptor(name: string, plan: InterceptPlan, { reuse, ticketKeys }: Pick<Making, 'reuse' | 'ticketKeys'>): Interceptor {
  try {
    const texts = readAuthority(plan, Date.now())
    const authority = reuse(`authority ${name}`, texts, () => makeInterceptingAuthority(texts, ticketKeys))
    const identity = createHash('sha256')
      .update(JSON.stringify([texts.upstreamCa, texts.verifies]))
      .digest('base64')
    return new Interceptor(plan, { authority, identity })
  } catch (error) {
    throw new Error(`the authority of ${name} in ${plan.cert} cannot be used: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** For as long as the authority has given nothing: who connects is told by the handshake, not by a refused connection. */
const placeholders = new Map<string, Issued>()

/** The same for the same names, or each reload would be another certificate. */
function placeholderFor({ names }: AcmePlan): Issued {
  const key = names.join(' ')
  const known = placeholders.get(key)
  if (known !== undefined) return known
  const now = Date.now()
  const period = { from: new Date(now - DAY_MS), to: new Date(now + PLACEHOLDER_DAYS * DAY_MS) }
  const issuer = makeAuthority({ name: 'Sluice placeholder', ...period })
  const made = issueCertificate({ name: names[0]!.slice(0, 64), issuer, use: 'server', hosts: names, ...period })
  placeholders.set(key, made)
  return made
}

const DAY_MS = 86_400_000
const PLACEHOLDER_DAYS = 365

/** OpenSSL does not say which file it could not use. */
function naming<T>(files: readonly (string | null)[], make: () => T): T {
  try {
    return make()
  } catch (error) {
    const names = files.filter((file) => file !== null).map((file) => (file.includes('-----BEGIN') ? 'PEM text' : file))
    throw new Error(`cannot be used for TLS: ${names.join(', ')}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** A path, or PEM text itself. */
function readPem(pathOrPem: string | null): string | null {
  if (pathOrPem === null || pathOrPem.includes('-----BEGIN')) return pathOrPem
  return readFileSync(pathOrPem, 'utf8')
}
