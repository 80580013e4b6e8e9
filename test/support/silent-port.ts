/** A port of this machine that neither answers nor refuses: its queue is full, and whoever listens stands still. */
import { once } from 'node:events'
import net from 'node:net'
import { Worker } from 'node:worker_threads'

const LISTEN = `const { parentPort } = require('node:worker_threads')
const server = require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
  parentPort.postMessage(server.address().port)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})`

export interface SilentPort extends AsyncDisposable {
  readonly port: number
}

export async function openSilentPort(): Promise<SilentPort> {
  const listener = new Worker(LISTEN, { eval: true })
  const [port] = (await once(listener, 'message')) as [number]
  // More than fit: those beyond are never told of.
  const filling = Array.from({ length: 8 }, () => net.connect(port, '127.0.0.1').on('error', () => {}))
  await once(filling[0]!, 'connect')
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of filling) socket.destroy()
      await listener.terminate()
    },
  }
}
