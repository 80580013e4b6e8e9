/** A plugin that checks tokens with the npm package `jose`: what people will do first with `crypto.subtle`. */
import { createRemoteJWKSet, importJWK, importSPKI, type JWK, jwtVerify, SignJWT } from 'jose'
import { definePlugin, respond } from 'sluice/plugin'

interface Options {
  readonly alg: string
  /** A JWK, a public key in PEM, or the URL of a set. */
  readonly key: JWK | string
}

export default definePlugin<Options>({
  name: 'tokens',
  setup: async ({ alg, key }) => {
    const verifier =
      typeof key !== 'string'
        ? await importJWK(key, alg)
        : key.startsWith('http')
          ? createRemoteJWKSet(new URL(key))
          : await importSPKI(key, alg)
    return {
      async onRequest(req) {
        const token = req.headers.get('x-token') ?? ''
        try {
          const check = { issuer: 'urn:test', algorithms: [alg] }
          const { payload } =
            typeof verifier === 'function' ? await jwtVerify(token, verifier, check) : await jwtVerify(token, verifier, check)
          req.headers.set('x-subject', String(payload.sub))
          const again = new SignJWT({}).setProtectedHeader({ alg: 'HS256' })
          req.headers.set('x-inner', await again.sign(new TextEncoder().encode('a secret of at least 32 bytes in all')))
        } catch (error) {
          return respond(401, (error as Error).message)
        }
      },
    }
  },
})
