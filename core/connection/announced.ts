/** Who is at the other end of an accepted connection: whom its PROXY header names, else whom the socket leads to. */
import { plainAddress } from '../http/identity.ts'
import type { ProxyHeader } from '../net/proxy-protocol.ts'
import type { ProxyFacts } from '../net/proxy-protocol-writer.ts'

/** `''`: by a unix socket. */
export function peerOf(remoteAddress: string, header: ProxyHeader | null): string {
  return plainAddress(header === null || header.isLocal ? remoteAddress : (header.source?.ip ?? ''))
}

/** What endpoints are told of it. */
export function factsOf(socket: ProxyFacts, header: ProxyHeader | null): ProxyFacts {
  return header === null || header.isLocal ? socket : { ...socket, source: header.source, destination: header.destination }
}
