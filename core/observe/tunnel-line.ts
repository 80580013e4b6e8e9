/** The access line of an ended connection to a TCP or SOCKS listener, or of an ended UDP session, in the formats of access-line.ts. What a client chose is escaped and short. */

import type { EndedTunnel } from '../events.ts'
import { type AccessFormat, clockTime, commonTime, escaped, isoTime, painter, tenths } from './access-line.ts'

export type FormatTunnel = (tunnel: EndedTunnel) => string

export function tunnelFormatter(format: AccessFormat, { color }: { readonly color: boolean }): FormatTunnel {
  if (format === 'json') return jsonLine
  return format === 'combined' ? combinedLine : (tunnel) => prettyLine(tunnel, color)
}

function jsonLine(x: EndedTunnel): string {
  const fields: (readonly [string, string | null])[] = [
    ['time', isoTime(x.startedAt)],
    ['id', x.id],
    ['listener', x.listener],
    ['route', x.route],
    ['upstream', x.upstream],
    ['endpoint', x.endpoint === x.destination ? null : x.endpoint],
    ['protocol', x.protocol],
    ['ip', x.ip],
    ['user', x.user === null ? null : x.user.slice(0, 200)],
    ['destination', x.destination],
    ['sni', x.sni],
    ['reason', x.reason],
    ['detail', x.detail === null ? null : x.detail.slice(0, 1000)],
    ['decidedBy', x.decidedBy],
  ]
  const texts = fields.flatMap(([name, text]) => (text === null ? [] : [`"${name}":"${escaped(text)}"`]))
  const connect = Number.isNaN(x.connectMs) ? '' : `"connectMs":${tenths(x.connectMs)},`
  const attempts = x.attempts > 1 ? `,"attempts":${x.attempts}` : ''
  const datagrams = isOfDatagrams(x) ? `,"datagramsIn":${x.datagramsIn},"datagramsOut":${x.datagramsOut}` : ''
  return `{${texts.join(',')},"ms":${tenths(x.durationMs)},${connect}"in":${x.bytesIn},"out":${x.bytesOut}${datagrams}${attempts},"tunnel":true}\n`
}

/** The format has no place for tunnels: protocol and server name (or what was asked for) stand where a request would, 000 where its status. */
function combinedLine(x: EndedTunnel): string {
  const user = x.user === null ? '-' : escaped(x.user.slice(0, 60)).replaceAll(' ', '_')
  return `${escaped(x.ip) || '-'} - ${user} [${commonTime(x.startedAt)}] "${x.protocol} ${escaped(x.destination ?? x.sni ?? '-')}" 000 ${x.bytesOut} "-" "-"\n`
}

function prettyLine(x: EndedTunnel, color: boolean): string {
  const paint = painter(color)
  const status = paint(x.reason === null ? 32 : 31, x.protocol)
  const to = x.endpoint === null || x.endpoint === x.destination ? '' : paint(2, ` > ${escaped(x.endpoint)}`)
  const detail = x.detail === null ? '' : `: ${escaped(x.detail.slice(0, 200))}`
  const reason = x.reason === null ? '' : paint(31, ` ${x.reason}${detail}`)
  const name = x.sni === null || x.destination?.startsWith(`${x.sni}:`) === true ? '' : paint(2, ` (${escaped(x.sni)})`)
  const where = x.destination === null ? escaped(x.sni ?? x.route ?? x.listener) : `${escaped(x.destination)}${name}`
  const [into, out] = isOfDatagrams(x) ? [`${x.datagramsIn}/`, `${x.datagramsOut}/`] : ['', '']
  const size = paint(2, `${tenths(x.durationMs)}ms ${into}${x.bytesIn} in ${out}${x.bytesOut} out`)
  return `${paint(2, clockTime(x.startedAt))} ${status} ${where} ${size}${to}${reason}${paint(2, `  ${escaped(x.id)}`)}\n`
}

export function isOfDatagrams({ protocol }: Pick<EndedTunnel, 'protocol'>): boolean {
  return protocol === 'UDP' || protocol === 'QUIC'
}
