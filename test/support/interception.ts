/** What interception is tested with: an authority in files, servers with certificates of another one, and clients that speak TLS in tunnels. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server, type ServerOptions } from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { type AuthorityFiles, createAuthority } from '../../core/forward/authority.ts'
import { type InterceptOptions, intercept } from '../../core/index.ts'
import { issueCertificate, makeAuthority } from '../../core/net/certificate.ts'
import type { Issued } from '../../core/net/certificate-issuer.ts'

const DAY_MS = 86_400_000
const period = { from: new Date(Date.now() - DAY_MS), to: new Date(Date.now() + DAY_MS) }

/** Of the servers: what a proxy has to be told to believe. */
export const serverAuthority: Issued = makeAuthority({ name: 'The servers', ...period })

export function certificateFor(hosts: readonly string[], { issuer = serverAuthority, ...more }: Partial<ServerCertificate> = {}): Issued {
  return issueCertificate({ issuer, name: hosts[0]!, hosts, use: 'server', ...period, ...more })
}

interface ServerCertificate {
  readonly issuer: Issued
  readonly from: Date
  readonly to: Date
}

/** An authority in files, which go with the block. */
export class OwnAuthority implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-authority-'))
  readonly files: AuthorityFiles = { cert: join(this.folder, 'ca.pem'), key: join(this.folder, 'ca.key') }
  readonly cert: string

  constructor(permitted: readonly string[] | null = null) {
    createAuthority(this.files, { permitted })
    this.cert = readFileSync(this.files.cert, 'utf8')
  }

  /** Servers of `serverAuthority` are believed. */
  options(more: Partial<InterceptOptions> = {}): { readonly intercept: ReturnType<typeof intercept> } {
    return { intercept: intercept({ ca: { ...this.files }, verifyUpstream: { ca: serverAuthority.cert }, ...more }) }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class SecureOrigin implements AsyncDisposable {
  readonly server: Server
  /** Handshakes that were done. */
  connections = 0

  constructor(server: Server) {
    this.server = server
    server.on('secureConnection', () => this.connections++)
    server.on('tlsClientError', () => {})
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

/** For `localhost` and 127.0.0.1, unless it has another certificate. */
export async function startSecureOrigin(
  answer: Parameters<typeof createServer>[1],
  options: ServerOptions = certificateFor(['localhost', '127.0.0.1']) as ServerOptions,
): Promise<SecureOrigin> {
  const server = createServer(options, answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new SecureOrigin(server)
}

/** A tunnel that the proxy on `port` has granted. Throws with what it says instead. `before`: what is said before the request. */
export async function openTunnel(port: number, place: string, fields = '', before = ''): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`${before}CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${fields}\r\n`)
  let text = ''
  while (!text.includes('\r\n\r\n')) {
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    text += bytes.latin1Slice()
  }
  if (!text.startsWith('HTTP/1.1 200 ')) {
    socket.destroy()
    throw new Error(text)
  }
  return socket
}

export type SecureOptions = Pick<tls.ConnectionOptions, 'ca' | 'servername' | 'ALPNProtocols' | 'rejectUnauthorized'>

/** TLS in a tunnel. Rejects with what the client has against the certificate. */
export async function secureTunnel(socket: net.Socket, options: SecureOptions): Promise<tls.TLSSocket> {
  const secured = tls.connect({ socket, ...options })
  await once(secured, 'secureConnect')
  secured.on('error', () => {})
  return secured
}

/** All that comes until the server closes. */
export async function askOn(socket: tls.TLSSocket, request: string): Promise<string> {
  socket.write(request)
  let text = ''
  for await (const bytes of socket as AsyncIterable<Buffer>) text += bytes.latin1Slice()
  return text
}
