/** HAProxy doing what Sluice does: keep-alive both sides, X-Forwarded-*, Via to the origin. Its log goes to a file by its standard output. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { certificate } from '../certificate.ts'
import { isInstalled, start } from '../processes.ts'
import type { Subject, SubjectOptions } from './subject.ts'

export const haproxy: Subject = {
  missing: () => (isInstalled('haproxy') ? null : 'HAProxy is not installed (apt-get install haproxy)'),
  start: (options) => {
    mkdirSync(options.home, { recursive: true })
    const path = join(options.home, 'haproxy.cfg')
    writeFileSync(path, options.lane.relays ? relayConfig(options) : haproxyConfig(options))
    return start(['haproxy', '-db', '-f', path], { cores: options.cores, stdout: join(options.home, 'access.log') })
  },
}

function haproxyConfig({ lane, port, originPort, accessLog }: SubjectOptions): string {
  const format =
    '{"time":"%T","ip":"%ci","method":"%HM","path":"%HP","status":%ST,"bytesIn":%U,"bytesOut":%B,"ms":%Ta,"upstream":"%s","upstreamMs":%Tr,"agent":"%[capture.req.hdr(0)]"}'
  return `global
  nbthread ${lane.workers}
  maxconn 4000
  ${accessLog ? 'log stdout format raw local0 info' : ''}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  option http-keep-alive
  http-reuse always
frontend web
  bind 127.0.0.1:${port} backlog 4096 ${lane.tls === 'none' ? '' : `ssl crt ${certificate().both}${lane.streams > 0 ? ' alpn h2' : ''}`}
  ${accessLog ? `log global\n  capture request header User-Agent len 120\n  log-format ${JSON.stringify(format)}` : ''}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request add-header Via "1.1 haproxy"
  default_backend origin
backend origin
  server a 127.0.0.1:${originPort} pool-max-conn 256
`
}

function relayConfig({ lane, port, originPort }: SubjectOptions): string {
  return `global
  nbthread ${lane.workers}
  maxconn 4000
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  option splice-auto
frontend edge
  bind 127.0.0.1:${port} backlog 4096
  default_backend origin
backend origin
  server a 127.0.0.1:${originPort}
`
}
