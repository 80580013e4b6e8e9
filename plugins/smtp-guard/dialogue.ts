/**
 * One connection of SMTP (RFC 5321) as a gateway sees it: bytes of either side in, the bytes that go on out, or why it ends. It passes nothing on
 * that two servers could read in two ways, and knows at each byte whether that is a command, a reply or a message. Pure.
 */
import { announced, greeting, isLast, type Reply, readReply, writeReply } from './replies.ts'

export interface Rules {
  /** What the server is called in its greeting; null: what it says itself. */
  readonly banner: string | null
  /** Bytes of a message. */
  readonly maxSize: number
  /** Whether what follows STARTTLS passes unread; else it is not offered. */
  readonly passesTls: boolean
}

/** What goes on to the other side; or why the connection ends. */
export type Outcome = { readonly on: string } | { readonly ends: string }

/** What the server's next reply is to. `instead`: the command was not passed on, and this is the answer to it. */
type Due = 'greeting' | 'ehlo' | 'data' | 'tls' | 'other' | { readonly instead: string }

/** RFC 4954 §4: lines of AUTH are the longest; others have 512 bytes (RFC 5321 §4.5.3.1.4), and extensions more. */
const LONGEST_LINE = 12_288
/** Commands without a reply so far (RFC 2920). */
const MOST_DUE = 1000
const MOST_LINES = 200
/** Any server has a good answer to it. */
const NOTHING = 'NOOP\r\n'

export class Dialogue {
  readonly #rules: Rules
  #due: Due[] = ['greeting']
  /** `waits`: DATA was said, and whether a message follows is for the server to say. */
  #mode: 'commands' | 'waits' | 'message' | 'unread' = 'commands'
  /** The server asks for more of AUTH: the next line is no command. */
  #isAuth = false
  /** Lines that are not complete. */
  #ofClient = ''
  #ofServer = ''
  /** Lines of the reply that is coming. */
  #reply: Reply[] = []
  #size = 0
  /** Of the message: where in a line it is. */
  #at: 'start' | 'dot' | 'dotCr' | 'cr' | 'within' = 'start'

  constructor(rules: Rules) {
    this.#rules = rules
  }

  /** Text is one character a byte. */
  fromClient(text: string): Outcome {
    if (this.#mode === 'unread') return { on: text }
    let on = ''
    let rest = text
    while (rest !== '') {
      if (this.#due[0] === 'greeting') return { ends: 'the client speaks before it is greeted' }
      if (this.#mode === 'waits') return { ends: 'the client goes on before it may send its message' }
      const taken = this.#mode === 'message' ? this.#message(rest) : this.#line(rest)
      if ('ends' in taken) return taken
      on += taken.on
      rest = rest.slice(taken.length)
    }
    return { on }
  }

  fromServer(text: string): Outcome {
    if (this.#mode === 'unread') return { on: text }
    this.#ofServer += text
    let on = ''
    for (let end = this.#ofServer.indexOf('\n'); end >= 0; end = this.#ofServer.indexOf('\n')) {
      const line = this.#ofServer.slice(0, end).replace(/\r$/, '')
      this.#ofServer = this.#ofServer.slice(end + 1)
      const reply = readReply(line)
      if (reply === null) return { ends: 'the server speaks no SMTP' }
      this.#reply.push(reply)
      if (this.#reply.length > MOST_LINES) return { ends: 'a reply of too many lines' }
      if (!isLast(reply)) continue
      const lines = this.#reply
      this.#reply = []
      const answered = this.#answer(lines)
      if ('ends' in answered) return answered
      on += answered.on
      // It may have been the last that is to be read.
      if ((this.#mode as string) === 'unread') return { on: on + this.#ofServer }
    }
    return this.#ofServer.length > LONGEST_LINE ? { ends: 'the server sends a line that does not end' } : { on }
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #line(text: string): Taken {
    const end = text.indexOf('\n')
    const length = end < 0 ? text.length : end + 1
    const line = this.#ofClient + text.slice(0, length)
    if (line.length > LONGEST_LINE) return { ends: 'a command that is too long' }
    if (end < 0) {
      this.#ofClient = line
      return { on: '', length }
    }
    this.#ofClient = ''
    // Where one server sees the end of a line and another does not, a second command is hidden.
    if (!/^[^\r\n\0]*\r\n$/.test(line)) return { ends: 'a command with a bare CR or LF, or a NUL' }
    if (this.#due.length >= MOST_DUE) return { ends: 'too many commands at once' }
    const on = this.#command(line)
    return typeof on === 'string' ? { on, length } : on
  }

  #command(line: string): string | { readonly ends: string } {
    if (this.#isAuth) {
      this.#isAuth = false
      return this.#pass(line, 'other')
    }
    switch (/^[A-Za-z]*/.exec(line)![0].toUpperCase()) {
      case 'EHLO':
        return this.#pass(line, 'ehlo')
      case 'DATA':
        this.#mode = 'waits'
        return this.#pass(line, 'data')
      case 'BDAT':
        // It is not offered, and what follows it could be taken for commands.
        return { ends: 'BDAT, which was not offered' }
      case 'STARTTLS':
        if (!this.#rules.passesTls) return this.#pass(NOTHING, { instead: '454 4.7.0 TLS is not available here' })
        this.#mode = 'waits'
        return this.#pass(line, 'tls')
      case 'MAIL':
        return this.#mail(line)
      default:
        return this.#pass(line, 'other')
    }
  }

  /** RFC 1870 §6.1. */
  #mail(line: string): string {
    const size = /\sSIZE=(\d{1,20})(?=\s)/i.exec(line)?.[1]
    if (size === undefined || Number(size) <= this.#rules.maxSize) return this.#pass(line, 'other')
    return this.#pass(NOTHING, { instead: `552 5.3.4 a message has up to ${this.#rules.maxSize} bytes here` })
  }

  #pass(line: string, due: Due): string {
    this.#due.push(due)
    return line
  }

  // ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Up to its end, `.` on a line of its own. A CR or LF alone is no line's end (RFC 5321 §2.3.8), though many a server takes it for one. */
  #message(text: string): Taken {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      const isCr = this.#at === 'cr' || this.#at === 'dotCr'
      if ((code === LF) !== isCr) return { ends: 'a bare CR or LF in a message: the end of it could be another one' }
      if (isCr && this.#at === 'dotCr') {
        if (this.#size + i + 1 > this.#rules.maxSize + END_BYTES) return { ends: 'a message that is too large' }
        this.#endMessage()
        return { on: text.slice(0, i + 1), length: i + 1 }
      }
      if (code === CR) this.#at = this.#at === 'dot' ? 'dotCr' : 'cr'
      else if (isCr) this.#at = 'start'
      else this.#at = code === DOT && this.#at === 'start' ? 'dot' : 'within'
    }
    this.#size += text.length
    if (this.#size > this.#rules.maxSize + END_BYTES) return { ends: 'a message that is too large' }
    return { on: text, length: text.length }
  }

  #endMessage(): void {
    this.#mode = 'commands'
    this.#size = 0
    this.#at = 'start'
    this.#due.push('other')
  }

  // ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #answer(lines: readonly Reply[]): Outcome {
    const { code } = lines.at(-1)!
    const due = this.#due.shift()
    // RFC 5321 §3.8: it may say at any time that it goes.
    if (due === undefined) return code === '421' ? { on: writeReply(lines) } : { ends: 'the server answers what was not asked' }
    if (typeof due === 'object') return { on: `${due.instead}\r\n` }
    this.#isAuth = code === '334'
    switch (due) {
      case 'greeting':
        return { on: greeting(lines, this.#rules.banner) }
      case 'ehlo':
        return { on: code === '250' ? announced(lines, this.#rules) : writeReply(lines) }
      case 'data':
        this.#mode = code === '354' ? 'message' : 'commands'
        break
      case 'tls':
        this.#mode = code === '220' ? 'unread' : 'commands'
        break
    }
    return { on: writeReply(lines) }
  }
}

type Taken = { readonly on: string; readonly length: number } | { readonly ends: string }

const [LF, CR, DOT] = [10, 13, 46]
/** What ends a message is none of it. */
const END_BYTES = 3
