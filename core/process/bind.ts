/**
 * Sockets that are bound and kept open by the supervisor, which never accepts on them: a worker that dies takes nothing with it,
 * what waits in the queue is accepted by whoever gets the handle next. On Linux every worker slot has its own `reusePort` socket,
 * elsewhere, and for unix sockets, all share one. As the group of such sockets stays the same, each client of UDP stays with its slot.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { unlinkSync } from 'node:fs'
import net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { bindings } from '../net/bindings.ts'
import { getSocketOptions, TRANSPARENT } from '../net/socket-options.ts'
import type { ListenAddress } from '../plan/plan.ts'

/** The raw handle of a bound socket. Sent to a worker, which listens on its copy. */
export interface BoundHandle {
  getsockname(out: { address?: string; port?: number }): number
  close(): void
  readonly fd?: number
}

export interface BoundSocket {
  /** With the port that was given when 0 was asked for. */
  readonly address: ListenAddress
  /** null: the runtime cannot bind without listening; each worker binds by itself. */
  readonly handle: BoundHandle | null
  close(): void
}

/** Binding failed: the message names the listener, the address and what to do. */
export class BindError extends Error {
  override readonly name = 'BindError'
  /** By name. */
  readonly listener: string
  readonly address: ListenAddress
  constructor(listener: string, address: ListenAddress, why: string) {
    super(`listener ${listener} cannot use ${address.kind === 'udp' ? 'UDP ' : ''}${describeAddress(address)}: ${why}`)
    this.listener = listener
    this.address = address
  }
}

export const backlog = 4096

type CreateHandle = (address: string | null, port: number, type: number, fd: undefined, flags: number) => BoundHandle | number

/** libuv's UV_TCP_REUSEPORT. */
const reusePortTcp = 2
/** A burst must fit in it while a worker is busy or being replaced; the system may grant less. */
const receiveBytes = 4 << 20

/** node:net offers no public way to bind without accepting; this one has been there since 0.6 because node:cluster needs it. */
const createHandle = (net as unknown as { _createServerHandle?: CreateHandle })._createServerHandle ?? null

export interface BindOptions {
  readonly slots: number
  /** This program has the port already, at another address that overlaps: whether somebody else has it cannot be tried. */
  readonly isOurs?: boolean
  /** Null: workers bind by themselves. */
  readonly create?: CreateHandle | null
}

/** Binds one address for `slots` workers; gives one socket for each. Throws BindError, and then leaves nothing open. */
export async function bindAddress(listener: string, address: ListenAddress, options: BindOptions): Promise<BoundSocket[]> {
  const { slots, isOurs = false, create: createTcp = createHandle } = options
  const create = address.kind === 'udp' && createTcp !== null ? createUdp : createTcp
  if (address.kind === 'unix') await removeStaleSocket(listener, address.path)
  if (create === null && address.kind === 'tcp' && address.isTransparent === true)
    throw new BindError(listener, address, "transparent: 'tproxy' needs the handles of Node")
  if (create === null) return isOurs ? unbound(address, slots) : alone(listener, address, slots)
  const shared = address.kind === 'unix' || process.platform !== 'linux'
  const first = bindOne(create, listener, address, isOurs && !shared ? reusePortOf(address) : 0)
  if (shared) return Array.from({ length: slots }, () => first)
  // The first bind was without reusePort, so that a port which another program shares is noticed; now the real ones.
  first.close()
  const sockets: BoundSocket[] = []
  try {
    for (let slot = 0; slot < slots; slot++) sockets.push(bindOne(create, listener, first.address, reusePortOf(address)))
  } catch (error) {
    for (const socket of sockets) socket.close()
    throw error
  }
  return sockets
}

export function describeAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  const host = address.host ?? '0.0.0.0'
  return `${host.includes(':') ? `[${host}]` : host}:${address.port}`
}

function bindOne(create: CreateHandle, listener: string, address: ListenAddress, flags: number): BoundSocket {
  const handle = address.kind === 'unix' ? create(address.path, -1, -1, undefined, 0) : bindIp(create, address, flags)
  if (typeof handle === 'number') throw bindError(listener, address, handle)
  if (address.kind === 'unix') return open(handle, address)
  // libuv keeps "address in use" back until the next call on the handle.
  const name: { address?: string; port?: number } = {}
  const error = handle.getsockname(name)
  if (error !== 0) {
    handle.close()
    throw bindError(listener, address, error)
  }
  if (address.isTransparent === true) makeTransparent(listener, address, handle)
  return open(handle, { ...address, port: name.port ?? address.port })
}

/** Before anybody listens on it: it takes what is meant for addresses that are not ours. */
function makeTransparent(listener: string, address: ListenAddress, handle: BoundHandle): void {
  const options = getSocketOptions()
  const failed = (['ipv4', 'ipv6'] as const).map((family) => options?.switchOn(handle.fd ?? -1, TRANSPARENT[family]) ?? -1)
  // A socket of one family need not know the option of the other.
  if (failed.includes(0)) return
  handle.close()
  const why = options === null ? 'transparent needs Linux, and Node with node:ffi' : "transparent: 'tproxy' needs root or CAP_NET_ADMIN"
  throw new BindError(listener, address, why)
}

function bindIp(create: CreateHandle, address: Exclude<ListenAddress, { kind: 'unix' }>, flags: number): BoundHandle | number {
  if (address.host === null) return create(null, address.port, 6, undefined, flags)
  return create(address.host, address.port, net.isIPv6(address.host) ? 6 : 4, undefined, flags)
}

function reusePortOf({ kind }: ListenAddress): number {
  return kind === 'udp' ? (bindings?.udp().reusePort ?? 0) : reusePortTcp
}

/** As node:net has it for TCP: no address is all of both families, or of IPv4 where there is no other. */
function createUdp(address: string | null, port: number, type: number, fd: undefined, flags: number): BoundHandle | number {
  if (bindings === null) return -1
  const handle = new (bindings.udp().UDP)()
  const isV6 = address === null || type === 6
  const error = isV6 ? handle.bind6(address ?? '::', port, flags) : handle.bind(address, port, flags)
  if (error === 0) {
    handle.bufferSize(receiveBytes, true, {})
    return handle
  }
  handle.close()
  return address === null && ['EAFNOSUPPORT', 'EINVAL', 'EADDRNOTAVAIL'].includes(getSystemErrorName(error))
    ? createUdp('0.0.0.0', port, 4, fd, flags)
    : error
}

function open(handle: BoundHandle, address: ListenAddress): BoundSocket {
  let isOpen = true
  const close = () => {
    if (isOpen) handle.close()
    isOpen = false
  }
  return { address, handle, close }
}

/** Without handles: finds the port, and leaves binding to the workers. */
async function alone(listener: string, address: ListenAddress, slots: number): Promise<BoundSocket[]> {
  if (address.kind === 'unix')
    return Array.from({ length: slots }, () => ({ address, handle: null, close: () => removeQuietly(address.path) }))
  const server = address.kind === 'udp' ? createSocket(udpType(address.host)) : net.createServer()
  const where = { port: address.port, ...(address.host === null ? {} : { host: address.host, address: address.host }) }
  try {
    if (server instanceof net.Server) server.listen(where)
    else server.bind({ ...where, exclusive: true })
    await once(server, 'listening')
  } catch (error) {
    throw bindError(listener, address, error instanceof Error && 'errno' in error ? Number(error.errno) : -1)
  }
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : address.port
  server.close()
  await once(server, 'close')
  return unbound({ ...address, port }, slots)
}

export function udpType(host: string | null): 'udp4' | 'udp6' {
  return host === null || net.isIPv6(host) ? 'udp6' : 'udp4'
}

function unbound(address: ListenAddress, slots: number): BoundSocket[] {
  const socket = (): BoundSocket => ({ address, handle: null, close: () => {} })
  const shared = socket()
  const isShared = address.kind === 'udp' && process.platform !== 'linux'
  return Array.from({ length: slots }, () => (isShared ? shared : socket()))
}

/** A unix socket outlives a program that was killed: remove it if nobody answers there. */
async function removeStaleSocket(listener: string, path: string): Promise<void> {
  const socket = net.connect(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') removeQuietly(path)
    return
  } finally {
    socket.destroy()
  }
  throw new BindError(listener, { kind: 'unix', path }, 'another program listens there')
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Already gone, or not ours to remove: binding will tell.
  }
}

function bindError(listener: string, address: ListenAddress, errno: number): BindError {
  return new BindError(listener, address, reasonOf(errno))
}

function reasonOf(errno: number): string {
  const code = errno < 0 ? getSystemErrorName(errno) : String(errno)
  switch (code) {
    case 'EADDRINUSE':
      return 'another program uses it already'
    case 'EACCES':
      return 'not permitted; ports below 1024 need root, CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start'
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address'
    case 'ENOENT':
      return 'its folder does not exist'
    default:
      return code
  }
}
