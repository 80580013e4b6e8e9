/** What a hook is given: a request and a response that read from the batch, field by field, only what is asked for. */
import { isFieldValue, isHostOwned, isToken } from '../../net/http1/fields.ts'
import {
  CALL_HEAD_INTS,
  HAS_REQUEST,
  KIND_MASK,
  KIND_SHIFT,
  MAX_EDITS,
  NOT_SENT,
  OP_APPEND,
  OP_DELETE,
  OP_SET,
  PART_INTS,
  REQUEST_HEAD_INTS,
} from '../wire.ts'
import { Failure, indexOf, matches, parse, slice, toLowerCase } from './primordials.ts'
import { readQuery, writeQuery } from './query.ts'

const PATH = /^\/[\x21\x22\x24-\x3e\x40-\x7e\x80-\xff]*$/

/** One call of a hook while it runs: where its data lies, and what the hook changed. */
export class Call {
  readonly id: number
  ints: Int32Array
  /** Where the call begins in `ints`. */
  at: number
  readonly text: string
  readonly sees: readonly string[] | null
  /** Triples of operation, name, value. */
  edits: (string | number)[] | null = null
  method: string | null = null
  path: string | null = null
  search: string | null = null
  status = 0
  /** The answer is on its way: nothing may be read or changed any more. */
  ended = false
  /** KIND_…. */
  readonly kind: number

  constructor(ints: Int32Array, at: number, text: string, sees: readonly string[] | null) {
    this.ints = ints
    this.at = at
    this.id = ints[at + 2]!
    this.kind = (ints[at + 1]! >> KIND_SHIFT) & KIND_MASK
    this.text = text
    this.sees = sees
  }

  /** The string whose offset and length are `n` ints into the call; null if it is absent. */
  read(n: number): string | null {
    if (this.ended) throw new Failure('the hook has answered: read what you need before it returns')
    const length = this.ints[this.at + n + 1]!
    if (length < 0) {
      if (length === NOT_SENT) throw new Failure('this was not sent, for the source of the hook does not mention it')
      return null
    }
    const from = this.ints[this.at + n]!
    return slice(this.text, from, from + length)
  }

  /** Of the response or the error; of a body or a message its flags. */
  get number(): number {
    return this.ints[this.at + 3]!
  }

  /** Number `n` of what is told of a part. */
  part(n: number): number {
    return this.ints[this.at + this.ints[this.at]! - PART_INTS + n]!
  }

  /** What else is told of a part, as text. */
  get partText(): string {
    const length = this.part(4)
    return length < 0 ? '' : slice(this.text, this.part(3), this.part(3) + length)
  }

  edit(operation: number, name: string, value: string): void {
    if (this.ended) throw new Failure('the hook has answered: it is too late to change a field')
    const edits = this.edits
    if (edits === null) this.edits = [operation, name, value]
    else {
      const end = edits.length
      if (end >= MAX_EDITS * 3) throw new Failure(`more than ${MAX_EDITS} changes to one head`)
      edits[end] = operation
      edits[end + 1] = name
      edits[end + 2] = value
    }
  }
}

export class HeadersView {
  readonly #call: Call
  /** Where its fields begin, ints into the call. */
  readonly #base: number
  #lower: string | null = null

  constructor(call: Call, base: number) {
    this.#call = call
    this.#base = base
  }

  get(name: string): string | null {
    const sees = this.#call.sees
    if (sees === null) return this.#find(toLowerCase(`${name}`))
    for (let i = 0; i < sees.length; i++) if (sees[i] === name) return this.#call.read(this.#base + 2 * i)
    const lower = toLowerCase(`${name}`)
    for (let i = 0; i < sees.length; i++) if (sees[i] === lower) return this.#call.read(this.#base + 2 * i)
    throw new Failure(`the field ${lower} is not in "sees" of this plugin: add it there`)
  }

  has(name: string): boolean {
    return this.get(name) !== null
  }

  /** All lines of that name, joined. */
  #find(lower: string): string | null {
    const lines = this.#call.read(this.#base)
    if (lines === null || !isToken(lower)) return null
    this.#lower ??= `\n${toLowerCase(lines)}`
    let value: string | null = null
    for (let at = indexOf(this.#lower, `\n${lower}:`); at >= 0; at = indexOf(this.#lower, `\n${lower}:`, at + 1)) {
      const line = trimmed(slice(lines, at + lower.length + 1, indexOf(lines, '\r', at)))
      value = value === null ? line : `${value}, ${line}`
    }
    return value
  }
}

export class Headers extends HeadersView {
  readonly #call: Call

  constructor(call: Call, base: number) {
    super(call, base)
    this.#call = call
  }

  override get(name: string): string | null {
    return this.#call.edits === null ? super.get(name) : this.#edited(`${name}`)
  }

  set(name: string, value: string): void {
    if (typeof value !== 'string') value = `${value}`
    check(name, value)
    this.#call.edit(OP_SET, name, value)
  }

  append(name: string, value: string): void {
    if (typeof value !== 'string') value = `${value}`
    check(name, value)
    this.#call.edit(OP_APPEND, name, value)
  }

  delete(name: string): void {
    check(name, '')
    this.#call.edit(OP_DELETE, name, '')
  }

  /** The value as the edits so far leave it. */
  #edited(name: string): string | null {
    const edits = this.#call.edits!
    const lower = toLowerCase(name)
    let from = edits.length - 3
    for (; from >= 0; from -= 3) if (edits[from] !== OP_APPEND && toLowerCase(edits[from + 1] as string) === lower) break
    let value: string | null = null
    if (from < 0) value = super.get(name)
    for (let i = from < 0 ? 0 : from; i < edits.length; i += 3) {
      if (edits[i] === OP_DELETE || toLowerCase(edits[i + 1] as string) !== lower) continue
      value = value === null ? (edits[i + 2] as string) : `${value}, ${edits[i + 2]}`
    }
    return value
  }
}

export class QueryView {
  readonly #search: () => string
  constructor(search: () => string) {
    this.#search = search
  }
  get(name: string): string | null {
    const pairs = readQuery(this.#search())
    for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) return pairs[i + 1]!
    return null
  }
  has(name: string): boolean {
    return this.get(name) !== null
  }
}

export class Query extends QueryView {
  readonly #call: Call
  constructor(call: Call) {
    super(() => searchOf(call))
    this.#call = call
  }
  set(name: string, value: string): void {
    this.#change(`${name}`, `${value}`)
  }
  delete(name: string): void {
    this.#change(`${name}`, null)
  }
  #change(name: string, value: string | null): void {
    if (this.#call.ended) throw new Failure('the hook has answered: it is too late to change the query')
    this.#call.search = writeQuery(readQuery(searchOf(this.#call)), name, value)
  }
}

export class RequestView {
  readonly #call: Call
  #headers: HeadersView | null = null
  constructor(call: Call) {
    this.#call = call
  }
  get method(): string {
    return part(this.#call, 0)
  }
  get path(): string {
    return part(this.#call, 2)
  }
  get search(): string {
    return part(this.#call, 4)
  }
  get query(): QueryView {
    return new QueryView(() => part(this.#call, 4))
  }
  get ip(): string {
    return part(this.#call, 6)
  }
  get host(): string {
    return part(this.#call, 8)
  }
  get clientCertificate(): unknown {
    return certificateOf(this.#call)
  }
  get headers(): HeadersView {
    this.#headers ??= new HeadersView(this.#call, REQUEST_FIELDS)
    return this.#headers
  }
  get cookies(): QueryView {
    return new CookiesView(() => this.headers.get('cookie') ?? '')
  }
}

export class Request {
  readonly #call: Call
  #headers: Headers | null = null
  constructor(call: Call) {
    this.#call = call
  }
  get method(): string {
    return this.#call.method ?? part(this.#call, 0)
  }
  set method(method: string) {
    if (!isToken(`${method}`)) throw new Failure(`not a method: ${method}`)
    this.#call.method = `${method}`
  }
  get path(): string {
    return this.#call.path ?? part(this.#call, 2)
  }
  set path(path: string) {
    if (!matches(PATH, `${path}`)) throw new Failure(`not a path: ${path} (it starts with / and has no query, space or control character)`)
    this.#call.path = `${path}`
  }
  get search(): string {
    return searchOf(this.#call)
  }
  get query(): Query {
    return new Query(this.#call)
  }
  get ip(): string {
    return part(this.#call, 6)
  }
  get host(): string {
    return part(this.#call, 8)
  }
  get clientCertificate(): unknown {
    return certificateOf(this.#call)
  }
  get headers(): Headers {
    this.#headers ??= new Headers(this.#call, REQUEST_FIELDS)
    return this.#headers
  }
}

export class Response {
  readonly #call: Call
  #headers: Headers | null = null
  constructor(call: Call) {
    this.#call = call
  }
  get status(): number {
    return this.#call.status === 0 ? this.#call.ints[this.#call.at + 3]! : this.#call.status
  }
  set status(status: number) {
    if (!isStatus(status)) throw new Failure(`not a status a response can have: ${status}`)
    this.#call.status = status
  }
  get headers(): Headers {
    this.#headers ??= new Headers(this.#call, responseFields(this.#call))
    return this.#headers
  }
}

/** A status that ends an exchange. */
export function isStatus(status: unknown): status is number {
  return typeof status === 'number' && status >= 200 && status <= 599 && status % 1 === 0
}

let lastName = ''
let lastValue = ''

/** Throws unless the line may be sent. Most plugins set the same fields each time, so the last pair is remembered. */
export function check(name: string, value: string): void {
  if (name !== lastName) {
    if (typeof name !== 'string' || !isToken(name)) throw new Failure(`not a field name: ${name}`)
    if (isHostOwned(toLowerCase(name))) throw new Failure(`the field ${name} belongs to the proxy`)
    lastName = name
  }
  if (value !== lastValue) {
    if (!isFieldValue(value))
      throw new Failure(
        `not a value for the field ${name}: ${stringifyShort(value)} (characters up to U+00FF, none of them a control character)`,
      )
    lastValue = value
  }
}

const REQUEST_FIELDS = CALL_HEAD_INTS + REQUEST_HEAD_INTS

function responseFields(call: Call): number {
  if ((call.ints[call.at + 1]! & HAS_REQUEST) === 0) return CALL_HEAD_INTS
  return REQUEST_FIELDS + (call.sees === null ? 2 : 2 * call.sees.length)
}

function part(call: Call, n: number): string {
  return call.read(CALL_HEAD_INTS + n) ?? ''
}

function certificateOf(call: Call): unknown {
  const json = call.read(CALL_HEAD_INTS + 10)
  return json === null ? null : parse(json)
}

function searchOf(call: Call): string {
  return call.search ?? part(call, 4)
}

class CookiesView extends QueryView {
  readonly #text: () => string
  constructor(text: () => string) {
    super(text)
    this.#text = text
  }
  override get(name: string): string | null {
    const text = `; ${this.#text()}`
    const at = indexOf(text, `; ${name}=`)
    if (at < 0) return null
    const from = at + 3 + `${name}`.length
    const end = indexOf(text, ';', from)
    return trimmed(slice(text, from, end < 0 ? text.length : end))
  }
}

function trimmed(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && (text[from] === ' ' || text[from] === '\t')) from++
  while (to > from && (text[to - 1] === ' ' || text[to - 1] === '\t')) to--
  return slice(text, from, to)
}

function stringifyShort(value: string): string {
  return value.length > 60 ? `${slice(value, 0, 60)}…` : value
}
