/**
 * Path patterns in URLPattern's pathname syntax: `/a`, `/a/*`, `/users/:id`, `/:file.png`, `{/:lang}?/x`, `/:id(\\d+)`. Matching takes
 * time linear in the path whatever the pattern is, unless the pattern holds a regular expression of its user.
 */
import { parsePattern, type Token } from './pattern-parser.ts'
import { literalPrefix } from './regexp-prefix.ts'

export type Params = Readonly<Record<string, string>>

/** One way in which a path may match. A pattern with optional parts has several. */
export interface PathMatcher {
  test(path: string): boolean
  /** What the params and `*` of the pattern stand for in a path that matches. */
  capture(path: string): Params
  /** Names that `capture` gives. */
  readonly names: readonly string[]
  /** For the index. */
  readonly shape: Shape
  /** What it is made of: for comparing patterns with each other. */
  readonly form: PathForm
}

/** A RegExp of the user, or one that stands for a pattern with an expression in it, is comparable with its equals only. */
export type PathForm = readonly Token[] | RegExp

/** Segments up to the first that is neither plain text nor a whole `:param` (here null), and what follows them. */
export interface Shape {
  readonly segments: readonly (string | null)[]
  /** `exact`: nothing more. `prefix`: anything below. `open`: `test` decides. */
  readonly end: 'exact' | 'prefix' | 'open'
  /** What the segment behind them begins with, if they end open; may be nothing. */
  readonly lead: string
}

/** Throws PatternError with a sentence for the user. */
export function compilePath(pattern: string | RegExp): PathMatcher[] {
  if (typeof pattern !== 'string') return [new RegExpMatcher(pattern, null)]
  const parsed = parsePattern(pattern)
  if (parsed.kind === 'regexp') return [new RegExpMatcher(parsed.regexp, parsed.names)]
  return parsed.alternatives.map(compileTokens)
}

function compileTokens(tokens: readonly Token[]): PathMatcher {
  const shape = shapeOf(tokens)
  const names = tokens.flatMap((token) => (token.kind === 'text' ? [] : token.names))
  const [first, second] = tokens
  if (tokens.length === 1 && first?.kind === 'text') return new ExactMatcher(first.text, shape)
  if (tokens.length === 1 && first?.kind === 'below') return new PrefixMatcher('', shape, names)
  if (tokens.length === 2 && first?.kind === 'text' && second?.kind === 'below') return new PrefixMatcher(first.text, shape, names)
  return shape.end === 'open' ? new TokenMatcher(tokens, shape, names) : new SegmentMatcher(tokens, shape, names)
}

class ExactMatcher implements PathMatcher {
  readonly names: readonly string[] = []
  readonly shape: Shape
  readonly form: PathForm
  readonly #text: string
  constructor(text: string, shape: Shape) {
    this.#text = text
    this.shape = shape
    this.form = [{ kind: 'text', text }]
  }
  test(path: string): boolean {
    return path === this.#text
  }
  capture(): Params {
    return noParams()
  }
}

class PrefixMatcher implements PathMatcher {
  readonly names: readonly string[]
  readonly shape: Shape
  readonly form: PathForm
  readonly #text: string
  readonly #lastCode: number
  constructor(text: string, shape: Shape, names: readonly string[]) {
    const below = { kind: 'below', names } as const
    this.form = text === '' ? [below] : [{ kind: 'text', text }, below]
    this.#text = text
    this.#lastCode = text.charCodeAt(text.length - 1)
    this.shape = shape
    this.names = names
  }
  test(path: string): boolean {
    const length = this.#text.length
    if (length === 0) return true
    // The end of it is looked at first: prefixes of one config begin alike.
    if (path.charCodeAt(length - 1) !== this.#lastCode) return false
    return (path.length === length || path.charCodeAt(length) === 47) && path.startsWith(this.#text)
  }
  capture(path: string): Params {
    return named(this.names, path.slice(this.#text.length + 1))
  }
}

/** Text and whole segments only: every param ends at the next slash, so there is one way to match and no search. */
class SegmentMatcher implements PathMatcher {
  readonly names: readonly string[]
  readonly shape: Shape
  readonly form: readonly Token[]
  constructor(tokens: readonly Token[], shape: Shape, names: readonly string[]) {
    this.form = tokens
    this.shape = shape
    this.names = names
  }
  test(path: string): boolean {
    return this.#walk(path, null)
  }
  capture(path: string): Params {
    const params = noParams()
    this.#walk(path, params)
    return params
  }
  #walk(path: string, params: Record<string, string> | null): boolean {
    let at = 0
    for (const token of this.form) {
      if (token.kind === 'text') {
        if (!path.startsWith(token.text, at)) return false
        at += token.text.length
      } else if (token.kind === 'below') {
        if (at < path.length && path.charCodeAt(at) !== 47) return false
        if (params !== null) assign(params, token.names, path.slice(at + 1))
        return true
      } else {
        const slash = path.indexOf('/', at)
        const end = slash < 0 ? path.length : slash
        if (end === at) return false
        if (params !== null) assign(params, token.names, path.slice(at, end))
        at = end
      }
    }
    return at === path.length
  }
}

/** Any mix of tokens. A table of what can still match from where is filled from the end: no backtracking, so no slow path. */
class TokenMatcher implements PathMatcher {
  readonly names: readonly string[]
  readonly shape: Shape
  readonly form: readonly Token[]
  constructor(tokens: readonly Token[], shape: Shape, names: readonly string[]) {
    this.form = tokens
    this.shape = shape
    this.names = names
  }
  test(path: string): boolean {
    const [first, second, last] = this.form
    if (first?.kind === 'text' && !path.startsWith(first.text)) return false
    // `/a*`, `/a*.png`: no table is needed for one star between texts.
    if (first?.kind === 'text' && second?.kind === 'any' && this.form.length <= 3 && (last === undefined || last.kind === 'text'))
      return last === undefined || (path.length >= first.text.length + last.text.length && path.endsWith(last.text))
    return this.#reach(path)[0] === 1
  }
  /** As URLPattern: a param takes as little as it can, a `*` as much as it can. */
  capture(path: string): Params {
    const reach = this.#reach(path)
    const width = path.length + 1
    const params = noParams()
    let at = 0
    for (const [i, token] of this.form.entries()) {
      const next = (end: number): boolean => reach[(i + 1) * width + end] === 1
      let end = at + (token.kind === 'text' ? token.text.length : 0)
      if (token.kind === 'param') for (end = at + 1; !next(end); ) end++
      else if (token.kind !== 'text') for (end = path.length; !next(end); ) end--
      if (token.kind !== 'text') assign(params, token.names, path.slice(token.kind === 'below' ? at + 1 : at, end))
      at = end
    }
    return params
  }
  /** Row i, column p: 1 if tokens from i on match the path from p on. */
  #reach(path: string): Uint8Array {
    const width = path.length + 1
    const rows = new Uint8Array((this.form.length + 1) * width)
    rows[rows.length - 1] = 1
    for (let i = this.form.length - 1; i >= 0; i--) fillRow(rows, i * width, path, this.form[i]!)
    return rows
  }
}

function fillRow(rows: Uint8Array, row: number, path: string, token: Token): void {
  const length = path.length
  const below = row + length + 1
  if (token.kind === 'text') {
    for (let p = 0; p + token.text.length <= length; p++) {
      if (rows[below + p + token.text.length] === 1 && path.startsWith(token.text, p)) rows[row + p] = 1
    }
  } else if (token.kind === 'below') {
    for (let p = 0; p <= length; p++) if (p === length || p === 0 || path.charCodeAt(p) === 47) rows[row + p] = 1
  } else {
    if (token.kind === 'any' && rows[below + length] === 1) rows[row + length] = 1
    for (let p = length - 1; p >= 0; p--) {
      if (token.kind === 'param' && path.charCodeAt(p) === 47) continue
      const ends = rows[below + p + 1] === 1 || (token.kind === 'any' && rows[below + p] === 1)
      if (ends || rows[row + p + 1] === 1) rows[row + p] = 1
    }
  }
}

class RegExpMatcher implements PathMatcher {
  readonly names: readonly string[]
  readonly shape: Shape
  readonly form: RegExp
  /** For groups 1, 2 …; null: a RegExp of the user, whose groups have their own names and numbers. */
  readonly #groups: readonly (readonly string[])[] | null
  constructor(regexp: RegExp, groups: readonly (readonly string[])[] | null) {
    // A `g` or `y` flag would make each answer depend on the one before.
    this.form = new RegExp(regexp.sticky ? `^(?:${regexp.source})` : regexp.source, regexp.flags.replace(/[gy]/g, ''))
    this.#groups = groups
    this.shape = shapeOfRegExp(this.form)
    this.names = groups?.flat() ?? groupNames(this.form)
  }
  test(path: string): boolean {
    return this.form.test(path)
  }
  capture(path: string): Params {
    const match = this.form.exec(path)
    const params = noParams()
    for (let i = 1; i < (match?.length ?? 0); i++) assign(params, this.#groups?.[i - 1] ?? [String(i)], match?.[i] ?? '')
    for (const [name, value] of Object.entries(match?.groups ?? {})) params[name] = value ?? ''
    return params
  }
}

/** Numbers and names of the groups of a RegExp. */
function groupNames(regexp: RegExp): string[] {
  const empty = new RegExp(`${regexp.source}|`, regexp.flags).exec('')
  const numbers = Array.from({ length: (empty?.length ?? 1) - 1 }, (_, i) => String(i + 1))
  return [...numbers, ...Object.keys(empty?.groups ?? {})]
}

/** The pattern cut at its slashes: leading segments that are plain text or a whole param, and how it goes on behind them. */
function shapeOf(tokens: readonly Token[]): Shape {
  const segments: (string | null)[] = []
  const cut = cutSegments(tokens)
  if (cut[0]!.length > 0) return { segments, end: 'open', lead: '' }
  for (const segment of cut.slice(1)) {
    const [only] = segment
    if (segment.length > 1 || only?.kind === 'any' || only?.kind === 'some')
      return { segments, end: 'open', lead: only?.kind === 'text' ? only.text : '' }
    segments.push(only === undefined ? '' : only.kind === 'text' ? only.text : null)
  }
  return { segments, end: tokens.at(-1)?.kind === 'below' ? 'prefix' : 'exact', lead: '' }
}

/** By the text that it wants at the start. */
function shapeOfRegExp(regexp: RegExp): Shape {
  const prefix = literalPrefix(regexp)
  if (!prefix.startsWith('/')) return { segments: [], end: 'open', lead: '' }
  const segments = prefix.slice(1).split('/')
  const lead = segments.pop()!
  return { segments, end: 'open', lead }
}

function cutSegments(tokens: readonly Token[]): Token[][] {
  const segments: Token[][] = [[]]
  for (const token of tokens) {
    if (token.kind === 'text') {
      for (const [i, text] of token.text.split('/').entries()) {
        if (i > 0) segments.push([])
        if (text !== '') segments.at(-1)!.push({ kind: 'text', text })
      }
    } else if (token.kind !== 'below') segments.at(-1)!.push(token)
  }
  return segments
}

function noParams(): Record<string, string> {
  return Object.create(null)
}

function named(names: readonly string[], value: string): Params {
  const params = noParams()
  assign(params, names, value)
  return params
}

function assign(params: Record<string, string>, names: readonly string[], value: string): void {
  for (const name of names) params[name] = value
}
