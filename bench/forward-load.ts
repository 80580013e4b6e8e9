/**
 * Load for `bench:forward`, a process of its own: `node forward-load.ts connect|socks bytes|tunnels PORT ORIGIN_PORT SECONDS`. Sixteen clients, each
 * with one tunnel after the other, in which it asks the origin for a megabyte again and again, or once for a few bytes. Prints what passed, as JSON.
 */
import * as net from 'node:net'

const [way, mode, port, originPort, seconds] = process.argv.slice(2)
const CLIENTS = 16
const BOTH_SIDES_MS = 10_000
const end = performance.now() + Number(seconds) * 1_000
const counts = { bytes: 0, tunnels: 0, errors: 0 }

const openings: Readonly<Record<string, readonly (readonly [say: Buffer, answer: number | string])[]>> = {
  connect: [[Buffer.from(`CONNECT 127.0.0.1:${originPort} HTTP/1.1\r\nHost: 127.0.0.1:${originPort}\r\n\r\n`), '\r\n\r\n']],
  socks: [
    [Buffer.of(5, 1, 0), 2],
    [Buffer.of(5, 1, 0, 1, 127, 0, 0, 1, Number(originPort) >> 8, Number(originPort) & 255), 10],
  ],
}
const asking = mode === 'bytes' ? 'GET /1m HTTP/1.1\r\nHost: x\r\n\r\n' : 'GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

await Promise.all(Array.from({ length: CLIENTS }, client))
process.stdout.write(JSON.stringify(counts))
process.exit(0)

async function client(): Promise<void> {
  while (performance.now() < end) {
    const socket = net.connect({ host: '127.0.0.1', port: Number(port), noDelay: true })
    socket.setTimeout(BOTH_SIDES_MS, () => socket.destroy(new Error('nothing came')))
    try {
      await tunnel(socket)
      counts.tunnels++
    } catch {
      counts.errors++
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    socket.destroy()
  }
}

async function tunnel(socket: net.Socket): Promise<void> {
  const steps = [...openings[way!]!]
  let held = Buffer.alloc(0)
  let left = -1
  const ask = (): void => {
    left = -1
    held = Buffer.alloc(0)
    socket.write(asking)
  }
  const say = (): void => void (steps.length > 0 ? socket.write(steps[0]![0]) : ask())
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', say)
    socket.once('error', reject)
    socket.once('close', () => (steps.length === 0 && mode === 'tunnels' && left === 0 ? resolve() : reject(new Error('closed'))))
    socket.on('data', (bytes: Buffer) => {
      if (steps.length > 0) {
        held = Buffer.concat([held, bytes])
        const answer = steps[0]![1]
        const isThere = typeof answer === 'number' ? held.length >= answer : held.includes(answer)
        if (!isThere) return
        if (typeof answer === 'number' ? held[1] !== 0 : !held.includes(' 200 ')) return reject(new Error('refused'))
        held = Buffer.alloc(0)
        steps.shift()
        return say()
      }
      counts.bytes += bytes.length
      left = left < 0 ? leftAfterHead(bytes) : left - bytes.length
      if (left > 0 || mode === 'tunnels') return
      if (performance.now() < end) ask()
      else resolve()
    })
  })
}

/** Of a body with a length; its head comes in one piece. */
function leftAfterHead(bytes: Buffer): number {
  const at = bytes.indexOf('\r\n\r\n')
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', 0, at + 2))?.[1])
  return length - (bytes.length - at - 4)
}
