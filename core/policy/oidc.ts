/**
 * `oidc`: browsers log in at a provider of OpenID Connect, and have a session in an encrypted cookie from then on. What is kept here is what was read from cookies lately:
 * a bounded number, and nothing that could not be read again.
 */
import { createRequire } from 'node:module'
import { parseDuration } from '../config/units.ts'
import type { OidcOptions } from '../dsl/oidc-policy.ts'
import { type Answer, type HookCall, type LogChoice, makeHook, PENDING, type Verdict } from '../hooks.ts'
import { dropCookies } from '../net/http1/cookie.ts'
import type { RequestHead } from '../net/http1/head.ts'
import { cookieOf } from '../request-view.ts'
import { type ClaimFields, claimFields } from './claims.ts'
import { dropField } from './identity-field.ts'
import { LoginRefused, type OAuth, Provider, ProviderUnavailable, type Tokens } from './oidc-provider.ts'
import type { Kept, PolicyContext, PolicyKind } from './policy.ts'
import { Recent } from './recent.ts'
import { refusal } from './refusal.ts'
import { type Jose, Sealer } from './sealed.ts'
import { secretDigest } from './secret-table.ts'

const MOST_REMEMBERED = 4_096
const REMEMBERED_MS = 300_000
/** Who still comes with the cookie before gets the renewed session for so long. */
const RENEWED_MS = 60_000
/** Logins and sessions that are being looked at: more are told that there is no time for them. */
const MOST_AT_ONCE = 256
const LOGIN_SECONDS = 600
/** A session is renewed before its end. */
const EARLY_SECONDS = 10
/** Browsers keep 4,096 bytes a cookie, attributes included (RFC 6265 §6.1). */
const MOST_COOKIE = 3_800
const MOST_RETURN = 1_500
/** Logins of a browser that are under way, in as many tabs; more take the place of all before. */
const MOST_LOGINS = 4

export const oidc: PolicyKind<OidcOptions> = {
  isPure: false,
  bind(options, context) {
    const gate = new Gate(options, context)
    return makeHook('oidc', { onRequest: (call) => gate.ask(call), onResponse: (call) => gate.tell(call) })
  },
  describe({ issuer, callback = '/oauth2/callback', logout = '/oauth2/logout', maxAge = '12h' }) {
    const path = pathOf(callback)
    return `login at ${new URL(issuer).host}, which comes back to ${path}, for ${maxAge}; ${logout} ends it`
  },
}

interface Session {
  readonly user: string
  readonly fields: ClaimFields
  readonly refresh: string | null
  /** Seconds since the epoch: when it is to be renewed, if it can be, and when it ends. */
  readonly dueAt: number
  readonly until: number
}

/** A session in the place of another, and its cookie. */
interface Renewed {
  readonly session: Session
  readonly sealed: string
}

class State implements Kept {
  readonly sessions = new Recent<Session>(MOST_REMEMBERED)
  readonly renewed = new Recent<Renewed>(MOST_REMEMBERED)
  /** Under way, by the cookie that they replace. */
  readonly renewing = new Map<string, Promise<Renewed>>()
  readonly provider: Provider

  constructor(provider: Provider) {
    this.provider = provider
  }

  close(): void {
    this.sessions.close()
    this.renewed.close()
    this.provider.close()
  }
}

class Gate {
  readonly #options: OidcOptions
  readonly #state: State
  readonly #library: OAuth
  readonly #now: () => number
  readonly #cookie: string
  readonly #loginPrefix: string
  readonly #callback: string
  readonly #logout: string
  readonly #claims: Readonly<Record<string, string>>
  readonly #maxAge: number
  readonly #sessionSealer: Sealer
  readonly #loginSealer: Sealer
  /** Cookies that go out with answers to these. */
  readonly #toSet = new WeakMap<RequestHead, string>()
  readonly #refused: Verdict
  #underWay = 0

  constructor(options: OidcOptions, { deadlines, keep, send }: PolicyContext) {
    // Loaded only where they are used.
    const require = createRequire(import.meta.url)
    const jose = require('jose') as Jose
    this.#library = require('oauth4webapi') as OAuth
    this.#options = options
    this.#now = () => deadlines.read()
    this.#state = keep(() => new State(new Provider({ library: this.#library, options, send, now: this.#now })))
    const {
      cookie = 'sluice_session',
      callback = '/oauth2/callback',
      logout = '/oauth2/logout',
      maxAge = '12h',
      secret,
      clientId,
    } = options
    this.#cookie = cookie
    this.#refused = refusal('unauthorized', 'no session', { 'WWW-Authenticate': `Cookie cookie-name="${cookie}"` })
    this.#loginPrefix = `${cookie}_login_`
    this.#callback = pathOf(callback)
    this.#logout = logout
    this.#claims = options.claimsToHeaders ?? {}
    this.#maxAge = parseDuration(maxAge)! / 1000
    this.#sessionSealer = new Sealer(jose, secret, `session of ${clientId} at ${options.issuer}`)
    this.#loginSealer = new Sealer(jose, secret, `login of ${clientId} at ${options.issuer}`)
  }

  ask(call: HookCall): Answer {
    const { request } = call
    for (const name of Object.keys(this.#claims)) dropField(request, name)
    const cookies = request.get('cookie')
    const sealed = cookies === null ? null : cookieOf(request, this.#cookie)
    if (request.path === this.#callback) {
      // The code is in it, which is for nobody's eyes.
      call.log?.(WITHOUT_QUERY)
      return this.#later(call, () => this.#comesBack(call))
    }
    if (cookies !== null) this.#hideCookies(request)
    if (request.path === this.#logout) return this.#later(call, () => this.#leaves(call))
    if (sealed === null || sealed.length > MOST_COOKIE)
      return isNavigation(request) ? this.#later(call, () => this.#withoutSession(call, cookies)) : this.#refused
    const digest = secretDigest(Buffer.from(sealed, 'latin1'))
    const known = this.#state.sessions.get(digest, this.#now())
    if (known !== undefined && !isDue(known)) return this.#pass(request, known)
    return this.#later(call, () => this.#opens(call, { sealed, digest, cookies }))
  }

  tell({ request, response }: HookCall): null {
    const cookie = this.#toSet.get(request)
    if (cookie !== undefined) response!.append('Set-Cookie', cookie)
    return null
  }

  /** Answers when it is known. */
  #later(call: HookCall, find: () => Promise<Verdict | null>): Answer {
    if (this.#underWay >= MOST_AT_ONCE) return BUSY
    this.#underWay++
    find()
      .catch((error: unknown) => verdictOn(error))
      .then((verdict) => {
        this.#underWay--
        call.resume(verdict)
      })
    return PENDING
  }

  #pass(request: RequestHead, { user, fields }: Session): null {
    request.user = user
    request.isPersonal = true
    for (const [name, value] of fields) request.set(name, value)
    return null
  }

  /** Endpoints are not shown what only this proxy can read. */
  #hideCookies(request: RequestHead): void {
    dropCookies(request, (name) => name === this.#cookie || name.startsWith(this.#loginPrefix))
  }

  // ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async #opens(call: HookCall, { sealed, digest, cookies }: Shown): Promise<Verdict | null> {
    const renewed = this.#state.renewed.get(digest, this.#now())
    if (renewed !== undefined) return this.#passRenewed(call, renewed)
    const session = this.#state.sessions.get(digest, this.#now()) ?? sessionOf(await this.#sessionSealer.open(sealed))
    if (session === null || session.until <= epochSeconds()) return this.#withoutSession(call, cookies)
    if (!isDue(session)) {
      this.#remember(digest, session)
      return this.#pass(call.request, session)
    }
    try {
      return this.#passRenewed(call, await this.#renew(digest, session))
    } catch (error) {
      if (error instanceof LoginRefused) return this.#withoutSession(call, cookies)
      throw error
    }
  }

  #passRenewed(call: HookCall, { session, sealed }: Renewed): null {
    this.#toSet.set(call.request, this.#setSession(call, sealed, session))
    return this.#pass(call.request, session)
  }

  /** Requests that come at the same time are one: many providers take a refresh token once. */
  #renew(digest: string, session: Session): Promise<Renewed> {
    const { renewing, renewed, provider } = this.#state
    let under = renewing.get(digest)
    if (under === undefined) {
      under = provider
        .renew(session.refresh!)
        .then((tokens) => this.#seal(this.#sessionFrom(tokens, session)))
        .then((made) => {
          renewed.set(digest, made, this.#now() + RENEWED_MS)
          return made
        })
        .finally(() => renewing.delete(digest))
      renewing.set(digest, under)
    }
    return under
  }

  #remember(digest: string, session: Session): void {
    const left = (Math.min(session.until, session.dueAt) - epochSeconds()) * 1000
    if (left > 0) this.#state.sessions.set(digest, session, this.#now() + Math.min(left, REMEMBERED_MS))
  }

  #sessionFrom({ claims, refresh, lasts }: Tokens, before: Session | null): Session {
    const user = claims?.sub ?? before!.user
    if (before !== null && user !== before.user) throw new LoginRefused('the session was renewed for somebody else')
    const kept = refresh ?? before?.refresh ?? null
    const canBeRenewed = kept !== null && lasts !== null
    return {
      ...{ user, refresh: kept },
      fields: claims === null ? before!.fields : claimFields(claims, this.#claims),
      dueAt: canBeRenewed ? epochSeconds() + Math.max(1, lasts - EARLY_SECONDS) : Number.POSITIVE_INFINITY,
      until: before?.until ?? epochSeconds() + this.#maxAge,
    }
  }

  async #seal(session: Session): Promise<Renewed> {
    const { user, fields, refresh, dueAt, until } = session
    const due = dueAt === Number.POSITIVE_INFINITY ? {} : { r: refresh, d: Math.floor(dueAt) }
    const sealed = await this.#sessionSealer.seal({ u: user, f: fields, ...due }, until)
    if (sealed.length <= MOST_COOKIE) return { session, sealed }
    if (refresh === null) throw new LoginRefused(`the session does not fit into a cookie: tell of fewer claims (${sealed.length} bytes)`)
    // Rather one that ends than none.
    return this.#seal({ ...session, refresh: null, dueAt: Number.POSITIVE_INFINITY })
  }

  // ── logging in and out ───────────────────────────────────────────────────────────────────────────────────────────

  /** `cookies`: as they came. */
  async #withoutSession(call: HookCall, cookies: string | null): Promise<Verdict> {
    if (!isNavigation(call.request)) return this.#refused
    const { request } = call
    const library = this.#library
    const secrets = {
      state: library.generateRandomState(),
      nonce: library.generateRandomNonce(),
      verifier: library.generateRandomCodeVerifier(),
    }
    const location = await this.#state.provider.loginUrl(this.#redirectUri(call), secrets)
    const asked = request.path + request.search
    const to = asked.length <= MOST_RETURN ? asked : '/'
    const sealed = await this.#loginSealer.seal({ ...secrets, to }, epochSeconds() + LOGIN_SECONDS)
    const before = loginsIn(cookies, this.#loginPrefix)
    const dropped = before.length >= MOST_LOGINS ? before.map((name) => this.#setCookie(call, name, '', 0)) : []
    return redirect(location, [this.#setCookie(call, this.#loginName(secrets.state), sealed, LOGIN_SECONDS), ...dropped])
  }

  async #comesBack(call: HookCall): Promise<Verdict> {
    const parameters = new URLSearchParams(call.request.search)
    const name = this.#loginName(parameters.get('state') ?? '')
    const sealed = cookieOf(call.request, name)
    const login = sealed === null ? null : await this.#loginSealer.open(sealed)
    if (login === null || login.state !== parameters.get('state'))
      throw new LoginRefused('this browser has no such login under way, or not any more')
    const secrets = { state: String(login.state), nonce: String(login.nonce), verifier: String(login.verifier) }
    const tokens = await this.#state.provider.redeem(parameters, this.#redirectUri(call), secrets)
    const made = await this.#seal(this.#sessionFrom(tokens, null))
    return redirect(samePlace(login.to), [this.#setSession(call, made.sealed, made.session), this.#setCookie(call, name, '', 0)])
  }

  async #leaves(call: HookCall): Promise<Verdict> {
    const afterwards = new URL(this.#options.afterLogout ?? '/', this.#redirectUri(call))
    const away = await this.#state.provider.logoutUrl(afterwards.href)
    const isHere = afterwards.href.startsWith(new URL('/', this.#redirectUri(call)).href)
    const local = isHere ? afterwards.pathname + afterwards.search : afterwards.href
    return redirect(away ?? local, [this.#setCookie(call, this.#cookie, '', 0)])
  }

  #redirectUri({ request, scheme = 'http' }: HookCall): string {
    const { callback = '' } = this.#options
    if (callback.includes('://')) return callback
    if (request.host === '') throw new LoginRefused('the request names no host to come back to')
    return `${scheme}://${request.host}${this.#callback}`
  }

  #loginName(state: string): string {
    return `${this.#loginPrefix}${state.replace(/[^\w-]/g, '').slice(0, 12)}`
  }

  #setSession(call: HookCall, sealed: string, { until }: Session): string {
    return this.#setCookie(call, this.#cookie, sealed, Math.max(0, Math.floor(until - epochSeconds())))
  }

  #setCookie(call: HookCall, name: string, value: string, seconds: number): string {
    const secure = this.#redirectUri(call).startsWith('https:') ? '; Secure' : ''
    return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`
  }
}

interface Shown {
  readonly sealed: string
  readonly digest: string
  readonly cookies: string | null
}

const LINE = { isWritten: true, without: new Set(['query']), more: null }
const WITHOUT_QUERY: LogChoice = { of: () => LINE }

const BUSY = refusal('policy_busy', 'too many logins are being looked at')

function verdictOn(error: unknown): Verdict {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof ProviderUnavailable) return refusal('policy_busy', message.slice(0, 300))
  if (error instanceof LoginRefused) return refusal('unauthorized', `no login: ${message.slice(0, 300)}`, { 'WWW-Authenticate': 'Cookie' })
  return refusal('hook_failed', message.slice(0, 300))
}

function redirect(location: string, cookies: readonly string[]): Verdict {
  return { kind: 'respond', status: 303, body: '', headers: { location, 'set-cookie': cookies, 'cache-control': 'no-store' } }
}

/** A page that somebody opens, and not what a page asks for: only that can go to a provider and come back. */
function isNavigation(request: RequestHead): boolean {
  if (request.upgrade !== null || (request.method !== 'GET' && request.method !== 'HEAD')) return false
  const mode = request.get('sec-fetch-mode')
  return mode === null ? request.get('accept')?.includes('text/html') === true : mode === 'navigate'
}

/** A path of this site, whatever it was before: browsers take what begins with two slashes, of either kind, for another host. */
function samePlace(to: unknown): string {
  return typeof to === 'string' && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(to) ? to : '/'
}

function sessionOf(payload: Readonly<Record<string, unknown>> | null): Session | null {
  if (payload === null) return null
  const { u, f, r, d, exp } = payload
  const refresh = typeof r === 'string' ? r : null
  const dueAt = refresh !== null && typeof d === 'number' ? d : Number.POSITIVE_INFINITY
  // Nobody else can have made it.
  return { user: String(u), fields: f as ClaimFields, refresh, dueAt, until: Number(exp) }
}

function isDue({ dueAt }: Session): boolean {
  return dueAt <= epochSeconds()
}

function epochSeconds(): number {
  return Date.now() / 1000
}

function loginsIn(cookies: string | null, prefix: string): string[] {
  if (cookies?.includes(prefix) !== true) return []
  const names = cookies.split(/[;,]/).map((pair) => pair.slice(0, Math.max(0, pair.indexOf('='))).trim())
  // They go into a field: nothing but what we have made.
  return names.filter((name) => name.startsWith(prefix) && /^[\w-]+$/.test(name)).slice(0, 32)
}

function pathOf(callback: string): string {
  return callback.includes('://') ? new URL(callback).pathname : callback
}
