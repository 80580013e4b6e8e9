/**
 * Lets in only requests that are signed by HTTP Message Signatures (RFC 9421) with hmac-sha256: whole, fresh, and once. Whatever cannot be
 * read is refused.
 */
import { definePlugin, type HttpHooks, type Reply, respond } from 'sluice/plugin'
import * as z from 'zod/mini'
import { importSecret, isComponent, type Message, signatureBase, toBytes } from './base.ts'
import { bodyProblem } from './digest.ts'
import { type Member, quoted, readBytes, readDictionary, unquoted, writeParameters } from './fields.ts'

const seconds = z.int().check(z.gte(0))
const size = z.custom<`${bigint}${'kb' | 'mb'}`>((value) => typeof value === 'string' && /^\d{1,4}(?:kb|mb)$/.test(value))

export default definePlugin({
  name: 'request-signature/verify',
  permissions: ['request.body'],
  options: z.strictObject({
    keys: z.record(z.string(), z.string()),
    covers: z.optional(z.array(z.string())),
    maxAge: z.optional(seconds),
    skew: z.optional(seconds),
    replay: z.optional(z.boolean()),
    tag: z.optional(z.string()),
    body: z.optional(z.boolean()),
    maxBody: z.optional(size),
    header: z.optional(z.string().check(z.regex(/^[\w-]{1,64}$/))),
  }),
  async setup(options, host): Promise<HttpHooks> {
    const { keys: secrets, covers = DEFAULT, replay = false, body = true, maxBody = '1mb', header = 'x-signature-keyid', tag } = options
    const { maxAge = 300, skew = 30 } = options
    const keys = new Map<string, CryptoKey>()
    for (const [id, secret] of Object.entries(secrets)) keys.set(id, await importSecret(secret, 'verify'))
    if (keys.size === 0) throw new Error('keys is empty: nobody could sign')
    const wrong = covers.find((component) => !isComponent(component))
    if (wrong !== undefined) throw new Error(`covers: ${wrong} is neither @method, @path, @query nor a field in lower case`)
    // Says now, and not at the first request, that the permission is missing.
    if (replay) await host.kv.get('nonces are here')
    const rules: Rules = { covers, maxAge, skew, needsNonce: replay, tag }
    const refuse = (why: string, req: Asked): Reply => {
      console.warn(`refused ${req.method} ${req.path} from ${req.ip}: ${why}`)
      return respond(401, 'a valid signature is required\n', {
        'www-authenticate': 'Signature',
        'accept-signature': `sig=${writeParameters(covers, [['created', ''], ...(replay ? ([['nonce', '']] as const) : [])])}`,
      })
    }

    const onRequest = async (req: Request): Promise<Reply | undefined> => {
      // Nobody says for himself who signed.
      req.headers.delete(header)
      req.headers.delete(CARRIED)
      // Content-Digest is of the coded bytes (RFC 9530 §2), and a plugin is shown those that are decoded.
      if (body && (req.headers.get('content-encoding') ?? 'identity') !== 'identity')
        return respond(415, 'a signed body is not to be compressed\n', { 'accept-encoding': 'identity' })
      const found = chosen(req, keys, rules)
      if (typeof found === 'string') return refuse(found, req)
      const { keyId, key, member, signature, nonce } = found
      const digest = req.headers.get('content-digest')
      if (body && digest !== null && !member.list!.includes('content-digest')) return refuse('the digest of the body is not signed', req)
      const base = signatureBase(req, member.list!, writeParameters(member.list!, member.parameters))
      if (base === null) return refuse('it signs a field that the request has not got', req)
      if (!(await crypto.subtle.verify('HMAC', key, signature, toBytes(base))))
        return refuse(`the signature of ${quoted(keyId)} does not fit`, req)
      if (replay) {
        const ttl = `${BigInt(rules.maxAge + rules.skew)}s` as const
        if (!(await host.kv.compareAndSet(`${keyId}\n${nonce}`, null, '1', { ttl }))) return refuse('the nonce was used before', req)
      }
      req.headers.set(header, keyId)
      if (body && digest !== null) req.headers.set(CARRIED, digest)
      return undefined
    }
    if (!body) return { onRequest }
    return {
      onRequest,
      onRequestBody: {
        mode: 'buffer',
        max: maxBody,
        async handle(bytes, req) {
          const problem = await bodyProblem(new Uint8Array(bytes), req.headers.get(CARRIED))
          return problem === null ? undefined : refuse(problem, req)
        },
      },
    }
  },
})

const DEFAULT: readonly string[] = ['@method', '@path', '@query']

/** The digest that was signed: the proxy takes `Content-Digest` away as soon as a hook may change the body. */
const CARRIED = 'x-signed-content-digest'

interface Asked extends Message {
  readonly ip: string
}
interface Request extends Asked {
  readonly headers: { get(name: string): string | null; set(name: string, value: string): void; delete(name: string): void }
}

interface Rules {
  readonly covers: readonly string[]
  /** Seconds. */
  readonly maxAge: number
  readonly skew: number
  readonly needsNonce: boolean
  readonly tag?: string | undefined
}

interface Chosen {
  readonly keyId: string
  readonly key: CryptoKey
  readonly member: Member
  readonly signature: Uint8Array<ArrayBuffer>
  readonly nonce: string
}

/** The first signature that a known key may have made and that is as it has to be; or why there is none. */
function chosen(req: Message, keys: ReadonlyMap<string, CryptoKey>, rules: Rules): Chosen | string {
  const [input, given] = [req.headers.get('signature-input'), req.headers.get('signature')]
  if (input === null || given === null) return 'it is not signed'
  const [members, signatures] = [readDictionary(input), readDictionary(given)]
  if (members === null || signatures === null) return 'its signature cannot be read'
  let why = 'no key of these signed it'
  for (const member of members.slice(0, 4)) {
    const signature = readBytes(signatures.find(({ label }) => label === member.label)?.item ?? '')
    if (member.list === null || signature === null) continue
    const parameters = new Map(member.parameters)
    const keyId = text(parameters.get('keyid'))
    const key = keyId === null ? undefined : keys.get(keyId)
    if (keyId === null || key === undefined) continue
    const problem = problemOf(member.list, parameters, rules, Math.floor(Date.now() / 1000))
    if (problem === null) return { keyId, key, member, signature, nonce: text(parameters.get('nonce')) ?? '' }
    why = problem
  }
  return why
}

function problemOf(list: readonly string[], parameters: ReadonlyMap<string, string>, rules: Rules, now: number): string | null {
  const unknown = list.find((component) => !isComponent(component))
  if (unknown !== undefined) return `it signs ${quoted(unknown.slice(0, 60))}, which is not known here`
  if (new Set(list).size !== list.length) return 'it names a component twice'
  const missing = rules.covers.find((component) => !list.includes(component))
  if (missing !== undefined) return `it does not sign ${quoted(missing)}`
  const alg = parameters.get('alg')
  if (alg !== undefined && alg !== '"hmac-sha256"') return 'its algorithm is not hmac-sha256'
  if (rules.tag !== undefined && text(parameters.get('tag')) !== rules.tag) return 'it has another tag'
  const created = whole(parameters.get('created'))
  if (created === null) return 'it does not say when it was made'
  if (created > now + rules.skew) return `it is ${created - now} s from the future`
  if (created < now - rules.maxAge) return `it is ${now - created} s old`
  const expires = parameters.has('expires') ? whole(parameters.get('expires')) : now
  if (expires === null || expires < now - rules.skew) return 'it has expired'
  const nonce = text(parameters.get('nonce'))
  if (rules.needsNonce && (nonce === null || nonce.length < 8 || nonce.length > 128)) return 'it has no nonce of 8 to 128 characters'
  return null
}

function text(value: string | undefined): string | null {
  return value?.startsWith('"') ? unquoted(value) : null
}

function whole(value: string | undefined): number | null {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : null
}
