/** Proxies with policies, in this process. */
import { type HttpUse, http, type List } from '../../core/index.ts'
import { type RunningProxy, startProxy } from './proxy.ts'

/** One route to that endpoint, behind these. */
export function startWith(use: List<HttpUse>, origin: { readonly address: string }): Promise<RunningProxy> {
  return startProxy({ config: { listeners: { web: webOf(use, origin) } } })
}

export function webOf(use: List<HttpUse>, origin: { readonly address: string }) {
  return http({ listen: ':8080', trust: ['127.0.0.1'], use, routes: [{ to: origin.address }] })
}

/** A request of a client with that address; `lines`: more fields, each without its CRLF. */
export function get(path = '/', lines: readonly string[] = [], from = '10.0.0.1', method = 'GET'): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: example.com', `X-Forwarded-For: ${from}`, ...lines, '', ''].join('\r\n')
}
