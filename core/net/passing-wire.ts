/** A wire in front of another one, which says and does what that does but for what is changed. */
import { nobody, type Wire, type WireOwner } from './wire.ts'

export abstract class PassingWire implements Wire, WireOwner {
  owner: WireOwner = nobody
  protected readonly wire: Wire

  constructor(wire: Wire) {
    this.wire = wire
    wire.owner = this
  }

  abstract get lends(): boolean
  abstract resume(): void
  abstract pause(): void
  abstract expectBulk(): void
  abstract leaveBuffer(): void
  abstract onBytes(bytes: Buffer, length: number): void
  abstract onEnd(): void

  get closed(): boolean {
    return this.wire.closed
  }
  get congested(): boolean {
    return this.wire.congested
  }
  get remoteAddress(): string {
    return this.wire.remoteAddress
  }
  get remotePort(): number {
    return this.wire.remotePort
  }
  facts() {
    return this.wire.facts()
  }
  writeText(text: string): boolean {
    return this.wire.writeText(text)
  }
  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    return this.wire.write(text, bytes, from, to)
  }
  end(): void {
    this.wire.end()
  }
  finish(): void {
    this.wire.finish()
  }
  destroy(): void {
    this.wire.destroy()
  }
  reset(): void {
    this.wire.reset()
  }
  onDrain(): void {
    this.owner.onDrain()
  }
  onClose(error: string | null): void {
    this.owner.onClose(error)
  }
}
