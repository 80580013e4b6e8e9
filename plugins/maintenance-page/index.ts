/** Answers 503 while there is maintenance, to all but those who are let through: by network, by a secret, by path, by time. */
import { definePlugin, type HttpHooks, respond } from 'sluice/plugin'
import * as z from 'zod/mini'
import { isInside, parseAddress, parseNetwork } from './address.ts'
import { htmlPage, prefersJson, problemDetails, type Words } from './page.ts'

const time = z.iso.datetime({ offset: true })
const name = z.string().check(z.regex(/^[\w-]{1,64}$/))

export default definePlugin({
  name: 'maintenance-page',
  options: z.strictObject({
    enabled: z.optional(z.boolean()),
    from: z.optional(time),
    until: z.optional(time),
    retryAfter: z.optional(z.int().check(z.gte(1))),
    allow: z.optional(z.array(z.string())),
    secret: z.optional(
      z.strictObject({
        header: z.optional(name),
        cookie: z.optional(name),
        value: z.string().check(z.regex(/^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]{8,}$/)),
      }),
    ),
    except: z.optional(z.array(z.string().check(z.startsWith('/')))),
    title: z.optional(z.string()),
    message: z.optional(z.string()),
    lang: z.optional(name),
    html: z.optional(z.string()),
  }),
  setup(options): HttpHooks {
    const { enabled = true, retryAfter = 300, allow = [], secret, except = [], html } = options
    if (!enabled) return {}
    if (secret !== undefined && secret.header === undefined && secret.cookie === undefined)
      throw new Error('secret needs a header or a cookie that carries it')
    const from = options.from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(options.from)
    const until = options.until === undefined ? null : Date.parse(options.until)
    if (until !== null && until <= from) throw new Error('until is not after from')
    const networks = allow.map(readNetwork)
    const { title = 'Down for maintenance', message = 'We will be back shortly.', lang = 'en' } = options
    const words: Words = { title, message, lang, until }
    const page = html ?? htmlPage(words)
    const problem = problemDetails(words, STATUS)

    const isAllowed = (ip: string): boolean => {
      if (networks.length === 0) return false
      const family = parseAddress(ip)
      return family !== 0 && networks.some((network) => isInside(network, family))
    }
    return {
      onRequest(req) {
        const now = Date.now()
        if (now < from || (until !== null && now >= until)) return
        if (except.some((pattern) => isPathOf(pattern, req.path)) || isAllowed(req.ip)) return
        if (secret?.header !== undefined && isSame(req.headers.get(secret.header) ?? '', secret.value)) {
          // The endpoint has no use for it, and its logs are not to hold it.
          req.headers.delete(secret.header)
          return
        }
        if (secret?.cookie !== undefined && isSame(cookieOf(req.headers.get('cookie') ?? '', secret.cookie), secret.value)) return
        const json = prefersJson(req.headers.get('accept') ?? '')
        const seconds = until === null ? retryAfter : Math.max(1, Math.ceil((until - now) / 1000))
        return respond(STATUS, json ? problem : page, {
          'content-type': json ? 'application/problem+json' : 'text/html; charset=utf-8',
          'retry-after': String(seconds),
          'cache-control': 'no-store',
          vary: 'accept',
        })
      },
    }
  },
})

const STATUS = 503

function readNetwork(text: string) {
  const network = parseNetwork(text)
  if (network === null) throw new Error(`allow: not an address or a network: ${text} (like 192.0.2.0/24)`)
  return network
}

/** `/status/*` is `/status` too. */
function isPathOf(pattern: string, path: string): boolean {
  if (!pattern.endsWith('/*')) return path === pattern
  const stem = pattern.slice(0, -2)
  return path.startsWith(stem) && (path.length === stem.length || path[stem.length] === '/')
}

/** How long it takes tells nothing of how much was right. */
function isSame(given: string, wanted: string): boolean {
  let difference = given.length ^ wanted.length
  for (let i = 0; i < wanted.length; i++) difference |= wanted.charCodeAt(i) ^ given.charCodeAt(i % Math.max(1, given.length))
  return difference === 0
}

/** RFC 6265 §4.2. */
function cookieOf(text: string, name: string): string {
  for (const pair of text.split(';')) {
    const equals = pair.indexOf('=')
    if (pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return ''
}
