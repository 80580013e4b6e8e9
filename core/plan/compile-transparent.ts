/** What `transparent` says of a listener → TransparentPlan, its addresses, and the tunnels of a forward listener that is. */
import { Access } from '../forward/access.ts'
import type { Transparent } from '../index.ts'
import { type TcpConditions, TcpTable } from '../route/tcp-table.ts'
import { compileForward } from './compile-forward.ts'
import type { ForwardPlan } from './forward-plan.ts'
import type { ListenAddress, ListenerPlan, TcpListenerPlan, TcpRoutePlan, TransparentPlan } from './plan.ts'

/** `places`: the rules of a forward listener. Others have one, that nothing of this machine is reached. */
export function compileTransparent(by: Transparent | undefined, places: ForwardPlan | null = null): TransparentPlan | null {
  if (by === undefined) return null
  return Object.freeze({ by, places: places ?? ANYWHERE })
}

const ANYWHERE: ForwardPlan = Object.freeze({ ...compileForward({}), access: new Access({ clients: null, hosts: null, ports: null }) })

/** Only sockets that take what is meant for others have to be told so. */
export function transparentAddresses(addresses: readonly ListenAddress[], by: Transparent | undefined): readonly ListenAddress[] {
  if (by !== 'tproxy') return addresses
  return Object.freeze(addresses.map((one) => (one.kind === 'tcp' ? Object.freeze({ ...one, isTransparent: true as const }) : one)))
}

/** What is no HTTP on a transparent forward listener is a tunnel to the name that its TLS asks for, or to where the client wanted to go. */
export function compileTunnels(
  { name, limits, timeouts, transparent }: ListenerPlan,
  logHooks: TcpListenerPlan['logHooks'],
): TcpListenerPlan | null {
  if (transparent === null) return null
  const route: TcpRoutePlan = Object.freeze({
    ...{ id: name, hooks: [], logHooks, wantsHello: false, tls: null },
    destination: Object.freeze({ kind: 'original', byName: true }),
  })
  const all: TcpConditions = { sni: null, alpn: null, from: null, isTls: false }
  return Object.freeze({
    ...{ kind: 'tcp', name, addresses: [], trust: null, requiresProxyHeader: false, transparent, gateway: null, hooks: [], logHooks },
    limits: Object.freeze({ connections: limits.connections }),
    timeouts: Object.freeze({ detect: timeouts.requestHead, tunnelIdle: timeouts.tunnelIdle }),
    // Twice, so that it is asked for what comes by TLS.
    routes: new TcpTable([
      { route, conditions: { ...all, isTls: true } },
      { route, conditions: all },
    ]),
  })
}
