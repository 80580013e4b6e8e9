/**
 * What one message of a WebSocket costs in this program alone: the relay with a hook that does nothing, between two wires that carry
 * bytes in memory. Frames arrive from the client as full reads; masked in, masked out. Prints µs of CPU a message, and beside it what
 * the same bytes cost without a hook, as a tunnel.
 */
import { constants, createDeflateRaw } from 'node:zlib'
import { MessageRelay } from '../../core/connection/message-relay.ts'
import { Tunnel } from '../../core/connection/tunnel.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { type Answer, makeHook } from '../../core/hooks.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import type { ProxyFacts } from '../../core/net/proxy-protocol-writer.ts'
import { FrameWriter, OPCODE } from '../../core/net/websocket/frame.ts'
import type { Wire, WireOwner } from '../../core/net/wire.ts'

const READ_BYTES = 16_384
const ROUNDS = 9

/** Takes what is written, and copies it once, as the kernel would. */
class MemoryWire implements Wire {
  owner: WireOwner = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} }
  readonly lends = true
  readonly closed = false
  readonly congested = false
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  readonly #out = Buffer.alloc(4 << 20)
  written = 0
  facts(): ProxyFacts {
    return { source: null, destination: null, tls: null }
  }
  writeText(text: string): boolean {
    this.written += this.#out.latin1Write(text)
    return true
  }
  write(text: string, bytes: Buffer, from: number, to: number): boolean {
    if (text !== '') this.writeText(text)
    this.written += bytes.copy(this.#out, 0, from, to)
    return true
  }
  resume(): void {}
  pause(): void {}
  expectBulk(): void {}
  leaveBuffer(): void {}
  end(): void {}
  finish(): void {}
  destroy(): void {}
  reset(): void {}
}

/** Lines of JSON, each another one. */
function makeMessage(size: number, number: number): Buffer {
  let text = ''
  for (let i = 0; text.length < size; i++)
    text += `{"id":${number * 31 + i},"user":"u${(number * 7919 + i * 104_729) % 997}","text":"message ${i % 13}"}\n`
  return Buffer.from(text.slice(0, size))
}

async function makeReads(size: number, count: number, isDeflated: boolean): Promise<Buffer[]> {
  const writer = new FrameWriter(() => Math.random() * 2 ** 32)
  const stream = createDeflateRaw()
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  for (let i = 0; i < count; i++) {
    const message = makeMessage(size, i)
    if (!isDeflated) {
      writer.add(OPCODE.text, message)
      continue
    }
    stream.write(message)
    await new Promise<void>((resolve) => stream.flush(constants.Z_SYNC_FLUSH, resolve))
    writer.add(OPCODE.text, Buffer.concat(parts).subarray(0, -4), true)
    parts.length = 0
  }
  stream.close()
  const all = writer.take()
  return Array.from({ length: Math.ceil(all.length / READ_BYTES) }, (_, i) => all.subarray(i * READ_BYTES, (i + 1) * READ_BYTES))
}

type Start = (left: Wire, right: Wire) => void
const deadlines = new Deadlines()
const idleMs = 60_000
const ended = () => {}
const side = { windowBits: 15, takesOver: true }

function relay(isDeflated: boolean, onMessage: (bytes: Uint8Array) => Answer): Start {
  const hooks = [makeHook('h', { onMessage: (call) => onMessage((call.part as { bytes: Uint8Array }).bytes) })]
  const agreement = isDeflated ? { client: side, upstream: side } : null
  const messages = { hooks, agreement, request: new RequestHead('', 0, 'GET', 1), ip: '127.0.0.1', maxMessageBytes: 1 << 20 }
  const nothing = Buffer.alloc(0)
  return (client, upstream) => {
    new MessageRelay({ client, upstream }, { messages, early: nothing, rest: nothing, deadlines, idleMs, ended })
  }
}

const tunnel: Start = (left, right) => {
  new Tunnel({ left, right }, { deadlines, idleMs, meter: null, ended })
}

/** Best and median of some rounds, each over a WebSocket of its own. */
function measure(reads: readonly Buffer[], count: number, start: Start): string {
  const costs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [client, upstream] = [new MemoryWire(), new MemoryWire()]
    start(client, upstream)
    const from = process.cpuUsage()
    for (const read of reads) client.owner.onBytes(read, read.length)
    const used = process.cpuUsage(from)
    costs.push((used.user + used.system) / count)
    if (client.written > 0) throw new Error('it was broken off')
    if (upstream.written === 0) throw new Error('nothing went on')
  }
  costs.sort((a, b) => a - b)
  return `${costs[0]!.toFixed(2).padStart(7)} (median ${costs[ROUNDS >> 1]!.toFixed(2)})`
}

console.log('µs CPU a message, best of 9')
for (const [size, count] of [
  [100, 100_000],
  [16_384, 4_000],
] as const) {
  for (const isDeflated of [false, true]) {
    const reads = await makeReads(size, count, isDeflated)
    const bytes = Math.round(reads.reduce((sum, read) => sum + read.length, 0) / count)
    console.log(`${size} bytes${isDeflated ? ', deflated' : ''} (${bytes} on the wire)`)
    console.log(`  tunnel, unread              ${measure(reads, count, tunnel)}`)
    console.log(
      `  a hook that does nothing    ${measure(
        reads,
        count,
        relay(isDeflated, () => null),
      )}`,
    )
    const rewrites = relay(isDeflated, (bytes) => ({ kind: 'bytes', bytes: Buffer.from(bytes), isText: true }))
    console.log(`  a hook that rewrites it     ${measure(reads, count, rewrites)}`)
  }
}
deadlines.stop()
