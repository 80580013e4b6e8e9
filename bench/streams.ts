/** An origin and a client inside this process, for measurements that need control over the pace: slow readers, many idle connections. */
import * as net from 'node:net'
import { delay } from './processes.ts'

export const SMALL_BODY: string = `${'x'.repeat(92)}END`
const SMALL = `HTTP/1.1 200 OK\r\nContent-Length: ${SMALL_BODY.length}\r\n\r\n${SMALL_BODY}`
const PIECE = Buffer.alloc(65_536, 'x')

export interface PacedOrigin {
  readonly port: number
  close(): void
}

/** `GET /small`, `GET /bytes/N` as fast as it is taken, `POST` read at `bytesPerSecond` and answered at its end. */
export async function startPacedOrigin(bytesPerSecond: number): Promise<PacedOrigin> {
  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    answer(socket, bytesPerSecond)
  })
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => resolve()))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { port: address.port, close: () => server.close() }
}

/** Takes `total` bytes from a socket at a pace, and no faster; resolves when they are there. */
export function readPaced(socket: net.Socket, total: number, bytesPerSecond: number): Promise<void> {
  const began = performance.now()
  let taken = 0
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed after ${taken} of ${total} bytes`)))
    socket.on('data', function take(bytes: Buffer) {
      taken += bytes.length
      if (taken >= total) {
        socket.removeListener('data', take)
        return resolve()
      }
      const ahead = (taken / bytesPerSecond) * 1_000 - (performance.now() - began)
      if (ahead < 5) return
      socket.pause()
      setTimeout(() => socket.resume(), ahead)
    })
  })
}

/** Writes `total` bytes as fast as they are taken. */
export async function writeBytes(socket: net.Socket, total: number): Promise<void> {
  for (let left = total; left > 0; left -= PIECE.length) {
    const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE
    if (socket.destroyed) return
    if (!socket.write(piece)) await drained(socket)
  }
}

export async function openSocket(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve())
    socket.once('error', reject)
  })
  return socket
}

/** Opens `count` connections, a hundred at a time. */
export async function openMany(port: number, count: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = []
  while (sockets.length < count) {
    const batch = Math.min(100, count - sockets.length)
    sockets.push(...(await Promise.all(Array.from({ length: batch }, () => openSocket(port)))))
    await delay(1)
  }
  return sockets
}

/** One small exchange; resolves with the whole answer. */
export function ask(socket: net.Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const done = (): void => {
      socket.removeListener('data', onData)
      socket.removeListener('close', onClose)
      socket.removeListener('error', onClose)
    }
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1')
      if (!text.endsWith(SMALL_BODY)) return
      done()
      resolve(text)
    }
    const onClose = (): void => {
      done()
      reject(new Error(`closed after ${JSON.stringify(text)}`))
    }
    socket.on('data', onData)
    socket.once('close', onClose)
    socket.once('error', onClose)
    socket.write('GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n')
  })
}

/** One request after the other; a head arrives in one piece, for the proxy writes it so. */
function answer(socket: net.Socket, bytesPerSecond: number): void {
  socket.once('data', (head: Buffer) => {
    const text = head.toString('latin1')
    const next = (): void => answer(socket, bytesPerSecond)
    const bytes = /^GET \/bytes\/(\d+)/.exec(text)?.[1]
    if (bytes !== undefined) {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
      void writeBytes(socket, Number(bytes)).then(next)
    } else if (text.startsWith('POST')) {
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1])
      const left = length - (head.length - text.indexOf('\r\n\r\n') - 4)
      readPaced(socket, left, bytesPerSecond).then(
        () => socket.write(SMALL, next),
        () => socket.destroy(),
      )
    } else {
      socket.write(SMALL)
      next()
    }
  })
}

function drained(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener('drain', done)
      socket.removeListener('close', done)
      resolve()
    }
    socket.once('drain', done)
    socket.once('close', done)
  })
}
