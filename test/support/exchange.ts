/** An exchange and a tunnel that have ended, for what reads one. */
import type { EndedExchange, EndedTunnel } from '../../core/events.ts'

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
      destination: null,
      logHooks: null,
      clientCertificate: null,
      user: null,
      moved: null,
      cache: null,
      logged: null,
    },
    ...changes,
  }
}

export function aTunnel(changes: Partial<EndedTunnel> = {}): EndedTunnel {
  return {
    ...{ listener: 'edge', route: 'edge/bank', upstream: 'bank', endpoint: '10.0.0.5:443', id: 'abc-1', protocol: 'TLS' },
    ...{
      sni: 'bank.test',
      ip: '192.0.2.1',
      reason: null,
      detail: null,
      decidedBy: null,
      bytesIn: 517,
      bytesOut: 4096,
      startedAt: 1_790_000_000_123,
    },
    ...{ durationMs: 12.34, connectMs: 1.26, attempts: 1, datagramsIn: 0, datagramsOut: 0, destination: null, user: null },
    ...{ serial: 1, generation: 1, logHooks: null },
    ...changes,
  }
}
