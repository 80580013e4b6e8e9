/** Refuses requests of the user agents it is told, tags the rest, and counts what it refused across reloads. */
import { definePlugin, respond } from 'sluice/plugin'
import * as z from 'zod/mini'

export default definePlugin({
  name: 'block-bots',
  options: z.strictObject({
    agents: z.array(z.string()),
    ignoreCase: z.optional(z.boolean()),
    missing: z.optional(z.enum(['allow', 'deny'])),
    except: z.optional(z.array(z.string().check(z.startsWith('/')))),
    status: z.optional(z.int().check(z.gte(400), z.lte(599))),
  }),
  sees: ['user-agent'],
  setup({ agents, ignoreCase = false, missing = 'allow', except = [], status = 403 }, host) {
    let seen = host.restore<number>() ?? 0
    const words = ignoreCase ? agents.map((bad) => bad.toLowerCase()) : agents
    const deniesMissing = missing === 'deny'
    const isExcepted = (path: string): boolean => except.some((pattern) => isPathOf(pattern, path))
    return {
      onRequest(req) {
        const agent = req.headers.get('user-agent') ?? ''
        const text = ignoreCase ? agent.toLowerCase() : agent
        const isBot = text === '' ? deniesMissing : words.some((bad) => text.includes(bad))
        if (isBot && !isExcepted(req.path)) {
          seen++
          return respond(status, 'no bots\n')
        }
        req.headers.set('x-tag', `v1-${req.path}`)
      },
      onResponse(res) {
        res.headers.set('x-proxy', 'sluice')
      },
      onReload: () => seen,
    }
  },
})

/** `/public/*` is `/public` too. */
function isPathOf(pattern: string, path: string): boolean {
  if (!pattern.endsWith('/*')) return path === pattern
  const stem = pattern.slice(0, -2)
  return path.startsWith(stem) && (path.length === stem.length || path[stem.length] === '/')
}
