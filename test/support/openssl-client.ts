/** A client of TLS that says what no well-behaved one does: OpenSSL's, over memory, so that each record can be held, cut and sent on its own. */
import { createCipheriv, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import net from 'node:net'

interface Calls {
  TLS_client_method(): bigint
  SSL_CTX_new(method: bigint): bigint
  SSL_CTX_set_keylog_callback(context: bigint, callback: bigint): void
  SSL_new(context: bigint): bigint
  SSL_set_connect_state(ssl: bigint): void
  SSL_set_bio(ssl: bigint, read: bigint, write: bigint): void
  SSL_do_handshake(ssl: bigint): number
  SSL_key_update(ssl: bigint, how: number): number
  SSL_write(ssl: bigint, bytes: Uint8Array, length: number): number
  BIO_s_mem(): bigint
  BIO_new(method: bigint): bigint
  BIO_read(bio: bigint, into: Uint8Array, length: number): number
  BIO_write(bio: bigint, bytes: Uint8Array, length: number): number
}

const [P, I, B] = ['pointer', 'int32', 'buffer']
const signatures = {
  TLS_client_method: { arguments: [], return: P },
  SSL_CTX_new: { arguments: [P], return: P },
  SSL_CTX_set_keylog_callback: { arguments: [P, P], return: 'void' },
  SSL_new: { arguments: [P], return: P },
  SSL_set_connect_state: { arguments: [P], return: 'void' },
  SSL_set_bio: { arguments: [P, P, P], return: 'void' },
  SSL_do_handshake: { arguments: [P], return: I },
  SSL_key_update: { arguments: [P, I], return: I },
  SSL_write: { arguments: [P, B, I], return: I },
  BIO_s_mem: { arguments: [], return: P },
  BIO_new: { arguments: [P], return: P },
  BIO_read: { arguments: [P, B, I], return: I },
  BIO_write: { arguments: [P, B, I], return: I },
}

interface Loaded {
  readonly functions: Calls
  readonly lib: { registerCallback(signature: object, callback: (ssl: bigint, line: bigint) => void): bigint }
}
interface Ffi {
  dlopen(path: null, symbols: object): Loaded
  toString(pointer: bigint): string
}

let loaded: { readonly calls: Calls; readonly keyLog: bigint; readonly library: Loaded } | null = null
/** Of the connection made last. */
let secret = ''

function load(): Calls {
  if (loaded !== null) return loaded.calls
  const ffi = createRequire(import.meta.url)('node:ffi') as Ffi
  const library = ffi.dlopen(null, signatures)
  const keyLog = library.lib.registerCallback({ arguments: [P, P], return: 'void' }, (_ssl, line) => {
    secret = /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(ffi.toString(line))?.[1] ?? secret
  })
  loaded = { calls: library.functions, keyLog, library }
  return loaded.calls
}

/** A record of TLS 1.3 (RFC 8446 §5.2), with the hash and the cipher that servers here want most. */
function sealRecord(key: Buffer, iv: Buffer, sequence: number, content: Buffer): Buffer {
  const nonce = Buffer.from(iv)
  nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence) >>> 0, 8)
  const head = Buffer.of(23, 3, 3, (content.length + 16) >> 8, (content.length + 16) & 255)
  const sealing = createCipheriv('aes-128-gcm', key, nonce)
  sealing.setAAD(head)
  return Buffer.concat([head, sealing.update(content), sealing.final(), sealing.getAuthTag()])
}

/** HKDF-Expand-Label (RFC 8446 §7.1), of one block. */
function expand(label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`, 'latin1')
  const info = Buffer.concat([Buffer.of(0, length, name.length), name, Buffer.of(0, 1)])
  return createHmac('sha256', Buffer.from(secret, 'hex')).update(info).digest().subarray(0, length)
}

export class OpenSslClient {
  readonly socket: net.Socket
  readonly #calls = load()
  readonly #ssl: bigint
  readonly #in: bigint
  readonly #out: bigint
  readonly #piece = new Uint8Array(65_536)

  private constructor(socket: net.Socket) {
    this.socket = socket
    const { SSL_CTX_new, SSL_CTX_set_keylog_callback, TLS_client_method, SSL_new, SSL_set_bio, SSL_set_connect_state, BIO_new, BIO_s_mem } =
      this.#calls
    const context = SSL_CTX_new(TLS_client_method())
    SSL_CTX_set_keylog_callback(context, loaded!.keyLog)
    this.#ssl = SSL_new(context)
    this.#in = BIO_new(BIO_s_mem())
    this.#out = BIO_new(BIO_s_mem())
    SSL_set_bio(this.#ssl, this.#in, this.#out)
    SSL_set_connect_state(this.#ssl)
  }

  /** `early`: goes with the last message of the handshake. */
  static async connect(port: number, early = ''): Promise<OpenSslClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    socket.on('error', () => {})
    const client = new OpenSslClient(socket)
    while (client.#calls.SSL_do_handshake(client.#ssl) !== 1) {
      socket.write(client.takeRecords())
      const [bytes] = (await once(socket, 'data')) as [Buffer]
      client.#calls.BIO_write(client.#in, bytes, bytes.length)
    }
    socket.pause()
    const last = client.takeRecords()
    socket.write(early === '' ? last : Buffer.concat([last, client.seal(Buffer.from(early))]))
    return client
  }

  /** Records of `bytes`, not sent yet. */
  seal(bytes: Uint8Array): Buffer {
    this.#calls.SSL_write(this.#ssl, bytes, bytes.length)
    return this.takeRecords()
  }

  /** A record with a KeyUpdate (RFC 8446 §4.6.3), not sent yet. `asks`: the other side is to make new keys, too. */
  keyUpdate(asks: boolean): Buffer {
    this.#calls.SSL_key_update(this.#ssl, asks ? 1 : 0)
    this.#calls.SSL_do_handshake(this.#ssl)
    return this.takeRecords()
  }

  /** Records of handshake messages as nobody would cut them, instead of all else that is sent. */
  handshakeRecords(...parts: readonly Buffer[]): Buffer[] {
    const [key, iv] = [expand('key', 16), expand('iv', 12)]
    return parts.map((part, sequence) => sealRecord(key, iv, sequence, Buffer.concat([part, Buffer.of(22)])))
  }

  takeRecords(): Buffer {
    const taken: Buffer[] = []
    for (;;) {
      const length = this.#calls.BIO_read(this.#out, this.#piece, this.#piece.length)
      if (length <= 0) return Buffer.concat(taken)
      taken.push(Buffer.from(this.#piece.subarray(0, length)))
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }
}
