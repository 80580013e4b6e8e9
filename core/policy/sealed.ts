/** Texts that only this proxy can read and write, for so long: what it lets clients keep for it in cookies. AES-256-GCM as JWE, by the library jose. */
import { hkdfSync } from 'node:crypto'
import type * as jose from 'jose'

export type Jose = Pick<typeof jose, 'EncryptJWT' | 'jwtDecrypt'>

export class Sealer {
  readonly #jose: Jose
  readonly #key: Uint8Array

  /** `purpose`: what was sealed for another one is not opened. */
  constructor(library: Jose, secret: string, purpose: string) {
    this.#jose = library
    this.#key = new Uint8Array(hkdfSync('sha256', secret, 'sluice', purpose, 32))
  }

  /** `until`: seconds since the epoch. */
  seal(content: jose.JWTPayload, until: number): Promise<string> {
    return new this.#jose.EncryptJWT(content)
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
      .setExpirationTime(Math.floor(until))
      .encrypt(this.#key)
  }

  /** Null: it is not ours, or its time is over. */
  async open(sealed: string): Promise<jose.JWTPayload | null> {
    try {
      const options = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] }
      return (await this.#jose.jwtDecrypt(sealed, this.#key, options)).payload
    } catch {
      return null
    }
  }
}
