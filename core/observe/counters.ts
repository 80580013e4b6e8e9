/**
 * A worker's counters: one flat array of numbers, a slot or a run of slots for each series. Labels are resolved when a series is
 * first met; after that an update is one addition. The supervisor reads the same layout through `families`.
 */

export type FamilyKind = 'counter' | 'gauge' | 'histogram'

interface FamilyRow {
  readonly kind: FamilyKind
  readonly help: string
  readonly labels: readonly string[]
}

/** Upper bounds in seconds; one slot more counts what is above, one the sum. */
export const buckets: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Names as `/metrics` shows them, without the prefix `sluice_`. Labels that clients can choose, such as hosts, are few: the rest is `other`. */
export const families = {
  requests_total: counter('Exchanges ended, by class of the status sent (0xx: the client was gone).', ['listener', 'route', 'status']),
  request_duration_seconds: histogram('From the first byte of the request to the last of the response.', ['listener', 'route']),
  received_bytes_total: counter('Bytes of request bodies and of tunnels, from clients.', ['listener', 'route']),
  sent_bytes_total: counter('Bytes of response bodies and of tunnels, to clients.', ['listener', 'route']),
  received_datagrams_total: counter('Datagrams of ended UDP sessions, from clients.', ['listener', 'route']),
  sent_datagrams_total: counter('Datagrams of ended UDP sessions, to clients.', ['listener', 'route']),
  dropped_datagrams_total: counter('Datagrams of clients that went nowhere, by why.', ['listener', 'why']),
  tunnels_total: counter('Tunnels, connections to TCP listeners and UDP sessions that have ended.', ['listener', 'route']),
  user_received_bytes_total: counter('Bytes from a user of the forward side; `other`: of more users than are told apart.', [
    'listener',
    'user',
  ]),
  user_sent_bytes_total: counter('Bytes to a user of the forward side; `other`: to more users than are told apart.', ['listener', 'user']),
  destination_received_bytes_total: counter('Bytes from clients to a host that they named; `other`: to more hosts than are told apart.', [
    'listener',
    'destination',
  ]),
  destination_sent_bytes_total: counter('Bytes to clients from a host that they named; `other`: from more hosts than are told apart.', [
    'listener',
    'destination',
  ]),
  errors_total: counter('Exchanges that the proxy itself ended, by reason.', ['reason']),
  cache_requests_total: counter('Requests that passed a cache, by what it did; `beside`: asked by the cache itself.', [
    'listener',
    'route',
    'outcome',
  ]),
  cache_objects: gauge('Answers that a cache keeps.', ['cache', 'worker']),
  cache_bytes: gauge('Bytes of the answers that a cache keeps.', ['cache', 'worker']),
  cache_evictions_total: counter('Answers that went because there was no room.', ['cache']),
  cache_tier_objects: gauge('Answers that lie behind the memory of a cache (on disk), of all workers together, as this one sees it.', [
    'cache',
    'tier',
    'worker',
  ]),
  cache_tier_bytes: gauge('Bytes of these.', ['cache', 'tier', 'worker']),
  cache_tier_found_total: counter('Answers found there, which the memory of a worker had not.', ['cache', 'tier']),
  cache_tier_failures_total: counter('What could not be read or written there.', ['cache', 'tier']),
  cache_purged_total: counter('Answers that were purged.', ['cache']),
  connections_total: counter('Connections accepted, and UDP sessions begun.', ['listener']),
  handshake_failures_total: counter('Connections that ended before TLS was set up, or before a PROXY header that was required.', [
    'listener',
    'why',
  ]),
  connections: gauge('Connections and UDP sessions open now.', ['listener']),
  intercept_certificates_made_total: counter('Certificates of hosts that an authority of interception has signed.', ['authority']),
  intercept_certificates: gauge('Those that a worker keeps for the next client.', ['authority', 'worker']),
  intercept_certificates_evicted_total: counter('Those that went because there was no room.', ['authority']),
  intercept_certificates_refused_total: counter('Handshakes in which a client did not accept one.', ['authority']),
  intercept_certificates_making_seconds_total: counter('Time spent on making them.', ['authority']),
  upstream_requests_total: counter('Exchanges sent to an endpoint, by class of its answer or `failed`.', [
    'upstream',
    'endpoint',
    'outcome',
  ]),
  upstream_response_seconds: histogram('From the first byte sent to the head of the response.', ['upstream']),
  upstream_retries_total: counter('Attempts after the first.', ['upstream']),
  upstream_retries_refused_total: counter('Requests that were not sent once more because too many were: the budget.', ['upstream']),
  upstream_buffered_bytes: gauge('Bytes of bodies that are buffered on disk.', ['upstream']),
  mirrored_requests_total: counter(
    'Copies of requests, by the class of their answer or why there was none; `busy`, `too_large`, `incomplete`: not made.',
    ['upstream', 'outcome'],
  ),
  upstream_ejections_total: counter('Times that an endpoint was kept off for what came of its requests.', ['upstream', 'endpoint']),
  upstream_unavailable: gauge('Workers that keep off an endpoint now, by why: ejected, unhealthy.', ['upstream', 'endpoint', 'why']),
  upstream_circuit_openings_total: counter('Times that an upstream was left alone because too many of its requests failed.', ['upstream']),
  upstream_circuit_open: gauge('Workers that leave an upstream alone now, but for one request that tries.', ['upstream']),
  upstream_hedges_total: counter('Second tries beside a first one, by what came of them: won, lost, failed.', ['upstream', 'outcome']),
  upstream_concurrency_limit: gauge('Requests to an upstream that may be under way at a time, all workers together: learnt.', ['upstream']),
  upstream_undiscovered: gauge('Workers in which the discovery of an upstream fails now.', ['upstream']),
  upstream_panic: gauge('Workers that use all endpoints of an upstream now because too few are available.', ['upstream']),
  upstream_waiting: gauge('Requests that wait for a connection to an upstream that has as many as it may have.', ['upstream']),
  upstream_dials_total: counter('Connections to endpoints, opened or failed.', ['upstream', 'endpoint', 'outcome']),
  upstream_connections: gauge('Connections to endpoints open now.', ['upstream', 'endpoint']),
  store_away: gauge('Workers that cannot reach a store now.', ['store']),
  store_failures_total: counter('Questions to a store that got no good answer, by why: away, timeout, busy, error.', ['store', 'why']),
  plugin_calls_total: counter('Calls of a plugin.', ['plugin']),
  plugin_crossings_total: counter('Entries into a sandbox, each with one call or many.', ['plugin']),
  plugin_seconds_total: counter('Time spent inside a plugin.', ['plugin']),
  plugin_failures_total: counter('Calls of a plugin that failed.', ['plugin', 'why']),
  log_dropped_total: counter('Access lines dropped because the reader, or a hook of the log, was too slow.', []),
  log_left_out_total: counter('Access lines that a hook of the log left out.', []),
  log_masked_total: counter('Access lines written masked because a hook of the log failed.', []),
  worker_cpu_seconds_total: counter('CPU time of workers.', ['mode']),
  worker_memory_bytes: gauge('Resident memory of a worker.', ['worker']),
  event_loop_lag_seconds: gauge('Longest delay of the event loop in the last heartbeat.', ['worker']),
} as const satisfies Record<string, FamilyRow>

export type Family = keyof typeof families

/** The series that were added or renamed since the last snapshot; those that were added in the order of their slots. */
export type SeriesDelta = readonly Series[]

export interface Series {
  readonly family: Family
  readonly labels: readonly string[]
  /** The number of a series that has these labels from now on; without it the series is one more. */
  readonly at?: number
}

/** How many slots a series of that family takes. A histogram: its buckets, the rest, the sum. */
export function slotsOf(family: Family): number {
  return families[family].kind === 'histogram' ? buckets.length + 2 : 1
}

export class Counters {
  /** Grows by copying: read it afresh for each update, never keep it. */
  values = new Float64Array(256)
  #used = 0
  #unsent: Series[] = []
  /** How many there are. */
  series = 0

  /** Takes slots for a new series; the caller remembers the index. */
  add(family: Family, ...labels: readonly string[]): number {
    const slot = this.#used
    this.#used += slotsOf(family)
    if (this.#used > this.values.length) {
      const grown = new Float64Array(Math.max(this.values.length * 2, this.#used))
      grown.set(this.values)
      this.values = grown
    }
    this.series++
    this.#unsent.push({ family, labels })
    return slot
  }

  /** The series of that number, of that family, is counted under other labels from now on, all that it holds. */
  rename(at: number, family: Family, ...labels: readonly string[]): void {
    this.#unsent.push({ family, labels, at })
  }

  observe(slot: number, seconds: number): void {
    const values = this.values
    let bucket = 0
    while (bucket < buckets.length && seconds > buckets[bucket]!) bucket++
    values[slot + bucket]! += 1
    values[slot + buckets.length + 1]! += seconds
  }

  /** Everything counted so far, and the names of what is new since the last call. */
  snapshot(): { delta: SeriesDelta; values: Float64Array } {
    const delta = this.#unsent
    this.#unsent = []
    return { delta, values: this.values.slice(0, this.#used) }
  }
}

function counter(help: string, labels: readonly string[]): FamilyRow {
  return { kind: 'counter', help, labels }
}
function gauge(help: string, labels: readonly string[]): FamilyRow {
  return { kind: 'gauge', help, labels }
}
function histogram(help: string, labels: readonly string[]): FamilyRow {
  return { kind: 'histogram', help, labels }
}
