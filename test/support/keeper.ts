/** The owner of a wire in tests, and the other end of it. */
import type { Socket } from 'node:net'
import type { WireOwner } from '../../core/net/wire.ts'
import { Waiting } from './deadline.ts'

/** Keeps what it is told, and passes each part on to `reads`. */
export class Keeper implements WireOwner {
  text = ''
  readonly told: string[] = []
  readonly waiting = new Waiting()
  reads: (bytes: Buffer) => void = () => {}

  onBytes(bytes: Buffer, length: number): void {
    this.text += bytes.latin1Slice(0, length)
    this.reads(bytes.subarray(0, length))
    this.waiting.poke()
  }
  onDrain(): void {
    this.tell('drain')
  }
  onEnd(): void {
    this.tell('end')
  }
  onClose(error: string | null): void {
    this.tell(`close ${error}`)
  }
  tell(what: string): void {
    this.told.push(what)
    this.waiting.poke()
  }
  has(what: string): Promise<true> {
    return this.waiting.until(
      () => (this.told.includes(what) ? true : undefined),
      () => `${what}, but ${this.told}`,
    )
  }
}

/** Everything the client gets, until the end. */
export async function readAll(client: Socket): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of client) parts.push(part as Buffer)
  return Buffer.concat(parts)
}
