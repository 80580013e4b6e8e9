/**
 * A recording origin on port 0: keeps the raw bytes of every connection, reads them strictly (a malformed byte is recorded and
 * ends the connection), and answers exactly what the test's handler says, when it says it.
 */
import type { Socket } from 'node:net'
import * as net from 'node:net'
import { shown, Waiting } from './deadline.ts'
import { type Message, type MessageHead, MessageReader } from './reader.ts'

export interface OriginRequest extends Message {
  readonly method: string
  readonly target: string
  /** The body as UTF-8. */
  readonly text: string
  readonly connection: OriginConnection
}

/** Bytes to write, or nothing: then the handler answers by the connection itself, now, later or never. */
export type OriginAnswer = string | Uint8Array | undefined

export interface OriginOptions {
  /** Called when a head is complete, before its body: for early answers and 100-continue. */
  readonly onHead?: ((head: MessageHead, connection: OriginConnection) => OriginAnswer) | undefined
  readonly onConnection?: ((connection: OriginConnection) => OriginAnswer) | undefined
  /** Do not read as HTTP: record bytes only. */
  readonly raw?: boolean | undefined
  /** Listen on this unix socket instead of a port. */
  readonly path?: string | undefined
}

/** `200` with a length and `text`; more field lines are given without CRLF. */
export function answer(text: string, status = 200, lines: readonly string[] = []): string {
  const fields = lines.map((line) => `${line}\r\n`).join('')
  return `HTTP/1.1 ${status} ${status === 200 ? 'OK' : 'Status'}\r\nContent-Length: ${Buffer.byteLength(text)}\r\n${fields}\r\n${text}`
}

export async function startOrigin(
  handler: (request: OriginRequest, connection: OriginConnection) => OriginAnswer | Promise<OriginAnswer> = () => answer('ok'),
  options: OriginOptions = {},
): Promise<Origin> {
  const origin = new Origin(handler, options)
  await origin.listen()
  return origin
}

export class OriginConnection {
  readonly socket: Socket
  readonly requests: OriginRequest[] = []
  readonly #received: Buffer[] = []
  readonly #waiting = new Waiting()
  #closed: 'fin' | 'reset' | null = null

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => this.#note(() => this.#received.push(bytes)))
    socket.on('end', () => this.#end('fin'))
    socket.on('error', () => this.#end('reset'))
    socket.on('close', () => this.#end('reset'))
  }

  /** Every byte that arrived, as it arrived. */
  get received(): Buffer {
    return Buffer.concat(this.#received)
  }

  get receivedBytes(): number {
    return this.#received.reduce((sum, part) => sum + part.length, 0)
  }

  write(bytes: string | Uint8Array): this {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1')
    else this.socket.write(bytes)
    return this
  }

  /** Resolves when everything written so far was taken by the kernel. */
  async written(): Promise<void> {
    await new Promise((resolve) => this.socket.write('', () => resolve(undefined)))
  }

  /** Half-close. */
  end(bytes = ''): void {
    this.socket.end(bytes, 'latin1')
  }

  destroy(): void {
    this.socket.destroy()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** Resolves when the proxy has closed its side. */
  async closed(ms?: number): Promise<'fin' | 'reset'> {
    return this.#waiting.until(
      () => this.#closed ?? undefined,
      () => `connection still open; received ${shown(this.received)}`,
      ms,
    )
  }

  /** Resolves when the raw bytes hold `mark`. */
  async until(mark: string, ms?: number): Promise<string> {
    const check = (): string | undefined => {
      const text = this.received.toString('latin1')
      return text.includes(mark) ? text : undefined
    }
    return this.#waiting.until(check, () => `no ${shown(mark)}; received ${shown(this.received)}`, ms)
  }

  #end(how: 'fin' | 'reset'): void {
    this.#note(() => {
      this.#closed ??= how
    })
  }

  #note(change: () => unknown): void {
    change()
    this.#waiting.poke()
  }
}

export class Origin {
  /** Every connection ever accepted, and every complete request, in order of arrival. */
  readonly connections: OriginConnection[] = []
  readonly requests: OriginRequest[] = []
  /** What a strict recipient had to refuse. Most tests want this to be empty. */
  readonly malformed: string[] = []
  readonly #handler: (request: OriginRequest, connection: OriginConnection) => OriginAnswer | Promise<OriginAnswer>
  readonly #options: OriginOptions
  readonly #server: net.Server
  readonly #waiting = new Waiting()

  constructor(
    handler: (request: OriginRequest, connection: OriginConnection) => OriginAnswer | Promise<OriginAnswer>,
    options: OriginOptions,
  ) {
    this.#handler = handler
    this.#options = options
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket))
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      if (this.#options.path !== undefined) this.#server.listen(this.#options.path, resolve)
      else this.#server.listen(port, '127.0.0.1', resolve)
    })
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the origin is closed')
    return address.port
  }

  /** `127.0.0.1:PORT`. */
  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  get openConnections(): number {
    return this.connections.filter((connection) => !connection.isClosed).length
  }

  /** The request of that number, counted from 1, as soon as it is complete. */
  async request(number = 1, ms?: number): Promise<OriginRequest> {
    return this.#waiting.until(
      () => this.requests[number - 1],
      () => `no request ${number}; ${this.#seen()}`,
      ms,
    )
  }

  /** The connection of that number, counted from 1. */
  async connection(number = 1, ms?: number): Promise<OriginConnection> {
    return this.#waiting.until(
      () => this.connections[number - 1],
      () => `no connection ${number}; ${this.#seen()}`,
      ms,
    )
  }

  /** Ends everything: no connection survives. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.connections) connection.destroy()
    await closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(socket: Socket): void {
    const connection = new OriginConnection(socket)
    this.connections.push(connection)
    this.#write(connection, this.#options.onConnection?.(connection))
    this.#waiting.poke()
    if (!this.#options.raw) this.#read(socket, connection)
  }

  #read(socket: Socket, connection: OriginConnection): void {
    const reader = new MessageReader('request')
    let announced: MessageHead | null = null
    socket.on('data', (bytes: Buffer) => {
      reader.push(bytes)
      try {
        for (;;) {
          const message = reader.next()
          const head = message ?? reader.current
          if (head !== null && announced?.head !== head.head) {
            announced = head
            this.#write(connection, this.#options.onHead?.(head, connection))
          }
          if (message === null) break
          announced = null
          this.#arrived(message, connection)
        }
      } catch (error) {
        this.malformed.push(error instanceof Error ? error.message : String(error))
        connection.destroy()
      }
      this.#waiting.poke()
    })
    socket.on('end', () => socket.end())
  }

  #arrived(message: Message, connection: OriginConnection): void {
    const [method = '', target = ''] = message.startLine.split(' ')
    const request: OriginRequest = { ...message, method, target, text: message.body.toString('utf8'), connection }
    this.requests.push(request)
    connection.requests.push(request)
    const given = this.#handler(request, connection)
    if (given instanceof Promise) void given.then((bytes) => this.#write(connection, bytes))
    else this.#write(connection, given)
  }

  #write(connection: OriginConnection, bytes: OriginAnswer): void {
    if (typeof bytes === 'string' || bytes instanceof Uint8Array) connection.write(bytes)
  }

  #seen(): string {
    const all = this.connections.map((connection, i) => `connection ${i + 1}: ${shown(connection.received)}`)
    const malformed = this.malformed.length > 0 ? `; malformed: ${this.malformed.join(', ')}` : ''
    return (all.length === 0 ? 'nobody connected' : all.join('; ')) + malformed
  }
}
