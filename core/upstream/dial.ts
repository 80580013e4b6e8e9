/** Opens one connection to an endpoint: resolves its name, tries each address, shakes hands over TLS if asked; one deadline for all of it. */
import type { X509Certificate } from 'node:crypto'
import net from 'node:net'
import type { ConnectionOptions, PeerCertificate, SecureContext, TLSSocket } from 'node:tls'
import type { ErrorCode } from '../errors.ts'
import type { Guard } from '../forward/guard.ts'
import type { Parent } from '../forward/parent.ts'
import { canUseHandles } from '../net/bindings.ts'
import { connectHandle } from '../net/handle-wire.ts'
import { wireOver } from '../net/kernel-wire.ts'
import { SocketWire } from '../net/socket-wire.ts'
import { loadTls } from '../net/tls.ts'
import { wireOverTls } from '../net/tls-wire.ts'
import type { Wire } from '../net/wire.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import type { DnsCache } from './dns.ts'

export interface OriginationTexts {
  /** Name asked for and verified; null: the endpoint's own. */
  readonly servername: string | null
  /** PEM texts, read when the plan was prepared. Null: the public authorities. */
  readonly ca: string | readonly string[] | null
  readonly cert: string | null
  readonly key: string | null
}

/** How to speak TLS to the endpoints of an upstream. */
export interface Origination {
  readonly servername: string | null
  readonly context: SecureContext
  /** False: whoever answers is believed. */
  readonly verifies: boolean
  /** The same for two that are interchangeable: part of a pool's key. */
  readonly identity: string
  /** Told of the certificate of each server that was connected to, verified as `verifies` says. Default: nobody is. */
  readonly shown?: (certificate: X509Certificate) => void
}

/** Throws if a certificate or key cannot be used: when the plan is prepared, not at the first request. */
export function makeOrigination({ servername, ca, cert, key }: OriginationTexts, verifies = true): Origination {
  const context = loadTls().createSecureContext({
    minVersion: 'TLSv1.2',
    ...(ca === null ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  })
  return { servername, context, verifies, identity: JSON.stringify([servername, ca, cert, key, verifies]) }
}

export interface DialOptions {
  readonly target: EndpointPlan['target']
  readonly tls: Origination | null
  /** What is offered over TLS. Default: HTTP/1.1. */
  readonly alpn?: readonly string[]
  /** Goes before everything else, TLS too. */
  readonly header: Buffer | null
  readonly dns: DnsCache
  /** Asked about each address that the target's name resolves to, which is then the one dialled. Null: it may be. */
  readonly guard?: Guard | null
}

/** `by`: of a connection that leads by way of a parent. */
export type Dialled = (wire: Wire | null, error: ErrorCode | null, detail: string | null, by?: DialledBy) => void
export interface DialledBy {
  /** The parent at its other end, which is asked for whole URLs; null: it is the place itself. */
  readonly asksWhole: Parent | null
  /** Another parent would have been asked: it is used once. */
  readonly isStandIn: boolean
}
export type Dial = typeof dial

/** Calls `done` once, never before it returns. Returns how to give up, after which `done` is not called. */
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
      if (addresses === null) return process.nextTick(finish, null, error, target.host)
      const admitted = options.guard ? addresses.filter((address) => options.guard!(address, target.port) === null) : addresses
      if (admitted.length > 0) tryEach(options, admitted, target.port, 0, finish, (give) => (abort = give))
      else process.nextTick(finish, null, 'address_refused', options.guard!(addresses[0]!, target.port))
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
    // Who is not believed is no reason to ask another one.
    if (wire !== null || error === 'tls_certificate' || at + 1 >= addresses.length) return done(wire, error, detail)
    tryEach(options, addresses, port, at + 1, done, aborter)
  }
  aborter(connectIp(options, addresses[at]!, port, next))
}

function connectIp(options: DialOptions, ip: string, port: number, done: Dialled): () => void {
  if (options.tls !== null || !canUseHandles) return connectSocket(options, { host: ip, port }, done)
  return connectHandle(ip, port, (handle, error) => {
    if (handle !== null) done(announced(wireOver(handle, true), options.header), null, null)
    else done(null, connectError(error!), `${error} ${ip}:${port}`)
  })
}

/** So soon after the connect there is room for it: nothing has been written before. */
function announced(wire: Wire, header: Buffer | null): Wire {
  if (header !== null) wire.writeText(header.latin1Slice())
  return wire
}

type Where = { readonly host: string; readonly port: number } | { readonly path: string }

function connectSocket(options: DialOptions, where: Where, done: Dialled): () => void {
  if (options.tls !== null) {
    if (options.header === null) return connectTls(options, options.tls, where, done)
    return connectAnnounced({ ...options, tls: options.tls, header: options.header }, where, done)
  }
  const socket = net.connect({ ...where, noDelay: true })
  const toError = (error: NodeJS.ErrnoException) => connectError(error.code ?? '')
  const { header } = options
  return whenOpen(socket, { event: 'connect', toError }, (wire, error, detail) => done(wire && announced(wire, header), error, detail))
}

/** The header leaves in plain text, then TLS begins. */
function connectAnnounced(
  options: DialOptions & { readonly tls: Origination; readonly header: Buffer },
  where: Where,
  done: Dialled,
): () => void {
  const { tls, header } = options
  const socket = net.connect({ ...where, noDelay: true })
  let abort = (): void => {
    socket.destroy()
  }
  const failed = (error: NodeJS.ErrnoException) => {
    socket.destroy()
    done(null, connectError(error.code ?? ''), error.message)
  }
  socket.once('error', failed)
  socket.once('connect', () => {
    socket.write(header)
    socket.off('error', failed)
    abort = connectTls(options, tls, { socket }, done)
  })
  return () => abort()
}

const HTTP = ['http/1.1'] as const

/** On a connection that is open already, and leads to the target. */
export function dialTlsOn(socket: net.Socket, options: DialOptions & { readonly tls: Origination }, done: Dialled): () => void {
  return connectTls(options, options.tls, { socket }, done)
}

function connectTls(
  { target, alpn = HTTP }: DialOptions,
  origination: Origination,
  where: Where | { readonly socket: net.Socket },
  done: Dialled,
): () => void {
  const tls = loadTls()
  const name = origination.servername ?? (target.kind === 'unix' ? 'localhost' : target.host)
  const options: ConnectionOptions = {
    ...where,
    secureContext: origination.context,
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    // Said here, so that NODE_TLS_REJECT_UNAUTHORIZED in somebody's environment cannot turn it off.
    rejectUnauthorized: origination.verifies,
    checkServerIdentity: (_: string, certificate: PeerCertificate) => tls.checkServerIdentity(name, certificate),
    // An address is not a server name (RFC 6066 §3).
    servername: net.isIP(name) === 0 ? name : '',
  }
  const socket = tls.connect(options)
  socket.setNoDelay(true)
  const { shown } = origination
  if (shown !== undefined) socket.once('secureConnect', () => tellShown(socket, shown))
  return whenOpen(socket, { event: 'secureConnect', toError: (error) => tlsError(socket, error) }, done)
}

function tellShown(socket: TLSSocket, shown: (certificate: X509Certificate) => void): void {
  const certificate = socket.getPeerX509Certificate()
  if (certificate !== undefined) shown(certificate)
}

interface Opening {
  readonly event: 'connect' | 'secureConnect'
  readonly toError: (error: NodeJS.ErrnoException) => ErrorCode
}

function whenOpen(socket: net.Socket, { event, toError }: Opening, done: Dialled): () => void {
  const failed = (error: NodeJS.ErrnoException) => {
    socket.destroy()
    done(null, toError(error), error.message)
  }
  socket.once('error', failed)
  socket.once(event, () => {
    socket.removeListener('error', failed)
    done('encrypted' in socket ? wireOverTls(socket as TLSSocket) : new SocketWire(socket), null, null)
  })
  return () => {
    socket.removeListener('error', failed)
    socket.on('error', () => {})
    socket.destroy()
  }
}

function connectError(errno: string): ErrorCode {
  if (errno === 'ECONNREFUSED' || errno === 'ENOENT') return 'connect_refused'
  return errno === 'ETIMEDOUT' ? 'connect_timeout' : 'connect_failed'
}

function tlsError(socket: TLSSocket, error: NodeJS.ErrnoException): ErrorCode {
  const code = error.code ?? ''
  // Set for every reason that OpenSSL or the comparison of names has to refuse a certificate, and for nothing else.
  if (socket.authorizationError) return 'tls_certificate'
  if (code.startsWith('ECONN') && socket.getProtocol() !== null) return 'tls_error'
  return /^E(?:CONN|NET|HOST|PIPE)|^ETIMEDOUT$|^ENOENT$/.test(code) ? connectError(code) : 'tls_error'
}
