/** The far end of a connection that the proxy opened: reads requests, asks for an answer to each, and writes it as a server would. */
import { reasonPhrases } from '../net/http1/reason.ts'
import type { WireOwner } from '../net/wire.ts'
import type { MemoryWire } from './memory-wire.ts'
import { type Message, MessageReader } from './message-reader.ts'
import type { Fields, StubAnswer } from './messages.ts'

export interface EndpointHome {
  /** Settles whenever it will; `respond` is called at once with what is then sent. */
  answer(request: Message, endpoint: SimulatedEndpoint): Promise<StubAnswer>
  /** Told of the response that goes out. */
  responded(endpoint: SimulatedEndpoint, response: Pick<Message, 'startLine' | 'fields'>): void
  closed(endpoint: SimulatedEndpoint): void
}

export class SimulatedEndpoint implements WireOwner {
  /** The proxy's end. */
  readonly near: MemoryWire
  readonly #wire: MemoryWire
  readonly #home: EndpointHome
  readonly #reader = new MessageReader()
  #isBusy = false

  constructor(ends: { readonly near: MemoryWire; readonly far: MemoryWire }, home: EndpointHome) {
    this.near = ends.near
    this.#wire = ends.far
    this.#home = home
    this.#wire.owner = this
    this.#wire.resume()
  }

  /** Closes it unless it has a request to answer. */
  closeIdle(): void {
    if (!this.#isBusy && !this.#reader.isInside) this.#wire.destroy()
  }

  onBytes(bytes: Buffer, length: number): void {
    for (const request of this.#reader.read(bytes.subarray(0, length))) void this.#serve(request)
  }

  onDrain(): void {}

  onEnd(): void {
    this.#wire.destroy()
  }

  onClose(): void {
    this.#home.closed(this)
  }

  async #serve(request: Message): Promise<void> {
    this.#isBusy = true
    const answer = await this.#home.answer(request, this)
    if (this.#wire.closed || answer.kind === 'hangs') return
    this.#isBusy = false
    if (answer.kind === 'reset') return this.#wire.reset()
    this.#respond(request, answer)
  }

  #respond(request: Message, answer: StubAnswer & { kind: 'response' }): void {
    const { status, reason } = answer
    const isBodyless = request.startLine.startsWith('HEAD ') || status === 204 || status === 304
    const fields = withFraming(answer, isBodyless)
    const startLine = `HTTP/1.1 ${status} ${reason || (reasonPhrases[status] ?? '')}`
    this.#home.responded(this, { startLine, fields })
    const isChunked = find(fields, 'transfer-encoding') !== undefined
    const head = `${startLine}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
    if (isBodyless) this.#wire.writeText(head)
    else {
      const body = isChunked ? chunked(answer.body) : answer.body
      this.#wire.write(head, Buffer.from(body.buffer, body.byteOffset, body.byteLength), 0, body.byteLength)
    }
    if (/\bclose\b/i.test(find(fields, 'connection') ?? '')) this.#wire.end()
  }
}

/** What a server adds by itself: how the body ends, and the time. */
function withFraming({ fields, body, status }: StubAnswer & { kind: 'response' }, isBodyless: boolean): Fields {
  const added: [string, string][] = []
  if (find(fields, 'date') === undefined) added.push(['Date', new Date().toUTCString()])
  const isFramed = find(fields, 'content-length') !== undefined || find(fields, 'transfer-encoding') !== undefined
  if (!isFramed && status !== 204 && !(isBodyless && body.length === 0)) added.push(['Content-Length', String(body.length)])
  return [...fields, ...added]
}

function find(fields: Fields, lower: string): string | undefined {
  return fields.find(([name]) => name.toLowerCase() === lower)?.[1]
}

const CHUNK_BYTES = 16384

/** In chunks, as a server that does not know the length sends it. */
export function chunked(body: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0; at < body.length; at += CHUNK_BYTES) {
    const part = body.subarray(at, at + CHUNK_BYTES)
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}
