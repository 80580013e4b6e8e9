/** Options of `socks()`, and of SOCKS on the port of a forward listener, → SocksListenerPlan. */
import { parseDuration } from '../config/units.ts'
import type { Hook } from '../hooks.ts'
import type { SocksOptions } from '../index.ts'
import type { ForwardPlan, SocksListenerPlan } from './forward-plan.ts'
import { tunnelLogHooks } from './tunnel-log-hooks.ts'

export interface SocksPlace extends Pick<SocksListenerPlan, 'name' | 'addresses' | 'trust'> {
  /** Those of the config, and of the listener that has the port. */
  readonly hooks: readonly Hook[]
}

export function compileSocks(
  { hooks, ...place }: SocksPlace,
  { timeouts = {}, limits, udp = false, proxyProtocol }: Pick<SocksOptions, 'timeouts' | 'limits' | 'udp' | 'proxyProtocol'>,
  forward: ForwardPlan,
): SocksListenerPlan {
  const { handshake = '10s', tunnelIdle = '1h', udpIdle = '2m' } = timeouts
  return Object.freeze({
    kind: 'socks',
    ...place,
    requiresProxyHeader: proxyProtocol === 'require',
    limits: Object.freeze({ connections: limits?.connections ?? 10_000 }),
    timeouts: Object.freeze({
      handshake: parseDuration(handshake)!,
      tunnelIdle: parseDuration(tunnelIdle)!,
      udpIdle: parseDuration(udpIdle)!,
    }),
    logHooks: tunnelLogHooks(hooks),
    forward,
    udp,
  })
}
