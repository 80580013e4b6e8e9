/** Takes a request apart into the values that an application may put into a statement. Reads every byte a bounded number of times. */

export interface Value {
  /** `path`, `query`, `body`. */
  readonly where: string
  /** Of the parameter, as it was sent; empty for a part of the path. */
  readonly name: string
  readonly text: string
  /** `+` is a space in it. */
  readonly isForm: boolean
}

/** What to do with a value; true ends the search. */
export type See = (value: Value) => boolean

export function eachOfPath(path: string, see: See): boolean {
  return path.split('/').some((text) => text !== '' && see({ where: 'path', name: '', text, isForm: false }))
}

/** `a=1&b=2`, of a query (without its question mark) or a form. */
export function eachOfForm(text: string, where: string, see: See): boolean {
  for (let at = 0; at < text.length; ) {
    let end = text.indexOf('&', at)
    if (end < 0) end = text.length
    const pair = text.slice(at, end)
    at = end + 1
    const equals = pair.indexOf('=')
    const name = equals < 0 ? pair : pair.slice(0, equals)
    if (name !== '' && see({ where, name, text: name, isForm: true })) return true
    if (equals >= 0 && see({ where, name, text: pair.slice(equals + 1), isForm: true })) return true
  }
  return false
}

/**
 * Every string of a JSON text, keys as well. Looks for strings and nothing else, so it also sees those that a parser would drop (of
 * two members with one name) or would fail before.
 */
export function eachOfJson(text: string, see: See): boolean {
  let name = ''
  for (let at = text.indexOf('"'); at >= 0; ) {
    const end = endOfString(text, at + 1)
    const value = unescaped(text.slice(at + 1, end))
    let next = end + 1
    while (next < text.length && ' \t\r\n'.includes(text[next]!)) next++
    if (text[next] === ':') name = value
    if (see({ where: 'body', name, text: value, isForm: false })) return true
    at = text.indexOf('"', end + 1)
  }
  return false
}

/** Where the closing quotation mark is; the end of the text if there is none. */
function endOfString(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 34) return i
    if (code === 92) i++
  }
  return text.length
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', '"': '"', '\\': '\\', '/': '/' }

function unescaped(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\(?:u([0-9a-f]{4})|(.))/gis, (found, hex?: string, one = '') =>
    hex === undefined ? (ESCAPES[one] ?? found) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

/** Fields, names of fields and names of files; what is in a file is not looked at. */
export function eachOfMultipart(text: string, boundary: string, see: See): boolean {
  const mark = `--${boundary}`
  for (let at = text.indexOf(mark); at >= 0; ) {
    const next = text.indexOf(mark, at + mark.length)
    const part = text.slice(at + mark.length, next < 0 ? text.length : next)
    at = next
    // Lenient as applications are: a line may end with LF alone.
    const blank = /\r?\n\r?\n/.exec(part)
    if (blank === null) continue
    const head = part.slice(0, blank.index)
    const name = parameter(head, 'name') ?? ''
    const file = parameter(head, 'filename')
    const value = file ?? part.slice(blank.index + blank[0].length).replace(/\r?\n$/, '')
    for (const one of [name, value]) if (one !== '' && see({ where: 'body', name, text: one, isForm: false })) return true
  }
  return false
}

/** Of `form-data; name="x"; filename*=UTF-8''x`, in whichever line it stands. */
function parameter(head: string, name: string): string | null {
  const found = new RegExp(`;[ \\t]?${name}\\*?=(?:"([^"]{0,1000})|([^;\\r\\n]{0,1000}))`, 'i').exec(head)
  return found === null ? null : (found[1] ?? found[2] ?? '')
}
