/**
 * What OpenSSL (openssl.ts) answers handshakes with: certificates, protocols, ticket keys. It is freed when nobody has it any more;
 * connections that were begun keep what they need of it.
 */
import { constants } from 'node:crypto'
import type { SecureVersion } from 'node:tls'
import type { OpenSsl } from './openssl.ts'
import { OpenSslTickets } from './openssl-tickets.ts'
import type { TicketKeys } from './ticket-keys.ts'
import { alpnNames } from './tls.ts'

export interface ServerContextOptions {
  /** PEM: a certificate with its chain, one for each kind of key. */
  readonly certificates: readonly string[]
  readonly keys: readonly string[]
  /** Empty: whatever the client offers is left open. */
  readonly alpn: readonly string[]
  readonly minVersion: SecureVersion
  /** Those of TLS 1.3 and of those before, in our order. */
  readonly ciphers: readonly string[]
  readonly sessionSeconds: number
  /** Sessions of other contexts with the same one are resumed. */
  readonly sessionIdContext: string
  /** Null: OpenSSL's own, which nobody else knows. */
  readonly ticketKeys: TicketKeys | null
  /** An OCSP response in DER. */
  readonly staple: Buffer | null
}

/**
 * Four of the longest records (RFC 8446 §5.2) are taken from the socket by one system call, which makes uploads a third cheaper. OpenSSL
 * has the memory for it only while it reads; from 128 KiB on malloc would map it anew each time.
 */
const READ_BYTES = 4n * (5n + 16_384n + 256n)
const SET_MODE = 33
const CLEAR_MODE = 78
const SET_READ_AHEAD = 41
const SET_SESSION_CACHE = 44
const SET_STATUS_CALLBACK = 63
const SET_STATUS_RESPONSE = 71
const ADD_CHAIN_CERTIFICATE = 89
const SET_MIN_VERSION = 123

/** Partial writes, of bytes that moved; no chain put together anew for each handshake; no buffers while nothing is under way. */
/** A read goes on behind a record that is no bytes to us: a client that sends nothing else would keep it for good. */
const AUTO_RETRY = 0x4n
const MODE = 0x1n | 0x2n | 0x8n | 0x10n
/** The end of a connection is told as such whether or not TLS announced it; certificates are not compressed. */
const OPTIONS = (1n << 7n) | (1n << 32n) | (1n << 33n)
const VERSIONS: Readonly<Record<SecureVersion, bigint>> = { TLSv1: 0x301n, 'TLSv1.1': 0x302n, 'TLSv1.2': 0x303n, 'TLSv1.3': 0x304n }

const CHOSEN = 0
const FATAL = 2
const NOTHING = 3
const NEGOTIATED = 1

/** OpenSSL calls back from within SSL_accept alone: for this one. */
let underWay: ServerContext | null = null
let chosenAlpn: string | null = null
let shared: { readonly tickets: OpenSslTickets; readonly alpn: bigint; readonly status: bigint } | null = null

const freed = new FinalizationRegistry<() => void>((free) => free())

export class ServerContext {
  readonly openSsl: OpenSsl
  readonly pointer: bigint
  readonly ticketKeys: TicketKeys | null
  readonly staple: Buffer | null
  /** ProtocolNameList of RFC 7301 §3.1, and where OpenSSL finds it. */
  readonly names: Buffer
  readonly namesPointer: bigint

  /** Throws if a certificate or a key cannot be used. */
  constructor(openSsl: OpenSsl, options: ServerContextOptions) {
    this.openSsl = openSsl
    this.ticketKeys = options.ticketKeys
    this.staple = options.staple
    this.names = alpnNames(options.alpn)
    this.namesPointer = openSsl.pointerTo(this.names)
    const { calls } = openSsl
    calls.ERR_clear_error()
    const pointer = calls.SSL_CTX_new(calls.TLS_server_method())
    if (pointer === 0n) throw new Error(openSsl.takeError())
    this.pointer = pointer
    freed.register(this, () => calls.SSL_CTX_free(pointer))
    configure(openSsl, pointer, options)
  }

  /** Goes on with a handshake: what SSL_accept says, and which protocol it agreed on meanwhile. */
  accept(ssl: bigint): { readonly result: number; readonly alpn: string | null } {
    underWay = this
    chosenAlpn = null
    try {
      return { result: this.openSsl.calls.SSL_accept(ssl), alpn: chosenAlpn }
    } finally {
      underWay = null
    }
  }
}

function configure(openSsl: OpenSsl, context: bigint, options: ServerContextOptions): void {
  const { calls } = openSsl
  const must = (result: number | bigint): void => {
    if (result !== 1 && result !== 1n) throw new Error(openSsl.takeError())
  }
  shared ??= makeCallbacks(openSsl)
  const { alpn, status, tickets } = shared
  const { SSL_OP_NO_RENEGOTIATION, SSL_OP_PRIORITIZE_CHACHA, SSL_OP_CIPHER_SERVER_PREFERENCE } = constants
  const ours = BigInt(SSL_OP_NO_RENEGOTIATION | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CIPHER_SERVER_PREFERENCE)
  calls.SSL_CTX_set_options(context, OPTIONS | BigInt.asUintN(32, ours))
  calls.SSL_CTX_ctrl(context, SET_MODE, MODE, 0n)
  calls.SSL_CTX_ctrl(context, CLEAR_MODE, AUTO_RETRY, 0n)
  calls.SSL_CTX_ctrl(context, SET_READ_AHEAD, 1n, 0n)
  calls.SSL_CTX_set_default_read_buffer_len(context, READ_BYTES)
  calls.SSL_CTX_ctrl(context, SET_SESSION_CACHE, 0n, 0n)
  must(calls.SSL_CTX_ctrl(context, SET_MIN_VERSION, VERSIONS[options.minVersion], 0n))
  const isNew = (name: string): boolean => name.startsWith('TLS_')
  must(calls.SSL_CTX_set_ciphersuites(context, options.ciphers.filter(isNew).join(':')))
  must(calls.SSL_CTX_set_cipher_list(context, options.ciphers.filter((name) => !isNew(name)).join(':')))
  const id = Buffer.from(options.sessionIdContext)
  must(calls.SSL_CTX_set_session_id_context(context, id, id.length))
  calls.SSL_CTX_set_timeout(context, BigInt(options.sessionSeconds))
  if (options.alpn.length > 0) calls.SSL_CTX_set_alpn_select_cb(context, alpn, 0n)
  if (options.ticketKeys !== null) must(calls.SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tickets.callback))
  if (options.staple !== null) must(calls.SSL_CTX_callback_ctrl(context, SET_STATUS_CALLBACK, status))
  for (const pem of options.certificates) useCertificates(openSsl, context, pem)
  for (const pem of options.keys) useKey(openSsl, context, pem)
  calls.ERR_clear_error()
}

/** The first is the server's, the others its chain. */
function useCertificates(openSsl: OpenSsl, context: bigint, pem: string): void {
  const { calls } = openSsl
  inMemory(openSsl, pem, (bio) => {
    const first = calls.PEM_read_bio_X509(bio, 0n, 0n, 0n)
    const isUsed = first !== 0n && calls.SSL_CTX_use_certificate(context, first) === 1
    calls.X509_free(first)
    if (!isUsed) throw new Error(openSsl.takeError())
    for (;;) {
      const next = calls.PEM_read_bio_X509(bio, 0n, 0n, 0n)
      if (next === 0n) break
      // It is the context's then.
      if (calls.SSL_CTX_ctrl(context, ADD_CHAIN_CERTIFICATE, 0n, next) !== 1n) calls.X509_free(next)
    }
    calls.ERR_clear_error()
  })
}

function useKey(openSsl: OpenSsl, context: bigint, pem: string): void {
  const { calls } = openSsl
  inMemory(openSsl, pem, (bio) => {
    const key = calls.PEM_read_bio_PrivateKey(bio, 0n, 0n, 0n)
    const isUsed = key !== 0n && calls.SSL_CTX_use_PrivateKey(context, key) === 1
    calls.EVP_PKEY_free(key)
    if (!isUsed) throw new Error(openSsl.takeError())
  })
}

function inMemory(openSsl: OpenSsl, text: string, use: (bio: bigint) => void): void {
  const bytes = Buffer.from(text)
  const bio = openSsl.calls.BIO_new_mem_buf(openSsl.pointerTo(bytes), bytes.length)
  try {
    use(bio)
  } finally {
    openSsl.calls.BIO_free(bio)
    bytes.fill(0)
  }
}

function makeCallbacks(openSsl: OpenSsl): NonNullable<typeof shared> {
  return {
    tickets: new OpenSslTickets(openSsl, () => underWay?.ticketKeys ?? null),
    alpn: openSsl.callback(
      ['pointer', 'pointer', 'pointer', 'pointer', 'uint32', 'pointer'],
      (_ssl: bigint, out: bigint, outLength: bigint, theirs: bigint, theirsLength: number) => {
        try {
          return selectAlpn(openSsl, { out, outLength, theirs, theirsLength })
        } catch {
          return FATAL
        }
      },
    ),
    status: openSsl.callback(['pointer', 'pointer'], (ssl: bigint) => {
      try {
        return stapleTo(openSsl, ssl)
      } catch {
        return NOTHING
      }
    }),
  }
}

interface Offer {
  readonly out: bigint
  readonly outLength: bigint
  readonly theirs: bigint
  readonly theirsLength: number
}

/** RFC 7301 §3.2: the first of ours that the client knows, or no connection. */
function selectAlpn(openSsl: OpenSsl, { out, outLength, theirs, theirsLength }: Offer): number {
  if (underWay === null) return FATAL
  const { names, namesPointer } = underWay
  const found = openSsl.calls.SSL_select_next_proto(out, outLength, namesPointer, names.length, theirs, theirsLength)
  if (found !== NEGOTIATED) return FATAL
  const at = Number(openSsl.pointerAt(out) - namesPointer)
  chosenAlpn = names.latin1Slice(at, at + names[at - 1]!)
  return CHOSEN
}

/** What is given to OpenSSL it frees. */
function stapleTo(openSsl: OpenSsl, ssl: bigint): number {
  const { calls } = openSsl
  const staple = underWay?.staple ?? null
  if (staple === null) return NOTHING
  const copy = calls.CRYPTO_malloc(BigInt(staple.length), 0n, 0)
  if (copy === 0n) return NOTHING
  calls.memcpy(copy, openSsl.pointerTo(staple), BigInt(staple.length))
  calls.SSL_ctrl(ssl, SET_STATUS_RESPONSE, BigInt(staple.length), copy)
  return CHOSEN
}
