/**
 * Whether a password is the one that was stored, without holding the event loop up: slow hashes are computed on libuv's threads, two
 * at a time, for those threads also serve files and zlib. Digests are compared in constant time.
 */
import { argon2, hash, scrypt, timingSafeEqual } from 'node:crypto'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import type { StoredPassword } from '../config/password-hash.ts'
import { FairPlaces } from './fair-places.ts'

const AT_ONCE = 2
/** More are told that there is no time for them. */
const MOST_WAITING = 64

let running = 0
const waiting: (() => void)[] = []
const places = new FairPlaces(AT_ONCE + MOST_WAITING)

/** Null: too many are being checked, or too many of that client. */
export async function isPassword(
  given: Buffer,
  stored: Exclude<StoredPassword, { kind: 'plain' }>,
  client: string,
): Promise<boolean | null> {
  const giveBack = places.take(client)
  if (giveBack === null) return null
  if (running >= AT_ONCE) await new Promise<void>((go) => waiting.push(go))
  else running++
  try {
    return await check(given, stored)
  } finally {
    giveBack()
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

async function check(given: Buffer, stored: Exclude<StoredPassword, { kind: 'plain' }>): Promise<boolean> {
  switch (stored.kind) {
    case 'sha1':
      return timingSafeEqual(hash('sha1', given, 'buffer'), stored.digest)
    case 'bcrypt':
      return bcrypt().compare(given, stored.hash)
    case 'scrypt': {
      const { salt, digest, cost, blocks, lanes } = stored
      const options = { N: cost, r: blocks, p: lanes, maxmem: 128 * blocks * (cost + lanes) + 1024 ** 2 }
      const made = await promisify<Buffer, Buffer, number, typeof options, Buffer>(scrypt)(given, salt, digest.length, options)
      return timingSafeEqual(made, digest)
    }
    case 'argon2': {
      const { variant, salt: nonce, digest, memoryKb: memory, passes, lanes: parallelism } = stored
      const parameters = { message: given, nonce, parallelism, tagLength: digest.length, memory, passes }
      return timingSafeEqual(await promisify(argon2)(variant, parameters), digest)
    }
  }
}

interface Bcrypt {
  compare(data: Buffer, hash: string): Promise<boolean>
}

let loaded: Bcrypt | null = null
/** Loaded for the first hash of its kind: few configs have one. */
function bcrypt(): Bcrypt {
  loaded ??= createRequire(import.meta.url)('bcrypt') as Bcrypt
  return loaded
}
