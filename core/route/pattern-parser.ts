/**
 * Reads a path pattern into tokens. Optional parts become alternatives; a pattern with a regular expression in it becomes a RegExp.
 * Text is brought to the normal form that request paths have (net/path.ts).
 */

export type Token =
  | { readonly kind: 'text'; readonly text: string }
  /** `:id`: one or more characters but a slash. */
  | { readonly kind: 'param'; readonly names: readonly string[] }
  /** `*` among text, `:rest*`: any characters; `some`: at least one. */
  | { readonly kind: 'any' | 'some'; readonly names: readonly string[] }
  /** `/*` at the end: nothing more, or a slash and whatever follows. Captured without its slash. */
  | { readonly kind: 'below'; readonly names: readonly string[] }

export type ParsedPattern =
  | { readonly kind: 'tokens'; readonly alternatives: readonly (readonly Token[])[] }
  /** `names[i]`: what group i + 1 is called. */
  | { readonly kind: 'regexp'; readonly regexp: RegExp; readonly names: readonly (readonly string[])[] }

/** The message is a sentence for the user. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

const MAX_ALTERNATIVES = 64

export function parsePattern(pattern: string): ParsedPattern {
  const parts = new PatternReader(pattern).read()
  checkStart(pattern, parts)
  nameParts(parts)
  if (hasRegExp(parts)) return toRegExp(pattern, parts)
  const alternatives = unfold(parts).map((tokens) => closeWithBelow(joinText(tokens)))
  return { kind: 'tokens', alternatives: alternatives.toReversed() }
}

type Modifier = '' | '?' | '*' | '+'

type Part =
  | { readonly kind: 'text'; readonly text: string }
  /** A `:name`, `*` or `(…)`, its name and expression; the slash before it belongs to it when a modifier follows. */
  | {
      readonly kind: 'hole'
      name: string | null
      readonly regexp: string | null
      readonly star: boolean
      readonly slash: boolean
      readonly modifier: Modifier
      names: string[]
    }
  | { readonly kind: 'group'; readonly parts: readonly Part[]; readonly optional: boolean }

class PatternReader {
  readonly #text: string
  #at = 0
  constructor(text: string) {
    this.#text = text
  }

  read(): Part[] {
    const parts = this.#readParts(false)
    if (this.#at < this.#text.length) throw new PatternError(`'}' without '{' in the path '${this.#text}'`)
    return parts
  }

  #readParts(inGroup: boolean): Part[] {
    const parts: Part[] = []
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!
      if (char === '}') break
      if (char === '{') {
        if (inGroup) throw new PatternError(`'{' inside '{' in the path '${this.#text}'`)
        parts.push(this.#readGroup())
      } else if (char === '*' || char === '(' || (char === ':' && /[\p{ID_Start}_$]/u.test(this.#text.slice(this.#at + 1, this.#at + 2)))) {
        this.#pushHole(parts)
      } else parts.push({ kind: 'text', text: this.#readText() })
    }
    return parts
  }

  #readGroup(): Part {
    this.#at++
    const parts = this.#readParts(true)
    if (this.#text[this.#at] !== '}') throw new PatternError(`'{' without '}' in the path '${this.#text}'`)
    this.#at++
    const modifier = this.#readModifier()
    if (modifier === '*' || modifier === '+')
      throw new PatternError(`a repeated group '{…}${modifier}' is not supported in the path '${this.#text}'`)
    return { kind: 'group', parts, optional: modifier === '?' }
  }

  #pushHole(parts: Part[]): void {
    const star = this.#text[this.#at] === '*'
    let name: string | null = null
    if (star) {
      this.#at++
      if (this.#text[this.#at] === '*')
        throw new PatternError(`'**' in the path '${this.#text}': one * stands for everything that follows, slashes too`)
    } else if (this.#text[this.#at] === ':') {
      name = /^[\p{ID_Start}_$][\p{ID_Continue}$]*/u.exec(this.#text.slice(this.#at + 1))![0]
      this.#at += 1 + name.length
    }
    const regexp = !star && this.#text[this.#at] === '(' ? this.#readRegExp() : null
    const modifier = star ? '' : this.#readModifier()
    const before = parts.at(-1)
    const slash = modifier !== '' && before?.kind === 'text' && before.text.endsWith('/')
    if (slash) parts[parts.length - 1] = { kind: 'text', text: before.text.slice(0, -1) }
    parts.push({ kind: 'hole', name, regexp, star, slash, modifier, names: [] })
  }

  #readRegExp(): string {
    const from = ++this.#at
    for (let depth = 1; depth > 0; this.#at++) {
      const char = this.#text[this.#at]
      if (char === undefined) throw new PatternError(`'(' without ')' in the path '${this.#text}'`)
      if (char === '\\') this.#at++
      else if (char === '(') {
        const isCapture = !/^\((?:\?:|\?<?[=!])/.test(this.#text.slice(this.#at, this.#at + 4))
        if (isCapture) throw new PatternError(`a group inside a group must be '(?:…)' in the path '${this.#text}'`)
        depth++
      } else if (char === ')') depth--
    }
    const source = this.#text.slice(from, this.#at - 1)
    if (source === '') throw new PatternError(`an empty expression '()' in the path '${this.#text}'`)
    return source
  }

  #readModifier(): Modifier {
    const char = this.#text[this.#at]
    if (char !== '?' && char !== '*' && char !== '+') return ''
    this.#at++
    return char
  }

  #readText(): string {
    let text = ''
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at]!
      if ('{}*('.includes(char)) break
      if (char === ':' && /[\p{ID_Start}_$]/u.test(this.#text.slice(this.#at + 1, this.#at + 2))) break
      if (char === '?' || char === '#')
        throw new PatternError(
          `'${char}' in the path '${this.#text}': a path holds no ${char === '?' ? 'query; match it with the field query' : 'fragment'}`,
        )
      if (char === '\\') {
        text += this.#text[++this.#at] ?? ''
        this.#at++
        continue
      }
      text += char
      this.#at++
    }
    if (/\/\.{1,2}\//.test(text))
      throw new PatternError(`'.' or '..' in the path '${this.#text}': paths are matched after those are resolved`)
    return normaliseText(text)
  }
}

/** UTF-8 bytes above ASCII and what no URI may hold, escaped; needless escapes decoded; hex digits in capitals. */
function normaliseText(text: string): string {
  return text
    .replace(/[\x00-\x20"<>`{}^\x7f]|[^\x00-\x7f]+/g, (found) => encodeURIComponent(found))
    .replace(/%([0-9A-Fa-f]{2})/g, (found, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16))
      return /[A-Za-z0-9\-._~]/.test(char) ? char : found.toUpperCase()
    })
    .replace(/\/{2,}/g, '/')
}

function checkStart(pattern: string, parts: readonly Part[]): void {
  const [first] = parts
  if (first === undefined) throw new PatternError('a path is not empty; leave the field out to match every path')
  if (first.kind === 'text' && !first.text.startsWith('/') && !(first.text === '' && parts.length > 1)) {
    throw new PatternError(`the path '${pattern}' does not begin with '/'`)
  }
}

/** Unnamed holes are numbered from 0, as URLPattern does; the last `*` is also `*`. */
function nameParts(parts: readonly Part[]): void {
  const holes = parts.flatMap((part) => (part.kind === 'group' ? part.parts : [part])).filter((part) => part.kind === 'hole')
  const lastStar = holes.findLast((hole) => hole.star)
  const seen = new Set<string>()
  let number = 0
  for (const hole of holes) {
    const name = hole.name ?? String(number++)
    if (seen.has(name)) throw new PatternError(`':${name}' stands twice in one path`)
    seen.add(name)
    hole.names = hole === lastStar ? [name, '*'] : [name]
  }
}

function hasRegExp(parts: readonly Part[]): boolean {
  return parts.some((part) => (part.kind === 'hole' && part.regexp !== null) || (part.kind === 'group' && hasRegExp(part.parts)))
}

/** All ways to read the optional parts, the fewest taken first. */
function unfold(parts: readonly Part[]): Token[][] {
  let ways: Token[][] = [[]]
  for (const part of parts) {
    const choices = choicesOf(part)
    ways = choices.flatMap((choice) => ways.map((way) => [...way, ...choice]))
    if (ways.length > MAX_ALTERNATIVES) throw new PatternError('a path has too many optional parts')
  }
  return ways
}

function choicesOf(part: Part): Token[][] {
  if (part.kind === 'text') return [[part]]
  if (part.kind === 'group') return part.optional ? [[], ...unfold(part.parts)] : unfold(part.parts)
  const { names, modifier } = part
  if (part.star) return [[{ kind: 'any', names }]]
  const kind = modifier === '' || modifier === '?' ? 'param' : 'some'
  const present: Token[] = part.slash
    ? [
        { kind: 'text', text: '/' },
        { kind, names },
      ]
    : [{ kind, names }]
  return modifier === '?' || modifier === '*' ? [[], present] : [present]
}

function joinText(tokens: readonly Token[]): Token[] {
  const joined: Token[] = []
  for (const token of tokens) {
    const before = joined.at(-1)
    if (token.kind === 'text' && token.text === '') continue
    if (token.kind === 'text' && before?.kind === 'text') joined[joined.length - 1] = { kind: 'text', text: before.text + token.text }
    else joined.push(token)
  }
  return joined
}

/** A `/*` at the end takes the bare prefix too: a rule for `/admin/*` that let `/admin` pass would be a hole. */
function closeWithBelow(tokens: Token[]): Token[] {
  const last = tokens.at(-1)
  const before = tokens.at(-2)
  if (last?.kind !== 'any') return tokens
  const below: Token = { kind: 'below', names: last.names }
  if (before === undefined) return [below]
  if (before.kind !== 'text' || !before.text.endsWith('/')) return tokens
  const text = before.text.slice(0, -1)
  return [...tokens.slice(0, -2), ...(text === '' ? [] : [{ kind: 'text' as const, text }]), below]
}

function toRegExp(pattern: string, parts: readonly Part[]): ParsedPattern {
  const names: (readonly string[])[] = []
  const source = `^${parts.map((part) => sourceOf(part, names)).join('')}$`.replace(/\\\/\(\.\*\)\$$/, '(?:\\/(.*))?$')
  try {
    return { kind: 'regexp', regexp: new RegExp(source), names }
  } catch (error) {
    throw new PatternError(
      `the expression in the path '${pattern}' is not valid: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function sourceOf(part: Part, names: (readonly string[])[]): string {
  if (part.kind === 'text') return part.text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  if (part.kind === 'group') return `(?:${part.parts.map((inner) => sourceOf(inner, names)).join('')})${part.optional ? '?' : ''}`
  names.push(part.names)
  const slash = part.slash ? '\\/' : ''
  if (part.star) return '(.*)'
  const one = part.regexp ?? '[^/]+?'
  if (part.modifier === '' || part.modifier === '?') return part.modifier === '' ? `(${one})` : `(?:${slash}(${one}))?`
  return `(?:${slash}((?:${one})(?:${slash}(?:${one}))*))${part.modifier === '*' ? '?' : ''}`
}
