/**
 * Reads the answers of a batch and carries them out on the heads. The guest may be hostile: every number and string is checked, a
 * call's answer is carried out whole or not at all, and what makes no sense ends the isolate, not the worker.
 */
import type { HookCall, LogFields, Verdict } from '../hooks.ts'
import { isFieldValue, isHostOwned, isToken } from '../net/http1/fields.ts'
import type { Head } from '../net/http1/head.ts'
import type { Answers } from './engine/engine.ts'
import {
  FAILURES,
  type FailureWhy,
  MAX_ANSWER_TEXT,
  MAX_ASK_TEXT,
  MAX_BUFFERED,
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
  OP_SIZES,
  OP_STATUS,
  OP_TEXT,
  OP_VALUE,
} from './wire.ts'

/** The guest's runtime wrote what it never writes: it is not the runtime any more. */
export class Garbage extends Error {}

interface Edit {
  readonly kind: typeof OP_SET | typeof OP_APPEND | typeof OP_DELETE
  readonly lower: string
  /** Name, colon, space. */
  readonly start: string
  readonly line: string
}

/** What comes between the answers: lines of console, and what the guest wishes. */
export interface Asides {
  log(level: number, text: string, stack: string): void
  ask(id: number, method: string, args: string): void
}

const NO_BYTES = new Uint8Array(0)

export interface Failure {
  readonly why: FailureWhy
  readonly detail: string
}

export class AnswerReader {
  #ints: Int32Array = new Int32Array(0)
  #at = 0
  #end = 0
  #text = ''
  #textAt = 0
  #bytes: Uint8Array = NO_BYTES
  readonly #memos: (Edit | null)[] = new Array<Edit | null>(MEMOS).fill(null)
  /** Names that were checked, and how they look in lower case. */
  readonly #names = new Map<string, string>()

  // The answer that was read last.
  verdict: Verdict | null = null
  failure: Failure | null = null
  isPending = false
  readonly #edits: Edit[] = []
  #editCount = 0
  #method: string | null = null
  #path: string | null = null
  #search: string | null = null
  #status = 0

  /** `bytes`: of all answers; what is read of them is copied. */
  open(answers: Answers): void {
    const { ints, at, count, text } = answers
    if (at < 0 || count < 0 || at + count > ints.length) throw new Garbage('the answers lie outside of the tape')
    this.#ints = ints
    this.#at = at
    this.#end = at + count
    this.#text = text
    this.#textAt = 0
    this.#bytes = answers.bytes ?? NO_BYTES
  }

  /** Is the next answer there, and for this call? */
  isFor(id: number): boolean {
    return this.#at + 1 < this.#end && this.#ints[this.#at + 1] === id && this.#ints[this.#at] === OP_ANSWER
  }

  /** Id of the call that the next answer is for; 0 at the end. What stands on the way is handed on. */
  nextId(asides: Asides): number {
    while (this.#at < this.#end) {
      const operation = this.#ints[this.#at]
      if (operation === OP_ANSWER) return this.#number(1)
      if (operation === OP_LOG) {
        const [level, length, stack] = [this.#number(1), this.#number(2), this.#number(3)]
        this.#at += 4
        asides.log(level, this.#take(length), this.#take(stack))
      } else if (operation === OP_ASK) {
        const [id, method, args] = [this.#number(1), this.#number(2), this.#number(3)]
        this.#at += 4
        if (method > 64) throw new Garbage('a wish has a name that cannot be')
        asides.ask(id, this.#take(method), this.#take(args, MAX_ASK_TEXT))
      } else throw new Garbage('an answer begins with what is no answer')
    }
    return 0
  }

  /** Throws if something is left that belongs to no call. */
  expectEnd(asides: Asides): void {
    if (this.#at !== this.#end && this.nextId(asides) !== 0) throw new Garbage('an answer is for no call of the batch')
  }

  /** Reads one answer into the fields above. */
  read(): void {
    this.#clear()
    this.#at += 2
    while (this.#at < this.#end) {
      const operation = this.#ints[this.#at]!
      if (operation === OP_ANSWER || operation === OP_LOG || operation === OP_ASK) return
      const size = OP_SIZES[operation]
      if (size === undefined || operation === 0 || this.#at + size >= this.#end) throw new Garbage('an answer has an unknown operation')
      this.#operation(operation)
    }
  }

  /** Carries out what was read. */
  apply(call: HookCall): void {
    const head: Head = call.response ?? call.request
    for (let i = 0; i < this.#editCount; i++) {
      const edit = this.#edits[i]!
      if (edit.kind !== OP_APPEND) head.delete(edit.lower)
      if (edit.kind !== OP_DELETE) head.addLines(edit.line)
    }
    if (this.#status !== 0 && call.response !== null) call.response.status = this.#status
    if (call.response !== null) return
    if (this.#method !== null) call.request.method = this.#method
    if (this.#path !== null) call.request.path = this.#path
    if (this.#search !== null) call.request.search = this.#search
  }

  #operation(operation: number): void {
    switch (operation) {
      case OP_AGAIN: {
        const edit = this.#memos[this.#number(1)]
        this.#at += 2
        if (edit === undefined || edit === null) throw new Garbage('an answer repeats what was never said')
        this.#addEdit(edit)
        return
      }
      case OP_VALUE: {
        const memo = this.#number(1)
        const before = this.#memos[memo]
        const value = this.#take(this.#number(2))
        this.#at += 3
        if (before === undefined || before === null) throw new Garbage('an answer repeats what was never said')
        if (!isFieldValue(value)) {
          this.#fail('threw', `set a field to what cannot be sent: ${before.lower}`)
          return
        }
        const edit: Edit = { kind: OP_SET, lower: before.lower, start: before.start, line: `${before.start}${value}\r\n` }
        this.#memos[memo] = edit
        this.#addEdit(edit)
        return
      }
      case OP_SET: {
        const memo = this.#number(1)
        const edit = this.#edit(OP_SET, this.#number(2), this.#number(3))
        this.#at += 4
        if (memo >= MEMOS) throw new Garbage('an answer has a memo that does not exist')
        this.#memos[memo] = edit
        if (edit !== null) this.#addEdit(edit)
        return
      }
      case OP_APPEND:
        this.#addEdit(this.#edit(OP_APPEND, this.#number(1), this.#number(2)))
        this.#at += 3
        return
      case OP_DELETE:
        this.#addEdit(this.#edit(OP_DELETE, this.#number(1), 0))
        this.#at += 2
        return
      default:
        this.#rarer(operation)
    }
  }

  #rarer(operation: number): void {
    const first = OP_SIZES[operation]! > 0 ? this.#number(1) : 0
    switch (operation) {
      case OP_METHOD:
        this.#method = this.#checked(this.#take(first), isMethod, 'a method')
        this.#at += 2
        return
      case OP_PATH:
        this.#path = this.#checked(this.#take(first), isPath, 'a path')
        this.#at += 2
        return
      case OP_SEARCH:
        this.#search = this.#checked(this.#take(first), isSearch, 'a query')
        this.#at += 2
        return
      case OP_STATUS:
        if (first < 200 || first > 599) this.#fail('threw', `not a status a response can have: ${first}`)
        this.#status = first
        this.#at += 2
        return
      case OP_ROUTE:
        this.verdict = { kind: 'routeTo', upstream: this.#take(first) }
        this.#at += 2
        return
      case OP_RESPOND:
        this.#respond(first)
        return
      case OP_FAIL: {
        const why = FAILURES[first]
        if (why === undefined) throw new Garbage('an answer fails for no known reason')
        const length = this.#number(2)
        this.#at += 3
        this.#fail(why, this.#take(length))
        return
      }
      case OP_PENDING:
        this.isPending = true
        this.#at += 1
        return
      default:
        this.#ofBytes(operation, first)
    }
  }

  #ofBytes(operation: number, first: number): void {
    this.#at += 1 + OP_SIZES[operation]!
    switch (operation) {
      case OP_BYTES: {
        const length = this.#ints[this.#at - 1]!
        if (length < 0 || first + length > this.#bytes.length) throw new Garbage('an answer has bytes that are not there')
        const copy = Buffer.allocUnsafeSlow(length)
        copy.set(this.#bytes.subarray(first, first + length))
        this.verdict = { kind: 'bytes', bytes: copy, isText: false }
        return
      }
      case OP_TEXT:
        this.verdict = { kind: 'bytes', bytes: Buffer.from(this.#take(first, MAX_BUFFERED), 'utf8'), isText: true }
        return
      case OP_DENY:
        this.verdict = { kind: 'deny' }
        return
      case OP_ENTRIES: {
        const entries = readEntries(this.#take(first, MAX_ASK_TEXT))
        if (entries === null) this.#fail('threw', 'onLog returned what are no entries of the log')
        else this.verdict = { kind: 'entries', entries }
      }
    }
  }

  #respond(status: number): void {
    const bodyLength = this.#number(2)
    const count = this.#number(3)
    if (count > MAX_EDITS || this.#at + 4 + 2 * count > this.#end) throw new Garbage('an answer has more fields than it has room for')
    const body = this.#take(bodyLength)
    const headers: Record<string, string> = Object.create(null)
    for (let i = 0; i < count; i++) {
      const name = this.#take(this.#number(4 + 2 * i))
      const value = this.#take(this.#number(5 + 2 * i))
      if (this.#lower(name) === null || !isFieldValue(value)) this.#fail('threw', `the answer has a field that cannot be sent: ${name}`)
      headers[name] = value
    }
    this.#at += 4 + 2 * count
    if (status < 200 || status > 599) this.#fail('threw', `not a status a response can have: ${status}`)
    this.verdict = { kind: 'respond', status, body, headers }
  }

  /** Null, and the call failed, if the line may not be sent. */
  #edit(kind: Edit['kind'], nameLength: number, valueLength: number): Edit | null {
    const name = this.#take(nameLength)
    const value = this.#take(valueLength)
    const lower = this.#lower(name)
    if (lower !== null && isFieldValue(value)) return { kind, lower, start: `${name}: `, line: `${name}: ${value}\r\n` }
    this.#fail('threw', `set a field that cannot be sent: ${name}`)
    return null
  }

  #addEdit(edit: Edit | null): void {
    if (edit === null) return
    if (this.#editCount === MAX_EDITS) throw new Garbage('an answer has too many edits')
    this.#edits[this.#editCount++] = edit
  }

  #lower(name: string): string | null {
    const known = this.#names.get(name)
    if (known !== undefined) return known
    const lower = name.toLowerCase()
    if (!isToken(name) || isHostOwned(lower)) return null
    if (this.#names.size > 256) this.#names.clear()
    this.#names.set(name, lower)
    return lower
  }

  #checked(text: string, is: (text: string) => boolean, what: string): string | null {
    if (is(text)) return text
    this.#fail('threw', `not ${what}: ${JSON.stringify(text.slice(0, 100))}`)
    return null
  }

  #fail(why: FailureWhy, detail: string): void {
    this.failure ??= { why, detail }
  }

  #number(offset: number): number {
    const value = this.#ints[this.#at + offset]!
    if (this.#at + offset >= this.#end || value < 0) throw new Garbage('an answer has a number that cannot be')
    return value
  }

  #take(length: number, most = MAX_ANSWER_TEXT): string {
    const from = this.#textAt
    const to = from + length
    if (length > most || to > this.#text.length) throw new Garbage('an answer is longer than its text')
    this.#textAt = to
    return this.#text.slice(from, to)
  }

  #clear(): void {
    this.verdict = null
    this.failure = null
    this.isPending = false
    this.#editCount = 0
    this.#method = null
    this.#path = null
    this.#search = null
    this.#status = 0
  }
}

/** Lines of plain values, or null for one that is left out; null if it is anything else. */
function readEntries(text: string): (LogFields | null)[] | null {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    return null
  }
  if (!Array.isArray(list)) return null
  const isLine = (line: unknown): line is LogFields =>
    typeof line === 'object' && line !== null && Object.values(line).every((value) => value === null || typeof value !== 'object')
  return list.every((line) => line === null || isLine(line)) ? list : null
}

/** CONNECT would turn the exchange into something else. */
function isMethod(text: string): boolean {
  return isToken(text) && text !== 'CONNECT'
}

/** Origin-form without query; the exchange normalises it again. */
function isPath(text: string): boolean {
  return /^\/[\x21\x22\x24-\x3e\x40-\x7e\x80-\xff]*$/.test(text)
}

function isSearch(text: string): boolean {
  return /^(\?[\x21\x22\x24-\x7e\x80-\xff]*)?$/.test(text)
}
