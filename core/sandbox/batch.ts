/** The calls of one crossing, written as numbers, one string and bytes (wire.ts). What a plugin may not see is left out here, on the host. */
import type { CallPart, HookCall } from '../hooks.ts'
import { certificateJson } from '../net/client-certificate.ts'
import { isHostOwned } from '../net/http1/fields.ts'
import type { Head } from '../net/http1/head.ts'
import {
  ABSENT,
  BODY_LAST,
  CALL_HEAD_INTS,
  FIRST_PART_KIND,
  HAS_REQUEST,
  IN_INTS,
  IS_RESPONSE,
  KIND_SHIFT,
  LEAST_BYTES_IN,
  MESSAGE_FROM_UPSTREAM,
  MESSAGE_IS_TEXT,
  NEEDS_CERTIFICATE,
  NEEDS_FIELDS,
  NEEDS_HOST,
  NEEDS_IP,
  NEEDS_METHOD,
  NEEDS_PATH,
  NEEDS_SEARCH,
  NOT_SENT,
  PART_INTS,
  REQUEST_HEAD_INTS,
  USE_SHIFT,
} from './wire.ts'

const MOST_CALLS = 128
/** Text of a batch; a call that begins below it is still taken whole. */
const MOST_TEXT = 48 * 1024

/** What a call's use says about the writing of it. */
export interface CallShape {
  /** Number of the use in its plugin. */
  readonly index: number
  /** Lower-case names; null: all lines. */
  readonly sees: readonly string[] | null
  readonly credentials: boolean
  /** NEEDS_… of the hooks: what else there is stays here. Of the request by kind; of `onResponse` the response's and `viewNeeds`. */
  readonly needs: readonly number[]
  readonly responseNeeds: number
  readonly viewNeeds: number
  readonly timeoutMs: number
}

/** Where the bytes of a batch's calls go. */
export interface ByteRoom {
  readonly bytes: Uint8Array
  /** It never has room for more. */
  readonly most: number
  /** `size` bytes from 0 on are wanted. False: there is no room for them. */
  ensure(size: number): boolean
}

export class Batch {
  readonly ints: Int32Array
  /** Where the first call begins. */
  readonly start: number
  /** Where the next call would begin. */
  end: number
  count = 0
  text = ''
  timeoutMs = 0
  sentAt = 0
  /** Id of the first call; the others follow it. */
  firstId = 0
  /** Calls that are answered; kept by the reader of the answers. */
  done = 0
  readonly calls: (HookCall | null)[] = []
  readonly shapes: CallShape[] = []
  /** KIND_… of each call. */
  readonly kinds: number[] = []
  readonly room: ByteRoom
  /** Bytes of all calls so far. */
  byteCount = 0
  #length = 0
  /** The last string of each kind and where it lies: neighbours often carry the same. */
  readonly #lastText: (string | null)[] = []
  readonly #lastAt: number[] = []

  constructor(ints: Int32Array, start: number, room: ByteRoom) {
    this.ints = ints
    this.start = start
    this.end = start
    this.room = room
  }

  reset(): void {
    this.end = this.start
    this.count = 0
    this.text = ''
    this.done = 0
    this.byteCount = 0
    this.#length = 0
    for (let i = 0; i < this.#lastText.length; i++) this.#lastText[i] = null
  }

  /** Why no batch can carry the call; null if one can. */
  problemOf({ part }: HookCall): string | null {
    const size = part !== null && 'bytes' in part ? part.bytes.length : 0
    const { most } = this.room
    return size <= most ? null : `it was to be given ${size} bytes at once, and takes up to ${most}`
  }

  /** False when the call does not fit, or has another time limit than those before it: the batch is to be submitted first. */
  add(call: HookCall, shape: CallShape, kind: number): boolean {
    const names = shape.sees === null ? 1 : shape.sees.length
    if (this.count === 0) this.timeoutMs = shape.timeoutMs
    else {
      const most = CALL_HEAD_INTS + REQUEST_HEAD_INTS + 4 * names + PART_INTS
      if (this.count === MOST_CALLS || this.#length > MOST_TEXT || this.timeoutMs !== shape.timeoutMs) return false
      if (this.end + most > this.start + IN_INTS) return false
    }
    const { ints, end } = this
    const { request } = call
    const response = kind < FIRST_PART_KIND ? call.response : null
    const needs = response === null ? shape.needs[kind]! : shape.viewNeeds
    const withRequest = kind < FIRST_PART_KIND ? response === null || needs !== 0 : needs !== 0
    const size = kind < FIRST_PART_KIND ? 0 : sizeOf(call.part)
    // Several calls share little room; one alone may be as large as it gets.
    if (size > 0 && this.count > 0 && this.byteCount + size > LEAST_BYTES_IN) return false
    if (size > 0 && !this.room.ensure(this.byteCount + size)) return false
    let at = end + CALL_HEAD_INTS
    if (withRequest) {
      if ((needs & NEEDS_METHOD) !== 0) this.#put(at, 0, request.method)
      else ints[at + 1] = NOT_SENT
      if ((needs & NEEDS_PATH) !== 0) this.#put(at + 2, 1, request.path)
      else ints[at + 3] = NOT_SENT
      if ((needs & NEEDS_SEARCH) !== 0) this.#put(at + 4, 2, request.search)
      else ints[at + 5] = NOT_SENT
      if ((needs & NEEDS_IP) !== 0) this.#put(at + 6, 3, call.ip)
      else ints[at + 7] = NOT_SENT
      if ((needs & NEEDS_HOST) !== 0) this.#put(at + 8, 4, request.host)
      else ints[at + 9] = NOT_SENT
      if ((needs & NEEDS_CERTIFICATE) === 0) ints[at + 11] = NOT_SENT
      else if (request.clientCertificate === null) ints[at + 11] = ABSENT
      else this.#put(at + 10, 5, certificateJson(request.clientCertificate))
      at = this.#putFields(at + REQUEST_HEAD_INTS, 6, request, (needs & NEEDS_FIELDS) !== 0, shape)
    }
    if (response !== null) at = this.#putFields(at, 6 + names, response, (shape.responseNeeds & NEEDS_FIELDS) !== 0, shape)
    ints[end + 3] = response === null ? 0 : response.status
    if (kind >= FIRST_PART_KIND) at = this.#putPart(at, 6 + 2 * names, call.part)
    ints[end] = at - end
    ints[end + 1] =
      (shape.index << USE_SHIFT) | (kind << KIND_SHIFT) | (response === null ? 0 : IS_RESPONSE) | (withRequest ? HAS_REQUEST : 0)
    ints[end + 2] = this.firstId + this.count
    this.calls[this.count] = call
    this.shapes[this.count] = shape
    this.kinds[this.count] = kind
    this.count++
    this.end = at
    return true
  }

  #putFields(at: number, slot: number, head: Head, needed: boolean, shape: CallShape): number {
    const { sees } = shape
    if (!needed) {
      const end = at + (sees === null ? 2 : 2 * sees.length)
      for (; at < end; at += 2) this.ints[at + 1] = NOT_SENT
      return end
    }
    if (sees === null) {
      this.#put(at, slot, visibleLines(head.lines(), shape.credentials))
      return at + 2
    }
    for (let i = 0; i < sees.length; i++) {
      const value = head.get(sees[i]!)
      if (value === null) this.ints[at + 1] = ABSENT
      else this.#put(at, slot + i, value)
      at += 2
    }
    return at
  }

  #putPart(at: number, slot: number, part: CallPart | null): number {
    const { ints, end } = this
    ints[at + 1] = ABSENT
    ints[at + 4] = ABSENT
    if (part === null) return at + PART_INTS
    switch (part.kind) {
      case 'error':
        ints[end + 3] = part.status
        this.#put(at + 3, slot, JSON.stringify({ code: part.code, status: part.status, detail: part.detail }))
        break
      case 'log':
        this.#put(at + 3, slot, JSON.stringify(part.entries))
        break
      case 'message':
        ints[end + 3] = (part.isText ? MESSAGE_IS_TEXT : 0) | (part.from === 'upstream' ? MESSAGE_FROM_UPSTREAM : 0)
        ints[at + 2] = part.state
        if (part.isText) this.#put(at + 3, slot, utf8(part.bytes))
        else this.#putBytes(at, part.bytes)
        break
      case 'connection':
        ints[at + 2] = part.state
        this.#put(at + 3, slot, JSON.stringify(part.hello === null ? part.connection : { ...part.connection, hello: part.hello }))
        break
      case 'data':
        ints[end + 3] = part.from === 'upstream' ? MESSAGE_FROM_UPSTREAM : 0
        ints[at + 2] = part.state
        this.#put(at + 3, slot, JSON.stringify(part.connection))
        this.#putBytes(at, part.bytes)
        break
      case 'requestBody':
      case 'responseBody':
        ints[end + 3] = part.last ? BODY_LAST : 0
        ints[at + 2] = part.state
        this.#put(at + 3, slot, part.type)
        this.#putBytes(at, part.bytes)
    }
    return at + PART_INTS
  }

  #putBytes(at: number, bytes: Uint8Array): void {
    this.ints[at] = this.byteCount
    this.ints[at + 1] = bytes.length
    if (bytes.length > 0) this.room.bytes.set(bytes, this.byteCount)
    this.byteCount += bytes.length
  }

  #put(at: number, slot: number, value: string): void {
    if (value !== this.#lastText[slot]) {
      this.#lastText[slot] = value
      this.#lastAt[slot] = this.#length
      this.text += value
      this.#length += value.length
    }
    this.ints[at] = this.#lastAt[slot]!
    this.ints[at + 1] = value.length
  }
}

function sizeOf(part: CallPart | null): number {
  if (part === null || !('bytes' in part) || (part.kind === 'message' && part.isText)) return 0
  return part.bytes.length
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
}

const credentialFields = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie'])
export function isCredential(lowerName: string): boolean {
  return credentialFields.has(lowerName)
}

/** First letters, either case, of the names that are ever left out: most lines need no second look. */
const suspects = new Uint8Array(256)
for (const letter of 'acpshktu') {
  suspects[letter.charCodeAt(0)] = 1
  suspects[letter.toUpperCase().charCodeAt(0)] = 1
}

/** The lines without those that are the host's own and, unless granted, those that carry credentials. */
export function visibleLines(lines: string, credentials: boolean): string {
  let out = ''
  let from = 0
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf('\n', at) + 1
    if (suspects[lines.charCodeAt(at)] === 1) {
      const name = lines.slice(at, lines.indexOf(':', at)).toLowerCase()
      if (isHostOwned(name) || (!credentials && credentialFields.has(name))) {
        if (at > from) out += lines.slice(from, at)
        from = end
      }
    }
    at = end
  }
  return from === 0 ? lines : from < lines.length ? out + lines.slice(from) : out
}
