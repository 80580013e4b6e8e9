/**
 * What a plan needs besides itself: the certificates and keys it names, read before it is taken into use, for reading can fail and
 * using cannot. What reads as before is the same object as before.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Termination } from './listener/termination.ts'
import { makeTerminations } from './listener/terminations.ts'
import type { TicketKeys } from './net/ticket-keys.ts'
import { httpListenersOf } from './plan/http-listeners.ts'
import type { ListenerPlan, Plan, TcpRoutePlan, TlsPlan, UpstreamPlan } from './plan/plan.ts'
import { makeOrigination, type Origination } from './upstream/dial.ts'

export interface Materials {
  readonly terminations: ReadonlyMap<ListenerPlan | TcpRoutePlan, Termination>
  readonly originations: ReadonlyMap<UpstreamPlan, Origination>
  /** A hash of what was read, by who uses it: `listener web`. */
  readonly certificates: ReadonlyMap<string, string>
  /** By such a hash. */
  readonly made: ReadonlyMap<string, Termination | Origination>
}

/** Throws with the file's name. `before`: the materials in use; `ticketKeys`: null where each context has keys of its own. */
export function gatherMaterials(plan: Plan, before: Materials | null = null, ticketKeys: TicketKeys | null = null): Materials {
  const made = new Map<string, Termination | Origination>()
  const certificates = new Map<string, string>()
  const reuse = <T extends Termination | Origination>(user: string, texts: object, make: () => T): T => {
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
    if (listener.tls !== null) terminations.set(listener, readTermination(listener.name, listener.tls, { reuse, ticketKeys }))
  }
  for (const route of plan.listeners.flatMap((listener) => (listener.kind === 'tcp' ? listener.routes.routes : []))) {
    if (route.tls !== null) terminations.set(route, readTermination(route.id, route.tls, { reuse, ticketKeys }))
  }
  for (const upstream of plan.upstreams.values()) {
    if (upstream.tls !== null) originations.set(upstream, readOrigination(upstream, upstream.tls, reuse))
  }
  return { terminations, originations, certificates, made }
}

interface Making {
  readonly reuse: Reuse
  readonly ticketKeys: TicketKeys | null
}

type Reuse = <T extends Termination | Origination>(user: string, texts: object, make: () => T) => T

function readTermination(name: string, tls: readonly TlsPlan[], { reuse, ticketKeys }: Making): Termination {
  const texts = tls.map(({ cert, key, alpn, clients, minVersion, ocsp, keyLog }) => ({
    ...{ cert: readPem(cert)!, key: readPem(key)!, alpn, minVersion, keyLog, staple: ocsp === null ? null : readFileSync(ocsp, 'base64') },
    clients: clients === null ? null : { ...clients, ca: readPem(clients.ca)! },
  }))
  const files = tls.flatMap(({ cert, key, clients, keyLog }) => [cert, key, clients?.ca ?? null, keyLog])
  return naming(files, () => reuse(`listener ${name}`, texts, () => makeTerminations(texts, ticketKeys)))
}

function readOrigination(
  { name }: UpstreamPlan,
  { servername, ca, cert, key }: NonNullable<UpstreamPlan['tls']>,
  reuse: Reuse,
): Origination {
  const texts = { servername, ca: readPem(ca), cert: readPem(cert), key: readPem(key) }
  return naming([ca, cert, key], () => reuse(`upstream ${name}`, texts, () => makeOrigination(texts)))
}

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
