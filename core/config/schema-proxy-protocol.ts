/** Headers of the PROXY protocol are believed of trusted addresses alone: a listener that requires them has to name some. */
import { parseListen } from '../net/address.ts'
import type { Report } from './report.ts'
import type { ListenerPart } from './schema-parts.ts'

export function checkProxyProtocol(listeners: readonly ListenerPart[], report: Report): void {
  for (const { kind, options, path } of listeners) {
    if (kind === 'udp' || options.proxyProtocol !== 'require' || options.trust !== undefined) continue
    // Who may open a unix socket is said by its folder.
    const addresses = Array.isArray(options.listen) ? options.listen : [options.listen]
    if (!addresses.some(isTcp)) continue
    report.error(
      [...path, 'proxyProtocol'],
      "nobody is trusted to send a PROXY header: say who sends them, as in trust: ['10.0.0.0/8']; connections of others are closed",
      'key',
    )
  }
}

function isTcp(listen: unknown): boolean {
  return (typeof listen === 'string' || typeof listen === 'number') && parseListen(listen)?.kind === 'tcp'
}
