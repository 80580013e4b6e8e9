/** Gateways of TCP listeners: their shape, and that what they have to read is there to be read. */
import { parseIpv4, parseListen } from '../net/address.ts'
import { parsePortRange } from '../net/port-range.ts'
import type { Path } from './positions.ts'
import { isObject, type Plain, type Report, show } from './report.ts'
import type { ListenerPart, Parts, TcpRoutePart } from './schema-parts.ts'
import { speaksTls } from './schema-upstream.ts'
import { chosen, made, object, textThat, wrong } from './schema-values.ts'

const ftp = made({
  options: object({
    passivePorts: textThat((written) =>
      parsePortRange(written) === null ? `expected a range of ports from 1024 on, such as '50000-50100', got ${show(written)}` : null,
    ),
    address: textThat((written) =>
      parseIpv4(written) < 0 ? `PASV tells an IPv4 address such as '203.0.113.5' and nothing else, got ${show(written)}` : null,
    ),
  }),
})

export const gateway = chosen((value) => (isObject(value) && value.kind === 'ftp' ? ftp : wrong('ftp({ … })')))

export function checkGateways({ listeners, tcpRoutes }: Parts, report: Report): void {
  const known = new Set<string>()
  for (const part of listeners) {
    if (part.kind !== 'tcp' || part.options.gateway === undefined) continue
    known.add(part.name)
    checkListener(part, report)
    checkPorts(part, listeners, report)
  }
  for (const part of tcpRoutes) if (known.has(part.listener)) checkRoute(part, report)
}

function checkListener({ options, path }: ListenerPart, report: Report): void {
  const at: Path = [...path, 'gateway']
  if (options.transparent !== undefined)
    report.error(at, 'clients of a gateway come to it by its own address: leave transparent out', 'key')
  if (options.proxyProtocol !== undefined)
    report.error(at, 'connections for data come without a PROXY header, from nobody knows where: leave proxyProtocol out', 'key')
  const addresses = Array.isArray(options.listen) ? options.listen : [options.listen]
  if (addresses.some(isUnix)) report.error(at, 'clients of a unix socket have no address by which data could reach them', 'key')
}

/** A port that somebody listens on is none that data can come to. */
function checkPorts({ name, options, path }: ListenerPart, listeners: readonly ListenerPart[], report: Report): void {
  const { passivePorts } = isObject(options.gateway) && isObject(options.gateway.options) ? options.gateway.options : {}
  const range = typeof passivePorts === 'string' ? parsePortRange(passivePorts) : null
  if (range === null) return
  const own = listensOf(options)
  for (const other of listeners) {
    const taken = listensOf(other.options).find(
      ({ host, port }) =>
        port >= range.from && port <= range.to && own.some((one) => one.host === null || host === null || one.host === host),
    )
    if (taken === undefined || other.kind === 'udp') continue
    const whose = other.name === name ? 'this listener itself' : `the listener ${other.name}`
    report.error([...path, 'gateway', { hidden: 'options' }, 'passivePorts'], `${whose} listens on ${taken.port}, which is one of them`)
  }
}

function listensOf({ listen }: Plain): { readonly host: string | null; readonly port: number }[] {
  return (Array.isArray(listen) ? listen : [listen]).flatMap((one: unknown) => {
    const address = typeof one === 'string' || typeof one === 'number' ? parseListen(one) : null
    return address === null || address.kind === 'unix' ? [] : [address]
  })
}

function isUnix(listen: unknown): boolean {
  return typeof listen === 'string' && parseListen(listen)?.kind === 'unix'
}

function checkRoute({ route: { to, tls, sni, alpn }, path }: TcpRoutePart, report: Report): void {
  for (const [name, value] of Object.entries({ tls, sni, alpn }))
    if (value !== undefined)
      report.error([...path, name], 'a gateway of FTP reads plain text: FTP over TLS passes on a listener without a gateway', 'key')
  if (isObject(to) && (to.kind === 'http' || to.kind === 'original'))
    report.error([...path, 'to'], 'the gateway of this listener speaks FTP to an upstream, and this is none')
  else if (upstreamsOf(to).some(speaksTls))
    report.error([...path, 'to'], 'the gateway opens data in plain text, and this upstream takes TLS')
}

function upstreamsOf(to: unknown): readonly unknown[] {
  if (!isObject(to) || to.kind !== 'split') return [to]
  return Array.isArray(to.parts) ? to.parts.map((part: unknown) => (Array.isArray(part) ? part[0] : null)) : []
}
