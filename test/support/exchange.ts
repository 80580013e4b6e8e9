/** An exchange that has ended, for what reads one. */
import type { EndedExchange } from '../../core/events.ts'

export function anExchange(changes: Partial<EndedExchange> = {}): EndedExchange {
  return {
    ...{
      listener: 'web',
      route: 'web[0]',
      upstream: 'api',
      endpoint: '127.0.0.1:3001',
      id: '0123456789abcdef',
      serial: 1,
      protocol: 'HTTP/1.1',
    },
    ...{ method: 'GET', host: 'example.com', path: '/v1/me', search: '?a=1', userAgent: 'curl/8.1', referer: null },
    ...{ ip: '10.0.0.1', peer: '10.0.0.1', status: 200, reason: null, detail: null, decidedBy: null, bytesIn: 0, bytesOut: 95 },
    ...{ generation: 1, scheme: 'http', received: 'GET /v1/me?a=1 HTTP/1.1\r\nHost: example.com\r\n\r\n' },
    ...{
      startedAt: 1_790_000_000_123,
      durationMs: 1.26,
      upstreamMs: 0.94,
      attempts: 1,
      tunnel: false,
      logHooks: null,
      clientCertificate: null,
      user: null,
      moved: null,
      cache: null,
    },
    ...changes,
  }
}
