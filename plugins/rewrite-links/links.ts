/**
 * Finds absolute links of some origins in text and gives them another one. Text is latin1, a character a byte, so that no character
 * of UTF-8 is ever cut; what it finds is the same however the text comes in pieces.
 */

/** An origin and what stands in its place. */
export interface Link {
  /** `app.internal:8080`, lower case; without a port it stands for the default one. */
  readonly host: string
  /** `https` or `http`. */
  readonly scheme: string
  /** `www.example.com`. */
  readonly outside: string
}

/** What must be seen after a host to know that it ends there: `%3A8` is the longest. */
const LOOK_AHEAD = 4
/** `%3a` in front of `%2f%2f` belongs to another scheme. */
export const LOOK_BEHIND = 3
/** Ways to write `//`: plain, as JSON may, and inside the query of another link. */
const SLASHES = ['//', '\\/\\/', '%2f%2f']

export class Links {
  readonly #byHost = new Map<string, Link>()
  readonly #pattern: RegExp
  /** Every text that may be found, in lower case. */
  readonly #needles: readonly string[]
  readonly #longest: number

  constructor(links: readonly Link[]) {
    for (const link of links) {
      this.#byHost.set(link.host, link)
      // The same origin, its port written down.
      if (!link.host.includes(':')) for (const port of ['80', '443']) this.#byHost.set(`${link.host}:${port}`, link)
    }
    const hosts = [...this.#byHost.keys()].sort((a, b) => b.length - a.length)
    const written = hosts.flatMap((host) => (host.includes(':') ? [host, host.replace(':', '%3a')] : [host]))
    // Not another host that only begins so, and not another port.
    const end = '(?![a-z0-9-]|\\.[a-z0-9-]|:[0-9]|%3a[0-9])'
    const host = `(${written.map(escaped).join('|')})`
    this.#pattern = new RegExp(`(?:(https?|wss?)(:|%3a)|(?<!:|%3a))(//|\\\\/\\\\/|%2f%2f)${host}${end}`, 'gi')
    const schemes = ['http:', 'https:', 'ws:', 'wss:', 'http%3a', 'https%3a', 'ws%3a', 'wss%3a', '']
    this.#needles = schemes.flatMap((scheme) => SLASHES.flatMap((slashes) => written.map((name) => scheme + slashes + name)))
    this.#longest = Math.max(...this.#needles.map((needle) => needle.length))
  }

  /** The whole text, or a whole header field. */
  replace(text: string): string {
    return text.replace(this.#pattern, (found, scheme?: string, colon?: string, slashes?: string, host?: string) =>
      this.#written(found, { scheme, colon, slashes, host }),
    )
  }

  /** The link that a host belongs to, as a cookie's Domain names it. */
  ofHost(host: string): Link | null {
    const name = host.toLowerCase().replace(/^\./, '')
    for (const link of this.#byHost.values()) if (link.host.replace(/:\d+$/, '') === name) return link
    return null
  }

  /**
   * A piece of a text: `text` is what the piece before has kept and the piece. What is not yet decided is kept for the next.
   * `before`: the characters before it. Null: as it was, with nothing kept.
   */
  piece(text: string, before: string, last: boolean): Piece | null {
    const kept = last ? text.length : this.#undecided(text)
    let out = ''
    let at = 0
    const all = before + text
    const shift = before.length
    this.#pattern.lastIndex = shift
    for (let found = this.#pattern.exec(all); found !== null; found = this.#pattern.exec(all)) {
      const start = found.index - shift
      if (start >= kept) break
      const [whole, scheme, colon, slashes, host] = found
      out += text.slice(at, start) + this.#written(whole, { scheme, colon, slashes, host })
      at = start + whole.length
    }
    if (at === 0 && kept === text.length) return null
    const end = Math.max(at, kept)
    return { out: out + text.slice(at, end), rest: text.slice(end), before: all.slice(Math.max(0, end + shift - LOOK_BEHIND), end + shift) }
  }

  /** Where the end begins that a link could still begin in. */
  #undecided(text: string): number {
    const lower = text.slice(-(this.#longest + LOOK_AHEAD)).toLowerCase()
    const offset = text.length - lower.length
    for (let i = 0; i < lower.length; i++) {
      if (!'hw/\\%'.includes(lower[i]!)) continue
      const tail = lower.slice(i)
      for (const needle of this.#needles)
        if (needle.startsWith(tail) || (tail.length < needle.length + LOOK_AHEAD && tail.startsWith(needle))) return offset + i
    }
    return text.length
  }

  #written(found: string, parts: Parts): string {
    const { scheme, colon, slashes = '', host = '' } = parts
    const link = this.#byHost.get(host.toLowerCase().replace('%3a', ':'))
    // The port of the other scheme is another origin: `http://app:443`.
    if (link === undefined || !isOwnPort(link, scheme, host)) return found
    const outside = slashes.includes('%') ? link.outside.replace(':', '%3A') : link.outside
    if (scheme === undefined || colon === undefined) return slashes + outside
    const isSocket = /^ws/i.test(scheme)
    return `${isSocket ? (link.scheme === 'https' ? 'wss' : 'ws') : link.scheme}${colon}${slashes}${outside}`
  }
}

export interface Piece {
  readonly out: string
  /** In front of the next piece. */
  readonly rest: string
  /** The characters before that. */
  readonly before: string
}

interface Parts {
  readonly scheme: string | undefined
  readonly colon: string | undefined
  readonly slashes: string | undefined
  readonly host: string | undefined
}

function isOwnPort(link: Link, scheme: string | undefined, host: string): boolean {
  if (link.host.includes(':') || scheme === undefined) return true
  const port = /(?::|%3a)(\d+)$/i.exec(host)?.[1]
  return port === undefined || port === (/s$/i.test(scheme) && scheme.length !== 2 ? '443' : '80')
}

function escaped(text: string): string {
  return text.replace(/[.\\/[\]]/g, '\\$&')
}

/** A character a byte. */
export function toLatin1(bytes: Uint8Array): string {
  let text = ''
  // Arguments are limited in number. `apply` takes bytes as they are, ten times as fast as a spread, which iterates.
  for (let at = 0; at < bytes.length; at += 4096) {
    const some = bytes.subarray(at, at + 4096) as unknown as number[] // a list of numbers is all that it takes
    text += String.fromCharCode.apply(null, some)
  }
  return text
}

export function fromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
