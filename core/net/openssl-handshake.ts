/** The server's side of a TLS handshake on a descriptor, by OpenSSL itself: no stream of Node's is in between. */
import { getSystemErrorName } from 'node:util'
import type { BareHandshake } from './bare-tls.ts'
import type { Descriptor } from './descriptor-wire.ts'
import { EPOLLIN, EPOLLOUT, type Watched } from './kernel.ts'
import { SSL_ERROR_SYSCALL, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, TLSEXT_NAMETYPE_HOST_NAME } from './openssl.ts'
import { OpenSslWire } from './openssl-wire.ts'
import type { ServerContext } from './server-context.ts'

const BIO_C_SET_BUF_MEM_EOF_RETURN = 130

/** As `answerBare`: answers the handshake that begins with `hello`, and returns how to give it up, after which nobody is told. */
export function answerOnDescriptor(below: Descriptor, hello: Buffer, context: ServerContext, told: BareHandshake): () => void {
  const handshake = new OpenSslHandshake(below, hello, context, told)
  handshake.begin()
  return () => handshake.giveUp()
}

class OpenSslHandshake implements Watched {
  readonly #below: Descriptor
  readonly #context: ServerContext
  readonly #told: BareHandshake
  readonly #ssl: bigint
  /** Read by us, and not by OpenSSL yet, which does not copy it. */
  #hello: Buffer | null
  #mask: number
  #alpn: string | null = null
  #isOver = false
  #isGivenUp = false

  constructor(below: Descriptor, hello: Buffer, context: ServerContext, told: BareHandshake) {
    this.#below = below
    this.#context = context
    this.#told = told
    this.#hello = hello
    this.#mask = below.mask
    const { calls } = context.openSsl
    const ssl = calls.SSL_new(context.pointer)
    this.#ssl = ssl
    if (ssl === 0n) return
    calls.SSL_set_fd(ssl, below.fd)
    const early = calls.BIO_new_mem_buf(context.openSsl.pointerTo(hello), hello.length)
    // Its end is one for now, not for good.
    calls.BIO_ctrl(early, BIO_C_SET_BUF_MEM_EOF_RETURN, -1n, 0n)
    calls.SSL_set0_rbio(ssl, early)
  }

  begin(): void {
    if (this.#ssl === 0n) return this.#fail('ENOMEM')
    const { kernel, fd } = this.#below
    if (this.#mask >= 0) kernel.handOver(fd, this)
    else {
      this.#mask = EPOLLIN
      const error = kernel.watch(fd, EPOLLIN, this)
      if (error < 0) return this.#fail(getSystemErrorName(error))
    }
    this.onReady()
  }

  giveUp(): void {
    this.#isGivenUp = true
    if (!this.#isOver) this.#close()
  }

  /** @internal */
  onReady(): void {
    const { openSsl } = this.#context
    const { result, alpn } = this.#context.accept(this.#ssl)
    const { errno } = this.#below.kernel
    this.#alpn ??= alpn
    if (result === 1) return this.#done()
    const kind = openSsl.errorOf(this.#ssl, result)
    if (kind === SSL_ERROR_WANT_READ) {
      this.#readSocket()
      this.#wait(EPOLLIN)
    } else if (kind === SSL_ERROR_WANT_WRITE) this.#wait(EPOLLOUT)
    else if (kind === SSL_ERROR_SYSCALL && errno !== 0) this.#fail(getSystemErrorName(-errno))
    else this.#fail(typeof kind === 'string' ? kind : null)
  }

  /** What was read by us has been read. */
  #readSocket(): void {
    if (this.#hello === null) return
    this.#context.openSsl.calls.SSL_set_rfd(this.#ssl, this.#below.fd)
    this.#hello = null
  }

  #wait(mask: number): void {
    if (mask === this.#mask) return
    this.#mask = mask
    this.#below.kernel.change(this.#below.fd, mask)
  }

  #done(): void {
    const { openSsl } = this.#context
    const { calls } = openSsl
    this.#isOver = true
    this.#readSocket()
    this.#wait(EPOLLIN)
    const wire = new OpenSslWire({ ...this.#below, mask: EPOLLIN }, this.#ssl, openSsl, this.#alpn)
    this.#below.kernel.handOver(this.#below.fd, wire)
    this.#told.secured(wire, {
      servername: openSsl.textAt(calls.SSL_get_servername(this.#ssl, TLSEXT_NAMETYPE_HOST_NAME)),
      alpn: this.#alpn,
      isResumed: calls.SSL_session_reused(this.#ssl) === 1,
    })
  }

  /** A hello may be refused before whoever gave it is back. */
  #fail(code: string | null): void {
    this.#close()
    process.nextTick(() => {
      if (!this.#isGivenUp) this.#told.failed(code)
    })
  }

  #close(): void {
    this.#isOver = true
    const { kernel, fd, handle } = this.#below
    if (this.#mask >= 0) kernel.forget(fd)
    this.#mask = -1
    if (this.#ssl !== 0n) this.#context.openSsl.calls.SSL_free(this.#ssl)
    handle.close()
  }
}
