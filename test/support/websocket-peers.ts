/** A client, and an endpoint that grants the upgrade, for tests of WebSockets: frames out as given, frames in one by one. */
import { type Client, connect } from './client.ts'
import { Waiting } from './deadline.ts'
import { type Origin, type OriginConnection, startOrigin } from './origin.ts'
import { CLIENT_KEY, type FrameParts, frame, type ReadFrame, readFrames } from './websocket.ts'

/** One end: of a client's socket or of a connection to the endpoint. */
export class Peer {
  readonly frames: ReadFrame[] = []
  /** How many bytes of frames came. */
  receivedBytes = 0
  readonly #write: (bytes: Buffer) => void
  readonly #isClient: boolean
  readonly #deadlineMs: number
  readonly #waiting = new Waiting()
  #rest: Buffer = Buffer.alloc(0)
  #taken = 0
  #onFrame: ((frame: ReadFrame) => void) | null = null

  constructor(isClient: boolean, deadlineMs: number, write: (bytes: Buffer) => void) {
    this.#isClient = isClient
    this.#deadlineMs = deadlineMs
    this.#write = write
  }

  received(bytes: Buffer): void {
    this.receivedBytes += bytes.length
    const { frames, rest } = readFrames(this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]))
    this.#rest = rest
    for (const one of frames) {
      this.frames.push(one)
      this.#onFrame?.(one)
    }
    this.#waiting.poke()
  }

  /** Every frame that comes from now on. */
  onFrame(listener: (frame: ReadFrame) => void): void {
    this.#onFrame = listener
  }

  /** The frame as this side has to send it. */
  make(payload: Uint8Array | string, parts: FrameParts = {}): Buffer {
    return frame(payload, { key: this.#isClient ? CLIENT_KEY : null, ...parts })
  }

  send(payload: Uint8Array | string, parts: FrameParts = {}): this {
    this.#write(this.make(payload, parts))
    return this
  }

  /** The next frame. */
  async next(): Promise<ReadFrame> {
    const number = this.#taken++
    return this.#waiting.until(
      () => this.frames[number],
      () => `no frame ${number + 1}; ${this.#rest.length} bytes of one`,
      this.#deadlineMs,
    )
  }

  /** The next frame, a whole and uncompressed text message. */
  async text(): Promise<string> {
    const { opcode, fin, reserved, payload } = await this.next()
    if (opcode !== 1 || !fin || reserved !== 0) throw new Error(`not a text: opcode ${opcode}, ${payload.toString('latin1')}`)
    return payload.toString()
  }

  /** The code of the next frame, which closes; 1005: it has none. */
  async close(): Promise<number> {
    const { opcode, payload } = await this.next()
    if (opcode !== 8) throw new Error(`not a close: opcode ${opcode}, ${payload.toString('latin1')}`)
    return payload.length === 0 ? 1005 : payload.readUInt16BE()
  }
}

export interface WebSocketOrigin extends AsyncDisposable {
  readonly origin: Origin
  readonly address: string
  /** The connection of that number, counted from 1, once it was upgraded. */
  peer(number?: number): Promise<{ readonly peer: Peer; readonly connection: OriginConnection; readonly head: string }>
}

export interface OriginChoices {
  /** Field lines of the answer, ended by CRLF; or what makes them of the request's head. */
  readonly lines?: string | ((head: string) => string)
  readonly deadlineMs?: number
  /** Called once a connection is upgraded. */
  readonly onPeer?: (peer: Peer, connection: OriginConnection) => void
}

/** An endpoint that grants every upgrade. */
export async function startWebSocketOrigin({ lines = '', deadlineMs = 2_000, onPeer }: OriginChoices = {}): Promise<WebSocketOrigin> {
  const peers: { peer: Peer; connection: OriginConnection; head: string }[] = []
  const waiting = new Waiting()
  const origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then((text) => {
        const end = text.indexOf('\r\n\r\n') + 4
        const peer = new Peer(false, deadlineMs, (bytes) => connection.write(bytes))
        onPeer?.(peer, connection)
        const own = typeof lines === 'string' ? lines : lines(text.slice(0, end))
        connection.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n${own}\r\n`)
        const early = Buffer.from(text.slice(end), 'latin1')
        if (early.length > 0) peer.received(early)
        connection.socket.on('data', (bytes: Buffer) => peer.received(bytes))
        peers.push({ peer, connection, head: text.slice(0, end) })
        waiting.poke()
      })
      return undefined
    },
  })
  return {
    origin,
    address: origin.address,
    peer: (number = 1) => waiting.until(() => peers[number - 1], `no WebSocket ${number}`),
    [Symbol.asyncDispose]: () => origin.close(),
  }
}

export interface WebSocketClient extends Disposable {
  readonly client: Client
  readonly peer: Peer
  /** Of the answer. */
  readonly headers: Readonly<Record<string, string>>
}

export interface ClientChoices {
  /** Field lines of the request, ended by CRLF. */
  readonly lines?: string
  /** Sent together with the request. */
  readonly early?: Buffer
  readonly deadlineMs?: number
}

export function upgradeText(lines = ''): string {
  return `GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n${lines}\r\n`
}

export async function openWebSocket(port: number, choices: ClientChoices = {}): Promise<WebSocketClient> {
  const { lines, early = Buffer.alloc(0), deadlineMs = 2_000 } = choices
  const client = await connect(port, { deadlineMs })
  client.send(Buffer.concat([Buffer.from(upgradeText(lines)), early]))
  const response = await client.response()
  if (response.status !== 101) throw new Error(`not upgraded: ${response.status}`)
  const peer = new Peer(true, deadlineMs, (bytes) => client.send(bytes))
  const rest = Buffer.from(client.rest, 'latin1')
  if (rest.length > 0) peer.received(rest)
  client.socket.on('data', (bytes: Buffer) => peer.received(bytes))
  return { client, peer, headers: response.headers, [Symbol.dispose]: () => client.destroy() }
}
