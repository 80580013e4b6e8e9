/**
 * Endpoints of a Service of Kubernetes by its EndpointSlices, listed and then watched from that version on. Within a cluster the server,
 * its authority and a token are those of the pod, read again whenever they are used: the kubelet exchanges them.
 */
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { formatHost } from '../../net/address.ts'
import { discoveredEndpoints, whyNoEndpoint } from '../../plan/endpoints.ts'
import type { DiscoveryPlan, EndpointPlan } from '../../plan/upstream-plan.ts'
import type { ApiAnswer, ApiClient, ApiRequest } from './api-client.ts'
import type { Followed, Found, Watcher } from './follow.ts'

type KubernetesPlan = Extract<DiscoveryPlan, { kind: 'kubernetes' }>

/** So long the server lets a watch be; it ends it then, and the next one goes on. */
const WATCH_SECONDS = 300
/** Bookmarks come each minute. */
const SILENT_MS = (WATCH_SECONDS + 30) * 1000
/** Slices of one Service; each has up to 1,000 endpoints. */
const MOST_SLICES = 1_000

export class KubernetesSet implements Followed {
  readonly #plan: KubernetesPlan
  readonly #client: ApiClient
  /** By name. */
  readonly #slices = new Map<string, Slice>()
  #version = ''

  constructor(plan: KubernetesPlan, client: ApiClient) {
    this.#plan = plan
    this.#client = client
  }

  found(): Found {
    return endpointsOf([...this.#slices.values()], this.#plan)
  }

  async read(signal: AbortSignal): Promise<void> {
    const read: Slice[] = []
    let page: Metadata = {}
    do {
      const query: Record<string, string> = page.continue ? { continue: page.continue } : {}
      const answer = mustBeGood(await this.#client.ask(this.#request(query, signal)))
      const { metadata = {}, items = [] } = JSON.parse(answer.text) as { metadata?: Metadata; items?: readonly Slice[] }
      for (const slice of items) read.push(slim(slice))
      if (read.length > MOST_SLICES) throw new Error(`there are more than ${MOST_SLICES} slices`)
      if (metadata.continue && items.length === 0) throw new Error('it has more slices, and tells none of them')
      page = metadata
    } while (page.continue)
    this.#slices.clear()
    for (const slice of read) this.#slices.set(slice.metadata.name, slice)
    this.#version = page.resourceVersion ?? ''
  }

  async watch(signal: AbortSignal, { opened, changed }: Watcher): Promise<'ended' | 'gone'> {
    const over = new AbortController()
    let isGone = false
    const query = {
      ...{ watch: '1', allowWatchBookmarks: 'true', timeoutSeconds: String(WATCH_SECONDS) },
      resourceVersion: this.#version,
    }
    const onValue = (value: unknown): void => {
      const { type, object } = value as { type?: string; object?: Slice & Status }
      if (type === 'ERROR') {
        isGone = object?.code === 410
        if (!isGone) throw new Error(object?.message ?? 'it ended the watch')
        over.abort(new Error('gone'))
        return
      }
      if (object === undefined) return
      const { name, resourceVersion } = object.metadata
      if (type === 'DELETED') this.#slices.delete(name)
      else if ((type === 'ADDED' || type === 'MODIFIED') && (this.#slices.size < MOST_SLICES || this.#slices.has(name)))
        this.#slices.set(name, slim(object))
      if (resourceVersion !== undefined) this.#version = resourceVersion
      if (type !== 'BOOKMARK') changed()
    }
    try {
      const request = this.#request(query, AbortSignal.any([signal, over.signal]))
      const answer = await this.#client.stream(request, { silentMs: SILENT_MS, onOpen: opened, onValue })
      if (answer.status === 410) return 'gone'
      mustBeGood(answer)
    } catch (error) {
      if (!isGone) throw error
    }
    return isGone ? 'gone' : 'ended'
  }

  #request(query: Readonly<Record<string, string>>, signal: AbortSignal): ApiRequest {
    const { service, namespace, server, token, tokenFile, tls } = this.#plan
    const url = new URL(
      `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace ?? ownNamespace())}/endpointslices`,
      server ?? ownServer(),
    )
    url.search = new URLSearchParams({ labelSelector: `kubernetes.io/service-name=${service}`, ...query }).toString()
    const bearer = token ?? tokenOf(tokenFile)
    return {
      ...{ url, method: 'GET', body: null, signal },
      fields: bearer === null ? {} : { authorization: `Bearer ${bearer}` },
      // Within a cluster, its own authority.
      tls: { ...tls, ca: tls.ca ?? (server === null ? `${POD}/ca.crt` : null) },
    }
  }
}

/** Where a pod finds who it is. */
const POD = '/var/run/secrets/kubernetes.io/serviceaccount'

function ownServer(): string {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT_HTTPS: port = '443' } = process.env
  if (host === undefined || host === '')
    throw new Error('this is no pod of Kubernetes, for there is no KUBERNETES_SERVICE_HOST: say which server')
  return `https://${formatHost(host)}:${port}`
}

function ownNamespace(): string {
  try {
    return readFileSync(`${POD}/namespace`, 'utf8').trim()
  } catch {
    return 'default'
  }
}

function tokenOf(file: string | null): string | null {
  if (file !== null) return readFileSync(file, 'utf8').trim()
  const own = `${POD}/token`
  return existsSync(own) ? readFileSync(own, 'utf8').trim() : null
}

interface Metadata {
  readonly resourceVersion?: string
  /** Of a list: where the next page begins; '' or not there: it was the last one. */
  readonly continue?: string
}

interface Status {
  readonly code?: number
  readonly message?: string
}

/** What of an EndpointSlice (discovery.k8s.io/v1) is read. */
export interface Slice {
  readonly metadata: Metadata & { readonly name: string }
  readonly addressType?: string
  readonly endpoints?: readonly SliceEndpoint[] | null
  readonly ports?: readonly SlicePort[] | null
}

interface SliceEndpoint {
  readonly addresses?: readonly string[]
  readonly conditions?: { readonly ready?: boolean | null; readonly serving?: boolean | null; readonly terminating?: boolean | null }
  readonly zone?: string | null
}

interface SlicePort {
  readonly name?: string | null
  readonly port?: number | null
  readonly protocol?: string | null
}

/** The rest is many times as long. */
function slim({ metadata: { name }, addressType, endpoints, ports }: Slice): Slice {
  const kept = endpoints?.map(({ addresses = [], conditions = {}, zone = null }) => ({ addresses, conditions, zone }))
  return { metadata: { name }, ...(addressType === undefined ? {} : { addressType }), endpoints: kept ?? null, ports: ports ?? null }
}

/**
 * Who is ready gets requests; who terminates and still serves finishes, with the clients that stay. If nobody is ready but some still
 * serve, these are used, as kube-proxy does. IPv4 if there is any: both families are most likely the same pods.
 */
export function endpointsOf(slices: readonly Slice[], { port, zone }: Pick<KubernetesPlan, 'port' | 'zone'>): Found {
  const families = slices.some(({ addressType, endpoints }) => addressType === 'IPv4' && (endpoints ?? []).length > 0)
    ? ['IPv4', 'FQDN']
    : null
  const ready: Written[] = []
  const ending: Written[] = []
  let odd: string | null = null
  for (const { addressType = 'IPv4', endpoints, ports, metadata } of slices) {
    if (families !== null && !families.includes(addressType)) continue
    const number = portOf(ports ?? [], port)
    if (typeof number === 'string') {
      if ((endpoints ?? []).length > 0) odd ??= `the slice ${metadata.name} is left out: ${number}`
      continue
    }
    for (const { addresses = [], conditions = {}, zone: place } of endpoints ?? []) {
      const [address] = addresses
      if (address === undefined) continue
      const written = { address: `${isIP(address) === 6 ? `[${address}]` : address}:${number}`, ...(place == null ? {} : { zone: place }) }
      const wrong = whyNoEndpoint(written)
      if (wrong !== null) odd ??= `${address} of the slice ${metadata.name} is left out: ${wrong}`
      else if (conditions.ready !== false) ready.push(written)
      else if (conditions.serving === true && conditions.terminating === true) ending.push(written)
    }
  }
  if (ready.length === 0) return { endpoints: inOrder(ending, zone), odd }
  const taking = inOrder(ready, zone)
  const there = new Set(taking.map(({ address }) => address))
  const finishing = inOrder(ending, zone).filter(({ address }) => !there.has(address))
  return { endpoints: [...taking, ...finishing.map((one): EndpointPlan => ({ ...one, drain: 'sticky' }))], odd }
}

interface Written {
  readonly address: string
  readonly zone?: string
}

/** Slices come in any order, and that is no change. An address may stand in several for a while. */
function inOrder(written: readonly Written[], zone: string | null): EndpointPlan[] {
  return discoveredEndpoints(written, zone).toSorted((a, b) => (a.address < b.address ? -1 : 1))
}

/** Of TCP. By name, or by number, or the only one; else why not. */
function portOf(ports: readonly SlicePort[], wanted: string | number | null): number | string {
  const all = ports.filter(({ protocol, port }) => (protocol ?? 'TCP') === 'TCP' && typeof port === 'number')
  const fitting = wanted === null ? all : all.filter(({ name, port }) => (typeof wanted === 'number' ? port === wanted : name === wanted))
  if (fitting.length === 1) return fitting[0]!.port!
  const names = all.map(({ name, port }) => (name == null || name === '' ? String(port) : `${name} (${port})`)).join(', ')
  if (all.length === 0) return 'it has no port of TCP'
  return fitting.length === 0 ? `it has no port ${wanted}; there is ${names}` : `it has several ports, say which: ${names}`
}

function mustBeGood(answer: ApiAnswer): ApiAnswer {
  if (answer.status === 200) return answer
  let message = ''
  try {
    message = String((JSON.parse(answer.text) as Status).message ?? '')
  } catch {
    // No Status, then: a proxy in between, say.
  }
  throw new Error(message === '' ? `the server answers ${answer.status}` : `${answer.status}: ${message}`)
}
