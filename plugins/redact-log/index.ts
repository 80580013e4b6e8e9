/** Takes secrets and persons out of the access log: what it cannot read is masked, never written as it was. */
import { definePlugin, type LogEntry } from 'sluice/plugin'
import * as z from 'zod/mini'
import { plain, type Rules, readPattern, redactPath, redactQuery, redactUrl, SECRET_PARAMETERS, truncateAddress } from './redact.ts'

const bits = (most: number) => z.int().check(z.gte(0), z.lte(most))

export default definePlugin({
  name: 'redact-log',
  options: z.strictObject({
    parameters: z.optional(z.array(z.string())),
    more: z.optional(z.array(z.string())),
    query: z.optional(z.enum(['listed', 'all', 'drop'])),
    paths: z.optional(z.array(z.string())),
    tokens: z.optional(z.boolean()),
    ip: z.optional(z.union([z.enum(['keep', 'drop']), z.strictObject({ v4: bits(32), v6: bits(128) })])),
    userAgent: z.optional(z.boolean()),
    referer: z.optional(z.enum(['redact', 'origin', 'drop'])),
    mask: z.optional(z.string().check(z.regex(/^[\w*.[\]-]{1,32}$/))),
  }),
  setup(options) {
    const { parameters = SECRET_PARAMETERS, more = [], query = 'listed', paths = [], tokens = true } = options
    const { ip = { v4: 24, v6: 48 }, userAgent = true, referer = 'redact', mask = 'REDACTED' } = options
    const rules: Rules = { mask, query, tokens, names: new Set([...parameters, ...more].map(plain)), paths: paths.map(readPattern) }
    const address = (text: string): string => (ip === 'keep' ? text : ip === 'drop' ? '' : truncateAddress(text, ip, mask))
    const reference = (url: string | null): string | null => {
      if (url === null || referer === 'drop') return null
      const redacted = redactUrl(url, rules)
      return referer === 'redact' ? redacted : (/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(redacted)?.[0] ?? null)
    }
    const redact = (entry: LogEntry): LogEntry => ({
      ...entry,
      path: redactPath(entry.path, rules),
      query: redactQuery(entry.query, rules),
      ip: address(entry.ip),
      peer: address(entry.peer),
      userAgent: userAgent ? entry.userAgent : null,
      referer: reference(entry.referer),
    })
    // What went wrong once is not to show what it should have hidden.
    const closed = (entry: LogEntry): LogEntry => ({
      ...entry,
      path: mask,
      query: '',
      ip: mask,
      peer: mask,
      userAgent: null,
      referer: null,
    })
    return {
      onLog: (entries) =>
        entries.map((entry) => {
          try {
            return redact(entry)
          } catch (error) {
            console.error(`an entry was masked whole: ${error instanceof Error ? error.message : error}`)
            return closed(entry)
          }
        }),
    }
  },
})
