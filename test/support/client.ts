/**
 * A raw client for tests that read as conversations: bytes out exactly as written, answers by their framing, every wait with a
 * deadline whose failure shows what was received. `using c = await connect(port)` closes it at the end of the block.
 */
import * as net from 'node:net'
import * as tls from 'node:tls'
import { DEFAULT_DEADLINE_MS, shown, Waiting, within } from './deadline.ts'
import { MalformedMessage, type Message, MessageReader, type NextOptions } from './reader.ts'

export interface ClientResponse extends Message {
  readonly status: number
  readonly reason: string
  /** The body as UTF-8. */
  readonly text: string
}

export interface ConnectOptions {
  readonly host?: string | undefined
  /** The address to connect from, `127.0.0.5`: who the client is. */
  readonly localAddress?: string | undefined
  readonly tls?: tls.ConnectionOptions | undefined
  /** For every wait of this client. Default 2 s. */
  readonly deadlineMs?: number | undefined
}

/** `target`: a port of 127.0.0.1, or the path of a unix socket. */
export async function connect(target: number | string, options: ConnectOptions = {}): Promise<Client> {
  const host = options.host ?? '127.0.0.1'
  const where: net.NetConnectOpts =
    typeof target === 'string'
      ? { path: target, allowHalfOpen: true }
      : { port: target, host, noDelay: true, allowHalfOpen: true, ...(options.localAddress && { localAddress: options.localAddress }) }
  const socket = options.tls ? tls.connect({ ...where, rejectUnauthorized: false, ...options.tls }) : net.connect(where)
  const opened = new Promise<void>((resolve, reject) => {
    socket.once(options.tls ? 'secureConnect' : 'connect', resolve)
    socket.once('error', reject)
  })
  try {
    await within(opened, `no connection to ${target}`, options.deadlineMs)
  } catch (error) {
    socket.destroy()
    throw error
  }
  return new Client(socket, options.deadlineMs ?? DEFAULT_DEADLINE_MS)
}

/** One request on a connection of its own, with `Connection: close`; for tests that ask one thing. */
export async function request(target: number | string, text: string, options: ConnectOptions & NextOptions = {}): Promise<ClientResponse> {
  using c = await connect(target, options)
  c.send(text)
  return await c.final(options)
}

export class Client {
  readonly socket: net.Socket
  /** Everything that ever arrived. */
  readonly received: Buffer[] = []
  readonly #reader = new MessageReader('response')
  readonly #waiting = new Waiting()
  readonly #deadlineMs: number
  #closed: 'fin' | 'reset' | null = null

  constructor(socket: net.Socket, deadlineMs: number) {
    this.socket = socket
    this.#deadlineMs = deadlineMs
    socket.on('data', (bytes: Buffer) => {
      this.received.push(bytes)
      this.#reader.push(bytes)
      this.#waiting.poke()
    })
    socket.on('end', () => this.#end('fin'))
    socket.on('error', () => this.#end('reset'))
    socket.on('close', () => this.#end('reset'))
  }

  /** Writes text (as latin1) or bytes, as they are. */
  send(bytes: string | Uint8Array): this {
    if (typeof bytes === 'string') this.socket.write(bytes, 'latin1')
    else this.socket.write(bytes)
    return this
  }

  /** Resolves when everything sent so far has left this process. */
  async sent(): Promise<void> {
    await within(
      new Promise((resolve) => this.socket.write('', () => resolve(undefined))),
      () => `still writing; ${this.#seen()}`,
      this.#deadlineMs,
    )
  }

  /** Takes everything up to and including `mark`, and returns it as latin1 text. */
  async until(mark: string): Promise<string> {
    const bytes = Buffer.from(mark, 'latin1')
    return this.#wait(`no ${shown(mark)}`, () => {
      const at = this.#reader.rest.indexOf(bytes)
      return at < 0 ? undefined : this.#reader.take(at + bytes.length).toString('latin1')
    })
  }

  /** Takes `count` bytes: for tunnels. */
  async bytes(count: number): Promise<Buffer> {
    return this.#wait(`not ${count} bytes`, () => (this.#reader.rest.length < count ? undefined : this.#reader.take(count)))
  }

  /** The next response, an interim one (1xx) too. `to`: the method it answers, where that changes the framing. */
  async response(options: NextOptions = {}): Promise<ClientResponse> {
    return this.#wait('no complete response', () => {
      const message = this.#reader.next(options)
      return message === null ? undefined : asResponse(message)
    })
  }

  /** The next response that is not an interim one. */
  async final(options: NextOptions = {}): Promise<ClientResponse> {
    for (;;) {
      const response = await this.response(options)
      if (response.status >= 200 || response.status === 101) return response
    }
  }

  /** Resolves when the other side has closed: `fin` orderly, `reset` not. Responses that arrived before stay readable. */
  async closed(): Promise<'fin' | 'reset'> {
    return this.#waiting.until(
      () => this.#closed ?? undefined,
      () => `still open; ${this.#seen()}`,
      this.#deadlineMs,
    )
  }

  /** Bytes that arrived and were not taken yet. */
  get rest(): string {
    return this.#reader.rest.toString('latin1')
  }

  /** Body bytes of the response under way. */
  get bodyBytes(): number {
    return this.#reader.bodyBytes
  }

  get isClosed(): boolean {
    return this.#closed !== null
  }

  /** Half-close: no more bytes from here; the other side may go on. */
  end(): this {
    this.socket.end()
    return this
  }

  destroy(): void {
    this.socket.destroy()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Stops reading, as a slow client does. */
  pause(): this {
    this.socket.pause()
    return this
  }

  resume(): this {
    this.socket.resume()
    return this
  }

  [Symbol.dispose](): void {
    this.destroy()
  }

  #end(how: 'fin' | 'reset'): void {
    if (this.#closed !== null) return
    this.#closed = how
    this.#reader.end()
    this.#waiting.poke()
  }

  async #wait<T>(what: string, check: () => T | undefined): Promise<T> {
    const checkOrGiveUp = (): T | undefined => {
      const value = this.#checked(check)
      if (value === undefined && this.#closed !== null) throw new Error(`${what}: closed by ${this.#closed}; ${this.#seen()}`)
      return value
    }
    return this.#waiting.until(checkOrGiveUp, () => `${what}; ${this.#seen()}`, this.#deadlineMs)
  }

  #checked<T>(check: () => T | undefined): T | undefined {
    try {
      return check()
    } catch (error) {
      if (error instanceof MalformedMessage) throw new Error(`malformed: ${error.message}; ${this.#seen()}`)
      throw error
    }
  }

  #seen(): string {
    return `received ${shown(Buffer.concat(this.received))}${this.#closed ? `, then ${this.#closed}` : ''}`
  }
}

function asResponse(message: Message): ClientResponse {
  const status = Number(message.startLine.slice(9, 12))
  return {
    ...message,
    status,
    reason: message.startLine.slice(13),
    // Few ask for it, and bodies may be long.
    get text() {
      return message.body.toString('utf8')
    },
  }
}
