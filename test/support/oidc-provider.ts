/** A small provider of OpenID Connect on a port of its own: real codes, real PKCE, real signatures, and whatever a test makes it do wrong. */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, SignJWT } from 'jose'

interface Granted {
  readonly nonce: string
  readonly challenge: string
  readonly redirectUri: string
}

export interface Behaviour {
  /** More claims, or others. */
  claims?: Record<string, unknown>
  /** Signs with a key that it does not show. */
  signsWrongly?: boolean
  /** Of the access token. */
  expiresIn?: number
  /** Gives refresh tokens; each is good once. */
  refreshes?: boolean
  /** Answers so, whatever is asked of its endpoints. */
  status?: number
  /** What it says it is. */
  issuer?: string
}

export class OidcProvider implements AsyncDisposable {
  readonly behaviour: Behaviour = {}
  /** Bodies of requests for tokens. */
  readonly asked: URLSearchParams[] = []
  readonly #server: Server
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly #other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly #codes = new Map<string, Granted>()
  readonly #refreshTokens = new Set<string>()

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<OidcProvider> {
    const provider = new OidcProvider()
    provider.#server.listen(0, '127.0.0.1')
    await once(provider.#server, 'listening')
    return provider
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What a user's login there gives: where the browser is sent back to. */
  logIn(location: string): URL {
    const { searchParams: asked } = new URL(location)
    const code = randomUUID()
    const redirectUri = asked.get('redirect_uri')!
    this.#codes.set(code, { nonce: asked.get('nonce')!, challenge: asked.get('code_challenge')!, redirectUri })
    const back = new URL(redirectUri)
    back.searchParams.set('code', code)
    back.searchParams.set('state', asked.get('state')!)
    return back
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const say = (status: number, body: unknown): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    const { status, issuer = this.issuer } = this.behaviour
    if (status !== undefined) return say(status, {})
    if (request.url === '/.well-known/openid-configuration')
      return say(200, {
        ...{ issuer, authorization_endpoint: `${this.issuer}/authorize`, token_endpoint: `${this.issuer}/token` },
        ...{ jwks_uri: `${this.issuer}/keys`, end_session_endpoint: `${this.issuer}/logout` },
        id_token_signing_alg_values_supported: ['ES256'],
      })
    if (request.url === '/keys') {
      const key = await exportJWK(this.#key.publicKey)
      return say(200, { keys: [{ ...key, alg: 'ES256', use: 'sig', kid: 'one' }] })
    }
    const asked = new URLSearchParams(Buffer.concat(chunks).toString())
    this.asked.push(asked)
    const [code, body] = await this.#tokens(asked)
    say(code, body)
  }

  async #tokens(asked: URLSearchParams): Promise<[number, unknown]> {
    if (asked.get('grant_type') === 'refresh_token') {
      if (!this.#refreshTokens.delete(asked.get('refresh_token')!)) return [400, { error: 'invalid_grant' }]
      return [200, await this.#grant(undefined)]
    }
    const granted = this.#codes.get(asked.get('code')!)
    this.#codes.delete(asked.get('code')!)
    const challenge = createHash('sha256').update(asked.get('code_verifier')!).digest('base64url')
    if (granted === undefined || granted.challenge !== challenge || granted.redirectUri !== asked.get('redirect_uri'))
      return [400, { error: 'invalid_grant', error_description: 'no such code' }]
    return [200, await this.#grant(granted.nonce)]
  }

  async #grant(nonce: string | undefined): Promise<unknown> {
    const { claims = {}, signsWrongly = false, expiresIn = 3_600, refreshes = false } = this.behaviour
    const key: KeyObject = signsWrongly ? this.#other.privateKey : this.#key.privateKey
    const token = new SignJWT({ sub: 'ann', ...(nonce === undefined ? {} : { nonce }), ...claims })
    const signed = await token
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer((claims.iss as string) ?? this.issuer)
      .setAudience((claims.aud as string) ?? 'app')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(key)
    const refresh = randomUUID()
    if (refreshes) this.#refreshTokens.add(refresh)
    return {
      access_token: 'a',
      token_type: 'bearer',
      expires_in: expiresIn,
      id_token: signed,
      ...(refreshes ? { refresh_token: refresh } : {}),
    }
  }
}
