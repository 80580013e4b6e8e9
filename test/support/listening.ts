/** Sockets that listen by system calls of our own, bound as the supervisor binds them. */
import { getKernel } from '../../core/net/kernel.ts'
import { type BoundHandle, ListeningSocket } from '../../core/net/listening-socket.ts'
import { bindAddress } from '../../core/process/bind.ts'

const BACKLOG = 4096

export type ListenPlace = { readonly port: number; readonly host: string } | { readonly path: string }

export interface Bound {
  readonly handle: BoundHandle & { readonly fd: number }
  /** Where clients connect to. */
  readonly place: ListenPlace
}

/** `where`: an address, or the path of a unix socket. */
export async function bind(where: string): Promise<Bound> {
  const isPath = where.startsWith('/')
  const [bound] = await bindAddress('web', isPath ? { kind: 'unix', path: where } : { kind: 'tcp', host: where, port: 0 }, { slots: 1 })
  const { address, handle } = bound!
  const place = address.kind === 'tcp' ? { port: address.port, host: where } : { path: where }
  return { handle: handle as unknown as Bound['handle'], place }
}

export async function listen(where: string): Promise<{ readonly socket: ListeningSocket; readonly place: ListenPlace }> {
  const { handle, place } = await bind(where)
  return { socket: new ListeningSocket(getKernel()!, handle, BACKLOG), place }
}
