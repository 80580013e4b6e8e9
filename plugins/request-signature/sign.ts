/** Signs requests on their way to the endpoint by HTTP Message Signatures (RFC 9421) with hmac-sha256: the endpoint knows that they came this way. */
import { definePlugin } from 'sluice/plugin'
import * as z from 'zod/mini'
import { componentOf, importSecret, isComponent, signatureBase, toBytes } from './base.ts'
import { quoted, writeBytes, writeParameters } from './fields.ts'

const label = z.string().check(z.regex(/^[a-z][a-z0-9_-]{0,31}$/))
const printable = z.string().check(z.regex(/^[\x20-\x7e]{1,128}$/))

export default definePlugin({
  name: 'request-signature/sign',
  options: z.strictObject({
    keyId: printable,
    secret: z.string(),
    covers: z.optional(z.array(z.string())),
    label: z.optional(label),
    expiresAfter: z.optional(z.int().check(z.gte(1))),
    tag: z.optional(printable),
  }),
  async setup({ keyId, secret, covers = DEFAULT, label = 'sluice', expiresAfter, tag }) {
    const wrong = covers.find((component) => !isComponent(component))
    if (wrong !== undefined) throw new Error(`covers: ${wrong} is neither @method, @path, @query nor a field in lower case`)
    const key = await importSecret(secret, 'sign')
    return {
      async onRequest(req) {
        // What the client signed is not for the endpoint, which would not know whose it is.
        req.headers.delete('signature-input')
        req.headers.delete('signature')
        const components = covers.filter((component) => componentOf(req, component) !== null)
        const created = Math.floor(Date.now() / 1000)
        const parameters = writeParameters(components, [
          ['created', String(created)],
          ...(expiresAfter === undefined ? [] : ([['expires', String(created + expiresAfter)]] as const)),
          ['nonce', quoted(newNonce())],
          ['keyid', quoted(keyId)],
          ['alg', quoted('hmac-sha256')],
          ...(tag === undefined ? [] : ([['tag', quoted(tag)]] as const)),
        ])
        const base = signatureBase(req, components, parameters)!
        const signature = await crypto.subtle.sign('HMAC', key, toBytes(base))
        req.headers.set('signature-input', `${label}=${parameters}`)
        req.headers.set('signature', `${label}=${writeBytes(new Uint8Array(signature))}`)
      },
    }
  },
})

/** Of the fields, those that a request has. */
const DEFAULT: readonly string[] = ['@method', '@path', '@query', 'content-type', 'content-digest']

function newNonce(): string {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
}
