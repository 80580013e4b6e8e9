/**
 * A provider of OpenID Connect, as its client sees it: what it says of itself, codes and refresh tokens for tokens, by the library oauth4webapi. ID tokens are checked, their
 * signatures too. It is asked by way of `Send`, and what cannot be had is told in one sentence.
 */
import type * as oauth from 'oauth4webapi'
import type { OidcOptions } from '../dsl/oidc-policy.ts'
import type { Kept, Send } from './policy.ts'

export type OAuth = typeof oauth

const DEADLINE_MS = 5_000
const METADATA_MS = 3_600_000
/** After a failure it is not asked again at once. */
const COOLDOWN_MS = 2_000

/** No fault of the client: the provider cannot be had, or does not make sense. */
export class ProviderUnavailable extends Error {}
/** The provider said no. */
export class LoginRefused extends Error {}

export interface Tokens {
  /** Of the ID token; null: there was none, as with some refreshes. */
  readonly claims: oauth.IDToken | null
  readonly refresh: string | null
  /** Seconds that the access token lasts; null: it was not said. */
  readonly lasts: number | null
}

/** Of one login. */
export interface LoginSecrets {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
}

export interface ProviderParts {
  readonly library: OAuth
  readonly options: OidcOptions
  readonly send: Send
  readonly now: () => number
}

export class Provider implements Kept {
  readonly #parts: ProviderParts
  readonly #abort = new AbortController()
  readonly #client: oauth.Client
  readonly #auth: oauth.ClientAuth
  readonly #requests: object
  #metadata: Promise<oauth.AuthorizationServer> | null = null
  #metadataUntil = Number.NEGATIVE_INFINITY

  constructor(parts: ProviderParts) {
    const { library, options } = parts
    this.#parts = parts
    this.#client = { client_id: options.clientId }
    this.#auth = options.clientSecret === undefined ? library.None() : library.ClientSecretPost(options.clientSecret)
    this.#requests = {
      [library.customFetch]: (url: string, request: FetchOptions) => this.#fetch(url, request),
      // `check` warns of an issuer without TLS.
      [library.allowInsecureRequests]: options.issuer.startsWith('http:'),
    }
  }

  /** Where a browser is sent to log in. */
  async loginUrl(redirectUri: string, { state, nonce, verifier }: LoginSecrets): Promise<string> {
    const { library, options } = this.#parts
    const { authorization_endpoint: endpoint } = await this.#about()
    if (endpoint === undefined) throw new ProviderUnavailable('the provider has no authorization_endpoint')
    const url = new URL(endpoint)
    if (!/^https?:$/.test(url.protocol)) throw new ProviderUnavailable('the authorization_endpoint is no page')
    const scopes = (options.scopes ?? ['openid', 'profile', 'email']).filter((scope) => typeof scope === 'string')
    const parameters = {
      ...{ client_id: options.clientId, response_type: 'code', redirect_uri: redirectUri, state, nonce },
      scope: scopes.includes('openid') ? scopes.join(' ') : ['openid', ...scopes].join(' '),
      ...{ code_challenge: await library.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' },
    }
    // Else a refresh token is not given (OpenID Connect Core §11).
    const consent: Record<string, string> = scopes.includes('offline_access') ? { prompt: 'consent' } : {}
    for (const [name, value] of Object.entries({ ...consent, ...options.loginParameters, ...parameters }))
      if (value !== '') url.searchParams.set(name, value)
    return url.href
  }

  /** Null: the provider has no page for that. */
  async logoutUrl(afterwards: string): Promise<string | null> {
    const { end_session_endpoint: endpoint } = await this.#about()
    if (typeof endpoint !== 'string') return null
    const url = new URL(endpoint)
    url.searchParams.set('client_id', this.#parts.options.clientId)
    url.searchParams.set('post_logout_redirect_uri', afterwards)
    return url.href
  }

  /** A browser came back with these parameters. */
  async redeem(parameters: URLSearchParams, redirectUri: string, { state, nonce, verifier }: LoginSecrets): Promise<Tokens> {
    const { library } = this.#parts
    const about = await this.#about()
    return this.#checked(async () => {
      const checked = library.validateAuthResponse(about, this.#client, parameters, state)
      const response = await library.authorizationCodeGrantRequest(
        ...([about, this.#client, this.#auth, checked, redirectUri, verifier, this.#requests] as const),
      )
      const options = { expectedNonce: nonce, requireIdToken: true }
      return this.#tokens(about, response, await library.processAuthorizationCodeResponse(about, this.#client, response, options))
    })
  }

  async renew(refresh: string): Promise<Tokens> {
    const { library } = this.#parts
    const about = await this.#about()
    return this.#checked(async () => {
      const response = await library.refreshTokenGrantRequest(about, this.#client, this.#auth, refresh, this.#requests)
      return this.#tokens(about, response, await library.processRefreshTokenResponse(about, this.#client, response))
    })
  }

  close(): void {
    this.#abort.abort(new Error('it is not used any more'))
  }

  async #tokens(about: oauth.AuthorizationServer, response: Response, result: oauth.TokenEndpointResponse): Promise<Tokens> {
    const { library } = this.#parts
    const claims = library.getValidatedIdTokenClaims(result) ?? null
    if (claims !== null) await library.validateApplicationLevelSignature(about, response, this.#requests)
    return { claims, refresh: result.refresh_token ?? null, lasts: result.expires_in ?? null }
  }

  /** What the library throws, as one of two things. */
  async #checked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      const { library } = this.#parts
      if (error instanceof library.AuthorizationResponseError || error instanceof library.ResponseBodyError)
        throw new LoginRefused(
          `the provider says ${error.error}${error.error_description === undefined ? '' : `: ${error.error_description}`}`,
        )
      if (error instanceof ProviderUnavailable) throw error
      const { code } = error as { readonly code?: unknown }
      const message = error instanceof Error ? error.message : String(error)
      if (code === library.HTTP_REQUEST_FORBIDDEN) throw new ProviderUnavailable(message)
      throw new LoginRefused(message)
    }
  }

  /** Once at a time, and for an hour. */
  #about(): Promise<oauth.AuthorizationServer> {
    const now = this.#parts.now()
    if (this.#metadata !== null && now < this.#metadataUntil) return this.#metadata
    const asked = this.#discover()
    this.#metadata = asked
    this.#metadataUntil = now + METADATA_MS
    asked.catch(() => {
      if (this.#metadata === asked) this.#metadataUntil = this.#parts.now() + COOLDOWN_MS
    })
    return asked
  }

  async #discover(): Promise<oauth.AuthorizationServer> {
    const { library, options } = this.#parts
    const issuer = new URL(options.issuer)
    try {
      const response = await library.discoveryRequest(issuer, this.#requests)
      return await library.processDiscoveryResponse(issuer, response)
    } catch (error) {
      throw new ProviderUnavailable(`${issuer.host} does not say what it is: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async #fetch(url: string, { method, headers, body }: FetchOptions): Promise<Response> {
    const to = new URL(url)
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(DEADLINE_MS)])
    const fields = Object.entries(headers)
    const bytes = body === undefined || body === null ? null : Buffer.from(String(body))
    let answer: Awaited<ReturnType<Send>>
    try {
      answer = await this.#parts.send({ url: to, method, fields, body: bytes }, signal)
    } catch (error) {
      throw new ProviderUnavailable(`${to.host} cannot be reached: ${error instanceof Error ? error.message : String(error)}`)
    }
    if (answer.status >= 500) throw new ProviderUnavailable(`${to.host} answered ${answer.status}`)
    return new Response(answer.status === 204 ? null : new Uint8Array(answer.body), {
      status: answer.status,
      headers: answer.fields.map(([name, value]) => [name, value] as [string, string]),
    })
  }
}

interface FetchOptions {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}
