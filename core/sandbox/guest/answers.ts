/** Writes the answers of calls as records (wire.ts). Nothing of the plugin's runs in here: it is given primitives, or copies them first. */
import {
  CROSSING_TEXT,
  FAILURES,
  LEVELS,
  MAX_ANSWER_TEXT,
  MAX_EDITS,
  MEMOS,
  OP_AGAIN,
  OP_ANSWER,
  OP_APPEND,
  OP_ASK,
  OP_BYTES,
  OP_DELETE,
  OP_DENY,
  OP_ENTRIES,
  OP_FAIL,
  OP_LOG,
  OP_METHOD,
  OP_PATH,
  OP_PENDING,
  OP_RESPOND,
  OP_ROUTE,
  OP_SEARCH,
  OP_SET,
  OP_STATUS,
  OP_TEXT,
  OP_VALUE,
  OUT_AT,
  OUT_BYTES,
  OUT_INTS,
} from '../wire.ts'
import type { Ask } from './asks.ts'
import type { Line } from './console.ts'
import { arrayLength, Bytes, Failure, setBytes, slice } from './primordials.ts'
import { type PartReply, type Reply, readReply } from './reply.ts'
import type { Call } from './views.ts'

export class AnswerWriter {
  readonly #tape: Int32Array
  /** The next free number of the tape. */
  at = OUT_AT
  /** The strings of all records so far. */
  text = ''
  /** Where bytes of answers go, and how many are there; null for a plugin that does not look at bytes. */
  #shared: SharedArrayBuffer | null = null
  #bytesAt = 0
  #room = 0
  readonly #memoNames: string[] = []
  readonly #memoValues: string[] = []

  constructor(tape: Int32Array) {
    this.#tape = tape
    this.forget()
  }

  /** Another call might not fit: the crossing is to end. */
  get isFull(): boolean {
    return this.at > OUT_AT + OUT_INTS - 2048 || this.text.length > CROSSING_TEXT
  }

  begin(): void {
    this.at = OUT_AT
    this.text = ''
    this.#tape[OUT_BYTES] = 0
  }

  attach(shared: SharedArrayBuffer, at: number, room: number): void {
    this.#shared = shared
    this.#bytesAt = at
    this.#room = room
  }

  /** Answers may have been lost on the way: the host no longer knows what was set last. */
  forget(): void {
    for (let i = 0; i < MEMOS; i++) {
      this.#memoNames[i] = ''
      this.#memoValues[i] = ''
    }
  }

  /** What the hook changed, then what it returned. */
  write(call: Call, use: number, value: unknown): void {
    const reply = value === undefined ? null : readReply(value)
    if (call.edits === null && reply === null && call.method === null && call.path === null && call.search === null && call.status === 0)
      return
    checkSize(call, reply)
    const tape = this.#tape
    tape[this.at] = OP_ANSWER
    tape[this.at + 1] = call.id
    this.at += 2
    if (call.edits !== null) this.#edits(call.edits, use)
    if (call.method !== null) this.#string(OP_METHOD, call.method)
    if (call.path !== null) this.#string(OP_PATH, call.path)
    if (call.search !== null) this.#string(OP_SEARCH, call.search)
    if (call.status !== 0) {
      tape[this.at] = OP_STATUS
      tape[this.at + 1] = call.status
      this.at += 2
    }
    if (reply !== null) this.#reply(reply)
  }

  /** As `write`, but an answer that changes nothing says so: the host waits for it. */
  writeSettled(call: Call, use: number, value: unknown): void {
    const before = this.at
    this.write(call, use, value)
    if (this.at === before) this.#open(call)
  }

  /** What a hook of a part returned. False: its bytes do not fit behind those of others, and have to wait for the next crossing. */
  writePart(call: Call, reply: PartReply): boolean {
    switch (reply.kind) {
      case 'bytes': {
        const used = this.#tape[OUT_BYTES]!
        const length = arrayLength(reply.bytes)
        if (length > this.#room) throw new Failure(`more than ${this.#room / 2 ** 20} MiB of bytes in one answer`)
        if (used + length > this.#room) return false
        setBytes(new Bytes(this.#shared!, this.#bytesAt + used, length), reply.bytes)
        this.#tape[OUT_BYTES] = used + length
        this.#open(call)
        this.#tape[this.at++] = OP_BYTES
        this.#tape[this.at++] = used
        this.#tape[this.at++] = length
        return true
      }
      case 'text':
        this.#open(call)
        this.#string(OP_TEXT, reply.text)
        return true
      case 'entries':
        this.#open(call)
        this.#string(OP_ENTRIES, reply.text)
        return true
      case 'deny':
        this.#open(call)
        this.#tape[this.at++] = OP_DENY
        return true
      case 'respond':
      case 'routeTo':
        checkSize(call, reply)
        this.#open(call)
        this.#reply(reply)
        return true
    }
  }

  /** An answer that changes nothing, where one is waited for. */
  nothing(call: Call): void {
    this.#open(call)
  }

  ask({ id, method, args }: Ask): void {
    const tape = this.#tape
    tape[this.at++] = OP_ASK
    tape[this.at++] = id
    tape[this.at++] = method.length
    tape[this.at++] = args.length
    this.text += method + args
  }

  fail(call: Call, detail: string): void {
    this.#open(call)
    const text = slice(detail, 0, 8192)
    this.#tape[this.at++] = OP_FAIL
    this.#tape[this.at++] = FAILURES.indexOf('threw')
    this.#tape[this.at++] = text.length
    this.text += text
  }

  pending(call: Call): void {
    this.#open(call)
    this.#tape[this.at++] = OP_PENDING
  }

  log({ level, text, at }: Line): void {
    this.#tape[this.at++] = OP_LOG
    this.#tape[this.at++] = LEVELS.indexOf(level)
    this.#tape[this.at++] = text.length
    this.#tape[this.at++] = at.length
    this.text += text + at
  }

  #open(call: Call): void {
    this.#tape[this.at++] = OP_ANSWER
    this.#tape[this.at++] = call.id
  }

  #edits(edits: readonly (string | number)[], use: number): void {
    const tape = this.#tape
    let at = this.at
    for (let i = 0, n = 0; i < edits.length; i += 3, n++) {
      const operation = edits[i] as number
      const name = edits[i + 1] as string
      const value = edits[i + 2] as string
      if (operation === OP_SET) {
        const memo = (use * 5 + n) % MEMOS
        tape[at + 1] = memo
        if (this.#memoNames[memo] !== name) {
          tape[at] = OP_SET
          tape[at + 2] = name.length
          tape[at + 3] = value.length
          at += 4
          this.text += name + value
          this.#memoNames[memo] = name
          this.#memoValues[memo] = value
        } else if (this.#memoValues[memo] !== value) {
          tape[at] = OP_VALUE
          tape[at + 2] = value.length
          at += 3
          this.text += value
          this.#memoValues[memo] = value
        } else {
          tape[at] = OP_AGAIN
          at += 2
        }
      } else {
        tape[at++] = operation
        tape[at++] = name.length
        if (operation === OP_APPEND) tape[at++] = value.length
        this.text += operation === OP_DELETE ? name : name + value
      }
    }
    this.at = at
  }

  #string(operation: number, value: string): void {
    this.#tape[this.at++] = operation
    this.#tape[this.at++] = value.length
    this.text += value
  }

  #reply(reply: Reply): void {
    if (reply.kind === 'routeTo') {
      this.#string(OP_ROUTE, reply.upstream)
      return
    }
    const tape = this.#tape
    tape[this.at++] = OP_RESPOND
    tape[this.at++] = reply.status
    tape[this.at++] = reply.body.length
    tape[this.at++] = reply.fields.length / 2
    this.text += reply.body
    for (let i = 0; i < reply.fields.length; i++) {
      tape[this.at++] = reply.fields[i]!.length
      this.text += reply.fields[i]!
    }
  }
}

/** Throws when the answer would not fit; the call fails, and the rest of the batch is not the poorer. */
function checkSize(call: Call, reply: Reply | null): void {
  let size = 0
  const edits = call.edits
  if (edits !== null) for (let i = 0; i < edits.length; i += 3) size += (edits[i + 1] as string).length + (edits[i + 2] as string).length
  size += (call.method?.length ?? 0) + (call.path?.length ?? 0) + (call.search?.length ?? 0)
  if (reply !== null && reply.kind === 'respond') {
    size += reply.body.length
    for (let i = 0; i < reply.fields.length; i++) size += reply.fields[i]!.length
    if (reply.fields.length > 2 * MAX_EDITS) throw new Failure(`an answer with more than ${MAX_EDITS} fields`)
  }
  if (size > MAX_ANSWER_TEXT) throw new Failure('the answer is larger than 1 MiB')
}
