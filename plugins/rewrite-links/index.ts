/** Gives absolute links of the origin's own names the name that clients know, in texts as they stream by and in header fields. */
import { definePlugin } from 'sluice/plugin'
import * as z from 'zod/mini'
import { domainsRewritten } from './cookies.ts'
import { fromLatin1, type Link, Links, LOOK_BEHIND, toLatin1 } from './links.ts'

const TYPES = [
  ...['text/html', 'text/css', 'text/javascript', 'application/javascript', 'application/json', 'application/ld+json'],
  ...['application/manifest+json', 'application/xhtml+xml', 'application/xml', 'text/xml', 'application/rss+xml', 'application/atom+xml'],
  'image/svg+xml',
]
const FIELDS = [
  ...['location', 'content-location', 'link', 'refresh', 'access-control-allow-origin'],
  ...['content-security-policy', 'content-security-policy-report-only'],
]
/** What they say is true of the body as the endpoint sent it. */
const OF_THE_BODY = ['accept-ranges', 'content-digest', 'repr-digest', 'digest', 'content-md5']

export default definePlugin({
  name: 'rewrite-links',
  permissions: ['response.body'],
  options: z.strictObject({
    links: z.record(z.string(), z.string()),
    types: z.optional(z.array(z.string().check(z.regex(/^[\w.+-]+\/(?:\*|[\w.+-]+)$/)))),
    fields: z.optional(z.array(z.string().check(z.regex(/^[\w-]+$/)))),
    cookies: z.optional(z.boolean()),
  }),
  setup({ links: given, types = TYPES, fields = FIELDS, cookies = true }) {
    const links = new Links(readLinks(given))
    const isText = (type: string): boolean =>
      types.some((wanted) => wanted === type || (wanted.endsWith('/*') && type.startsWith(wanted.slice(0, -1))))
    return {
      onResponse(res) {
        for (const name of fields) {
          const value = res.headers.get(name)
          if (value === null) continue
          const rewritten = links.replace(value)
          if (rewritten !== value) res.headers.set(name, rewritten)
        }
        // Not visible, so null, without the permission `credentials`.
        const set = cookies ? res.headers.get('set-cookie') : null
        const rewritten = set === null ? null : domainsRewritten(set, links)
        if (rewritten !== null) {
          res.headers.delete('set-cookie')
          for (const cookie of rewritten) res.headers.append('set-cookie', cookie)
        }
        const type = (res.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
        if (isText(type)) for (const name of OF_THE_BODY) if (res.headers.has(name)) res.headers.delete(name)
      },
      onResponseBody: {
        types,
        handle(chunk, _req, body) {
          const { rest = '', before = '' } = body.state as { rest?: string; before?: string }
          const text = rest + toLatin1(chunk)
          const piece = links.piece(text, before, body.last)
          body.state.rest = piece?.rest ?? ''
          body.state.before = piece?.before ?? (before + text).slice(-LOOK_BEHIND)
          if (piece === null) return rest === '' ? undefined : fromLatin1(text)
          return fromLatin1(piece.out)
        },
      },
    }
  },
})

function readLinks(given: Readonly<Record<string, string>>): Link[] {
  const links = Object.entries(given).map(([host, to]) => {
    if (!/^[a-z0-9.-]+(?::\d{1,5})?$/i.test(host)) throw new Error(`links: not a host of an origin: ${host} (like app.internal:8080)`)
    const found = /^(https?):\/\/([a-z0-9.-]+(?::\d{1,5})?)\/?$/i.exec(to)
    if (found === null) throw new Error(`links.${host}: not an origin: ${to} (like https://www.example.com)`)
    return { host: host.toLowerCase(), scheme: found[1]!.toLowerCase(), outside: found[2]!.toLowerCase() }
  })
  if (links.length === 0) throw new Error("links is empty: { 'app.internal:8080': 'https://www.example.com' }")
  return links
}
