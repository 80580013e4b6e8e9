/** What a worker takes connections from: its copy of a bound socket, by system calls of our own where they are to be had, else by Node's server. */
import net from 'node:net'
import type { ConnectionSource } from '../doors.ts'
import { getKernel } from '../net/kernel.ts'
import { type BoundHandle, ListeningSocket } from '../net/listening-socket.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { backlog } from './bind.ts'

export interface ListenOptions {
  readonly address: Exclude<ListenAddress, { kind: 'udp' }>
  /** Of the bound socket; undefined: it has to be bound here. */
  readonly handle: unknown
  /** Told now and then, while nothing can be accepted. */
  readonly failed: (error: string) => void
}

export interface Listening {
  readonly source: ConnectionSource
  /** From then on nothing that connects is lost. */
  readonly begun: Promise<void>
}

/** Throws, or has `begun` fail, if it cannot listen. Who gets the connections has to be said at once. */
export function listenOn({ address, handle, failed }: ListenOptions): Listening {
  const kernel = getKernel()
  if (kernel !== null && handle !== undefined) {
    const source = new ListeningSocket(kernel, handle as BoundHandle, backlog)
    source.failed = failed
    return { source, begun: Promise.resolve() }
  }
  // A connection is given to the proxy as it is: it decides about half-closing and delays.
  const source = net.createServer({ allowHalfOpen: true, noDelay: true })
  const begun = new Promise<void>((resolve, reject) => source.once('listening', resolve).once('error', reject))
  if (handle === undefined) source.listen(listenOptions(address))
  else source.listen(handle, backlog)
  return { source, begun }
}

function listenOptions(address: ListenOptions['address']): net.ListenOptions {
  if (address.kind === 'unix') return { path: address.path, backlog }
  const reusePort = process.platform === 'linux'
  return { port: address.port, backlog, reusePort, ...(address.host === null ? {} : { host: address.host }) }
}
