/** Brings a value to the one spelling that the rules know, whatever was done to hide it. Costs the length of the text a few times. */

/** Escapes within escapes: what a second look would still decode was hidden on purpose. */
const ROUNDS = 3

/** `isForm`: `+` is a space. Lower case, decoded, comments and white space as one space. */
export function normalise(value: string, isForm: boolean): string {
  let text = isForm ? value.replaceAll('+', ' ') : value
  for (let i = 0; i < ROUNDS; i++) {
    const decoded = decodeEscapes(text)
    if (decoded === text) break
    text = decoded
  }
  // Full-width letters, ligatures: databases fold some of them. Costs as much as all the rest, so only where there is something to fold.
  if (/[^\x00-\x7f]/.test(text)) text = foldQuotes(text.normalize('NFKC'))
  return withoutComments(text.toLowerCase())
    .replace(/[\s\x00-\x1f\xa0\u200b-\u200d\ufeff]+/g, ' ')
    .trim()
}

/** `%27`, `%u0027`, `\u0027`, `\x27`, `&#39;`, `&#x27;`, `&quot;`. */
function decodeEscapes(text: string): string {
  let out = text
  if (out.includes('%')) out = decodePercent(out)
  if (out.includes('\\'))
    out = out.replace(/\\u([0-9a-f]{4})|\\x([0-9a-f]{2})/gi, (_, four?: string, two?: string) => fromHex(four ?? two ?? ''))
  if (out.includes('&')) {
    out = out.replace(
      /&(?:#x([0-9a-f]{1,5})|#(\d{1,6})|(quot|apos|lt|gt|amp));?/gi,
      (found, hex?: string, decimal?: string, name?: string) => {
        if (name !== undefined) return NAMED[name.toLowerCase()] ?? found
        const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
        return code <= 0x10ffff ? String.fromCodePoint(code) : found
      },
    )
  }
  return out
}

const NAMED: Readonly<Record<string, string>> = { quot: '"', apos: "'", lt: '<', gt: '>', amp: '&' }

/** Runs of percent escapes as UTF-8; a run that is none is read as latin1, for some servers would. */
function decodePercent(text: string): string {
  return text.replace(/%u([0-9a-f]{4})|(?:%[0-9a-f]{2})+/gi, (run, unicode?: string) => {
    if (unicode !== undefined) return fromHex(unicode)
    try {
      return decodeURIComponent(run)
    } catch {
      return run.replace(/%(..)/g, (_, hex: string) => fromHex(hex))
    }
  })
}

function fromHex(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16))
}

function foldQuotes(text: string): string {
  return text.replace(/[\u02b9\u02bc\u2018\u2019\u201b\u2032\u00b4]/g, "'").replace(/[\u201c\u201d\u2033]/g, '"')
}

// A comment becomes a space; of `/*! … */`, which MySQL runs, what it holds stays. One that is not closed stays, for the rules to see.
function withoutComments(text: string): string {
  let at = text.indexOf('/*')
  if (at < 0) return text
  let out = ''
  let from = 0
  while (at >= 0) {
    const end = text.indexOf('*/', at + 2)
    if (end < 0) break
    const isRun = text[at + 2] === '!'
    out += `${text.slice(from, at)} ${isRun ? text.slice(at + 3, end).replace(/^\d{1,6}/, '') : ''} `
    from = end + 2
    at = text.indexOf('/*', from)
  }
  return out + text.slice(from)
}
