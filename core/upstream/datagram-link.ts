/** A connected UDP socket to one endpoint, for one client: what comes in on it is from that endpoint alone. */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import type { ErrorCode } from '../errors.ts'
import type { EndpointPlan } from '../plan/upstream-plan.ts'
import type { DnsCache } from './dns.ts'

export interface LinkOwner {
  /** It can be sent on. */
  onOpen(): void
  onReply(bytes: Buffer): void
  /** Also later: the endpoint's machine says that nobody listens. The link is closed. */
  onFailed(code: ErrorCode, detail: string): void
}

export type OpenLink = (target: EndpointPlan['target'], dns: DnsCache, owner: LinkOwner) => DatagramLink

export interface DatagramLink {
  /** Once it is open. What the system does not take is lost. */
  send(bytes: Buffer, length: number): void
  /** Its owner is told nothing more. */
  close(): void
}

export const openLink: OpenLink = (target, dns, owner) => new SocketLink(target, dns, owner)

class SocketLink implements DatagramLink {
  #socket: Socket | null = null
  #owner: LinkOwner | null

  constructor(target: EndpointPlan['target'], dns: DnsCache, owner: LinkOwner) {
    this.#owner = owner
    if (target.kind === 'unix') throw new Error('loading the config refuses unix sockets for UDP')
    dns.resolve(target.host, (addresses, error) => {
      if (addresses === null) process.nextTick(() => this.#fail(error ?? 'dns_error', target.host))
      else if (this.#owner !== null) this.#connect(addresses[0]!, target.port)
    })
  }

  send(bytes: Buffer, length: number): void {
    // It may leave later, and the caller's bytes are read into again.
    this.#socket?.send(Buffer.from(bytes.subarray(0, length)), this.#sent)
  }

  close(): void {
    this.#owner = null
    this.#socket?.close()
    this.#socket = null
  }

  #connect(address: string, port: number): void {
    const family = isIPv6(address) ? 6 : 4
    const socket = createSocket({ type: `udp${family}`, lookup: (name, _, done) => done(null, name, family) })
    this.#socket = socket
    socket.on('message', (bytes) => this.#owner?.onReply(bytes))
    socket.on('error', (error) => this.#onError(error, `${address}:${port}`))
    socket.once('connect', () => this.#owner?.onOpen())
    socket.connect(port, address)
  }

  readonly #sent = (error: NodeJS.ErrnoException | null): void => {
    // Too large for the way, or no room: lost, as on the way itself.
    if (error !== null && error.code === 'ECONNREFUSED') this.#onError(error, '')
  }

  #onError({ code = '' }: NodeJS.ErrnoException, place: string): void {
    this.#fail(code === 'ECONNREFUSED' ? 'connect_refused' : 'connect_failed', `${code} ${place}`.trim())
  }

  #fail(code: ErrorCode, detail: string): void {
    const owner = this.#owner
    this.close()
    owner?.onFailed(code, detail)
  }
}
