/** What a client of SOCKS5 says (RFC 1928, RFC 1929). Names go to the proxy as they are: it resolves them. Pure. */
import type { NamedDestination } from './destination.ts'
import { writePlace } from './socks.ts'

export interface Credentials {
  readonly name: string
  readonly password: string
}

/** Methods: none, or also a name and a password. */
export function socksGreeting(withUser: boolean): Buffer {
  return Buffer.from(withUser ? [5, 2, 0, 2] : [5, 1, 0])
}

export function socksUser({ name, password }: Credentials): Buffer {
  const [user, secret] = [Buffer.from(name), Buffer.from(password)]
  return Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([secret.length]), secret])
}

export function socksConnect({ host, port }: NamedDestination): Buffer {
  return Buffer.concat([Buffer.from([5, 1, 0]), writePlace(host, port)])
}
