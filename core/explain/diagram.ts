/**
 * `sluice explain --diagram`: for each way that a config lets clients in, who answers the SYN, who completes the TLS handshake, and when
 * an endpoint is dialled. Pure: from the plan alone.
 */

import { formatListen } from '../net/address.ts'
import type { SocksListenerPlan } from '../plan/forward-plan.ts'
import type {
  AnyListenerPlan,
  ListenerPlan,
  Plan,
  SplitDestination,
  TcpListenerPlan,
  TcpRoutePlan,
  UdpListenerPlan,
  UdpRoutePlan,
} from '../plan/plan.ts'
import type { UpstreamPlan } from '../plan/upstream-plan.ts'
import { ladder, type Step } from './ladder.ts'

/** Routes that are the same to draw are drawn once; so many of them are named. */
const MOST_NAMED = 4

type Dialled = Pick<UpstreamPlan, 'name' | 'tls' | 'proxyProtocol'>

interface Drawing {
  /** What it is, in a few words. */
  readonly mode: string
  readonly endpoint: string
  readonly steps: readonly Step[]
}

/** A sentence if there is nothing to draw. */
export function drawDiagrams({ listeners }: Plan, name: string | null): string {
  const drawn = listeners.filter((listener) => name === null || listener.name === name)
  if (drawn.length === 0) return `there is no listener ${name}; there are ${listeners.map((one) => one.name).join(', ')}`
  return drawn.map(drawListener).join('\n')
}

function drawListener(listener: AnyListenerPlan): string {
  const drawings = new Map<string, { readonly drawing: Drawing; readonly names: string[] }>()
  for (const [who, drawing] of drawingsOf(listener)) {
    const key = JSON.stringify(drawing)
    const same = drawings.get(key)
    if (same === undefined) drawings.set(key, { drawing, names: [who] })
    else same.names.push(who)
  }
  const head = `${listener.name}  ${listener.addresses.map(formatListen).join(', ')}`
  const blocks = [...drawings.values()].map(({ drawing: { mode, endpoint, steps }, names }) => {
    const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''
    return [`  ${mode}`, `  ${names.slice(0, MOST_NAMED).join(', ')}${more}`, '', ...ladder(endpoint, steps), ''].join('\n')
  })
  return `${head}\n\n${blocks.join('\n')}`
}

function drawingsOf(listener: AnyListenerPlan): (readonly [who: string, drawing: Drawing])[] {
  if (listener.kind === 'udp') return listener.routes.routes.map((route) => [route.id, udp(listener, route)])
  if (listener.kind === 'tcp') return listener.routes.routes.map((route) => [route.id, tcp(listener, route)])
  if (listener.kind === 'socks')
    return [
      [`${listener.name}: SOCKS 4, 4a, 5`, tunnel(listener, 'host and port')],
      ...(listener.udp ? [[`${listener.name}: UDP ASSOCIATE`, association(listener)] as const] : []),
    ]
  if (listener.forward !== null)
    return [
      [`${listener.name}: CONNECT host:port`, tunnel(listener, 'CONNECT host:port')],
      ...(listener.socks === null ? [] : [[`${listener.name}: SOCKS 4, 4a, 5`, tunnel(listener, 'host and port')] as const]),
      [`${listener.name}: GET http://…`, http(begin(listener), listener, { name: 'server', tls: null, proxyProtocol: null })],
    ]
  return listener.routes.routes.map((route) => {
    const { destination } = route
    const [upstream = null] =
      destination.kind === 'original' ? [WANTED] : 'upstream' in destination || 'parts' in destination ? upstreamsOf(destination) : []
    return [route.id, http(begin(listener), listener, upstream)]
  })
}

// ── the ways in ──────────────────────────────────────────────────────────────────────────────────────────────────────

function tcp(listener: TcpListenerPlan, route: TcpRoutePlan): Drawing {
  const { destination, tls } = route
  const isDetected = listener.routes.asksBefore(route)
  const hello: Step[] = isDetected ? [fromClient('TLS hello'), note('reads the name in it, answers nothing')] : []
  const decided = [...begin(listener), ...hello, note('decides the route')]
  if (destination.kind === 'http') {
    const inside = destination.listener
    const secured = inside.tls === null ? [] : handshakeHere()
    const [first] = inside.routes.routes.flatMap(({ destination: to }) => ('upstream' in to || 'parts' in to ? upstreamsOf(to) : []))
    return http([...decided, ...secured], inside, first ?? null, 'L4 route, then L7')
  }
  const upstream: Dialled = destination.kind === 'original' ? WANTED : upstreamsOf(destination)[0]!
  const after = tls === null ? [] : handshakeHere()
  const dialled = dial(upstream)
  if (listener.gateway !== null) return ftp(decided, upstream)
  if (tls === null && upstream.tls === null) {
    const passed = isDetected ? [toEndpoint('what was read, byte by byte'), through('TLS handshake, with the endpoint')] : []
    return {
      mode: 'L4 passthrough: not one byte is decrypted',
      endpoint: upstream.name,
      steps: [...decided, ...dialled, ...passed, through('bytes, as they are')],
    }
  }
  const mode =
    tls === null
      ? 'L4, encrypted to the endpoint'
      : upstream.tls === null
        ? 'L4 termination: TLS ends here'
        : 'L4 re-encryption: TLS ends here, and begins anew to the endpoint'
  const bytes: Step[] = [both('client', tls === null ? 'bytes' : 'TLS'), both('endpoint', upstream.tls === null ? 'bytes' : 'TLS')]
  return { mode, endpoint: upstream.name, steps: [...decided, ...after, ...dialled, ...bytes] }
}

/** RFC 959, by PASV. */
function ftp(decided: readonly Step[], upstream: Dialled): Drawing {
  const steps = [
    ...decided,
    ...dial(upstream),
    through('commands and answers, line by line'),
    fromClient('PASV'),
    toEndpoint('PASV'),
    fromEndpoint('227 and its port'),
    note('opens a port for this client'),
    toClient('227 and the port here'),
    fromClient('SYN, to that port'),
    toEndpoint('SYN, to its port'),
    through('data, as it is'),
  ]
  return { mode: 'FTP gateway: commands are read, data is not', endpoint: upstream.name, steps }
}

/** Where the client wanted to go before it was sent here. */
const WANTED: Dialled = { name: 'server', tls: null, proxyProtocol: null }

function http(before: readonly Step[], { tls }: ListenerPlan, upstream: Dialled | null, place = 'L7'): Drawing {
  const asked = [...before, fromClient('request'), note('decides the route, asks its hooks')]
  if (upstream === null)
    return {
      mode: `${place}: answered here`,
      endpoint: '(none)',
      steps: [...asked, toClient('response')],
    }
  const ending = tls === null ? '' : ', TLS ends here'
  const mode = `${place}${ending}${upstream.tls === null ? '' : tls === null ? ', encrypted to the endpoint' : ', and begins anew to the endpoint'}`
  const steps = [
    ...asked,
    note('takes an idle connection, or dials:'),
    ...dial(upstream),
    toEndpoint('request'),
    fromEndpoint('response'),
    toClient('response'),
    note('keeps both connections for the next request'),
  ]
  return { mode, endpoint: upstream.name, steps }
}

function tunnel(listener: ListenerPlan | SocksListenerPlan, asked: string): Drawing {
  const steps = [
    ...begin(listener),
    fromClient(asked),
    note('asks who it is, and whether it may go there; looks at each address that it dials'),
    toEndpoint('SYN'),
    fromEndpoint('SYN-ACK'),
    toClient('it is open'),
    through('TLS handshake, with the server'),
    through('bytes, as they are'),
  ]
  return { mode: 'A tunnel: not one byte of it is decrypted', endpoint: 'server', steps }
}

/** RFC 1928 §7. */
function association(listener: SocksListenerPlan): Drawing {
  const steps = [
    ...begin(listener),
    fromClient('UDP ASSOCIATE'),
    note('asks who it is, opens a socket for this client'),
    toClient('its address and port'),
    fromClient('datagram and where to'),
    note('looks whether it may go there'),
    toEndpoint('datagram'),
    fromEndpoint('datagram'),
    toClient('datagram and where from'),
    note('it ends with the connection'),
  ]
  return { mode: 'Datagrams of a client of SOCKS5', endpoint: 'server', steps }
}

function udp(listener: UdpListenerPlan, route: UdpRoutePlan): Drawing {
  const isDetected = listener.routes.asksBefore(route)
  const { name } = upstreamsOf(route.destination)[0]!
  const first: Step[] = isDetected
    ? [fromClient('QUIC Initial'), note('reads the name in it, answers nothing'), note('decides the route, opens a socket for this client')]
    : [fromClient('datagram'), note('decides the route, opens a socket for this client')]
  const rest: Step[] = isDetected
    ? [toEndpoint('what came so far'), through('QUIC handshake, with the endpoint')]
    : [toEndpoint('datagram')]
  return {
    mode: isDetected ? 'QUIC passthrough: not one byte is altered' : 'UDP session',
    endpoint: name,
    steps: [...first, ...rest, through('datagrams, as they are')],
  }
}

// ── their parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** From the SYN to the first byte that a route can depend on. */
function begin(listener: ListenerPlan | TcpListenerPlan | SocksListenerPlan): Step[] {
  const isSecure = listener.kind === 'http' && listener.tls !== null
  return [
    fromClient('SYN'),
    toClient('SYN-ACK'),
    note('its kernel answers; nobody is dialled'),
    ...(listener.requiresProxyHeader ? [fromClient('PROXY header'), note('who the client is')] : []),
    ...(isSecure ? [fromClient('TLS hello'), ...handshakeHere()] : []),
  ]
}

function handshakeHere(): Step[] {
  return [both('client', 'TLS handshake'), note('completes it, with its own certificate')]
}

function dial({ tls, proxyProtocol }: Dialled): Step[] {
  return [
    toEndpoint('SYN'),
    fromEndpoint('SYN-ACK'),
    ...(proxyProtocol === null ? [] : [toEndpoint(`PROXY header, version ${proxyProtocol}`)]),
    ...(tls === null ? [] : [both('endpoint', 'TLS handshake')]),
  ]
}

function upstreamsOf(to: { readonly kind: 'upstream'; readonly upstream: UpstreamPlan } | SplitDestination): UpstreamPlan[] {
  return to.kind === 'split' ? to.parts.map(({ upstream }) => upstream) : [to.upstream]
}

const fromClient = (text: string): Step => ({ kind: 'say', side: 'client', to: 'right', text })
const toClient = (text: string): Step => ({ kind: 'say', side: 'client', to: 'left', text })
const toEndpoint = (text: string): Step => ({ kind: 'say', side: 'endpoint', to: 'right', text })
const fromEndpoint = (text: string): Step => ({ kind: 'say', side: 'endpoint', to: 'left', text })
const both = (side: 'client' | 'endpoint', text: string): Step => ({ kind: 'say', side, to: 'both', text })
const through = (text: string): Step => ({ kind: 'through', text })
const note = (text: string): Step => ({ kind: 'note', text })
