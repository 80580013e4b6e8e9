/** SOCKS proxies for tests, and what their clients say. What they reach is on this machine, which is refused unless it is opened. */
import { type Config, defineConfig, type SocksOptions, socks } from '../../core/index.ts'
import { writePlace } from '../../core/net/socks.ts'
import type { Client } from './client.ts'
import { local } from './forward.ts'

/** `ports`: those that tunnels reach. */
export function socksTo(ports: readonly number[], options: Partial<SocksOptions> = {}): { readonly config: Config } {
  const allow = { ...local, ports, ...options.allow }
  return { config: defineConfig({ listeners: { s: socks({ listen: '127.0.0.1:0', ...options, allow }) } }) as Config }
}

export const GREETING = Buffer.of(5, 1, 0)
export const GRANTED = '05000001000000000000'

/** Asks for a place by SOCKS5. */
export function connectTo(host: string, port: number, command = 1): Buffer {
  return Buffer.concat([Buffer.of(5, command, 0), writePlace(host, port)])
}

export function credentials(name: string, password: string): Buffer {
  return Buffer.concat([Buffer.of(1, name.length), Buffer.from(name), Buffer.of(password.length), Buffer.from(password)])
}

/** SOCKS4; with a name 4a. */
export function connectTo4(host: string, port: number): Buffer {
  const place = writePlace(host, port)
  const isName = place[0] === 3
  const address = isName ? Buffer.of(0, 0, 0, 1) : place.subarray(1, 5)
  const name = isName ? Buffer.concat([Buffer.from(host), Buffer.of(0)]) : Buffer.alloc(0)
  return Buffer.concat([Buffer.of(4, 1), place.subarray(-2), address, Buffer.of(0), name])
}

/** The answer to a request of SOCKS5, in hexadecimal. */
export async function replyOf(client: Client): Promise<string> {
  return (await client.bytes(10)).toString('hex')
}
