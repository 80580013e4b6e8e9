/**
 * One connection to a TLS listener, from the accept until it is secured: looks at its first bytes, shakes hands, and has a
 * deadline for both. Whatever goes wrong ends this connection alone, and is told once.
 */
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Accepted } from '../connection/home.ts'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { HandshakeFailure } from '../events.ts'
import { answerBare, type BareHandshake } from '../net/bare-tls.ts'
import { type ClientHello, readClientHello } from '../net/client-hello.ts'
import { KernelWire } from '../net/kernel-wire.ts'
import { answerOnDescriptor } from '../net/openssl-handshake.ts'
import { type PeekResult, type Protocol, peek, readUntil } from '../net/peek.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import { ANYBODY, type Secured, secure } from '../net/secured.ts'
import { answerTls, ready } from '../net/tls.ts'
import { alertOf, sealAlert, secretIn } from '../net/tls-alert.ts'
import type { AcceptedWire, Wire, WireOwner } from '../net/wire.ts'
import { type Termination, terminationFor } from './termination.ts'

export interface HandshakeHome {
  /** The connection is the home's from now on. To be used at once: what the client has sent already comes next. */
  handshakeDone(handshake: Handshake, carrier: TLSSocket | Wire, secured: Secured, alpn: string | null): void
  /** `connectionClosed` follows. `address`: the client's. */
  handshakeFailed(why: HandshakeFailure, detail: string | null, address: string): void
  connectionClosed(handshake: Handshake): void
}

export interface HandshakeOptions {
  readonly termination: Termination
  readonly deadlines: Deadlines
  readonly limitMs: number
  /** What was read already: the first message of TLS. */
  readonly hello?: Buffer
  /** What came before it, if anything did. */
  readonly header: ProxyHeader | null
}

/** The client reset the connection since: who sent what may follow cannot be told any more. It is closed then. */
export function wasReset({ remoteAddress }: Handshake, carrier: TLSSocket | Wire): boolean {
  if (remoteAddress === '' || carrier.remoteAddress) return false
  if ('encrypted' in carrier) carrier.on('error', () => {})
  carrier.destroy()
  return true
}

const LINGER_MS = 2000
/** Records that OpenSSL sends after each handshake of TLS 1.3, tickets that nobody can use here among them (SSL_CTX_set_num_tickets(3)). */
const TICKETS = 2
const FAILURES: ReadonlyMap<string, HandshakeFailure> = new Map([
  ['ECONNRESET', 'gone'],
  ['EPIPE', 'gone'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'client_certificate'],
])

export class Handshake implements Accepted, Timed, PeekResult {
  dueAt: number
  slot = -1
  keptAt = -1
  /** Of the socket, at the accept; `''` on a unix socket. */
  readonly remoteAddress: string
  readonly header: ProxyHeader | null
  readonly #wire: AcceptedWire
  readonly #home: HandshakeHome
  readonly #options: HandshakeOptions
  #socket: TLSSocket | null = null
  /** Of a handshake without a socket. */
  #giveUp: (() => void) | null = null
  #failed = false
  #over = false
  /** An authority looks at a certificate, and that is all it came for (RFC 8737 §3). */
  #isLook = false

  constructor(wire: AcceptedWire, home: HandshakeHome, options: HandshakeOptions) {
    this.remoteAddress = wire.remoteAddress
    this.header = options.header
    this.#wire = wire
    wire.expectDetach?.(true)
    this.#home = home
    this.#options = options
    this.dueAt = options.deadlines.in(options.limitMs)
    options.deadlines.add(this)
    if (options.hello === undefined) peek(wire, this)
    else this.#readHello(options.hello)
  }

  /** It may still become a connection, which then drains. */
  drain(): void {}

  destroy(): void {
    this.#failed = true
    if (this.#socket !== null) this.#socket.destroy()
    else if (this.#giveUp !== null) this.#giveUp()
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
    const { others, challenges } = termination
    if (others === null && challenges?.areByTls !== true) return this.#shakeHands(bytes, termination)
    const look = (all: Buffer) => readClientHello(all, all.length)
    // What is no hello OpenSSL has to refuse.
    const shake = (found: ClientHello | string, all: Buffer) => {
      const hello = typeof found === 'string' ? null : found
      const shown = hello === null ? null : (challenges?.terminationFor(hello) ?? null)
      this.#isLook = shown !== null
      this.#shakeHands(all, shown ?? terminationFor(termination, hello?.serverName ?? null))
    }
    const hello = look(bytes)
    if (hello !== null) return shake(hello, bytes)
    readUntil(this.#wire, { look, onFound: shake, onGone: (error) => this.onGone(error) }, bytes)
  }

  #shakeHands(read: Buffer, termination: Termination): void {
    const wire = this.#wire
    const kept = wire.takeKept?.() ?? null
    const hello = kept === null ? read : Buffer.concat([read, kept])
    const { remoteAddress, remotePort } = wire
    // A TLSSocket tells of certificates of clients, and of keys that are logged.
    const wantsSocket = termination.clients !== null || termination.keyLog !== null
    const context = wire instanceof KernelWire ? termination.serverContext() : null
    if (wire instanceof KernelWire && context !== null) {
      this.#giveUp = answerOnDescriptor(wire.detachDescriptor(), hello, context, this.#toldOf(termination))
      return
    }
    const handle = wantsSocket ? null : wire.detachHandle()
    if (handle === null) return this.#shakeHandsOnSocket(hello, termination)
    this.#giveUp = answerBare({ handle, remoteAddress, remotePort }, hello, termination, this.#toldOf(termination))
  }

  #toldOf(termination: Termination): BareHandshake {
    return {
      secured: (wire, { servername, alpn, isResumed }) => {
        const isWrong = !isResumed && !this.#isFor(termination, servername)
        if (isWrong) this.#tlsFailed('another name')
        if (isWrong || this.#isLook) {
          this.#close()
          return wire.destroy()
        }
        this.#over = true
        this.#options.deadlines.remove(this)
        this.#home.handshakeDone(this, wire, termination.served === null ? ANYBODY : { ...ANYBODY, served: termination.served }, alpn)
      },
      failed: (code) => {
        this.#tlsFailed(code)
        this.#close()
      },
    }
  }

  /** Of a TLS 1.2 session that is resumed OpenSSL does not tell the name; where clients are asked for certificates none is. */
  #isFor(termination: Termination, servername: string | null): boolean {
    return this.#isLook || terminationFor(this.#options.termination, servername) === termination
  }

  #shakeHandsOnSocket(hello: Buffer, termination: Termination): void {
    const below = this.#wire.detach(hello)
    // Its errors come out of the TLS socket as well.
    below.on('error', () => {})
    const { clients } = termination
    const socket = answerTls(below, { ...termination, clientCertificate: clients?.mode ?? null })
    this.#socket = socket
    let secret: Buffer | null = null
    if (clients?.mode === 'require')
      socket.on('keylog', (line) => {
        secret ??= secretIn(line)
      })
    const onError = (error: NodeJS.ErrnoException) => {
      this.#tlsFailed(error.code ?? error.message)
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
      const isSame = socket.isSessionReused() || this.#isFor(termination, socket.servername || null)
      if (!isSame) return onError(new Error('another name'))
      if (this.#isLook) return this.destroy()
      const secured = secure(socket, clients, termination.served)
      if ('problem' in secured) {
        this.#fail('client_certificate', secured.problem)
        return this.#tellWhy(socket, below, alertOf(secured.problem), secret)
      }
      socket.off('error', onError)
      socket.off('end', onGone)
      socket.off('close', onGone)
      this.#over = true
      this.#options.deadlines.remove(this)
      ready(socket)
      this.#home.handshakeDone(this, socket, secured, socket.alpnProtocol || null)
    })
  }

  /** With TLS 1.3 by an alert; before it nothing can be said in its name, and the connection just ends. */
  #tellWhy(socket: TLSSocket, below: Socket, alert: number, secret: Buffer | null): void {
    const cipher = socket.getCipher()?.standardName
    const record = secret === null ? null : sealAlert(alert, { cipher, secret, sequence: TICKETS })
    if (record === null) return this.destroy()
    this.dueAt = this.#options.deadlines.in(LINGER_MS)
    // What the client sends meanwhile is thrown away.
    socket.resume()
    // OpenSSL's own records leave when it is told that the handshake is done.
    setImmediate(() => below.end(record))
  }

  /** HTTP in plain text: people forget the `s`, and deserve to be told. */
  #refuse(): void {
    this.#wire.owner = new Discarded(this.#wire, () => this.#close())
    this.#wire.writeText(PLAIN_TEXT_ANSWER)
    this.#wire.end()
    this.dueAt = this.#options.deadlines.in(LINGER_MS)
    this.#wire.resume()
  }

  #tlsFailed(code: string | null): void {
    this.#fail(code === null ? 'gone' : (FAILURES.get(code) ?? 'tls'), code)
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
