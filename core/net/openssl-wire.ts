/** A wire of TLS on a descriptor that OpenSSL reads and writes by itself, past its handshake (openssl-handshake.ts). */
import { getSystemErrorName } from 'node:util'
import { type Descriptor, DescriptorWire } from './descriptor-wire.ts'
import { factsOfHandle } from './handle-wire.ts'
import { EAGAIN } from './kernel.ts'
import {
  type OpenSsl,
  SSL_ERROR_SYSCALL,
  SSL_ERROR_WANT_READ,
  SSL_ERROR_WANT_WRITE,
  SSL_ERROR_ZERO_RETURN,
  TLSEXT_NAMETYPE_HOST_NAME,
} from './openssl.ts'
import type { ProxyFacts } from './proxy-protocol-writer.ts'

/** One record at the most (RFC 8446 §5.1). */
const RECORD_BYTES = 16384
/** Records in a row that are no bytes to anybody (RFC 8446 §4.6.3), in one read. */
const MOST_SILENT = 16
const EPIPE = 32
/** No errno: OpenSSL says what it was. */
const PROTOCOL = -0x10000

export class OpenSslWire extends DescriptorWire {
  readonly #openSsl: OpenSsl
  readonly #ssl: bigint
  readonly #alpn: string | null
  #error = ''
  /** What a read met behind bytes that were told first. */
  #owed = 0
  /** OpenSSL has read more than was asked for: the kernel does not tell of that. */
  #hasMore = false
  /** The same of a read that gave nothing: there may be more behind what is no bytes to anybody. */
  #isCutShort = false
  #isDue = false
  #wantsWrite = false
  #wantsRead = false

  constructor(below: Descriptor, ssl: bigint, openSsl: OpenSsl, alpn: string | null) {
    super(below, false)
    this.#openSsl = openSsl
    this.#ssl = ssl
    this.#alpn = alpn
  }

  facts(): ProxyFacts {
    // What TLS agreed on went with the connection.
    if (this.closed) return { ...factsOfHandle(this.handle, this.peerName()), tls: null }
    const { calls } = this.#openSsl
    const text = (pointer: bigint): string | null => this.#openSsl.textAt(pointer)
    const cipher = calls.SSL_get_current_cipher(this.#ssl)
    return {
      ...factsOfHandle(this.handle, this.peerName()),
      tls: {
        serverName: text(calls.SSL_get_servername(this.#ssl, TLSEXT_NAMETYPE_HOST_NAME)),
        alpn: this.#alpn,
        version: text(calls.SSL_get_version(this.#ssl)),
        cipher: cipher === 0n ? null : text(calls.SSL_CIPHER_get_name(cipher)),
        commonName: null,
      },
    }
  }

  override resume(): void {
    super.resume()
    if (this.isReading) this.#goOn()
  }

  /** Both ways, but not before the peer is told that this is the end. */
  override finish(): void {
    if (this.closed) return
    if (this.congested || this.#sayGoodbye() === -EAGAIN) this.end()
    else this.destroy()
  }

  protected override readOn(): void {
    this.#isCutShort = false
    super.readOn()
    this.freeWrites()
    if ((this.#hasMore || this.#isCutShort) && this.isReading) this.#goOn()
  }

  protected override get togetherBytes(): number {
    return RECORD_BYTES
  }

  protected override receive(pointer: bigint, length: number): number {
    const { calls } = this.#openSsl
    if (this.#owed !== 0) return this.#owed
    for (let silent = 0; ; silent++) {
      this.kernel.clearErrno()
      const first = calls.SSL_read(this.#ssl, pointer, length)
      if (first > 0) return this.#receiveMore(pointer, length, first)
      const problem = this.#readProblem(first)
      if (!this.#isCutShort || silent === MOST_SILENT) return problem
    }
  }

  #receiveMore(pointer: bigint, length: number, first: number): number {
    const { calls } = this.#openSsl
    let read = first
    // Many records are told together, to whoever has a buffer for that.
    while (read < length && this.lends && calls.SSL_has_pending(this.#ssl) !== 0) {
      this.kernel.clearErrno()
      const more = calls.SSL_read(this.#ssl, pointer + BigInt(read), length - read)
      if (more > 0) read += more
      else {
        const problem = this.#readProblem(more)
        if (problem !== -EAGAIN && problem !== 0) this.#owed = problem
        break
      }
    }
    return read
  }

  protected override transmit(pointer: bigint, length: number): number {
    const { calls } = this.#openSsl
    let sent = 0
    while (sent < length) {
      const written = calls.SSL_write(this.#ssl, sent === 0 ? pointer : pointer + BigInt(sent), length - sent)
      if (written > 0) sent += written
      else {
        const problem = this.#problem(written)
        if (this.#wantsRead) this.stickWrites()
        if (problem === -EAGAIN) return sent > 0 ? sent : -EAGAIN
        return problem === 0 ? -EPIPE : problem
      }
    }
    return sent
  }

  /** The first are in a buffer that has room for a record behind them. */
  protected override transmitTwo(first: bigint, firstLength: number, second: bigint, secondLength: number): number {
    const joined = Math.min(secondLength, Math.max(0, RECORD_BYTES - firstLength))
    const whole = firstLength + joined
    this.#openSsl.calls.memcpy(first + BigInt(firstLength), second, BigInt(joined))
    const sent = this.transmit(first, whole)
    if (sent !== whole || joined === secondLength) return sent
    const more = this.transmit(second + BigInt(joined), secondLength - joined)
    if (more >= 0) return sent + more
    return more === -EAGAIN ? sent : more
  }

  protected override isDry(length: number): boolean {
    this.#hasMore = length > 0 && this.#openSsl.calls.SSL_has_pending(this.#ssl) !== 0
    return !this.#hasMore
  }

  protected override sayEnd(): number {
    return this.#sayGoodbye() === -EAGAIN ? -EAGAIN : this.kernel.shutdown(this.fd)
  }

  protected override nameOf(code: number): string {
    return code === PROTOCOL ? this.#error : getSystemErrorName(code)
  }

  protected override close(error: string | null, abruptly: boolean): void {
    if (this.closed) return
    super.close(error, abruptly)
    this.#openSsl.calls.SSL_free(this.#ssl)
  }

  /** What OpenSSL has read already is told soon, but not from inside the call that asks for it. */
  #goOn(): void {
    if (this.#isDue || !this.#mayHaveMore) return
    this.#isDue = true
    // Others have their turn: what comes may never end.
    setImmediate(() => {
      this.#isDue = false
      if (this.isReading && this.#mayHaveMore) this.readOn()
    })
  }

  get #mayHaveMore(): boolean {
    return this.#isCutShort || this.#openSsl.calls.SSL_has_pending(this.#ssl) !== 0
  }

  /** close_notify: 0, or EAGAIN. A connection that cannot take it is over anyway. */
  #sayGoodbye(): number {
    const { calls } = this.#openSsl
    const result = calls.SSL_shutdown(this.#ssl)
    return result < 0 && this.#problem(result) === -EAGAIN ? -EAGAIN : 0
  }

  /** A peer that has us answer while it reads nothing (RFC 8446 §4.6.3) is not read either. */
  #readProblem(result: number): number {
    const { errno } = this.kernel
    const problem = this.#problem(result)
    if (this.#wantsWrite) this.stickReads()
    // Had the socket nothing to read, that would be told by the system call.
    this.#isCutShort = this.#wantsRead && errno !== EAGAIN
    return problem
  }

  /** 0: the peer has ended. To be asked right behind the call that gave `result`. */
  #problem(result: number): number {
    const { errno } = this.kernel
    const kind = this.#openSsl.errorOf(this.#ssl, result)
    this.#wantsWrite = kind === SSL_ERROR_WANT_WRITE
    this.#wantsRead = kind === SSL_ERROR_WANT_READ
    if (this.#wantsRead || this.#wantsWrite) return -EAGAIN
    if (kind === SSL_ERROR_ZERO_RETURN) return 0
    if (kind === SSL_ERROR_SYSCALL) return -errno
    this.#error = String(kind)
    return PROTOCOL
  }
}
