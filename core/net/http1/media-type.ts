/** The media type of a body as browsers understand it: of several the last that is one (WHATWG Fetch, "extract a MIME type"). Pure. */

const TYPE = /^[\t ]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]*(?:;|$)/
/** With these browsers find out for themselves, as without a type (WHATWG MIME Sniffing §7). */
const UNKNOWN = new Set(['*/*', 'unknown/unknown', 'application/unknown'])

/** In lower case, without parameters; empty if there is none, or none that can be read. `field`: Content-Type, several lines joined by commas. */
export function mediaTypeOf(field: string | null): string {
  return typeIn(lastType(field))
}

/** The charset that goes with it; null: it says none. */
export function charsetOf(field: string | null): string | null {
  return /;[\t ]*charset[\t ]*=[\t ]*"?([\w.:-]+)/i.exec(lastType(field))?.[1] ?? null
}

/** With its parameters. */
function lastType(field: string | null): string {
  if (field === null) return ''
  if (!field.includes(',')) return field
  // A comma inside of quotes is none.
  const parts = field.match(/(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))+/gs) ?? []
  return parts.findLast((part) => TYPE.test(part) && typeIn(part) !== '') ?? ''
}

function typeIn(part: string): string {
  const type = TYPE.exec(part)?.[1]?.toLowerCase() ?? ''
  return UNKNOWN.has(type) ? '' : type
}
