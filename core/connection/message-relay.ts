/**
 * A WebSocket whose messages hooks are asked about, between two wires. In each direction messages keep their order and one at a time
 * is asked about; a side is not read while that one waits or the other side takes nothing, so memory is bounded by one message and
 * one read a direction. What either side may not send ends it with the right close code, on both sides.
 */
import { randomFillSync } from 'node:crypto'
import type { Deadlines, Timed } from '../deadlines.ts'
import { nextState } from '../hooks.ts'
import type { RelayedMessages } from '../http/message-hooks.ts'
import type { TunnelEnded, TunnelFailure } from '../http/tunnel-end.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { CLOSE, closePayload } from '../net/websocket/close.ts'
import { createDeflater, createInflater, type Deflater, type Inflater } from '../net/websocket/deflate.ts'
import type { DeflateSide } from '../net/websocket/extensions.ts'
import { FrameWriter, OPCODE } from '../net/websocket/frame.ts'
import { type Incoming, type IncomingMessage, MessageReader } from '../net/websocket/message-reader.ts'
import type { Wire, WireOwner } from '../net/wire.ts'
import { MessageCall, type MessageHook, type MessageOwner, type Outcome } from './message-call.ts'

/** Without a byte from the side that still may send. */
const HALF_CLOSED_IDLE_MS = 30_000
/** For the answer to a close frame. */
const CLOSE_ANSWER_MS = 30_000
/** For the last close frame to be read, and its sender to be seen to close. */
const ENDING_MS = 2_000
/** Frames leave together up to here. */
const BATCH_BYTES = 65_536

export interface MessageRelayOptions {
  readonly messages: RelayedMessages
  /** Came with the upgrade's request, and with its answer. */
  readonly early: Buffer
  readonly rest: Buffer
  readonly deadlines: Deadlines
  readonly idleMs: number
  /** Called once, when both wires are closed. */
  readonly ended: TunnelEnded
}

export class MessageRelay implements Timed, MessageOwner {
  dueAt = Number.POSITIVE_INFINITY
  slot = -1
  readonly #options: MessageRelayOptions
  readonly #hooks: readonly MessageHook[]
  readonly #client: Side
  readonly #upstream: Side
  #open = 2
  #isHalfClosed = false
  /** One side said goodbye: no byte puts the end off. */
  #isClosing = false
  #isEnding = false
  #why: TunnelFailure | null = null

  /** Takes both wires over and starts reading them. */
  constructor(wires: { readonly client: Wire; readonly upstream: Wire }, options: MessageRelayOptions) {
    const { hooks, agreement, maxMessageBytes } = options.messages
    this.#options = options
    this.#hooks = hooks.map((hook) => ({ hook, state: nextState() }))
    const back = this.#hooks.toReversed()
    this.#client = new Side(this, 'client', wires.client, { hooks: this.#hooks, deflate: agreement?.client ?? null, maxMessageBytes })
    this.#upstream = new Side(this, 'upstream', wires.upstream, { hooks: back, deflate: agreement?.upstream ?? null, maxMessageBytes })
    this.#client.other = this.#upstream
    this.#upstream.other = this.#client
    for (const hook of hooks) hook.hold()
    options.deadlines.add(this)
    this.active()
    this.#client.onBytes(options.early, options.early.length)
    this.#upstream.onBytes(options.rest, options.rest.length)
  }

  get request(): RequestHead {
    return this.#options.messages.request
  }
  get ip(): string {
    return this.#options.messages.ip
  }
  get isOver(): boolean {
    return this.#isEnding || this.#open === 0
  }

  /** A byte passed. */
  active(): void {
    if (this.#isClosing || this.#isEnding) return
    const { deadlines, idleMs } = this.#options
    this.dueAt = deadlines.in(this.#isHalfClosed ? Math.min(idleMs, HALF_CLOSED_IDLE_MS) : idleMs)
  }

  /** One side has said all it had: most often it is gone, and the other one does not care. */
  halfClosed(): void {
    this.#isHalfClosed = true
    this.active()
  }

  /** One side said goodbye, and the other one was told. */
  closing(): void {
    if (this.#client.saidClose && this.#upstream.saidClose) return this.#end()
    this.#isClosing = true
    this.dueAt = this.#options.deadlines.in(Math.min(this.#options.idleMs, CLOSE_ANSWER_MS))
  }

  /** Says goodbye to both sides, and why. */
  breakOff(toClient: number, toUpstream: number, reason: string, why: TunnelFailure): void {
    if (this.isOver) return
    this.#why = why
    this.#client.tellClose(closePayload(toClient, reason))
    this.#upstream.tellClose(closePayload(toUpstream, reason))
    this.#end()
  }

  /** Both sides were told that nothing more comes: what is still being written leaves before the close. */
  told(): void {
    if (!this.#client.toldEnd || !this.#upstream.toldEnd) return
    for (const { wire } of [this.#client, this.#upstream]) if (!wire.congested) wire.destroy()
  }

  onDeadline(): void {
    this.#client.wire.destroy()
    this.#upstream.wire.destroy()
  }

  closed(): void {
    if (--this.#open > 0) return
    this.#options.deadlines.remove(this)
    this.#client.free()
    this.#upstream.free()
    for (const { hook, state } of this.#hooks) {
      hook.forget(state)
      hook.release()
    }
    this.#options.ended(this.#client.bytes, this.#upstream.bytes, this.#why)
  }

  #end(): void {
    this.#isEnding = true
    this.dueAt = this.#options.deadlines.in(ENDING_MS)
    this.#client.leave()
    this.#upstream.leave()
  }
}

interface SideOptions {
  /** In the order of asking. */
  readonly hooks: readonly MessageHook[]
  /** How it compresses; what goes on from it is compressed so. */
  readonly deflate: DeflateSide | null
  readonly maxMessageBytes: number
}

/** One direction: what `wire` sends goes to the other side. And what is written to `wire`. */
class Side implements WireOwner {
  readonly wire: Wire
  readonly #relay: MessageRelay
  readonly #from: 'client' | 'upstream'
  readonly #options: SideOptions
  readonly #reader: MessageReader
  readonly #inflater: Inflater | null
  #deflater: Deflater | null = null
  /** Messages of this side that referred to those before went on as they came; not any more, for one was another one. */
  #hasDiverged = false
  readonly #writer: FrameWriter
  #asked: IncomingMessage | null = null
  /** Nothing more comes from it. */
  #hasFinished = false
  other: Side = this
  bytes = 0
  saidClose = false
  #toldClose = false
  toldEnd = false

  constructor(relay: MessageRelay, from: 'client' | 'upstream', wire: Wire, options: SideOptions) {
    const { deflate, maxMessageBytes } = options
    this.#relay = relay
    this.#from = from
    this.#options = options
    this.#inflater = deflate === null ? null : createInflater(deflate, maxMessageBytes)
    this.#reader = new MessageReader({ masked: from === 'client', maxMessageBytes, inflater: this.#inflater })
    this.#writer = new FrameWriter(from === 'client' ? null : nextKey)
    this.wire = wire
    wire.owner = this
  }

  onBytes(bytes: Buffer, length: number): void {
    this.bytes += length
    this.#relay.active()
    if (this.#relay.isOver) return
    this.#reader.feed(bytes, 0, length)
    this.#pump()
    this.#reader.keep()
  }

  /** What went to this side has left: its source may go on. */
  onDrain(): void {
    this.#relay.active()
    if (!this.#relay.isOver) this.other.#pump()
    else if (this.#hasFinished) this.wire.destroy()
    this.#relay.told()
  }

  onEnd(): void {
    this.#hasFinished = true
    if (this.#relay.isOver) {
      if (!this.wire.congested) this.wire.destroy()
      return
    }
    this.#relay.halfClosed()
    this.#settle()
  }

  onClose(error: string | null): void {
    this.#hasFinished = true
    // Nothing can reach this side any more: what the other one still says has nowhere to go.
    this.toldEnd = true
    if (error !== null) this.other.wire.reset()
    else if (!this.#relay.isOver) {
      this.#relay.halfClosed()
      this.other.wire.pause()
      this.#settle()
    }
    this.#relay.closed()
  }

  tellClose(payload: Buffer): void {
    if (this.#toldClose) return
    this.#toldClose = true
    this.#writer.add(OPCODE.close, payload)
  }

  /** Writes what is left and FIN; what still arrives is discarded, or a reset could destroy the close frame. */
  leave(): void {
    this.#flush()
    this.toldEnd = true
    this.wire.end()
    if (!this.#hasFinished) this.wire.resume()
    else if (!this.wire.congested) this.wire.destroy()
  }

  free(): void {
    this.#inflater?.close()
    this.#deflater?.close()
  }

  /** Goes on with what was read as far as that is possible now. */
  #pump(): void {
    const { other } = this
    while (this.#asked === null && this.#canSend) {
      const incoming = this.#reader.next()
      if (incoming === null) break
      this.#take(incoming)
      if (other.#writer.size >= BATCH_BYTES) other.#flush()
    }
    other.#flush()
    this.#settle()
  }

  get #canSend(): boolean {
    return !this.#relay.isOver && !this.other.wire.congested && !this.other.wire.closed
  }

  /** Reads on, or not yet, or passes on that nothing more comes. */
  #settle(): void {
    if (this.#relay.isOver) return
    if (this.#asked !== null || !this.#canSend) return this.wire.pause()
    if (!this.#hasFinished) return this.wire.resume()
    if (this.other.toldEnd) return
    this.other.toldEnd = true
    this.other.wire.end()
    this.#relay.told()
  }

  #flush(): void {
    if (this.#writer.size === 0) return
    const bytes = this.#writer.take()
    this.wire.write('', bytes, 0, bytes.length)
  }

  #take(incoming: Incoming): void {
    switch (incoming.kind) {
      case 'message':
        return this.#ask(incoming)
      case 'ping':
      case 'pong':
        return this.other.#writer.add(OPCODE[incoming.kind], incoming.bytes)
      case 'close':
        this.saidClose = true
        this.other.tellClose(incoming.bytes)
        return this.#relay.closing()
      case 'malformed': {
        const { code, detail } = incoming
        if (this.#from === 'client') this.#relay.breakOff(code, CLOSE.goingAway, '', { reason: 'client_message', detail, decidedBy: null })
        else this.#relay.breakOff(CLOSE.failed, code, '', { reason: 'upstream_message', detail, decidedBy: null })
      }
    }
  }

  #ask(message: IncomingMessage): void {
    const { bytes, isText } = message
    this.#asked = message
    const part = { kind: 'message', bytes, isText, from: this.#from } as const
    const outcome = new MessageCall(this.#relay, this.#options.hooks, part, this.#onAnswered).ask()
    if (outcome !== null) this.#answered(outcome)
  }

  readonly #onAnswered = (outcome: Outcome): void => {
    this.#relay.active()
    this.#answered(outcome)
    this.#pump()
  }

  #answered({ message, code, detail, decidedBy }: Outcome): void {
    const asked = this.#asked!
    this.#asked = null
    if (message === null) {
      const close = code === null ? CLOSE.policy : CLOSE.failed
      return this.#relay.breakOff(close, close, '', { reason: code, detail, decidedBy })
    }
    const opcode = message.isText ? OPCODE.text : OPCODE.binary
    const writer = this.other.#writer
    const { deflate } = this.#options
    if (deflate === null || message.bytes.length === 0) return writer.add(opcode, message.bytes)
    if (message.isChanged) return this.#deflate(opcode, message.bytes, deflate)
    // What its sender left uncompressed goes on so, and is not in the window of either side.
    if (asked.deflated === null) return writer.add(opcode, message.bytes)
    const mayPass = !this.#hasDiverged && !this.#inflater!.sawFinalBlock
    if (mayPass) writer.add(opcode, asked.deflated, true)
    else this.#deflate(opcode, message.bytes, deflate)
  }

  #deflate(opcode: number, bytes: Buffer, deflate: DeflateSide): void {
    this.#deflater ??= createDeflater(deflate)
    this.#hasDiverged ||= deflate.takesOver
    this.other.#writer.add(opcode, this.#deflater.deflate(bytes), true)
  }
}

const keys = Buffer.alloc(4096)
let keyAt = keys.length

/** Four bytes that nobody can foresee; asked of the system a thousand at a time. */
function nextKey(): number {
  if (keyAt === keys.length) {
    randomFillSync(keys)
    keyAt = 0
  }
  keyAt += 4
  return keys.readUInt32BE(keyAt - 4)
}
