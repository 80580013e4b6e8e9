/** Limits of one direction of a WebSocket: decides a message at a time, by what it kept of those before. */

export interface DirectionOptions {
  readonly maxSize?: string | undefined
  readonly messages?: { readonly perSecond: number; readonly burst?: number | undefined } | undefined
  readonly bytes?: { readonly perSecond: string; readonly burst?: string | undefined } | undefined
  readonly only?: 'text' | 'json' | undefined
  readonly deny?: readonly string[] | undefined
  readonly denyPatterns?: readonly string[] | undefined
}

/** The state of a WebSocket, as this file uses it. */
export type Kept = Record<string, Bucket | undefined>

/** A token bucket: what is left of it, and when that was so. */
interface Bucket {
  left: number
  at: number
}

interface Rate {
  readonly perSecond: number
  readonly burst: number
}

const units: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2 }

export class Limits {
  readonly #name: string
  readonly #maxSize: number
  readonly #messages: Rate | null
  readonly #bytes: Rate | null
  readonly #only: 'text' | 'json' | null
  readonly #deny: readonly string[]
  readonly #patterns: readonly RegExp[]

  constructor({ maxSize, messages, bytes, only, deny = [], denyPatterns = [] }: DirectionOptions, name: string) {
    this.#name = name
    this.#maxSize = maxSize === undefined ? Number.POSITIVE_INFINITY : readSize(maxSize)
    this.#messages =
      messages === undefined ? null : { perSecond: messages.perSecond, burst: messages.burst ?? Math.max(1, messages.perSecond) }
    const perSecond = bytes === undefined ? 0 : readSize(bytes.perSecond)
    this.#bytes = bytes === undefined ? null : { perSecond, burst: bytes.burst === undefined ? perSecond : readSize(bytes.burst) }
    if (this.#messages !== null && this.#messages.burst < 1)
      throw new Error(`${name}.messages.burst is less than one message: none would pass`)
    this.#only = only ?? null
    this.#deny = deny.map((text) => text.toLowerCase())
    this.#patterns = denyPatterns.map((source) => readPattern(source, name))
  }

  /** What is wrong with a message, in a few words without its content; null if nothing is. */
  problem(message: string | Uint8Array, kept: Kept, now: number): string | null {
    const isText = typeof message === 'string'
    if (this.#only !== null && !isText) return 'a binary message, where text alone is allowed'
    const size = isText ? utf8Length(message) : message.length
    if (size > this.#maxSize) return `a message of ${size} bytes, of ${this.#maxSize} allowed`
    if (this.#messages !== null && !take(kept, `${this.#name} messages`, this.#messages, 1, now)) return 'more messages than its rate'
    if (this.#bytes !== null && !take(kept, `${this.#name} bytes`, this.#bytes, size, now)) return 'more bytes than its rate'
    return isText ? this.#problemOfText(message) : null
  }

  #problemOfText(message: string): string | null {
    if (this.#only === 'json' && !isJson(message)) return 'what is not JSON'
    if (this.#deny.length > 0) {
      const lower = message.toLowerCase()
      const found = this.#deny.findIndex((text) => lower.includes(text))
      if (found >= 0) return `what deny[${found}] names`
    }
    const found = this.#patterns.findIndex((pattern) => pattern.test(message))
    return found < 0 ? null : `what denyPatterns[${found}] matches`
  }
}

/** Takes so much out of the bucket, which fills as time goes by; false, and nothing taken, if there is not enough. */
function take(kept: Kept, name: string, { perSecond, burst }: Rate, amount: number, now: number): boolean {
  let bucket = kept[name]
  if (bucket === undefined) {
    bucket = { left: burst, at: now }
    kept[name] = bucket
  }
  // A clock that was put back gives nothing, and takes nothing away.
  bucket.left = Math.min(burst, bucket.left + (Math.max(0, now - bucket.at) * perSecond) / 1000)
  bucket.at = now
  if (bucket.left < amount) return false
  bucket.left -= amount
  return true
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Bytes of the text as UTF-8, without making them. */
export function utf8Length(text: string): number {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    // Both halves of a pair make four bytes.
    size += code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 1 : 2
  }
  return size
}

function readSize(text: string): number {
  const found = /^(\d+)(b|kb|mb)$/.exec(text)!
  return Number(found[1]) * units[found[2]!]!
}

function readPattern(source: string, name: string): RegExp {
  try {
    return new RegExp(source, 'iu')
  } catch (error) {
    throw new Error(`${name}.denyPatterns: not a regular expression: ${source} (${error instanceof Error ? error.message : error})`)
  }
}
