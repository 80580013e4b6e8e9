/** Single cookies in fields: read out of a request's (RFC 6265 §4.2.1), and taken out of a response's. */
import type { Head } from './head.ts'

/** Its value as it stands, the first of several of that name; null: there is none. Several Cookie fields were joined by commas. */
export function cookieIn(field: string | null, name: string): string | null {
  if (field === null) return null
  for (let from = 0; from < field.length; ) {
    let end = from
    while (end < field.length && field[end] !== ';' && field[end] !== ',') end++
    while (field[from] === ' ' || field[from] === '\t') from++
    if (field.startsWith(name, from) && field[from + name.length] === '=') return field.slice(from + name.length + 1, end).trim()
    from = end + 1
  }
  return null
}

/** Takes out of a request the cookies whose names the function knows. */
export function dropCookies(head: Head, isKnown: (name: string) => boolean): void {
  const field = head.get('cookie')
  if (field === null) return
  const pairs = field.split(/[;,]/)
  const kept = pairs.filter((pair) => !isKnown(pair.slice(0, Math.max(0, pair.indexOf('='))).trim()))
  if (kept.length === pairs.length) return
  head.delete('cookie')
  if (kept.length > 0) head.set('Cookie', kept.map((pair) => pair.trim()).join('; '))
}

/** Takes out what would set a cookie of that name. The others stay, in their order. */
export function dropSetCookie(head: Head, name: string): void {
  if (!head.has('set-cookie')) return
  const kept: string[] = []
  let isThere = false
  head.forEach((field, value) => {
    if (field.toLowerCase() !== 'set-cookie') return
    if (nameOf(value) === name) isThere = true
    else kept.push(value)
  })
  if (!isThere) return
  head.delete('set-cookie')
  for (const value of kept) head.append('Set-Cookie', value)
}

/** RFC 6265 §5.2: up to the first `=` of what stands before the attributes. */
function nameOf(value: string): string {
  const pair = value.split(';', 1)[0]!
  return pair.slice(0, Math.max(0, pair.indexOf('='))).trim()
}
