/** Heads for tests that need no socket. */
import { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import type { UpstreamPlan } from '../../core/plan/upstream-plan.ts'

type Fields = Readonly<Record<string, string>>

export function requestHead(
  line: { method?: string; path?: string; search?: string; host?: string } = {},
  fields: Fields = {},
): RequestHead {
  const text = linesOf(fields)
  const head = new RequestHead(text, 0, line.method ?? 'GET', 1)
  head.endFields(text.length)
  head.path = line.path ?? '/'
  head.search = line.search ?? ''
  return Object.assign(head, { host: line.host ?? 'example.com' })
}

export function responseHead(status = 200, fields: Fields = {}): ResponseHead {
  const text = linesOf(fields)
  const head = new ResponseHead(text, 0, status, 'OK', 1)
  head.endFields(text.length)
  return head
}

function linesOf(fields: Fields): string {
  let text = ''
  for (const [name, value] of Object.entries(fields)) text += `${name}: ${value}\r\n`
  return text
}

/** One that preserves the Host. */
export function anUpstream(changes: Partial<UpstreamPlan> = {}): UpstreamPlan {
  return {
    ...{
      name: 'api',
      endpoints: [],
      balancer: { kind: 'roundRobin' },
      sticky: null,
      discovery: null,
      zone: null,
      slowStart: 0,
      host: 'preserve',
      hostName: 'api',
      tls: null,
      idleConnections: 256,
      retries: null,
      outlier: null,
      healthCheck: null,
      circuitBreaker: null,
      pending: null,
      hedging: null,
      adaptive: null,
      panic: 0.5,
      buffer: null,
      proxyProtocol: null,
    },
    ...{
      connections: Number.POSITIVE_INFINITY,
      timeouts: { connect: 5_000, response: 60_000, idle: 60_000, keepAlive: 60_000, total: Number.POSITIVE_INFINITY },
    },
    ...changes,
  }
}
