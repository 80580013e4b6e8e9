/**
 * What a message, and the source shown with it, must not repeat: variables of the environment, passwords, private keys. Masked in
 * every problem before it leaves the process that knows them; a mask is the same for all, so that not even a length is told.
 */
import { readFileSync } from 'node:fs'
import { givenValues } from '../environment.ts'
import type { Place, Problem } from './problems.ts'

const MASK = '***'
/** What is shorter is masked only where it stands alone in quotes: it would be found in other words. */
const SHORTEST = 4
/** In a source, for a variable of the environment: `env('PORT', '8080')` tells nothing. */
const SHORTEST_IN_SOURCE = 6
/** Messages show long text up to here (report.ts). */
const SHOWN = 57
const IS_WORD = /^[a-z]+$/i
/** More than one word of it, so not what has been masked whole or named. */
const QUOTED = /'[^'\n]*\W[^'\n]*'|"[^"\n]*\W[^"\n]*"|`[^`\n]*\W[^`\n]*`/g

export class Secrets {
  /** Each with what stands for it in a message, the variable it came from. */
  readonly #values = new Map<string, string | null>()
  #inMessages: RegExp | null = null
  #inFindings: RegExp | null = null
  #inSources: RegExp | null = null

  add(value: string, variable: string | null = null): void {
    if (value === '' || this.#values.has(value)) return
    this.#values.set(value, variable)
    if (value.length > SHOWN) this.#values.set(`${value.slice(0, SHOWN)}…`, variable)
    this.#inMessages = null
    this.#inFindings = null
    this.#inSources = null
  }

  addAll(values: Iterable<string>): void {
    for (const value of values) this.add(value)
  }

  /** `got 'hunter2'` → `got env('PASSWORD')`, or `got '***'`. Of text that may be anybody's: what somebody has thrown. */
  maskMessage(text: string): string {
    this.#inMessages ??= patternOf([...this.#values.keys()])
    return maskShapes(text.replace(this.#inMessages, this.#stand))
  }

  /** The same of a sentence of our own, which shows values in quotes: a password that is a word is no reason to take that word, and so the password, out of it. */
  maskFinding(text: string): string {
    this.#inFindings ??= patternOf([...this.#values.keys()], (value) => !IS_WORD.test(value))
    const masked = text.replace(this.#inFindings, this.#stand)
    return maskShapes(masked.replace(QUOTED, (part) => this.maskMessage(part)))
  }

  readonly #stand = (found: string): string => {
    const variable = isQuoted(found) ? this.#values.get(found.slice(1, -1)) : undefined
    return typeof variable === 'string' ? `env('${variable}')` : masked(found)
  }

  maskSource(text: string): string {
    this.#inSources ??= patternOf(
      [...this.#values].filter(([value, variable]) => variable === null || value.length >= SHORTEST_IN_SOURCE).map(([value]) => value),
    )
    return maskShapes(text.replace(this.#inSources, masked))
  }
}

/** `mayBeBare`: whether it counts outside of quotes, too. */
function patternOf(values: readonly string[], mayBeBare: (value: string) => boolean = () => true): RegExp {
  // The longest first: a secret may hold another. Of none, what never matches.
  const parts = values
    .toSorted((a, b) => b.length - a.length)
    .flatMap((value) => {
      const text = RegExp.escape(value)
      const bare = `${/^\w/.test(value) ? '(?<!\\w)' : ''}${text}${/\w$/.test(value) ? '(?!\\w)' : ''}`
      return [`'${text}'`, `"${text}"`, `\`${text}\``, ...(value.length < SHORTEST || !mayBeBare(value) ? [] : [bare])]
    })
  return new RegExp(parts.length === 0 ? '(?!)' : parts.join('|'), 'g')
}

function isQuoted(found: string): boolean {
  return found.length > 2 && /^['"`]$/.test(found[0]!) && found.endsWith(found[0]!)
}

function masked(found: string): string {
  return isQuoted(found) ? found[0] + MASK + found[0] : MASK
}

/** Secret wherever they stand. */
function maskShapes(text: string): string {
  if (!text.includes('://') && !text.includes('-----BEGIN')) return text
  return text
    .replace(/(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#:@'"`]*):[^\s/?#@'"`]+@/gi, `$1:${MASK}@`)
    .replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, MASK)
}

/** Those of an evaluated config, and of the environment as far as it asked for it. */
export function secretsOf(config: unknown): Secrets {
  const secrets = new Secrets()
  for (const [name, value] of givenValues()) secrets.add(value, name)
  collect(config, { secrets, seen: new Set(), isSecret: false })
  return secrets
}

interface Collection {
  readonly secrets: Secrets
  readonly seen: Set<unknown>
  /** Whether text here is secret whatever it is called. */
  readonly isSecret: boolean
}

/** Objects of secrets, by whose they are. A list of users is one of names. */
const NAMED_SECRETS = new Set(['users', 'keys'])
const SECRET_KEY = /^(pass(word|wd|phrase)?|secret|token|(?:api|private|hmac)_?key)$/i

function collect(value: unknown, into: Collection): void {
  if (typeof value === 'string') {
    if (into.isSecret) into.secrets.add(value)
    else if (value.includes('PRIVATE KEY-----')) into.secrets.addAll(linesOfKey(value))
    else if (value.includes('://')) into.secrets.addAll(passwordsIn(value))
    return
  }
  if (typeof value !== 'object' || value === null || into.seen.has(value)) return
  into.seen.add(value)
  for (const [key, member] of Object.entries(value)) {
    const isSecret =
      into.isSecret ||
      (typeof member === 'string' ? SECRET_KEY.test(key) : NAMED_SECRETS.has(key) && !(key === 'users' && Array.isArray(member)))
    collect(member, isSecret === into.isSecret ? into : { ...into, isSecret })
  }
}

/** A frame may show some lines of it alone. */
function linesOfKey(pem: string): string[] {
  return pem.split(/\r?\n|\\n/).filter((line) => line.length >= 16 && !line.startsWith('-----'))
}

function passwordsIn(text: string): string[] {
  return [...text.matchAll(/:\/\/[^\s/?#:@]*:([^\s/?#@]+)@/g)].map((match) => match[1]!)
}

/** Those that stand in a source as literals: for what is shown of a config that could not be evaluated. */
function literalsIn(source: string): string[] {
  const found: string[] = []
  const key = /\b(?:pass(?:word|wd|phrase)?|secret|token|(?:api|private|hmac)_?key)['"]?\s*[:=]\s*(['"`])((?:\\.|(?!\1)[^\\\n])*)\1/gi
  for (const match of source.matchAll(key)) found.push(match[2]!)
  for (const users of source.matchAll(/\b(?:users|keys)['"]?\s*[:=]\s*\{([^{}]*)\}?/g))
    for (const match of users[1]!.matchAll(/:\s*(['"`])((?:\\.|(?!\1)[^\\\n])*)\1/g)) found.push(match[2]!)
  for (const match of source.matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----((?:(?!-----BEGIN)[\s\S])*?)-----END/g))
    found.push(...linesOfKey(match[1]!))
  return found.filter((value) => value !== '')
}

/** The problems without what must not be repeated; their places stay true, and the keys on the way to them. `isOurs`: its message is a sentence of a check. */
export function withoutSecrets(problems: readonly Problem[], secrets = new Secrets(), isOurs = (_: Problem) => false): Problem[] {
  const read = new Set<string>()
  for (const { place } of problems) {
    if (place === null || read.has(place.file)) continue
    read.add(place.file)
    secrets.addAll(literalsIn(sourceOf(place)))
  }
  return problems.map((problem) => {
    const { message, place, path } = problem
    return {
      ...problem,
      path: path === null ? null : maskShapes(path),
      message: isOurs(problem) ? secrets.maskFinding(message) : secrets.maskMessage(message),
      place: place && maskPlace(place, secrets),
    }
  })
}

function sourceOf({ file, source }: Place): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return source.join('\n')
  }
}

/** What stands before the mark is masked apart, so that the mark stays at its place. */
export function maskPlace(place: Place, secrets: Secrets): Place {
  const { line, column, firstLine, source } = place
  const at = line - firstLine
  const marked = (place.shownColumn ?? column) - 1
  const text = source[at] ?? ''
  const before = secrets.maskSource(text.slice(0, marked))
  const masked = source.map((one, i) => (i === at ? before + secrets.maskSource(text.slice(marked)) : secrets.maskSource(one)))
  return before.length === marked ? { ...place, source: masked } : { ...place, source: masked, shownColumn: before.length + 1 }
}
