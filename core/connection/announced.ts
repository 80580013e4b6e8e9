/** Who is at the other end of an accepted connection: whom its PROXY header names, else whom the socket leads to. */
import { plainAddress } from '../http/identity.ts'
import type { ProxyHeader, ProxyTlvs } from '../net/proxy-protocol.ts'
import type { ProxyFacts, ProxyTls } from '../net/proxy-protocol-writer.ts'

/** `''`: by a unix socket. */
export function peerOf(remoteAddress: string, header: ProxyHeader | null): string {
  return plainAddress(header === null || header.isLocal ? remoteAddress : (header.source?.ip ?? ''))
}

/** What endpoints are told of it: TLS as it ended here, else as the header tells of it. */
export function factsOf(socket: ProxyFacts, header: ProxyHeader | null): ProxyFacts {
  if (header === null || header.isLocal) return socket
  const { source, destination, tlvs } = header
  return { source, destination, tls: socket.tls ?? tlsOf(tlvs), authority: tlvs.authority }
}

function tlsOf({ ssl, alpn, authority }: ProxyTlvs): ProxyTls | null {
  if (ssl === null) return null
  const { version, cipher, commonName, verified } = ssl
  return { serverName: authority, alpn, version, cipher, commonName: verified ? commonName : null }
}
