/**
 * One connection to a TLS listener, from the accept until it is secured: looks at its first bytes, shakes hands, and has a
 * deadline for both. Whatever goes wrong ends this connection alone, and is told once.
 */
import type { TLSSocket } from 'node:tls'
import type { Accepted } from '../connection/home.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { HandshakeFailure } from '../events.ts'
import { type ClientHello, readClientHello } from '../net/client-hello.ts'
import { type PeekResult, type Protocol, peek, readUntil } from '../net/peek.ts'
import { type Secured, secure } from '../net/secured.ts'
import { answerTls, ready } from '../net/tls.ts'
import type { AcceptedWire, Wire, WireOwner } from '../net/wire.ts'
import { type Termination, terminationFor } from './termination.ts'

export interface HandshakeHome {
  /** The connection is the home's from now on. To be used at once: what the client has sent already comes next. */
  handshakeDone(handshake: Handshake, socket: TLSSocket, secured: Secured): void
  /** `connectionClosed` follows. `address`: the client's. */
  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void
  connectionClosed(handshake: Handshake): void
}

export interface HandshakeOptions {
  readonly termination: Termination
  readonly deadlines: Deadlines
  readonly limitMs: number
}

const LINGER_MS = 2000
const FAILURES: ReadonlyMap<string, HandshakeFailure> = new Map([
  ['ECONNRESET', 'gone'],
  ['EPIPE', 'gone'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'client_certificate'],
])

export class Handshake implements Accepted, Timed, PeekResult {
  dueAt: number
  slot = -1
  /** At the accept; `''` on a unix socket. */
  readonly remoteAddress: string
  readonly #wire: AcceptedWire
  readonly #home: HandshakeHome
  readonly #options: HandshakeOptions
  #socket: TLSSocket | null = null
  #failed = false
  #over = false

  constructor(wire: AcceptedWire, home: HandshakeHome, options: HandshakeOptions) {
    this.remoteAddress = wire.remoteAddress
    this.#wire = wire
    this.#home = home
    this.#options = options
    this.dueAt = options.deadlines.in(options.limitMs)
    options.deadlines.add(this)
    peek(wire, this)
  }

  /** It may still become a connection, which then drains. */
  drain(): void {}

  destroy(): void {
    this.#failed = true
    if (this.#socket !== null) this.#socket.destroy()
    else this.#wire.destroy()
    this.#close()
  }

  onDeadline(): void {
    this.#fail('timeout', null)
    this.destroy()
  }

  onGone(error: string | null): void {
    this.#fail('gone', error)
    this.#close()
  }

  onRecognised(protocol: Protocol, bytes: Buffer): void {
    if (protocol === 'tls') return this.#readHello(bytes)
    this.#fail('not_tls', protocol)
    if (protocol === 'unknown') this.destroy()
    else this.#refuse()
  }

  /** Which certificate, and what is asked of the client, goes by the name it wants: that is known before TLS begins. */
  #readHello(bytes: Buffer): void {
    const { termination } = this.#options
    if (termination.others === null) return this.#shakeHands(bytes, termination)
    const shake = ({ servername }: ClientHello, all: Buffer) => this.#shakeHands(all, terminationFor(termination, servername))
    const hello = readClientHello(bytes)
    if (hello !== null) return shake(hello, bytes)
    readUntil(this.#wire, { look: readClientHello, onFound: shake, onGone: (error) => this.onGone(error) }, bytes)
  }

  #shakeHands(hello: Buffer, termination: Termination): void {
    const below = this.#wire.detach(hello)
    // Its errors come out of the TLS socket as well.
    below.on('error', () => {})
    const { clients } = termination
    const socket = answerTls(below, { ...termination, clientCertificate: clients?.mode ?? null })
    this.#socket = socket
    const onError = (error: NodeJS.ErrnoException) => {
      const code = error.code ?? error.message
      this.#fail(FAILURES.get(code) ?? 'tls', code)
      this.destroy()
    }
    const onGone = () => {
      this.onGone(null)
      socket.destroy()
    }
    socket.on('error', onError)
    // The client may half-close later; in the middle of a handshake it means that there will be none.
    socket.on('end', onGone)
    socket.on('close', onGone)
    socket.once('secure', () => {
      if (this.#over) return
      // Of a TLS 1.2 session that is resumed OpenSSL does not tell the name; where clients are asked for certificates none is.
      const isSame = socket.isSessionReused() || terminationFor(this.#options.termination, socket.servername || null) === termination
      if (!isSame) return onError(new Error('another name'))
      const secured = secure(socket, clients)
      if ('problem' in secured) {
        this.#fail('client_certificate', secured.problem)
        return this.destroy()
      }
      socket.off('error', onError)
      socket.off('end', onGone)
      socket.off('close', onGone)
      this.#over = true
      this.#options.deadlines.remove(this)
      ready(socket)
      this.#home.handshakeDone(this, socket, secured)
    })
  }

  /** HTTP in plain text: people forget the `s`, and deserve to be told. */
  #refuse(): void {
    this.#wire.owner = new Discarded(this.#wire, () => this.#close())
    this.#wire.writeText(PLAIN_TEXT_ANSWER)
    this.#wire.end()
    this.dueAt = this.#options.deadlines.in(LINGER_MS)
    this.#wire.resume()
  }

  #fail(why: HandshakeFailure, detail: string | null): void {
    if (this.#failed || this.#over) return
    this.#failed = true
    this.#home.handshakeFailed(why, detail, this.remoteAddress)
  }

  #close(): void {
    if (this.#over) return
    this.#over = true
    this.#options.deadlines.remove(this)
    this.#home.connectionClosed(this)
  }
}

/** What still arrives is read and thrown away, or a reset could destroy the answer before it is read. */
class Discarded implements WireOwner {
  readonly #wire: Wire
  readonly #closed: () => void

  constructor(wire: Wire, closed: () => void) {
    this.#wire = wire
    this.#closed = closed
  }

  onBytes(): void {}
  onDrain(): void {}

  onEnd(): void {
    if (!this.#wire.congested) this.#wire.destroy()
  }

  onClose(): void {
    this.#closed()
  }
}

const PLAIN_TEXT = '400 Bad Request\n\nThis port speaks TLS: ask with https:// instead of http://.\n'
const PLAIN_TEXT_ANSWER = [
  'HTTP/1.1 400 Bad Request',
  'Content-Type: text/plain; charset=utf-8',
  `Content-Length: ${PLAIN_TEXT.length}`,
  'Connection: close',
  '',
  PLAIN_TEXT,
].join('\r\n')
