/** Listeners that are transparent, and what goes where their clients wanted to go: that both are there, and what cannot be had together. */
import { isBuiltin } from 'node:module'
import type { Path } from './positions.ts'
import { isObject, type Report } from './report.ts'
import type { ListenerPart, Parts } from './schema-parts.ts'
import { made, oneOf } from './schema-values.ts'

export const transparent = oneOf('redirect', 'tproxy')
export const originalTarget = made({ kind: oneOf('original') })

export function checkTransparent({ listeners, routes, tcpRoutes }: Parts, report: Report): void {
  for (const part of listeners) if (part.options.transparent !== undefined) checkListener(part, report)
  const known = new Set(listeners.filter(({ options }) => options.transparent !== undefined).map(({ name }) => name))
  for (const { route, path, listener } of [...routes, ...tcpRoutes]) {
    if (!isOriginal(route.to)) continue
    const at: Path = [...path, 'to']
    if (!known.has(listener))
      report.error(
        at,
        `nothing tells where clients of ${listener} wanted to go: original() is for a listener that says transparent: 'redirect' or 'tproxy'`,
      )
    else if (route.tls !== undefined)
      report.error(
        at,
        'TLS ends here, and where the client wanted to go it is expected: leave tls out, or send it to an upstream with tls: true',
        'key',
      )
  }
}

function isOriginal(to: unknown): boolean {
  return isObject(to) && to.kind === 'original'
}

function checkListener({ kind, options, path }: ListenerPart, report: Report): void {
  const at: Path = [...path, 'transparent']
  if (process.platform !== 'linux') report.error(at, 'only Linux tells where a connection was meant to go', 'key')
  else if (!isBuiltin('node:ffi') || process.env.SLUICE_NO_FFI === '1')
    report.error(
      at,
      'where a connection was meant to go is asked by way of node:ffi, which this Node has not (26.9 and later have it), or SLUICE_NO_FFI forbids',
      'key',
    )
  if (kind === 'http' && options.tls !== undefined)
    report.error(
      at,
      'a certificate for every name that a client may want is not to be had: take tcp({ transparent }), which passes TLS on by its name',
      'key',
    )
  if (options.proxyProtocol !== undefined) report.error(at, 'who comes by way of a PROXY header was not sent here by a firewall', 'key')
  if (kind === 'forward' && options.auth !== undefined)
    report.error([...path, 'auth'], 'clients that know of no proxy show it no password: say who they are with allow: { clients }', 'key')
  if (kind === 'forward' && options.pac !== undefined)
    report.error(
      [...path, 'pac'],
      'a path that is asked of this listener is asked of somebody else: put the file on a listener that is not transparent',
      'key',
    )
}
