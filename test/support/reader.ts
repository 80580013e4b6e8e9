/** A strict reader of HTTP/1 messages for tests. It shares no code with core, so a mistake in core's codec cannot hide itself. */

export interface MessageHead {
  /** Start line and field lines, as received, without the empty line. */
  readonly head: string
  readonly startLine: string
  /** Field lines as received. */
  readonly lines: readonly string[]
  /** Lower-case names; several lines joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
}

export interface Message extends MessageHead {
  readonly body: Buffer
  readonly trailers: readonly string[]
  /** How the end of the body was told. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close'
}

export class MalformedMessage extends Error {}

export interface NextOptions {
  /** The request method that a response answers: HEAD and CONNECT have no body. */
  readonly to?: string | undefined
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const CRLF = Buffer.from('\r\n')
const BLANK = Buffer.from('\r\n\r\n')

type Step =
  | { readonly at: 'length'; left: number }
  | { readonly at: 'chunk-size' | 'trailers' | 'close' }
  | { readonly at: 'chunk'; left: number }

/** Bytes in, messages out, in order. Throws MalformedMessage on anything a strict recipient must refuse (RFC 9112). */
export class MessageReader {
  readonly #kind: 'request' | 'response'
  #pending: Buffer[] = []
  #pendingBytes = 0
  #ended = false
  #head: MessageHead | null = null
  #step: Step = { at: 'close' }
  #framing: Message['framing'] = 'none'
  #body: Buffer[] = []
  #trailers: string[] = []

  constructor(kind: 'request' | 'response') {
    this.#kind = kind
  }

  push(bytes: Buffer): void {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
  }

  /** No more bytes will come: ends a body that lasts until the close. */
  end(): void {
    this.#ended = true
  }

  /** The head of the message under way; null between messages. */
  get current(): MessageHead | null {
    return this.#head
  }

  /** Body bytes of the message under way. */
  get bodyBytes(): number {
    return this.#body.reduce((sum, part) => sum + part.length, 0)
  }

  /** What has arrived and belongs to no message yet. */
  get rest(): Buffer {
    return this.#joined()
  }

  /** Takes bytes that are no message: `until` of the client, bytes of a tunnel. */
  take(count: number): Buffer {
    const all = this.#joined()
    this.#replace(all.subarray(count))
    return all.subarray(0, count)
  }

  /** The next complete message, or null when more bytes are needed. */
  next(options: NextOptions = {}): Message | null {
    if (this.#head === null && !this.#readHead(options)) return null
    if (!this.#readBody()) return null
    const message: Message = { ...this.#head!, body: Buffer.concat(this.#body), trailers: this.#trailers, framing: this.#framing }
    this.#head = null
    this.#body = []
    this.#trailers = []
    return message
  }

  #readHead(options: NextOptions): boolean {
    const all = this.#joined()
    const end = all.indexOf(BLANK)
    if (end < 0) return false
    const head = parseHead(all.toString('latin1', 0, end), this.#kind)
    this.#replace(all.subarray(end + 4))
    this.#head = head
    this.#begin(head, options)
    return true
  }

  #begin(head: MessageHead, options: NextOptions): void {
    const status = this.#kind === 'response' ? Number(head.startLine.slice(9, 12)) : 0
    const chunked = head.headers['transfer-encoding'] !== undefined
    const length = head.headers['content-length']
    const bodiless = status !== 0 && (status < 200 || status === 204 || status === 304 || options.to === 'HEAD')
    if (bodiless || (options.to === 'CONNECT' && status < 300)) this.#set('none', { at: 'length', left: 0 })
    else if (chunked) this.#set('chunked', { at: 'chunk-size' })
    else if (length !== undefined) this.#set('length', { at: 'length', left: Number(length) })
    else if (this.#kind === 'request') this.#set('none', { at: 'length', left: 0 })
    else this.#set('close', { at: 'close' })
  }

  #set(framing: Message['framing'], step: Step): void {
    this.#framing = framing
    this.#step = step
  }

  /** Moves what it can; true when the message is complete. */
  #readBody(): boolean {
    for (;;) {
      const step = this.#step
      if (step.at === 'length' || step.at === 'chunk') {
        step.left -= this.#move(step.left)
        if (step.left > 0) return false
        if (step.at === 'length') return true
        if (this.#pendingBytes < 2) return false
        if (!this.take(2).equals(CRLF)) throw new MalformedMessage('no CRLF after a chunk')
        this.#step = { at: 'chunk-size' }
      } else if (step.at === 'close') {
        this.#move(this.#pendingBytes)
        return this.#ended
      } else {
        const line = this.#line()
        if (line === null) return false
        if (step.at === 'trailers' && line === '') return true
        if (step.at === 'trailers') this.#trailers.push(fieldLine(line))
        else this.#step = nextChunk(line)
      }
    }
  }

  /** At most `count` pending bytes become body; returns how many. */
  #move(count: number): number {
    let moved = 0
    while (moved < count && this.#pending.length > 0) {
      const first = this.#pending[0]!
      const part = first.subarray(0, count - moved)
      moved += part.length
      this.#body.push(part)
      if (part.length === first.length) this.#pending.shift()
      else this.#pending[0] = first.subarray(part.length)
    }
    this.#pendingBytes -= moved
    return moved
  }

  #line(): string | null {
    const end = this.#joined().indexOf(CRLF)
    return end < 0 ? null : this.take(end + 2).toString('latin1', 0, end)
  }

  #joined(): Buffer {
    if (this.#pending.length !== 1) this.#replace(Buffer.concat(this.#pending))
    return this.#pending[0]!
  }

  #replace(bytes: Buffer): void {
    this.#pending = [bytes]
    this.#pendingBytes = bytes.length
  }
}

function nextChunk(line: string): Step {
  const match = /^([0-9a-fA-F]{1,13})(?:[ \t]*;[^\r\n\0]*)?$/.exec(line)
  if (match === null) throw new MalformedMessage(`chunk size line ${JSON.stringify(line)}`)
  const size = Number.parseInt(match[1]!, 16)
  return size === 0 ? { at: 'trailers' } : { at: 'chunk', left: size }
}

function parseHead(head: string, kind: 'request' | 'response'): MessageHead {
  const [startLine = '', ...lines] = head.split('\r\n')
  if (/[\r\n\0]/.test(lines.join('') + startLine)) throw new MalformedMessage(`bare CR, LF or NUL in ${JSON.stringify(head)}`)
  const start =
    kind === 'request' ? /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP\/1\.[01]$/ : /^HTTP\/1\.[01] [1-9]\d\d [^\x7f]*$/
  if (!start.test(startLine)) throw new MalformedMessage(`start line ${JSON.stringify(startLine)}`)
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = fieldLine(line).indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    if (headers[name] !== undefined && /^(content-length|transfer-encoding|host)$/.test(name))
      throw new MalformedMessage(`two ${name} fields`)
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  checkFraming(headers)
  if (kind === 'request' && startLine.endsWith('1') && headers.host === undefined) throw new MalformedMessage('no Host')
  return { head, startLine, lines, headers }
}

function fieldLine(line: string): string {
  const colon = line.indexOf(':')
  if (colon < 1 || !TOKEN.test(line.slice(0, colon))) throw new MalformedMessage(`field line ${JSON.stringify(line)}`)
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(line)) throw new MalformedMessage(`control byte in ${JSON.stringify(line)}`)
  return line
}

function checkFraming(headers: Readonly<Record<string, string>>): void {
  const length = headers['content-length']
  const coding = headers['transfer-encoding']
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new MalformedMessage(`Content-Length ${JSON.stringify(length)}`)
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') throw new MalformedMessage(`Transfer-Encoding ${JSON.stringify(coding)}`)
  if (length !== undefined && coding !== undefined) throw new MalformedMessage('Content-Length with Transfer-Encoding')
}
