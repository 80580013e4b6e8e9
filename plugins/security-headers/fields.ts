/** From options to header fields: decided once, when the plugin is set up. */
import * as z from 'zod/mini'

/** What a field value may hold (RFC 9110 §5.5), without what is not ASCII. */
const text = z.string().check(z.regex(/^[\t\x20-\x7e]+$/))
/** Of Content-Security-Policy and Permissions-Policy: the directive's name and what it allows. */
const directives = z.record(z.string().check(z.regex(/^[a-z-]+$/)), z.union([z.string(), z.array(z.string())]))
const field = z.optional(z.union([text, z.literal(false)]))

export const options = z.strictObject({
  hsts: z.optional(
    z.union([
      z.boolean(),
      z.strictObject({
        maxAge: z.optional(z.int().check(z.gte(0))),
        includeSubDomains: z.optional(z.boolean()),
        preload: z.optional(z.boolean()),
      }),
    ]),
  ),
  contentSecurityPolicy: z.optional(z.union([text, directives, z.literal(false)])),
  reportOnly: z.optional(z.boolean()),
  contentTypeOptions: field,
  frameOptions: field,
  referrerPolicy: field,
  permissionsPolicy: z.optional(z.union([text, directives, z.literal(false)])),
  crossOriginOpenerPolicy: field,
  crossOriginEmbedderPolicy: field,
  crossOriginResourcePolicy: field,
  remove: z.optional(z.array(z.string().check(z.regex(/^[\w-]+$/)))),
  override: z.optional(z.boolean()),
})

export type Options = z.infer<typeof options>

const CSP = 'content-security-policy'
const REPORT_ONLY = 'content-security-policy-report-only'

/** All that may be set: whether the endpoint has set it is to be seen. */
export const SEEN = [
  'strict-transport-security',
  CSP,
  REPORT_ONLY,
  'x-content-type-options',
  'x-frame-options',
  'referrer-policy',
  'permissions-policy',
  'cross-origin-opener-policy',
  'cross-origin-embedder-policy',
  'cross-origin-resource-policy',
] as const

type Name = (typeof SEEN)[number]

/** Powers that a page seldom needs, and a script from elsewhere should not have. */
const NO_POWERS = 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'

/** Names and values, in order. Throws a sentence about options that do not go together. */
export function fieldsOf(options: Options): readonly (readonly [Name, string])[] {
  const { contentSecurityPolicy = false, reportOnly = false, permissionsPolicy = NO_POWERS } = options
  if (reportOnly && contentSecurityPolicy === false) throw new Error('reportOnly is for a contentSecurityPolicy, and there is none')
  const all: readonly (readonly [Name, string | false])[] = [
    ['strict-transport-security', hstsOf(options.hsts ?? false)],
    [reportOnly ? REPORT_ONLY : CSP, typeof contentSecurityPolicy === 'object' ? cspOf(contentSecurityPolicy) : contentSecurityPolicy],
    ['x-content-type-options', options.contentTypeOptions ?? 'nosniff'],
    ['x-frame-options', options.frameOptions ?? 'SAMEORIGIN'],
    ['referrer-policy', options.referrerPolicy ?? 'strict-origin-when-cross-origin'],
    ['permissions-policy', typeof permissionsPolicy === 'object' ? permissionsOf(permissionsPolicy) : permissionsPolicy],
    ['cross-origin-opener-policy', options.crossOriginOpenerPolicy ?? 'same-origin-allow-popups'],
    ['cross-origin-embedder-policy', options.crossOriginEmbedderPolicy ?? false],
    ['cross-origin-resource-policy', options.crossOriginResourcePolicy ?? false],
  ]
  return all.filter((pair): pair is readonly [Name, string] => pair[1] !== false)
}

const YEAR_S = 365 * 24 * 60 * 60

/** RFC 6797 §6.1. */
function hstsOf(hsts: NonNullable<Options['hsts']>): string | false {
  if (hsts === false) return false
  const { maxAge = YEAR_S, includeSubDomains = false, preload = false } = hsts === true ? {} : hsts
  if (preload && (!includeSubDomains || maxAge < YEAR_S))
    throw new Error('hsts.preload wants includeSubDomains and a maxAge of a year (31536000): the list takes nothing less')
  return `max-age=${maxAge}${includeSubDomains ? '; includeSubDomains' : ''}${preload ? '; preload' : ''}`
}

type Directives = Readonly<Record<string, string | readonly string[]>>

/** CSP 3 §2.3: a source with `;` or `,` would be another directive or another policy. */
function cspOf(policy: Directives): string {
  return Object.entries(policy)
    .map(([name, sources]) => {
      const words = typeof sources === 'string' ? sources.split(/ +/) : sources
      const wrong = words.find((word) => !/^[\x21-\x2b\x2d-\x3a\x3c-\x7e]*$/.test(word))
      if (wrong !== undefined) throw new Error(`contentSecurityPolicy.${name}: not a source: ${wrong}`)
      return [name, ...words].join(' ').trimEnd()
    })
    .join('; ')
}

/** A structured dictionary of lists (Permissions Policy §5.2): `self` and `*` are words, an origin is a string. */
function permissionsOf(policy: Directives): string {
  return Object.entries(policy)
    .map(([name, allowed]) => {
      const list = (typeof allowed === 'string' ? allowed.split(/ +/) : allowed).filter((word) => word !== '')
      const wrong = list.find((word) => !/^(?:self|\*|https?:\/\/[\w.*:[\]-]+)$/.test(word))
      if (wrong !== undefined) throw new Error(`permissionsPolicy.${name}: ${wrong} is neither self, * nor an origin`)
      if (list.includes('*')) return `${name}=*`
      return `${name}=(${list.map((word) => (word === 'self' ? word : `"${word}"`)).join(' ')})`
    })
    .join(', ')
}
