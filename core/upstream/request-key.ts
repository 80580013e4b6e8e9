/** The hash that a request is spread by: of its client's address, its path, a field or a cookie. */
import type { HashKey, Viewed } from '../balancer/balancer.ts'
import { hashText } from '../balancer/hash.ts'
import { cookieIn } from '../net/http1/cookie.ts'
import type { RequestHead } from '../net/http1/head.ts'

/** Who asks for an endpoint. The exchange itself, or a connection of TCP. */
export interface Asked extends Viewed {
  /** The client's, by the listener's `trust`; `''`: it came by a unix socket. */
  readonly ip: string
  /** Null on TCP. */
  readonly request: RequestHead | null
}

/** The text that is hashed; null: this request has none. */
export function keyText(key: HashKey, { ip, request }: Asked): string | null {
  switch (key.kind) {
    case 'ip':
      return ip === '' ? null : ip
    case 'path':
      return request === null ? null : request.path
    case 'header':
      return request === null ? null : request.get(key.name)
    case 'cookie':
      return request === null ? null : cookieIn(request.get('cookie'), key.name)
  }
}

/** Who has none of it is spread by lot. */
export function hashOf(key: HashKey, asked: Asked, random: () => number): number {
  const text = keyText(key, asked)
  return text === null ? Math.floor(random() * 0x1_0000_0000) : hashText(text)
}
