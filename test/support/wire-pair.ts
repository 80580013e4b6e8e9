/** A wire on a descriptor, and the socket of Node that it is connected to. */
import { once } from 'node:events'
import net from 'node:net'
import type { BareSocket } from '../../core/net/bare-socket.ts'
import type { StreamHandle } from '../../core/net/bindings.ts'
import { getKernel } from '../../core/net/kernel.ts'
import { KernelWire } from '../../core/net/kernel-wire.ts'
import { Keeper } from './keeper.ts'
import { listen } from './listening.ts'

export interface Pair extends AsyncDisposable {
  readonly wire: KernelWire
  readonly owner: Keeper
  readonly client: net.Socket
}

/** `ownBuffer`: as of endpoints, on a handle of libuv's; else as of clients, on a bare socket. `path`: over a unix socket. */
export async function pair(ownBuffer = false, path: string | null = null): Promise<Pair> {
  const { place, accepted, close } = ownBuffer ? await listenByNode(path) : await listenByKernel(path)
  const client = net.connect({ ...place, noDelay: true, allowHalfOpen: true })
  client.on('error', () => {})
  const wire = new KernelWire(getKernel()!, await accepted, ownBuffer)
  const owner = new Keeper()
  wire.owner = owner
  wire.expectDetach(false)
  return {
    wire,
    owner,
    client,
    async [Symbol.asyncDispose]() {
      client.destroy()
      wire.destroy()
      await close()
    },
  }
}

interface Place {
  readonly place: { readonly port: number; readonly host: string } | { readonly path: string }
  readonly accepted: Promise<StreamHandle | BareSocket>
  close(): Promise<void>
}

async function listenByKernel(path: string | null): Promise<Place> {
  const { socket, place } = await listen(path ?? '127.0.0.1')
  const accepted = new Promise<BareSocket>((resolve) => {
    socket.accepted = resolve
  })
  return { place, accepted, close: async () => socket.close() }
}

async function listenByNode(path: string | null): Promise<Place> {
  const server = path === null ? net.createServer().listen(0, '127.0.0.1') : net.createServer().listen(path)
  await once(server, 'listening')
  const accepted = new Promise<StreamHandle>((resolve) => {
    const { _handle } = server as unknown as { _handle: { onconnection: (error: number, handle: StreamHandle) => void } }
    _handle.onconnection = (_, handle) => resolve(handle)
  })
  return {
    place: path === null ? { port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' } : { path },
    accepted,
    async close() {
      server.close()
      await once(server, 'close')
    },
  }
}
