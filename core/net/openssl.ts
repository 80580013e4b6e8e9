/**
 * OpenSSL as it is linked into Node, called without Node's streams around it: by `node:ffi`, on Linux alone, and only if it is of the
 * version whose functions are declared here. Where it is not to be had bare-tls.ts serves instead.
 */
import { createRequire } from 'node:module'
import { getKernel } from './kernel.ts'

/** What of OpenSSL is called. A pointer is an address; of the functions that are called for each record none has more than three arguments, which cost more. */
interface Calls {
  SSL_new(context: bigint): bigint
  SSL_free(ssl: bigint): void
  SSL_set_fd(ssl: bigint, fd: number): number
  SSL_set_rfd(ssl: bigint, fd: number): number
  SSL_set0_rbio(ssl: bigint, bio: bigint): void
  SSL_accept(ssl: bigint): number
  SSL_read(ssl: bigint, into: bigint, length: number): number
  SSL_write(ssl: bigint, from: bigint, length: number): number
  SSL_has_pending(ssl: bigint): number
  SSL_shutdown(ssl: bigint): number
  SSL_get_error(ssl: bigint, result: number): number
  SSL_get_servername(ssl: bigint, type: number): bigint
  SSL_session_reused(ssl: bigint): number
  SSL_get_version(ssl: bigint): bigint
  SSL_get_current_cipher(ssl: bigint): bigint
  SSL_CIPHER_get_name(cipher: bigint): bigint
  SSL_ctrl(ssl: bigint, what: number, number: bigint, pointer: bigint): bigint
  SSL_select_next_proto(out: bigint, outLength: bigint, ours: bigint, oursLength: number, theirs: bigint, theirsLength: number): number
  TLS_server_method(): bigint
  SSL_CTX_new(method: bigint): bigint
  SSL_CTX_free(context: bigint): void
  SSL_CTX_ctrl(context: bigint, what: number, number: bigint, pointer: bigint): bigint
  SSL_CTX_callback_ctrl(context: bigint, what: number, callback: bigint): bigint
  SSL_CTX_set_options(context: bigint, options: bigint): bigint
  SSL_CTX_set_default_read_buffer_len(context: bigint, length: bigint): void
  SSL_CTX_set_cipher_list(context: bigint, names: string): number
  SSL_CTX_set_ciphersuites(context: bigint, names: string): number
  SSL_CTX_set_session_id_context(context: bigint, bytes: Uint8Array, length: number): number
  SSL_CTX_set_timeout(context: bigint, seconds: bigint): bigint
  SSL_CTX_use_certificate(context: bigint, certificate: bigint): number
  SSL_CTX_use_PrivateKey(context: bigint, key: bigint): number
  SSL_CTX_set_alpn_select_cb(context: bigint, callback: bigint, data: bigint): void
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context: bigint, callback: bigint): bigint
  BIO_new_mem_buf(bytes: bigint, length: number): bigint
  BIO_free(bio: bigint): number
  BIO_ctrl(bio: bigint, what: number, number: bigint, pointer: bigint): bigint
  BIO_ctrl_pending(bio: bigint): bigint
  PEM_read_bio_X509(bio: bigint, out: bigint, password: bigint, data: bigint): bigint
  PEM_read_bio_PrivateKey(bio: bigint, out: bigint, password: bigint, data: bigint): bigint
  X509_free(certificate: bigint): void
  EVP_PKEY_free(key: bigint): void
  EVP_CIPHER_fetch(library: bigint, name: string, properties: bigint): bigint
  EVP_EncryptInit_ex(cipher: bigint, type: bigint, engine: bigint, key: bigint, iv: bigint): number
  EVP_DecryptInit_ex(cipher: bigint, type: bigint, engine: bigint, key: bigint, iv: bigint): number
  EVP_MAC_CTX_set_params(mac: bigint, parameters: bigint): number
  RAND_bytes(into: bigint, length: number): number
  CRYPTO_malloc(length: bigint, file: bigint, line: number): bigint
  memcpy(to: bigint, from: bigint, length: bigint): bigint
  ERR_clear_error(): void
  ERR_get_error(): bigint
  ERR_reason_error_string(error: bigint): bigint
  OPENSSL_version_major(): number
}

interface Ffi {
  dlopen(path: null, symbols: object): { readonly functions: Calls; readonly lib: Library }
  getRawPointer(bytes: Uint8Array): bigint
  getUint64(pointer: bigint, offset: number): bigint
  toString(pointer: bigint): string
}

interface Library {
  registerCallback(signature: object, callback: (...args: never[]) => number): bigint
}

const SSL_ERROR_SSL = 1
export const TLSEXT_NAMETYPE_HOST_NAME = 0
export const SSL_ERROR_WANT_READ = 2
export const SSL_ERROR_WANT_WRITE = 3
export const SSL_ERROR_SYSCALL = 5
export const SSL_ERROR_ZERO_RETURN = 6

export class OpenSsl {
  readonly calls: Calls
  readonly #ffi: Ffi
  /** Kept: with it the callbacks would go. */
  readonly #library: Library

  constructor(ffi: Ffi) {
    const { functions, lib } = ffi.dlopen(null, signatures)
    this.calls = functions
    this.#ffi = ffi
    this.#library = lib
    if (functions.OPENSSL_version_major() !== 3) throw new Error('another OpenSSL')
  }

  /** For as long as the process lives. It must not throw. */
  callback(parameters: readonly ('pointer' | 'int32' | 'uint32')[], called: (...args: never[]) => number): bigint {
    return this.#library.registerCallback({ arguments: parameters, return: 'int32' }, called)
  }

  /** Where bytes that do not move are. They must outlive every use of it. */
  pointerTo(bytes: Uint8Array): bigint {
    return this.#ffi.getRawPointer(bytes)
  }

  pointerAt(pointer: bigint): bigint {
    return this.#ffi.getUint64(pointer, 0)
  }

  /** Null for a null pointer. */
  textAt(pointer: bigint): string | null {
    return pointer === 0n ? null : this.#ffi.toString(pointer)
  }

  /**
   * What a call that gave `result` waits for or has met (`SSL_ERROR_…`), or which rule of TLS was broken. Asked twice, for what others
   * left behind counts as an error of each call: to have nothing left before each would cost more.
   */
  errorOf(ssl: bigint, result: number): number | string {
    const { calls } = this
    const kind = calls.SSL_get_error(ssl, result)
    if (kind !== SSL_ERROR_SSL) return kind
    const error = this.takeError()
    const then = calls.SSL_get_error(ssl, result)
    return then === SSL_ERROR_WANT_READ || then === SSL_ERROR_WANT_WRITE ? then : error
  }

  /** What went wrong first, as Node calls it; forgets it and what followed from it. */
  takeError(): string {
    const reason = this.textAt(this.calls.ERR_reason_error_string(this.calls.ERR_get_error()))
    this.calls.ERR_clear_error()
    return `ERR_SSL_${(reason ?? 'unknown').toUpperCase().replaceAll(' ', '_')}`
  }
}

const [P, I, U, B, L, UL, S] = ['pointer', 'int32', 'uint32', 'buffer', 'int64', 'uint64', 'string']
const takes = (...list: (string | undefined)[]) => ({ arguments: list, return: I })
const makes = (...list: (string | undefined)[]) => ({ arguments: list, return: P })
const gives = (result: string | undefined, ...list: (string | undefined)[]) => ({ arguments: list, return: result })

const signatures = {
  SSL_new: makes(P),
  SSL_free: gives('void', P),
  SSL_set_fd: takes(P, I),
  SSL_set_rfd: takes(P, I),
  SSL_set0_rbio: gives('void', P, P),
  SSL_accept: takes(P),
  SSL_read: takes(P, P, I),
  SSL_write: takes(P, P, I),
  SSL_has_pending: takes(P),
  SSL_shutdown: takes(P),
  SSL_get_error: takes(P, I),
  SSL_get_servername: makes(P, I),
  SSL_session_reused: takes(P),
  SSL_get_version: makes(P),
  SSL_get_current_cipher: makes(P),
  SSL_CIPHER_get_name: makes(P),
  SSL_ctrl: gives(L, P, I, L, P),
  SSL_select_next_proto: takes(P, P, P, U, P, U),
  TLS_server_method: makes(),
  SSL_CTX_new: makes(P),
  SSL_CTX_free: gives('void', P),
  SSL_CTX_ctrl: gives(L, P, I, L, P),
  SSL_CTX_callback_ctrl: gives(L, P, I, P),
  SSL_CTX_set_options: gives(UL, P, UL),
  SSL_CTX_set_default_read_buffer_len: gives('void', P, UL),
  SSL_CTX_set_cipher_list: takes(P, S),
  SSL_CTX_set_ciphersuites: takes(P, S),
  SSL_CTX_set_session_id_context: takes(P, B, U),
  SSL_CTX_set_timeout: gives(L, P, L),
  SSL_CTX_use_certificate: takes(P, P),
  SSL_CTX_use_PrivateKey: takes(P, P),
  SSL_CTX_set_alpn_select_cb: gives('void', P, P, P),
  SSL_CTX_set_tlsext_ticket_key_evp_cb: gives(L, P, P),
  BIO_new_mem_buf: makes(P, I),
  BIO_free: takes(P),
  BIO_ctrl: gives(L, P, I, L, P),
  BIO_ctrl_pending: gives(UL, P),
  PEM_read_bio_X509: makes(P, P, P, P),
  PEM_read_bio_PrivateKey: makes(P, P, P, P),
  X509_free: gives('void', P),
  EVP_PKEY_free: gives('void', P),
  EVP_CIPHER_fetch: makes(P, S, P),
  EVP_EncryptInit_ex: takes(P, P, P, P, P),
  EVP_DecryptInit_ex: takes(P, P, P, P, P),
  EVP_MAC_CTX_set_params: takes(P, P),
  RAND_bytes: takes(P, I),
  CRYPTO_malloc: makes(UL, P, I),
  memcpy: makes(P, P, UL),
  ERR_clear_error: gives('void'),
  ERR_get_error: gives(UL),
  ERR_reason_error_string: makes(UL),
  OPENSSL_version_major: gives(U),
}

let openSsl: OpenSsl | null | undefined

/** The process's one, or null. Loaded when it is first asked for. */
export function getOpenSsl(): OpenSsl | null {
  if (openSsl === undefined) openSsl = getKernel() === null ? null : load()
  return openSsl
}

function load(): OpenSsl | null {
  try {
    return new OpenSsl(createRequire(import.meta.url)('node:ffi') as Ffi)
  } catch {
    return null
  }
}
