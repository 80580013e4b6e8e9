/** Faults on purpose: how clients and what stands behind them do when things go wrong. */
import type { Duration } from '../plugin.ts'
import type { HttpPolicy } from './policies.ts'
import type { FieldMatch } from './routes.ts'

export interface FaultsOptions {
  /** Requests wait so long before they go on. `share`: of all requests, 0.1 is a tenth. */
  delay?: { for: Duration; share: number } | undefined
  /** Answered at once with this status, 200 to 599. */
  abort?: { status: number; share: number } | undefined
  /** The connection is closed without an answer; over HTTP/2 the stream. */
  cut?: { share: number } | undefined
  /** Only for requests with these fields, as in a route: `{ 'x-fault': true }`. Default: all. */
  headers?: Readonly<Record<string, FieldMatch>> | undefined
}
/**
 * Makes a share of requests slow, or fail, by lot. Whether one waits, and whether it fails, is drawn by itself: some of those that waited fail. The access
 * log says `decidedBy: 'faults'` of those that failed.
 */
export function faults(options: FaultsOptions): HttpPolicy {
  return { kind: 'policy', layer: 'http', name: 'faults', options }
}
