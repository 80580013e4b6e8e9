/** Passwords as a config holds them: plain, or a hash in one of the forms that `htpasswd` and libraries write. Pure. */

export type StoredPassword =
  | { readonly kind: 'plain'; readonly text: string }
  | { readonly kind: 'bcrypt'; readonly hash: string }
  | { readonly kind: 'sha1'; readonly digest: Buffer }
  | {
      readonly kind: 'scrypt'
      readonly salt: Buffer
      readonly digest: Buffer
      readonly cost: number
      readonly blocks: number
      readonly lanes: number
    }
  | {
      readonly kind: 'argon2'
      readonly variant: 'argon2id' | 'argon2i' | 'argon2d'
      readonly salt: Buffer
      readonly digest: Buffer
      readonly memoryKb: number
      readonly passes: number
      readonly lanes: number
    }

/** One check may take so much memory. */
export const MOST_HASH_BYTES = 256 * 1024 ** 2

/** Null for what begins like a hash and is none that can be checked; a sentence tells which can: `passwordProblem`. */
export function parsePassword(text: string): StoredPassword | null {
  if (text.startsWith('{')) return parseSha(text)
  if (!text.startsWith('$')) return { kind: 'plain', text }
  if (/^\$2[aby]\$(0[4-9]|1[0-9]|2[0-4])\$[./A-Za-z0-9]{53}$/.test(text)) return { kind: 'bcrypt', hash: text.replace('$2y$', '$2b$') }
  if (text.startsWith('$scrypt$')) return parseScrypt(text)
  if (text.startsWith('$argon2')) return parseArgon(text)
  // A password may begin so; a hash has a second one.
  return /^\$[\w-]+\$/.test(text) ? null : { kind: 'plain', text }
}

/** What is wrong with it, without repeating it; null if nothing is. */
export function passwordProblem(text: string): string | null {
  if (parsePassword(text) !== null) return null
  const kind = /^(\{[A-Z0-9]+\}|\$[\w-]+\$)/.exec(text)?.[1] ?? '$'
  const forms = '$2y$ (htpasswd -B), $scrypt$ln=…,r=…,p=…$, $argon2id$v=19$m=…,t=…,p=…$ and {SHA}'
  if (kind === '$apr1$' || kind === '$1$') return `a hash of the kind ${kind} is MD5, which is not supported: make one with htpasswd -B`
  return `not a password hash that can be checked: there are ${forms}`
}

function parseSha(text: string): StoredPassword | null {
  if (!/^\{[A-Z0-9]+\}/.test(text)) return { kind: 'plain', text }
  if (!/^\{SHA\}[A-Za-z0-9+/]{27}=$/.test(text)) return null
  return { kind: 'sha1', digest: Buffer.from(text.slice(5), 'base64') }
}

function parseScrypt(text: string): StoredPassword | null {
  const [, ln = '', r = '', p = '', salt = '', digest = ''] =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+={0,2})\$([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const [log, blocks, lanes] = [Number(ln), Number(r), Number(p)]
  const bytes = 128 * blocks * 2 ** log
  if (log < 1 || blocks < 1 || lanes < 1 || bytes > MOST_HASH_BYTES || !isDigest(digest)) return null
  return { kind: 'scrypt', salt: Buffer.from(salt, 'base64'), digest: Buffer.from(digest, 'base64'), cost: 2 ** log, blocks, lanes }
}

function parseArgon(text: string): StoredPassword | null {
  const [, variant, m = '', t = '', p = '', salt = '', digest = ''] =
    /^\$(argon2(?:id|i|d))\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(text) ?? []
  const [memoryKb, passes, lanes] = [Number(m), Number(t), Number(p)]
  if (variant === undefined || passes < 1 || lanes < 1 || memoryKb < 8 * lanes || memoryKb * 1024 > MOST_HASH_BYTES || !isDigest(digest))
    return null
  const bytes = Buffer.from(salt, 'base64')
  if (bytes.length < 8) return null
  return { kind: 'argon2', variant: variant as 'argon2id', salt: bytes, digest: Buffer.from(digest, 'base64'), memoryKb, passes, lanes }
}

/** Short ones are guessed. */
function isDigest(base64: string): boolean {
  const { length } = Buffer.from(base64, 'base64')
  return length >= 16 && length <= 128
}
