/** Opens one connection to an endpoint: resolves its name, tries each address, shakes hands over TLS if asked; one deadline for all of it. */
import net from 'node:net'
import tls from 'node:tls'
import type { ErrorCode } from '../errors.ts'
import { canUseHandles, connectHandle } from '../net/handle-wire.ts'
import { SocketWire } from '../net/socket-wire.ts'
import type { Wire } from '../net/wire.ts'
import type { EndpointPlan } from '../plan/plan.ts'
import type { DnsCache } from './dns.ts'

/** PEM texts, read when the plan was prepared. */
export interface OriginationTls {
  readonly servername: string | null
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

export interface DialOptions {
  readonly target: EndpointPlan['target']
  readonly tls: OriginationTls | null
  readonly dns: DnsCache
}

export type Dialled = (wire: Wire | null, error: ErrorCode | null, detail: string | null) => void

/** Calls `done` once, never before it returns unless a name fails at once. Returns how to give up, after which `done` is not called. */
export function dial(options: DialOptions, done: Dialled): () => void {
  let abort: () => void = () => {}
  let over = false
  const finish: Dialled = (wire, error, detail) => {
    if (over) return wire?.destroy()
    over = true
    done(wire, error, detail)
  }
  const { target } = options
  if (target.kind === 'unix') abort = connectSocket(options, { path: target.path }, finish)
  else if (target.kind === 'ip') abort = connectIp(options, target.host, target.port, finish)
  else {
    options.dns.resolve(target.host, (addresses, error) => {
      if (over) return
      if (addresses === null) finish(null, error, target.host)
      else tryEach(options, addresses, target.port, 0, finish, (give) => (abort = give))
    })
  }
  return () => {
    if (over) return
    over = true
    abort()
  }
}

/** One address after the other: `localhost` may listen on ::1 alone. */
function tryEach(
  options: DialOptions,
  addresses: readonly string[],
  port: number,
  at: number,
  done: Dialled,
  aborter: (give: () => void) => void,
): void {
  const next: Dialled = (wire, error, detail) => {
    if (wire !== null || at + 1 >= addresses.length) return done(wire, error, detail)
    tryEach(options, addresses, port, at + 1, done, aborter)
  }
  aborter(connectIp(options, addresses[at]!, port, next))
}

function connectIp(options: DialOptions, ip: string, port: number, done: Dialled): () => void {
  if (options.tls !== null || !canUseHandles) return connectSocket(options, { host: ip, port }, done)
  return connectHandle(ip, port, (wire, error) => {
    if (error === null) done(wire, null, null)
    else done(null, connectError(error), `${error} ${ip}:${port}`)
  })
}

function connectSocket(options: DialOptions, where: { host: string; port: number } | { path: string }, done: Dialled): () => void {
  const socket = options.tls === null ? net.connect({ ...where, noDelay: true }) : tls.connect(tlsOptions(options, options.tls, where))
  socket.once(options.tls === null ? 'connect' : 'secureConnect', () => {
    socket.removeListener('error', failed)
    done(new SocketWire(socket), null, null)
  })
  const failed = (error: NodeJS.ErrnoException) => {
    socket.destroy()
    done(null, options.tls === null ? connectError(error.code ?? '') : tlsError(error), error.message)
  }
  socket.once('error', failed)
  return () => {
    socket.removeListener('error', failed)
    socket.on('error', () => {})
    socket.destroy()
  }
}

function tlsOptions(options: DialOptions, origination: OriginationTls, where: { host: string; port: number } | { path: string }): tls.ConnectionOptions {
  const name = origination.servername ?? (options.target.kind === 'name' ? options.target.host : undefined)
  return {
    ...where,
    ...(name === undefined ? {} : { servername: name }),
    ...(origination.ca === null ? {} : { ca: origination.ca }),
    ...(origination.cert === null ? {} : { cert: origination.cert }),
    ...(origination.key === null ? {} : { key: origination.key }),
    ALPNProtocols: ['http/1.1'],
  }
}

function connectError(errno: string): ErrorCode {
  if (errno === 'ECONNREFUSED' || errno === 'ENOENT') return 'connect_refused'
  return errno === 'ETIMEDOUT' ? 'connect_timeout' : 'connect_failed'
}

function tlsError(error: NodeJS.ErrnoException): ErrorCode {
  const code = error.code ?? ''
  if (code.startsWith('ECONN') || code === 'ETIMEDOUT' || code.startsWith('ENET') || code.startsWith('EHOST')) return connectError(code)
  return /CERT|SIGNED|ISSUER|ALTNAME/.test(code) ? 'tls_certificate' : 'tls_error'
}
