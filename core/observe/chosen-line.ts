/** Lines of the access log for which a route has chosen what they tell: members left out, and more of them. */
import type { EndedExchange, Logged } from '../events.ts'

/** In the place of what a line cannot do without. */
const LEFT_OUT = '-'

/** Members of a line of JSON, each with its comma before it; ASCII. */
export function moreMembers(more: NonNullable<Logged['more']>): string {
  const text = JSON.stringify(more)
  return text.length <= 2 ? '' : `,${ascii(text).slice(1, -1)}`
}

/** A line of JSON without these members. */
export function lineWithout(line: string, names: ReadonlySet<string>): string {
  const members = JSON.parse(line) as Record<string, unknown>
  for (const name of names) delete members[name]
  if (names.has('query') && typeof members.path === 'string') members.path = members.path.replace(/\?.*$/s, '')
  return `${ascii(JSON.stringify(members))}\n`
}

/** What the other formats, which have a place for each fact, are to tell. */
export function chosenFacts(x: EndedExchange): EndedExchange {
  if (x.logged === null || x.logged.without.size === 0) return x
  const { without } = x.logged
  const kept = (name: string, text: string): string => (without.has(name) ? LEFT_OUT : text)
  const keptOrNull = (name: string, text: string | null): string | null => (without.has(name) ? null : text)
  // Its facts may be getters of a class: what is not left out is read from it.
  return Object.create(x, {
    ip: { value: kept('ip', x.ip) },
    host: { value: kept('host', x.host) },
    method: { value: kept('method', x.method) },
    path: { value: kept('path', x.path) },
    search: { value: without.has('query') || without.has('path') ? '' : x.search },
    endpoint: { value: keptOrNull('endpoint', x.endpoint) },
    user: { value: keptOrNull('user', x.user) },
    userAgent: { value: keptOrNull('userAgent', x.userAgent) },
    referer: { value: keptOrNull('referer', x.referer) },
    decidedBy: { value: keptOrNull('decidedBy', x.decidedBy) },
    detail: { value: keptOrNull('detail', x.detail) },
  }) as EndedExchange
}

function ascii(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
