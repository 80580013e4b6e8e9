/** Guards WebSockets: who may open one, and how large, how many and of what kind its messages are. What breaks a limit is closed. */
import { definePlugin, deny, respond } from 'sluice/plugin'
import * as z from 'zod/mini'
import { type Kept, Limits } from './limits.ts'
import { isOriginOf, readOrigins } from './origins.ts'

const size = z.string().check(z.regex(/^\d{1,9}(?:b|kb|mb)$/))
const rate = z.number().check(z.gt(0))
const direction = z.strictObject({
  maxSize: z.optional(size),
  messages: z.optional(z.strictObject({ perSecond: rate, burst: z.optional(rate) })),
  bytes: z.optional(z.strictObject({ perSecond: size, burst: z.optional(size) })),
  only: z.optional(z.enum(['text', 'json'])),
  deny: z.optional(z.array(z.string().check(z.minLength(1)))),
  denyPatterns: z.optional(z.array(z.string().check(z.minLength(1)))),
})

export default definePlugin({
  name: 'ws-guard',
  permissions: ['stream'],
  sees: ['origin', 'sec-websocket-protocol'],
  options: z.strictObject({
    origins: z.optional(z.array(z.string())),
    withoutOrigin: z.optional(z.enum(['allow', 'deny'])),
    protocols: z.optional(z.array(z.string().check(z.regex(/^[!#$%&'*+\-.^_`|~\w]+$/)))),
    client: z.optional(direction),
    upstream: z.optional(direction),
    monitor: z.optional(z.boolean()),
  }),
  setup({ origins, withoutOrigin = 'allow', protocols, client = {}, upstream = {}, monitor = false }) {
    const allowed = origins === undefined ? null : readOrigins(origins)
    const limits = { client: new Limits({ maxSize: '64kb', ...client }, 'client'), upstream: new Limits(upstream, 'upstream') }
    return {
      onUpgrade(req) {
        const origin = req.headers.get('origin')
        const isAllowed = allowed === null || (origin === null ? withoutOrigin === 'allow' : isOriginOf(allowed, origin))
        if (!isAllowed) {
          console.warn(`refused: the origin ${origin === null ? 'is missing' : JSON.stringify(origin.slice(0, 200))}`)
          if (!monitor) return respond(403, 'not from this origin\n')
        }
        const offered = protocols === undefined ? null : req.headers.get('sec-websocket-protocol')
        if (offered === null) return
        const names = offered.split(',').map((name) => name.trim())
        const kept = names.filter((name) => protocols?.includes(name))
        if (kept.length === names.length) return
        if (kept.length === 0) console.warn('refused: no subprotocol that is allowed')
        if (monitor) return
        if (kept.length === 0) return respond(400, 'no subprotocol of these\n')
        req.headers.set('sec-websocket-protocol', kept.join(', '))
      },
      onMessage(message, from, tunnel) {
        const wrong = limits[from].problem(message, tunnel.state as Kept, Date.now())
        if (wrong === null) return
        // Once for each WebSocket: whoever floods is not to flood the log.
        if (tunnel.state.told !== true) console.warn(`${monitor ? 'would close' : 'closed'}: ${from} sent ${wrong}`)
        tunnel.state.told = true
        return monitor ? undefined : deny()
      },
    }
  },
})
