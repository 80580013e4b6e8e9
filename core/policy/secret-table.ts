/** Secrets and whose they are, found by a keyed digest: how long a look-up takes tells nothing of how much of one was right. */
import { hash, randomBytes } from 'node:crypto'

const SALT = randomBytes(32)

/** Of this process alone. */
export function secretDigest(secret: Buffer): string {
  return hash('sha256', Buffer.concat([SALT, secret]), 'base64')
}

export class SecretTable {
  readonly #owners: ReadonlyMap<string, string>

  constructor(secrets: Iterable<readonly [secret: Buffer, owner: string]>) {
    this.#owners = new Map(Array.from(secrets, ([secret, owner]) => [secretDigest(secret), owner]))
  }

  /** `digest`: of the secret. */
  ownerOf(digest: string): string | undefined {
    return this.#owners.get(digest)
  }
}
