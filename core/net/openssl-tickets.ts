/** Seals and opens session tickets for OpenSSL (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)), as Node does with the same keys. */
import type { OpenSsl } from './openssl.ts'
import { OPENED, SEALED, type TicketKey, type TicketKeys, UNKNOWN } from './ticket-keys.ts'

const FAILED = -1
const NAME_BYTES = 16
const IV_BYTES = 16
/** Types of OSSL_PARAM(3). */
const [UTF8_STRING, OCTET_STRING] = [4n, 5n]

/** A key where OpenSSL finds it. */
interface PlacedKey {
  readonly name: bigint
  readonly aes: bigint
  /** The key of the HMAC and its digest, an array of OSSL_PARAM. */
  readonly hmac: bigint
  /** What the addresses are of: it lives as long as they do. */
  readonly memory: readonly Uint8Array[]
}

export class OpenSslTickets {
  /** For the context of a server. */
  readonly callback: bigint
  readonly #openSsl: OpenSsl
  readonly #keysInUse: () => TicketKeys | null
  readonly #cipher: bigint
  readonly #name = new Uint8Array(NAME_BYTES)
  readonly #placed = new WeakMap<TicketKey, PlacedKey>()

  /** `keysInUse`: of the handshake that OpenSSL is at. */
  constructor(openSsl: OpenSsl, keysInUse: () => TicketKeys | null) {
    this.#openSsl = openSsl
    this.#keysInUse = keysInUse
    this.#cipher = openSsl.calls.EVP_CIPHER_fetch(0n, 'AES-128-CBC', 0n)
    const parameters = ['pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'int32'] as const
    this.callback = openSsl.callback(parameters, (_ssl: bigint, name: bigint, iv: bigint, cipher: bigint, mac: bigint, seals: number) => {
      try {
        return seals === 1 ? this.#seal(name, iv, cipher, mac) : this.#open(name, iv, cipher, mac)
      } catch {
        return FAILED
      }
    })
  }

  #seal(name: bigint, iv: bigint, cipher: bigint, mac: bigint): number {
    const keys = this.#keysInUse()
    if (keys === null) return FAILED
    const { calls } = this.#openSsl
    const key = this.#place(keys.newest)
    calls.memcpy(name, key.name, BigInt(NAME_BYTES))
    if (calls.RAND_bytes(iv, IV_BYTES) !== 1) return FAILED
    if (calls.EVP_EncryptInit_ex(cipher, this.#cipher, 0n, key.aes, iv) !== 1) return FAILED
    return calls.EVP_MAC_CTX_set_params(mac, key.hmac) === 1 ? SEALED : FAILED
  }

  #open(name: bigint, iv: bigint, cipher: bigint, mac: bigint): number {
    const { calls } = this.#openSsl
    calls.memcpy(this.#openSsl.pointerTo(this.#name), name, BigInt(NAME_BYTES))
    const found = this.#keysInUse()?.find(this.#name)
    if (!found) return UNKNOWN
    const key = this.#place(found)
    if (calls.EVP_DecryptInit_ex(cipher, this.#cipher, 0n, key.aes, iv) !== 1) return FAILED
    return calls.EVP_MAC_CTX_set_params(mac, key.hmac) === 1 ? OPENED : FAILED
  }

  #place(key: TicketKey): PlacedKey {
    const known = this.#placed.get(key)
    if (known !== undefined) return known
    const [hmacName, digestName, digest] = [Buffer.from('key\0'), Buffer.from('digest\0'), Buffer.from('SHA256\0')]
    const at = (bytes: Uint8Array): bigint => this.#openSsl.pointerTo(bytes)
    const parameters = BigUint64Array.of(
      ...[at(hmacName), OCTET_STRING, at(key.hmac), BigInt(key.hmac.length), 0n],
      ...[at(digestName), UTF8_STRING, at(digest), BigInt(digest.length - 1), 0n],
      ...[0n, 0n, 0n, 0n, 0n],
    )
    const bytes = new Uint8Array(parameters.buffer)
    const memory = [key.name, key.aes, key.hmac, hmacName, digestName, digest, bytes]
    const placed: PlacedKey = { name: at(key.name), aes: at(key.aes), hmac: at(bytes), memory }
    this.#placed.set(key, placed)
    return placed
  }
}
