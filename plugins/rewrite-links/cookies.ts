/** The Domain of cookies (RFC 6265 §5.2.3): one that names an origin's host names the outside host instead. */
import type { Links } from './links.ts'

/** Every cookie of a `Set-Cookie` field whose lines were joined by commas; null if none has such a domain. */
export function domainsRewritten(joined: string, links: Links): string[] | null {
  let isChanged = false
  // A comma of a date is not followed by a name and an equals sign.
  const cookies = joined.split(/, (?=[^\s;,=]+=)/).map((cookie) =>
    cookie
      .split(';')
      .map((part, i) => {
        const found = i === 0 ? null : /^( *domain *= *)([^ ]*) *$/i.exec(part)
        const link = found === null ? null : links.ofHost(found[2]!)
        if (link === null) return part
        isChanged = true
        return found![1]! + link.outside.replace(/:\d+$/, '')
      })
      .join(';'),
  )
  return isChanged ? cookies : null
}
