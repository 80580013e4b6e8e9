/** A wire on a descriptor, and the socket of Node that it is connected to. */
import { once } from 'node:events'
import net from 'node:net'
import type { StreamHandle } from '../../core/net/bindings.ts'
import { getKernel } from '../../core/net/kernel.ts'
import { KernelWire } from '../../core/net/kernel-wire.ts'
import { Keeper } from './keeper.ts'

export interface Pair extends AsyncDisposable {
  readonly wire: KernelWire
  readonly owner: Keeper
  readonly client: net.Socket
}

/** `path`: over a unix socket. */
export async function pair(ownBuffer = false, path: string | null = null): Promise<Pair> {
  const server = path === null ? net.createServer().listen(0, '127.0.0.1') : net.createServer().listen(path)
  await once(server, 'listening')
  const accepted = new Promise<KernelWire>((resolve) => {
    const { _handle } = server as unknown as { _handle: { onconnection: (error: number, handle: StreamHandle) => void } }
    _handle.onconnection = (_, handle) => resolve(new KernelWire(getKernel()!, handle, ownBuffer))
  })
  const place = path === null ? { port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', noDelay: true } : { path }
  const client = net.connect({ ...place, allowHalfOpen: true })
  client.on('error', () => {})
  const wire = await accepted
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
      server.close()
      await once(server, 'close')
    },
  }
}
