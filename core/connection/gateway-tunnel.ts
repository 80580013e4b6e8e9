/**
 * A tunnel whose lines a gateway reads: it takes both wires over, shows the gateway one line after the other, and does what it says.
 * Ports for data are opened for the client here, and end with it. A side is not read while the other takes nothing, or while a line of it
 * has to wait, so memory is bounded by one line and one read a direction.
 */
import type { Deadlines, Timed } from '../deadlines.ts'
import type { ErrorCode } from '../errors.ts'
import { FtpGateway } from '../gateway/ftp.ts'
import type { Gateway, Step } from '../gateway/gateway.ts'
import { LineReader, TOO_LONG } from '../gateway/lines.ts'
import { plainAddress } from '../http/identity.ts'
import { isIp, parseIpv4 } from '../net/address.ts'
import { canonicalAddress } from '../net/destination.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import type { GatewayPlan } from '../plan/plan.ts'
import { DataDoor, type DataDoorOwner } from './data-door.ts'

/** What a listener gives to each of its connections. */
export interface GatewayHome {
  readonly plan: GatewayPlan
  /** Of all connections of a listener in a worker. */
  readonly doors: DoorCount
  readonly counted: (change: 1 | -1) => void
}

export interface DoorCount {
  open: number
}

export interface GatewayTunnelOptions extends GatewayHome {
  readonly deadlines: Deadlines
  readonly idleMs: number
  /** What is passed on is encrypted, and data would not be. */
  readonly isEncrypted: boolean
  /** Called once, when both wires are closed; with the bytes of data, too. */
  readonly ended: (fromClient: number, fromEndpoint: number, reason: ErrorCode | null, detail: string | null) => void
}

/** Open doors, and connections by them, of one client's connection; and of all of a listener in a worker. */
const MOST_DOORS = 8
const MOST_DOORS_OF_ALL = 1024
/** Without a byte from the side that still may send. */
const HALF_CLOSED_IDLE_MS = 30_000
/** For the last line to be read. */
const ENDING_MS = 2_000

export class GatewayTunnel implements Timed, DataDoorOwner {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #options: GatewayTunnelOptions
  readonly #gateway: Gateway
  readonly #client: Side
  readonly #endpoint: Side
  /** The client's, of one address. */
  readonly #doors = new Set<DataDoor>()
  /** Nobody has come to it yet. */
  #unused: DataDoor | null = null
  #isOpening = false
  #isPumping = false
  /** A line of the client that has to wait. */
  #held: string | null = null
  #open = 2
  #isEnding = false
  #data = 0
  #fromClient = 0
  #fromEndpoint = 0
  #reason: ErrorCode | null = null
  #detail: string | null = null

  constructor(wires: { readonly client: Wire; readonly endpoint: Wire }, options: GatewayTunnelOptions) {
    this.#options = options
    this.#gateway = new FtpGateway({ announced: announcedOf(options.plan, wires.client) })
    this.#client = new Side(this, wires.client, this.#gateway.maxLineBytes)
    this.#endpoint = new Side(this, wires.endpoint, this.#gateway.maxLineBytes)
    options.deadlines.add(this)
    this.active()
    this.pump()
  }

  /** A byte passed. */
  active(): void {
    if (this.#isEnding) return
    const { deadlines, idleMs } = this.#options
    const isHalf = this.#client.hasFinished || this.#endpoint.hasFinished
    this.dueAt = deadlines.in(isHalf ? Math.min(idleMs, HALF_CLOSED_IDLE_MS) : idleMs)
  }

  /** While data passes, nothing is said beside it. */
  onDeadline(): void {
    if (!this.#isEnding && this.#doors.size > 0) return this.active()
    if (!this.#isEnding) this.#reason = 'tunnel_idle'
    this.#client.wire.destroy()
    this.#endpoint.wire.destroy()
  }

  /** Goes on with what was read as far as that is possible now. */
  pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    while (this.#passLine());
    this.#isPumping = false
    if (this.#isEnding || this.#open < 2) return
    const isBusy = this.#isOpening || this.#client.wire.congested
    this.#endpoint.settle(isBusy, this.#client.wire)
    this.#client.settle(isBusy || this.#held !== null || this.#endpoint.wire.congested, this.#endpoint.wire)
    if (this.#client.toldEnd && this.#endpoint.toldEnd) this.#destroyDrained()
  }

  /** What the endpoint says goes first: it may be what the client waits for. */
  #passLine(): boolean {
    if (this.#isEnding || this.#isOpening || this.#open < 2 || this.#client.wire.congested) return false
    const said = this.#endpoint.lines.next()
    if (said === TOO_LONG) return this.#do(this.#gateway.tooLong('endpoint'))
    if (said !== null) return this.#doAll(this.#gateway.fromEndpoint(said))
    if (this.#endpoint.wire.congested) return false
    const asked = this.#held ?? this.#client.lines.next()
    if (asked === TOO_LONG) return this.#do(this.#gateway.tooLong('client'))
    if (asked === null) return false
    const steps = this.#gateway.fromClient(asked)
    this.#held = steps === null ? asked : null
    return steps !== null && this.#doAll(steps)
  }

  #doAll(steps: readonly Step[]): true {
    for (const step of steps) this.#do(step)
    return true
  }

  #do(step: Step): true {
    if (step.kind === 'say') this.#say(step.to === 'client' ? this.#client : this.#endpoint, step.line)
    else if (step.kind === 'door') this.#openDoor(step.port)
    else this.#end(step)
    return true
  }

  #say({ wire }: Side, line: string): void {
    wire.writeText(`${line}\r\n`)
  }

  #end({ line, reason, detail }: Extract<Step, { readonly kind: 'end' }>): void {
    this.#isEnding = true
    this.#reason = reason
    this.#detail = detail
    this.#say(this.#client, line)
    this.dueAt = this.#options.deadlines.in(ENDING_MS)
    this.#endpoint.wire.destroy()
    // What still arrives is discarded, or a reset could destroy the line.
    this.#client.wire.end()
    this.#client.wire.resume()
  }

  // ── data ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #openDoor(port: number): void {
    const { plan, doors, counted, deadlines, idleMs, isEncrypted } = this.#options
    // A server has one port for data: that of the answer before is closed.
    this.#unused?.destroy()
    const address = this.#endpoint.wire.remoteAddress
    const client = canonicalAddress(plainAddress(this.#client.wire.remoteAddress))
    const localAddress = localAddressOf(this.#client.wire)
    const isFull = this.#doors.size >= MOST_DOORS || doors.open >= MOST_DOORS_OF_ALL
    if (isFull || isEncrypted || client === null || localAddress === null || !isIp(address)) return this.#opened(null)
    this.#isOpening = true
    doors.open++
    const options = { localAddress, ports: plan.ports, client, endpoint: { address, port }, deadlines, idleMs, counted }
    this.#unused = new DataDoor(options, this)
    this.#doors.add(this.#unused)
  }

  #opened(port: number | null): void {
    this.#doAll(this.#gateway.doorOpened(port))
  }

  doorOpened(_: DataDoor, port: number | null): void {
    this.#isOpening = false
    if (this.#open < 2 || this.#isEnding) return
    this.#opened(port)
    this.pump()
  }

  doorUsed(): void {
    this.#unused = null
    this.#data++
  }

  doorEnded(door: DataDoor, fromClient: number, fromEndpoint: number): void {
    this.#doors.delete(door)
    if (this.#unused === door) this.#unused = null
    this.#options.doors.open--
    this.#fromClient += fromClient
    this.#fromEndpoint += fromEndpoint
    this.active()
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Both have said all they had; what is still being written leaves before the close. */
  #destroyDrained(): void {
    for (const { wire } of [this.#client, this.#endpoint]) if (!wire.congested) wire.destroy()
  }

  closed(side: Side, error: string | null): void {
    const other = side === this.#client ? this.#endpoint : this.#client
    this.#open--
    for (const door of this.#doors) door.destroy()
    if (this.#open === 0) return this.#over()
    if (this.#isEnding) return
    // What was said last may still be on its way; what the other one says has nowhere to go.
    this.#isEnding = true
    other.hasFinished = true
    this.dueAt = this.#options.deadlines.in(HALF_CLOSED_IDLE_MS)
    if (error !== null) return other.wire.reset()
    other.wire.end()
    if (other.wire.congested) other.wire.resume()
    else other.wire.destroy()
  }

  #over(): void {
    this.#options.deadlines.remove(this)
    const { ended } = this.#options
    const [fromClient, fromEndpoint] = [this.#client.bytes + this.#fromClient, this.#endpoint.bytes + this.#fromEndpoint]
    const data = this.#data === 0 ? null : `${this.#data} data connection${this.#data === 1 ? '' : 's'}`
    ended(fromClient, fromEndpoint, this.#reason, this.#detail ?? data)
  }

  get isEnding(): boolean {
    return this.#isEnding
  }
}

/** One side: what it says is gathered into lines, until they are looked at. */
class Side implements WireOwner {
  readonly wire: Wire
  readonly lines: LineReader
  readonly #tunnel: GatewayTunnel
  bytes = 0
  /** It sends nothing more. */
  hasFinished = false
  /** The other side knows of that. */
  toldEnd = false

  constructor(tunnel: GatewayTunnel, wire: Wire, maxLineBytes: number) {
    this.#tunnel = tunnel
    this.wire = wire
    this.lines = new LineReader(maxLineBytes)
    wire.owner = this
  }

  onBytes(bytes: Buffer, length: number): void {
    this.bytes += length
    if (this.#tunnel.isEnding) return
    this.#tunnel.active()
    this.lines.push(bytes, length)
    this.#tunnel.pump()
  }

  onDrain(): void {
    if (this.#tunnel.isEnding) return this.hasFinished ? this.wire.destroy() : undefined
    this.#tunnel.active()
    this.#tunnel.pump()
  }

  onEnd(): void {
    this.hasFinished = true
    if (this.#tunnel.isEnding) {
      if (!this.wire.congested) this.wire.destroy()
      return
    }
    this.#tunnel.active()
    this.#tunnel.pump()
  }

  onClose(error: string | null): void {
    this.hasFinished = true
    this.#tunnel.closed(this, error)
  }

  /** Reads on, or not yet, or tells the other side that nothing more comes. */
  settle(isBusy: boolean, other: Wire): void {
    if (isBusy) return this.wire.pause()
    if (!this.hasFinished) return this.wire.resume()
    if (this.toldEnd) return
    this.toldEnd = true
    other.end()
  }
}

/** As the client sees this machine. */
function localAddressOf(client: Wire): string | null {
  return canonicalAddress(plainAddress(client.facts().destination?.ip ?? ''))
}

function announcedOf({ address }: GatewayPlan, client: Wire): string | null {
  const told = address ?? localAddressOf(client)
  return told !== null && parseIpv4(told) >= 0 ? told : null
}
