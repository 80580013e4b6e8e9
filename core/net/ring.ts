/**
 * One io_uring (io_uring(7)): what arrives on sockets is in memory when it is told, what is written goes out together, and both take one
 * system call a turn. All of it is done inside that call (IORING_SETUP_DEFER_TASKRUN), so nothing here changes while JavaScript runs.
 */
import { getSystemErrorName } from 'node:util'
import { high, inOneBlock, low, ReceiveBuffers } from './ring-buffers.ts'
import type { RingMemory } from './ring-memory.ts'
import { throwLater } from './throw-later.ts'

/** Somebody whose socket is received from. */
export interface Receiver {
  /** Bytes [0, length) of `bytes`. True: it keeps them; false: they were valid inside the call only. */
  onReceived(bytes: Buffer, length: number): boolean
  /** Nothing more is received: 0 at the end of the stream, or minus errno; with `-ENOBUFS` and `-ECANCELED` nothing is lost. */
  onStopped(result: number): void
}

/** Somebody who has written. */
export interface Sender {
  /** The kernel took so many of bytes [from, to), or minus errno; they are valid inside the call only. */
  onSent(result: number, bytes: Buffer, from: number, to: number): void
}

/** Of one turn: what does not fit is not sent by the ring. */
const SEND_BYTES = 524288
/** Then they are submitted: the other side has something to do meanwhile. */
const MOST_SENDS = 64

const [EINTR, EAGAIN, ENOMEM, EBUSY, ETIME, ECANCELED] = [4, 11, 12, 16, 62, 125]
/** What `io_uring_enter` may say of one call without another having to say it too. */
const PASSING = new Set([EINTR, EAGAIN, EBUSY, ETIME])
/** Sends that went wrong are looked at after so long, if nothing else happens. */
const LOOK_MS = 10
/** Of a kernel that has no memory for what is submitted. */
const MOST_TRIES = 100
const [OP_NOP, OP_POLL_ADD, OP_ASYNC_CANCEL, OP_SEND, OP_RECV] = [0, 6, 14, 26, 27]
/** Flags of an entry, in its first word. */
const BUFFER_SELECT = 1 << 13
const SKIP_SUCCESS = 1 << 14
const POLL_FIRST = 1 << 16
const POLLIN = 1
/** A send never waits: it ends while it is submitted. */
const MSG_DONTWAIT_NOSIGNAL = 0x4040
const [HAS_BUFFER, HAS_MORE] = [1, 2]
const BUFFER_SHIFT = 16
const [GETEVENTS, EXT_ARG] = [1, 8]
/** struct io_uring_sqe and io_uring_cqe, in words. */
const [ENTRY_WORDS, COMPLETION_WORDS] = [16, 4]
export const POLLED_READABLE = 1
export const SERVED = 2
/** The second word of what an entry is known by; the first is a slot. */
const [CANCELLED, RECEIVED, SENT, POLLED] = [0, 1, 2, 3]
/** struct io_uring_getevents_arg, and the struct __kernel_timespec that it points to. */
const WAIT_BYTES = 24n

/** A receive, or a send, until it has ended. */
class Slot {
  receiver: Receiver | null = null
  sender: Sender | null = null
  /** What it sends is in `out`. */
  from = 0
  to = 0
  half = 0
  /** Of its entry, counted from the first of all: in 32 bits it would come round while a connection lives, and look queued again. */
  position = 0
  /** Its receive has ended, and its last bytes are being told. */
  isEnding = false
}

/** A completion that was read before its turn. */
interface Spilled {
  readonly number: number
  readonly kind: number
  readonly result: number
  readonly flags: number
}

export class Ring {
  /** What is sent, two turns in turn: the one before is not looked at yet. */
  readonly out: Buffer
  readonly #memory: RingMemory
  readonly #polledFd: number
  #isPolling = false
  #tail: number
  /** Entries that are not submitted yet, and the sends among them. */
  #queued = 0
  #queuedSends = 0
  /** The next completion. */
  #head: number
  readonly #spilled: Spilled[] = []
  /** Receives and sends that have not ended yet. */
  #active = 0
  readonly #slots: Slot[] = []
  readonly #free: number[] = []
  readonly #received: ReceiveBuffers
  /** Where `out` is. */
  readonly #low: number
  readonly #high: number
  /** The half that is written to, and up to where. */
  #half = 0
  #top = 0
  /** By half: sends whose result nobody has looked at. */
  readonly #sends = [0, 0]
  readonly #wait = new BigInt64Array(5)
  readonly #waitPointer: bigint
  readonly #timePointer: bigint

  readonly #ended: () => void

  /** `polledFd`: `serve` tells when it may be read. `ended`: said of each receive and each send that was begun. */
  constructor(memory: RingMemory, polledFd: number, ended: () => void) {
    this.#memory = memory
    this.#polledFd = polledFd
    this.#ended = ended
    this.#tail = memory.submissions[memory.submissionTailAt]!
    this.#head = memory.completions[memory.completionHeadAt]!
    const [out, address] = inOneBlock(memory, 2 * SEND_BYTES)
    this.out = out
    this.#low = low(address)
    this.#high = high(address)
    this.#waitPointer = memory.pointerTo(new Uint8Array(this.#wait.buffer))
    this.#timePointer = this.#waitPointer + WAIT_BYTES
    this.#received = new ReceiveBuffers(memory)
    this.#wait[2] = this.#timePointer
    const entered = memory.enter(0, 1, GETEVENTS | EXT_ARG, this.#waitPointer, WAIT_BYTES)
    if (entered !== -ETIME) throw new Error(`io_uring_enter: ${entered}`)
  }

  /** Something is received, is sent, or waits to be submitted. */
  get isUsed(): boolean {
    return this.#active > 0 || this.#queued > 0
  }

  // ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * What arrives next is told to `receiver`, then `onStopped`. Its number, for `stop`. One receive for all that ever arrives
   * (IORING_RECV_MULTISHOT) saves nothing that can be measured, and reads on while nobody wants more: half a megabyte a connection.
   */
  receive(fd: number, receiver: Receiver): number {
    const number = this.#takeSlot()
    this.#slots[number]!.receiver = receiver
    this.#slots[number]!.position = this.#tail
    this.#put(OP_RECV | BUFFER_SELECT | POLL_FIRST, fd, 0, 0, number, RECEIVED)
    return number
  }

  /** Told later, with `-ECANCELED`; before that, what has arrived. */
  stop(number: number): void {
    // That is told without it.
    if (this.#slots[number]!.isEnding) return
    const at = this.#put(OP_ASYNC_CANCEL | SKIP_SUCCESS, -1, 0, 0, number, CANCELLED)
    const { entries } = this.#memory
    entries[at + 4] = number
    entries[at + 5] = RECEIVED
  }

  /** Like stop, before the descriptor is closed, and nobody is told anything. */
  forget(number: number): void {
    const slot = this.#slots[number]!
    slot.receiver = null
    if (!this.#isQueued(slot)) return this.stop(number)
    // Submitted later it would receive from whoever has the number of the descriptor then.
    this.#memory.entries[this.#entryOf(slot)] = OP_NOP | SKIP_SUCCESS
    this.#releaseSlot(number)
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Where in `out` the next `length` bytes to send belong; -1: there is no room in this turn. */
  room(length: number): number {
    return this.#top + length <= (this.#half + 1) * SEND_BYTES ? this.#top : -1
  }

  /** Sends `length` bytes that are where `room` said. Its number, until `onSent`. */
  send(fd: number, length: number, sender: Sender): number {
    if (this.#queuedSends >= MOST_SENDS) this.submit()
    const number = this.#takeSlot()
    const slot = this.#slots[number]!
    const from = this.#top
    this.#top = from + length
    slot.sender = sender
    slot.from = from
    slot.to = this.#top
    slot.half = this.#half
    slot.position = this.#tail
    const at = this.#put(OP_SEND, fd, length, MSG_DONTWAIT_NOSIGNAL, number, SENT)
    const { entries } = this.#memory
    entries[at + 4] = this.#low + from
    entries[at + 5] = this.#high
    this.#queuedSends++
    this.#sends[this.#half]!++
    return number
  }

  /** It has not left yet, and nothing was sent since. */
  mayExtend(number: number): boolean {
    const slot = this.#slots[number]!
    return slot.to === this.#top && this.#isQueued(slot)
  }

  /** `length` more bytes, where `room` said, go with it: `mayExtend` says whether they can. */
  extend(number: number, length: number): void {
    const slot = this.#slots[number]!
    this.#top += length
    slot.to = this.#top
    this.#memory.entries[this.#entryOf(slot) + 6] = slot.to - slot.from
  }

  /** Stops it at once: what has arrived is told from inside the call, `onStopped` too, or right behind it where that tells its last bytes. */
  stopNow(number: number): void {
    if (this.#slots[number]!.isEnding) return
    let isOver = false
    for (let tries = 0; !isOver && tries < MOST_TRIES; tries++) {
      // Not found while it is looking whether there is something.
      this.stop(number)
      this.#enter(0, GETEVENTS, 0n, 0n)
      this.#spill()
      isOver = this.#spilled.some((one) => one.kind === RECEIVED && one.number === number && (one.flags & HAS_MORE) === 0)
    }
    if (!isOver) throw new Error('a receive that does not end')
    for (let i = 0; i < this.#spilled.length; ) {
      const { number: of, kind, result, flags } = this.#spilled[i]!
      if (kind !== RECEIVED || of !== number) i++
      else {
        this.#spilled.splice(i, 1)
        this.#tell(of, kind, result, flags)
      }
    }
  }

  /** What became of it is told to its sender now. */
  settle(number: number): void {
    const slot = this.#slots[number]!
    const { sender, from, to } = slot
    for (let tries = 0; this.#isQueued(slot) && tries < MOST_TRIES; tries++) this.submit()
    slot.sender = null
    sender?.onSent(this.#isQueued(slot) ? -ENOMEM : this.#resultOf(number), this.out, from, to)
  }

  /** Of a send, which ends while it is submitted. */
  #resultOf(number: number): number {
    const { completions, completionTailAt, completionMask, completionsAt } = this.#memory
    for (let head = this.#head; head !== completions[completionTailAt]; head = (head + 1) | 0) {
      const at = completionsAt + (head & completionMask) * COMPLETION_WORDS
      if (completions[at + 1] === SENT && completions[at] === number) return completions[at + 2]!
    }
    // There were too many: the kernel keeps the rest until there is room.
    this.#spill()
    this.#enter(0, GETEVENTS, 0n, 0n)
    this.#spill()
    return this.#spilled.find((one) => one.kind === SENT && one.number === number)?.result ?? -ENOMEM
  }

  // ── the system call ──────────────────────────────────────────────────────────────────────────────────────────────

  /** What was queued, without waiting. */
  submit(): void {
    if (this.#queued > 0) this.#enter(0, 0, 0n, 0n)
  }

  /** Submits, and waits up to `ms` for something to serve; -1: without end. */
  wait(ms: number): void {
    if (!this.#isPolling) {
      this.#isPolling = true
      this.#put(OP_POLL_ADD, this.#polledFd, 0, POLLIN, 0, POLLED)
    }
    if (ms === 0 || this.#spilled.length > 0) {
      this.#enter(0, GETEVENTS, 0n, 0n)
      return
    }
    // Sends end while they are submitted: that is not waited for.
    const sends = this.#sends[0]! + this.#sends[1]!
    const most = sends > 0 && (ms < 0 || ms > LOOK_MS) ? LOOK_MS : ms
    const wait = this.#wait
    wait[2] = most < 0 ? 0n : this.#timePointer
    if (most > 0) {
      wait[3] = BigInt(Math.floor(most / 1000))
      wait[4] = BigInt((most % 1000) * 1_000_000)
    }
    const least = sends + 1
    this.#enter(least, GETEVENTS | EXT_ARG, this.#waitPointer, WAIT_BYTES)
  }

  #enter(least: number, flags: number, wait: bigint, waitBytes: bigint): void {
    const memory = this.#memory
    memory.submissions[memory.submissionTailAt] = this.#tail
    const entered = memory.enter(this.#queued, least, flags, wait, waitBytes)
    if (entered < 0) this.#failed(-entered)
    if (entered <= 0) return
    this.#queued -= entered
    this.#queuedSends = 0
  }

  /** A kernel that begins to refuse after it has agreed (a filter of system calls that came later) would be asked without end. */
  #failed(errno: number): void {
    if (!PASSING.has(errno)) throwLater(new Error(`io_uring_enter: ${getSystemErrorName(-errno)} (SLUICE_NO_RING=1 does without it)`))
  }

  /** Tells all that has completed. Returns whether the polled descriptor may be read, and whether there was anything else: two bits. */
  serve(): number {
    this.#turn()
    const { completions, completionHeadAt, completionTailAt, completionMask, completionsAt } = this.#memory
    let told = 0
    while (this.#spilled.length > 0 || this.#head !== completions[completionTailAt]) {
      if (this.#spilled.length > 0) {
        const { number, kind, result, flags } = this.#spilled.shift()!
        told |= this.#tell(number, kind, result, flags)
        continue
      }
      const at = completionsAt + (this.#head & completionMask) * COMPLETION_WORDS
      this.#head = (this.#head + 1) | 0
      told |= this.#tell(completions[at]!, completions[at + 1]!, completions[at + 2]!, completions[at + 3]!)
    }
    completions[completionHeadAt] = this.#head
    return told
  }

  /** What was sent two turns ago has been looked at in the last one, unless the kernel had no memory for it. */
  #turn(): void {
    const next = 1 - this.#half
    if (this.#sends[next] !== 0) return
    this.#half = next
    this.#top = next * SEND_BYTES
  }

  #tell(number: number, kind: number, result: number, flags: number): number {
    try {
      if (kind === SENT) return this.#tellSent(number, result)
      if (kind === RECEIVED) this.#tellReceived(number, result, flags)
      else if (kind === POLLED) this.#isPolling = false
    } catch (error) {
      throwLater(error)
    }
    return kind === POLLED ? POLLED_READABLE : kind === CANCELLED ? 0 : SERVED
  }

  #tellReceived(number: number, result: number, flags: number): void {
    const slot = this.#slots[number]!
    slot.isEnding = (flags & HAS_MORE) === 0
    if ((flags & HAS_BUFFER) !== 0) {
      const buffer = flags >>> BUFFER_SHIFT
      let isKept = true
      try {
        isKept = slot.receiver !== null && result > 0 && slot.receiver.onReceived(this.#received.at(buffer), result)
      } finally {
        // Whoever throws may have lent them.
        if (isKept) this.#received.replace(buffer)
        else this.#received.giveBack(buffer)
      }
    }
    if ((flags & HAS_MORE) !== 0) return
    const { receiver } = slot
    this.#releaseSlot(number)
    receiver?.onStopped(result > 0 ? -ECANCELED : result)
  }

  #tellSent(number: number, result: number): number {
    const { sender, from, to, half } = this.#slots[number]!
    this.#sends[half]!--
    this.#releaseSlot(number)
    sender?.onSent(result, this.out, from, to)
    return result === to - from ? 0 : SERVED
  }

  #spill(): void {
    const { completions, completionHeadAt, completionTailAt, completionMask, completionsAt } = this.#memory
    for (; this.#head !== completions[completionTailAt]; this.#head = (this.#head + 1) | 0) {
      const at = completionsAt + (this.#head & completionMask) * COMPLETION_WORDS
      const [number, kind, result, flags] = completions.subarray(at, at + COMPLETION_WORDS) as unknown as [number, number, number, number]
      this.#spilled.push({ number, kind, result, flags })
    }
    completions[completionHeadAt] = this.#head
  }

  // ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Queues an entry. Returns where it is. */
  #put(first: number, fd: number, length: number, flags: number, number: number, kind: number): number {
    const { entries, entryMask } = this.#memory
    for (let tries = 0; this.#queued > entryMask; tries++) {
      if (tries > MOST_TRIES) throw new Error('the kernel takes nothing more')
      this.submit()
    }
    const at = (this.#tail & entryMask) * ENTRY_WORDS
    entries[at] = first
    entries[at + 1] = fd
    entries[at + 4] = 0
    entries[at + 5] = 0
    entries[at + 6] = length
    entries[at + 7] = flags
    entries[at + 8] = number
    entries[at + 9] = kind
    this.#tail++
    this.#queued++
    return at
  }

  #isQueued(slot: Slot): boolean {
    return slot.position >= this.#tail - this.#queued
  }

  #entryOf({ position }: Slot): number {
    return (position & this.#memory.entryMask) * ENTRY_WORDS
  }

  #takeSlot(): number {
    this.#active++
    return this.#free.pop() ?? this.#slots.push(new Slot()) - 1
  }

  #releaseSlot(number: number): void {
    const slot = this.#slots[number]!
    slot.receiver = null
    slot.sender = null
    slot.isEnding = false
    this.#free.push(number)
    this.#active--
    this.#ended()
  }
}
