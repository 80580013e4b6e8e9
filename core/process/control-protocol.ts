/** What is said over the control socket: one request, a line of JSON; answers, a line of JSON each; then the end. Pure. */
import { type CacheAsk, type CacheTold, parseCacheAsk } from '../cache/asks.ts'
import { type EndpointAsk, parseEndpointAsk } from '../upstream/endpoint-asks.ts'
import type { UpstreamReport } from './upstream-report.ts'

export type ControlRequest =
  | { readonly do: 'status' }
  | { readonly do: 'reload' }
  /** `now`: what is under way is cut. */
  | { readonly do: 'stop'; readonly now: boolean }
  | { readonly do: 'recall'; readonly id: string }
  | { readonly do: 'cache'; readonly ask: CacheAsk }
  | { readonly do: 'endpoints'; readonly ask: EndpointAsk }
  | { readonly do: 'profile'; readonly plugin: string; readonly seconds: number }

export type ReloadResult =
  /** `live in 41 ms · 2 routes changed · 0 of 10000 connections touched` */
  | { readonly ok: true; readonly line: string }
  /** Code frames, without colour. */
  | { readonly ok: false; readonly text: string }

export type ControlAnswer =
  | { readonly kind: 'status'; readonly status: unknown }
  | { readonly kind: 'reload'; readonly result: ReloadResult }
  | { readonly kind: 'draining' }
  /** Nothing is left; the connection stays open until the process has ended. */
  | { readonly kind: 'drained' }
  /** null: nothing is known of that request. */
  | { readonly kind: 'recalled'; readonly found: unknown }
  | { readonly kind: 'cache'; readonly told: CacheTold }
  | { readonly kind: 'endpoints'; readonly told: EndpointsTold }
  | { readonly kind: 'profiling' }
  /** How often the plugin was called meanwhile, and a `.cpuprofile`. */
  | { readonly kind: 'profiled'; readonly calls: number; readonly profile: unknown }
  | { readonly kind: 'error'; readonly message: string }

/** What became of a change, and the upstream, or all that were asked for, as they are then. */
export interface EndpointsTold {
  /** A sentence; null: nothing was to be changed. */
  readonly did: string | null
  readonly upstreams: readonly UpstreamReport[]
}

/** Longer requests are refused. */
export const maxRequestBytes = 4096
const maxIdLength = 256
/** Of one profile. */
export const maxProfileSeconds = 60

/** A request, or the sentence that says what is wrong with it. */
export function parseRequest(line: string): ControlRequest | string {
  const value = parseObject(line)
  if (value === null) return 'a request is one line of JSON, an object'
  switch (value.do) {
    case 'status':
    case 'reload':
      return { do: value.do }
    case 'stop':
      return { do: 'stop', now: value.now === true }
    case 'recall':
      if (typeof value.id !== 'string' || value.id === '' || value.id.length > maxIdLength) return 'recall needs the id of a request'
      return { do: 'recall', id: value.id }
    case 'profile': {
      const { plugin, seconds } = value
      if (typeof plugin !== 'string' || plugin === '' || plugin.length > maxIdLength) return 'profile needs the name of a plugin'
      if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= maxProfileSeconds))
        return `profile takes up to ${maxProfileSeconds} seconds`
      return { do: 'profile', plugin, seconds }
    }
    case 'cache': {
      const ask = parseCacheAsk(value.ask)
      return typeof ask === 'string' ? ask : { do: 'cache', ask }
    }
    case 'endpoints': {
      const ask = parseEndpointAsk(value.ask)
      return typeof ask === 'string' ? ask : { do: 'endpoints', ask }
    }
    default:
      return 'there is status, reload, stop, recall, cache, endpoints and profile'
  }
}

/** null if it is not one of ours: the other end may be of another version. */
export function parseAnswer(line: string): ControlAnswer | null {
  const value = parseObject(line)
  // Both ends belong to the same user; which fields an answer has is agreed by its kind.
  return value !== null && typeof value.kind === 'string' ? (value as unknown as ControlAnswer) : null
}

export function encodeLine(value: ControlRequest | ControlAnswer): string {
  return `${JSON.stringify(value)}\n`
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
