/** Refuses requests that carry SQL injection in path, query or body, by scored rules that cost a bounded time; or only tells of them. */
import { definePlugin, type Reply, respond } from 'sluice/plugin'
import * as z from 'zod/mini'
import { normalise } from './normalise.ts'
import { judge, RULES } from './rules.ts'
import { eachOfForm, eachOfJson, eachOfMultipart, eachOfPath, type See } from './values.ts'

const FORM = 'application/x-www-form-urlencoded'
const TYPES = [FORM, 'application/json', 'application/graphql', 'application/xml', 'multipart/form-data', 'text/*']
const size = z.custom<`${bigint}${'kb' | 'mb'}`>((value) => typeof value === 'string' && /^\d{1,4}(?:kb|mb)$/.test(value))

export default definePlugin({
  name: 'sql-firewall',
  permissions: ['request.body'],
  sees: ['content-type'],
  options: z.strictObject({
    mode: z.optional(z.enum(['deny', 'monitor'])),
    threshold: z.optional(z.int().check(z.gte(1))),
    disable: z.optional(z.array(z.string())),
    allow: z.optional(
      z.strictObject({ paths: z.optional(z.array(z.string().check(z.startsWith('/')))), parameters: z.optional(z.array(z.string())) }),
    ),
    types: z.optional(z.array(z.string())),
    maxBody: z.optional(size),
  }),
  setup({ mode = 'deny', threshold = 5, disable = [], allow = {}, types = TYPES, maxBody = '128kb' }) {
    const unknown = disable.find((id) => !RULES.some((rule) => rule.id === id))
    if (unknown !== undefined) throw new Error(`disable: there is no rule ${unknown}`)
    const rules = RULES.filter(({ id }) => !disable.includes(id))
    const { paths = [], parameters = [] } = allow
    const allowed = new Set(parameters)

    const check = (req: Asked, search: (see: See) => boolean): Reply | undefined => {
      const see: See = ({ where, name, text, isForm }) => {
        if (allowed.has(name)) return false
        const finding = judge(normalise(text, isForm), rules)
        if (finding === null || finding.score < threshold) return false
        const place = name === '' ? where : `${where}, parameter ${JSON.stringify(name.slice(0, 64))}`
        console.warn(
          `${mode === 'deny' ? 'denied' : 'would deny'} ${req.method} ${req.path} from ${req.ip}: ${finding.ids.join(' ')} (score ${finding.score}) in ${place}`,
        )
        return true
      }
      return search(see) && mode === 'deny' ? respond(403, 'forbidden\n') : undefined
    }
    return {
      onRequest(req) {
        if (paths.some((pattern) => isPathOf(pattern, req.path))) return
        return check(req, (see) => eachOfPath(req.path, see) || eachOfForm(req.search.slice(1), 'query', see))
      },
      onRequestBody: {
        mode: 'buffer',
        max: maxBody,
        types,
        handle(bytes, req, body) {
          if (bytes.length === 0 || paths.some((pattern) => isPathOf(pattern, req.path))) return
          const type = req.headers.get('content-type') ?? ''
          const charset = /;[ \t]?charset="?([^";]{1,40})/i.exec(type)?.[1]?.trim().toLowerCase()
          if (charset !== undefined && !CHARSETS.has(charset)) {
            console.warn(
              `${mode === 'deny' ? 'denied' : 'would deny'} ${req.method} ${req.path} from ${req.ip}: a body in ${JSON.stringify(charset)}, which cannot be read`,
            )
            return mode === 'deny' ? respond(415, 'unsupported media type\n') : undefined
          }
          const text = decode(bytes)
          return check(req, (see) => {
            if (body.type === FORM) return eachOfForm(text, 'body', see)
            if (body.type === 'application/json' || body.type.endsWith('+json')) return eachOfJson(text, see)
            const boundary = /;[ \t]?boundary=(?:"([^"]{1,200})"|([^;" ]{1,200}))/i.exec(type)
            if (body.type.startsWith('multipart/') && boundary !== null) return eachOfMultipart(text, boundary[1] ?? boundary[2]!, see)
            return see({ where: 'body', name: '', text, isForm: false })
          })
        },
      },
    }
  },
})

/** Encodings in which the text is what it looks like. Others, such as IBM037, are known for hiding what a firewall looks for. */
const CHARSETS = new Set(['utf-8', 'utf8', 'us-ascii', 'ascii', 'iso-8859-1', 'latin1', 'windows-1252'])

interface Asked {
  readonly method: string
  readonly path: string
  readonly ip: string
}

/** `/search/*` is `/search` too. */
function isPathOf(pattern: string, path: string): boolean {
  if (!pattern.endsWith('/*')) return path === pattern
  const stem = pattern.slice(0, -2)
  return path.startsWith(stem) && (path.length === stem.length || path[stem.length] === '/')
}

function decode(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) {
    const some = bytes.subarray(at, at + 4096) as unknown as number[] // a list of numbers is all that it takes
    text += String.fromCharCode.apply(null, some)
  }
  // Most bodies are ASCII, which is done by then, several times as fast.
  return /[\x80-\xff]/.test(text) ? new TextDecoder().decode(bytes) : text
}
