/**
 * Datagrams of one SOCKS5 client (RFC 1928 §7): as long as its connection lives and something passes, what it sends to the address given
 * to it goes on, each datagram if its destination is allowed, and what comes back from where it sent something is brought to it.
 */
import { createSocket, type Socket } from 'node:dgram'
import type { Deadlines, Timed } from '../deadlines.ts'
import type { Refusal } from '../forward/access.ts'
import type { Guard } from '../forward/guard.ts'
import { canonicalAddress, type NamedDestination } from '../net/destination.ts'
import { socksReply } from '../net/socks.ts'
import { readDatagram, wrapDatagram } from '../net/socks-datagram.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import { PacedDatagrams } from '../policy/paced-datagrams.ts'
import type { Meter } from '../policy/quota.ts'
import type { Paces } from '../policy/throttle.ts'
import type { Resolved } from '../upstream/dns.ts'
import type { Accepted } from './home.ts'
import type { RelayHome } from './relay.ts'
import type { TunnelFacts } from './tunnel-facts.ts'

export interface AssociationOptions {
  readonly facts: TunnelFacts
  /** What it takes of a quota; null: there is none. */
  readonly meter: Meter | null
  /** Null: as fast as they come. */
  readonly paces: Paces | null
  /** Of this machine, as the client sees it: datagrams of the client come to it. */
  readonly localAddress: string
  /** The port that the client said it would send from; 0: whatever its first datagram comes from. */
  readonly clientPort: number
  /** Null: it may be sent to, as far as that can be told by what the client names. */
  refusalOf(destination: NamedDestination): Refusal | null
  /** Asked about each address. */
  readonly guard: Guard
  resolve(name: string, done: Resolved): void
  readonly deadlines: Deadlines
  /** Without a datagram either way. */
  readonly idleMs: number
  /** A descriptor was opened (+1) or closed (-1). */
  readonly counted: (change: 1 | -1) => void
}

/** Where answers may come from: the latest so many addresses that the client sent to. */
const MOST_ADDRESSES = 512
/** Of datagrams that wait for a name to be resolved. */
const MOST_WAITING_BYTES = 131_072
/** And so many datagrams, for those with nothing in them. */
const MOST_WAITING = 64
/** What the system has not taken yet of one socket; more is dropped, as datagrams are. */
const MOST_QUEUED_BYTES = 262_144
const TOO_FAST = 'its user goes no faster'

/** Past all checks. */
interface Outgoing {
  readonly payload: Buffer
  readonly socket: Socket
  readonly address: string
  readonly port: number
}

export class UdpAssociation implements Accepted, Timed, WireOwner {
  dueAt: number
  slot = -1
  keptAt = -1
  readonly #wire: Wire
  readonly #home: RelayHome
  readonly #options: AssociationOptions
  /** In its canonical form. */
  readonly #client: string | null
  #clientPort: number
  #inner: Socket | null = null
  /** One a family, made when it is first needed. */
  readonly #outer: { udp4: Socket | null; udp6: Socket | null } = { udp4: null, udp6: null }
  readonly #addresses = new Set<string>()
  readonly #up: PacedDatagrams<Outgoing> | null
  readonly #down: PacedDatagrams<Outgoing> | null
  #waitingBytes = 0
  #waiting = 0
  #dropped = 0
  /** The first one. */
  #whyDropped: string | null = null
  #isOver = false

  constructor(wire: Wire, home: RelayHome, options: AssociationOptions) {
    this.#wire = wire
    this.#home = home
    this.#options = options
    this.#client = canonicalAddress(withoutZone(options.facts.ip))
    this.#clientPort = options.clientPort
    this.dueAt = options.deadlines.in(options.idleMs)
    const { request = null, response = null } = options.paces ?? {}
    this.#up = request && new PacedDatagrams(request, (datagram) => this.#sendOut(datagram))
    this.#down = response && new PacedDatagrams(response, (datagram) => this.#sendBack(datagram))
  }

  start(): void {
    this.#options.facts.bytesIn = 0
    this.#options.deadlines.add(this)
    this.#wire.owner = this
    this.#home.becameTunnel()
    const { localAddress } = this.#options
    const inner = this.#open(localAddress.includes(':') ? 'udp6' : 'udp4')
    this.#inner = inner
    inner.on('message', (bytes, { address, port }) => this.#fromClient(bytes, address, port))
    inner.bind(0, localAddress, () => {
      if (this.#isOver) return
      const answer = socksReply(5, 'granted', { host: localAddress, port: inner.address().port })
      this.#wire.write('', answer, 0, answer.length)
      // To learn of its end: nothing more is said on it.
      this.#wire.resume()
    })
  }

  /** It ends by itself. */
  drain(): void {}

  destroy(): void {
    this.#wire.destroy()
  }

  onDeadline(): void {
    this.#options.facts.reason = 'tunnel_idle'
    this.#wire.destroy()
  }

  onBytes(): void {}
  onDrain(): void {}

  onEnd(): void {
    this.#wire.destroy()
  }

  onClose(): void {
    this.#isOver = true
    const { deadlines, facts } = this.#options
    deadlines.remove(this)
    for (const socket of [this.#inner, this.#outer.udp4, this.#outer.udp6]) if (socket !== null) this.#close(socket)
    this.#addresses.clear()
    this.#up?.close()
    this.#down?.close()
    const detail = this.#dropped === 0 ? facts.detail : `${this.#dropped} datagrams dropped: ${this.#whyDropped}`
    this.#options.meter?.end(facts.bytesIn + facts.bytesOut)
    facts.end(facts.reason, detail)
    this.#home.tunnelClosed(this)
  }

  // ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

  #fromClient(bytes: Buffer, address: string, port: number): void {
    if (canonicalAddress(withoutZone(address)) !== this.#client) return
    if (this.#clientPort === 0) this.#clientPort = port
    if (port !== this.#clientPort) return
    this.#active()
    const datagram = readDatagram(bytes)
    if (datagram === null) return this.#drop('malformed, or a fragment')
    const { destination, payload } = datagram
    const refused = this.#options.refusalOf(destination)
    if (refused !== null) return this.#drop(`${refused.code}: ${refused.detail}`)
    if (destination.kind === 'ip') return this.#send(destination.host, destination.port, payload)
    if (this.#waiting >= MOST_WAITING || this.#waitingBytes + payload.length > MOST_WAITING_BYTES)
      return this.#drop('too many wait for names to be resolved')
    this.#waiting++
    this.#waitingBytes += payload.length
    this.#options.resolve(destination.host, (addresses, error) => {
      this.#waiting--
      this.#waitingBytes -= payload.length
      if (this.#isOver) return
      const admitted = addresses?.find((one) => this.#options.guard(one, destination.port) === null)
      if (admitted !== undefined) return this.#send(admitted, destination.port, payload)
      this.#drop(
        addresses === null ? `${error}: ${destination.host}` : `address_refused: ${this.#options.guard(addresses[0]!, destination.port)}`,
      )
    })
  }

  /** Past the guard. */
  #send(address: string, port: number, payload: Buffer): void {
    const family = address.includes(':') ? 'udp6' : 'udp4'
    const socket = this.#outer[family] ?? this.#openOuter(family)
    const datagram = { payload, socket, address, port }
    if (this.#up === null || this.#up.passes(payload.length)) this.#sendOut(datagram)
    else if (!this.#up.hold(datagram)) this.#drop(TOO_FAST)
  }

  #sendOut({ payload, socket, address, port }: Outgoing): void {
    if (this.#isOver) return
    if (socket.getSendQueueSize() > MOST_QUEUED_BYTES) return this.#drop('the network does not take them fast enough')
    const { facts } = this.#options
    facts.datagramsIn++
    facts.bytesIn += payload.length
    if (this.#isSpent(payload.length)) return
    this.#remember(`${address} ${port}`)
    // Where it cannot go nobody is told, as with datagrams everywhere.
    socket.send(payload, port, address, () => {})
  }

  #remember(key: string): void {
    this.#addresses.delete(key)
    this.#addresses.add(key)
    if (this.#addresses.size > MOST_ADDRESSES) this.#addresses.delete(this.#addresses.values().next().value!)
  }

  // ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

  #fromOutside(bytes: Buffer, address: string, port: number): void {
    const host = canonicalAddress(withoutZone(address))
    if (host === null || !this.#addresses.has(`${host} ${port}`) || this.#inner === null) return
    this.#active()
    const datagram = { payload: bytes, socket: this.#inner, address: host, port }
    if (this.#down === null || this.#down.passes(bytes.length)) this.#sendBack(datagram)
    else if (!this.#down.hold(datagram)) this.#drop(TOO_FAST)
  }

  #sendBack({ payload, socket, address, port }: Outgoing): void {
    if (this.#isOver) return
    if (socket.getSendQueueSize() > MOST_QUEUED_BYTES) return this.#drop('the client does not take them fast enough')
    const { facts } = this.#options
    facts.datagramsOut++
    facts.bytesOut += payload.length
    if (this.#isSpent(payload.length)) return
    socket.send(wrapDatagram(address, port, payload), this.#clientPort, facts.ip, () => {})
  }

  // ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #openOuter(family: 'udp4' | 'udp6'): Socket {
    const socket = this.#open(family)
    this.#outer[family] = socket
    socket.on('message', (bytes, { address, port }) => this.#fromOutside(bytes, address, port))
    socket.bind(0)
    return socket
  }

  #open(family: 'udp4' | 'udp6'): Socket {
    this.#options.counted(1)
    const socket = createSocket({ type: family, ipv6Only: family === 'udp6' })
    // No descriptor left, say: the client sees its connection end.
    socket.on('error', (error) => {
      this.#whyDropped ??= error.message
      this.#wire.reset()
    })
    return socket
  }

  #close(socket: Socket): void {
    this.#options.counted(-1)
    socket.removeAllListeners('message')
    try {
      socket.close()
    } catch {
      // It could not even be bound.
    }
  }

  #active(): void {
    this.dueAt = this.#options.deadlines.in(this.#options.idleMs)
  }

  /** There is nothing left of the quota: it ends. */
  #isSpent(bytes: number): boolean {
    const { meter, facts } = this.#options
    if (meter === null || meter.pass(bytes)) return false
    facts.reason = 'quota_exceeded'
    this.#wire.destroy()
    return true
  }

  #drop(why: string): void {
    this.#dropped++
    this.#whyDropped ??= why
  }
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, '')
}
