/**
 * The UDP sockets of a worker. Each is taken once: short of descriptors a worker keeps them, for who closes one loses its sessions, and
 * gets them again with the others.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { UdpHandle } from '../net/bindings.ts'
import { type DatagramSocket, datagramsOf } from '../net/datagrams.ts'
import type { ListenAddress } from '../plan/plan.ts'
import { udpType } from './bind.ts'

export class DatagramDoors {
  readonly #open = new Map<string, DatagramSocket>()

  /** Null: it is open already. `handle`: of a bound socket; undefined: it has to be bound here. */
  async open(key: string, address: Exclude<ListenAddress, { kind: 'unix' }>, handle: unknown): Promise<DatagramSocket | null> {
    const given = handle as UdpHandle | undefined
    if (this.#open.has(key)) {
      given?.close()
      return null
    }
    const socket = datagramsOf(given ?? (await bind(address)))
    this.#open.set(key, socket)
    socket.closed = () => this.#open.delete(key)
    return socket
  }
}

async function bind({ host, port }: Exclude<ListenAddress, { kind: 'unix' }>) {
  const socket = createSocket({ type: udpType(host), reusePort: process.platform === 'linux' })
  socket.bind({ port, exclusive: true, ...(host === null ? {} : { address: host }) })
  await once(socket, 'listening')
  return socket
}
