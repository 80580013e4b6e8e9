/** Says where a client is by a table of networks: sets a header for the endpoint, denies, and chooses the upstream. Nobody forges the header. */
import { definePlugin, respond, routeTo } from 'sluice/plugin'
import * as z from 'zod/mini'
import { GeoTable } from './table.ts'

const codes = z.array(z.string().check(z.minLength(1)))

export default definePlugin({
  name: 'geo-route',
  options: z.strictObject({
    table: z.string(),
    header: z.optional(z.union([z.string().check(z.regex(/^[\w-]{1,64}$/)), z.literal(false)])),
    route: z.optional(z.record(z.string(), z.string())),
    deny: z.optional(codes),
    allow: z.optional(codes),
    status: z.optional(z.int().check(z.gte(400), z.lte(599))),
  }),
  sees: [],
  setup({ table: text, header = 'x-geo', route = {}, deny = [], allow, status = 403 }) {
    const table = new GeoTable(text)
    for (const code of [...deny, ...(allow ?? []), ...Object.keys(route)]) {
      if (code !== UNKNOWN && !table.has(code)) console.warn(`no line of the table has the code ${code}`)
    }
    const upstreams = new Map(Object.entries(route))
    const denied = new Set(deny)
    const allowed = allow === undefined ? null : new Set(allow)
    return {
      onRequest(req) {
        const code = table.find(req.ip)
        const name = code ?? UNKNOWN
        if (denied.has(name) || (allowed !== null && !allowed.has(name))) return respond(status, 'not available from here\n')
        if (header !== false) {
          if (code === null) req.headers.delete(header)
          else req.headers.set(header, code)
        }
        const upstream = upstreams.get(name)
        if (upstream !== undefined) return routeTo(upstream)
      },
    }
  },
})

/** In `deny`, `allow` and `route`: an address that no network of the table holds. */
const UNKNOWN = 'unknown'
