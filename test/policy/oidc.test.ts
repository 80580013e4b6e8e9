/** `oidc`: who has logged in at the provider gets in, nobody else does, and no browser is sent anywhere but there and back. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createTransport } from '../../core/capability/transport.ts'
import { Deadlines } from '../../core/deadlines.ts'
import { type HookCall, type LogChoice, PENDING, type Verdict } from '../../core/hooks.ts'
import { type OidcOptions, oidc } from '../../core/index.ts'
import { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import { oidc as kind } from '../../core/policy/oidc.ts'
import { Policies } from '../../core/policy/policies.ts'
import { OidcProvider } from '../support/oidc-provider.ts'

const SECRET = 'a secret of more than thirty-two characters'
const PAGE = { accept: 'text/html', 'sec-fetch-mode': 'navigate' }

/** One browser in front of the policy: it keeps cookies as browsers do. */
async function startGate(more: Partial<OidcOptions> = {}) {
  const provider = await OidcProvider.start()
  const policies = new Policies(new Deadlines(), { send: createTransport() })
  const make = () =>
    policies.open('/').hookOf(oidc({ issuer: provider.issuer, clientId: 'app', clientSecret: 'client secret', secret: SECRET, ...more }))
  let hook = make()
  const jar = new Map<string, string>()
  const keep = (lines: readonly string[]): void => {
    for (const line of lines) {
      const [pair] = line.split(';')
      const at = pair!.indexOf('=')
      if (/Max-Age=0\b/.test(line)) jar.delete(pair!.slice(0, at))
      else jar.set(pair!.slice(0, at), pair!.slice(at + 1))
    }
  }
  const ask = async (target: string, fields: Record<string, string> = PAGE, method = 'GET') => {
    const request = new RequestHead('', 0, method, 1)
    const mark = target.indexOf('?')
    request.path = mark < 0 ? target : target.slice(0, mark)
    request.search = mark < 0 ? '' : target.slice(mark)
    request.host = 'app.example'
    if (jar.size > 0) request.set('Cookie', [['theme', 'dark'], ...jar].map((pair) => pair.join('=')).join('; '))
    for (const [name, value] of Object.entries(fields)) request.set(name, value)
    const { promise, resolve } = Promise.withResolvers<Verdict | null>()
    const choices: LogChoice[] = []
    const call = {
      request,
      response: null,
      ip: '10.0.0.1',
      scheme: 'https',
      part: null,
      ended: false,
      resume: resolve,
      log: (choice: LogChoice) => choices.push(choice),
    } satisfies HookCall
    const answer = hook.onRequest!(call)
    const verdict = answer === PENDING ? await promise : answer
    const response = new ResponseHead('', 0, 200, 'OK', 1)
    hook.onResponse!({ ...call, response })
    const set = response.get('set-cookie')
    if (set !== null) keep([set])
    const headers = (verdict?.kind === 'respond' ? verdict.headers : {}) as { location?: string; 'set-cookie'?: string[] }
    const cookies = headers['set-cookie'] ?? []
    keep(cookies)
    const error = verdict?.kind === 'fail' ? verdict.error : null
    const says = verdict === null ? 'pass' : verdict.kind === 'respond' ? String(verdict.status) : error!.code
    return {
      request,
      says,
      location: headers.location ?? '',
      cookies,
      why: error?.message ?? '',
      atOnce: answer !== PENDING,
      renewed: set !== null,
      choices,
    }
  }
  return {
    ...{ provider, jar, ask },
    /** As far as a session. */
    async logIn(target = '/') {
      jar.delete('sluice_session')
      const { location } = await ask(target)
      return ask(pathOf(provider.logIn(location)))
    },
    reload(): void {
      hook = make()
    },
    [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
  }
}

function pathOf({ pathname, search }: URL): string {
  return pathname + search
}

test('a page leads to the provider and back to itself, and from then on the session is known', async () => {
  await using gate = await startGate({ claimsToHeaders: { 'x-user': 'email', 'x-roles': 'realm.roles', 'x-none': 'none' } })
  gate.provider.behaviour.claims = { email: 'ann@example.com', realm: { roles: ['a', 'b'] } }
  const away = await gate.ask('/reports?id=5')
  assert.is(away.says, '303')
  const asked = new URL(away.location)
  assert.equal([asked.origin + asked.pathname, asked.searchParams.get('response_type')], [`${gate.provider.issuer}/authorize`, 'code'])
  assert.equal(
    ['client_id', 'redirect_uri', 'scope', 'code_challenge_method'].map((name) => asked.searchParams.get(name)),
    ['app', 'https://app.example/oauth2/callback', 'openid profile email', 'S256'],
  )
  assert.match(away.cookies[0]!, /^sluice_session_login_[\w-]{12}=ey[\w.-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/)
  const back = await gate.ask(pathOf(gate.provider.logIn(away.location)))
  assert.equal([back.says, back.location], ['303', '/reports?id=5'])
  // The code is not in the log.
  const facts = { request: back.request, response: null, ip: '', status: 303, reason: null }
  assert.equal([...back.choices[0]!.of(facts).without], ['query'])
  assert.match(back.cookies[0]!, /^sluice_session=ey[\w.-]+; Path=\/; Max-Age=43(?:200|199); HttpOnly; SameSite=Lax; Secure$/)
  assert.equal([...gate.jar.keys()], ['sluice_session'])
  const fields = { ...PAGE, 'x-user': 'root', x_user: 'root', 'x-none': 'root' }
  const first = await gate.ask('/reports?id=5', fields)
  assert.equal([first.says, first.request.user, first.request.isPersonal], ['pass', 'ann', true])
  assert.equal(
    ['x-user', 'x_user', 'x-roles', 'x-none', 'cookie'].map((name) => first.request.get(name)),
    ['ann@example.com', null, 'a,b', null, 'theme=dark'],
  )
  const second = await gate.ask('/api', { accept: '*/*' }, 'POST')
  assert.equal([second.says, second.atOnce, second.request.get('x-user')], ['pass', true, 'ann@example.com'])
  assert.equal(
    ['grant_type', 'client_id', 'client_secret'].map((name) => gate.provider.asked[0]!.get(name)),
    ['authorization_code', 'app', 'client secret'],
  )
  gate.reload()
  assert.is((await gate.ask('/')).says, 'pass')
})

test('who wants a refresh token asks for consent, and a config says more, or less', async () => {
  const scopes = ['openid', 'offline_access']
  for (const [more, expected] of [
    [{ scopes }, ['consent', null, 'openid offline_access']],
    [{ scopes, loginParameters: { prompt: '', access_type: 'offline' } }, [null, 'offline', 'openid offline_access']],
    [{ loginParameters: { prompt: 'select_account' } }, ['select_account', null, 'openid profile email']],
  ] as const) {
    await using gate = await startGate(more)
    const { searchParams } = new URL((await gate.ask('/')).location)
    assert.equal(
      ['prompt', 'access_type', 'scope'].map((name) => searchParams.get(name)),
      [...expected],
    )
  }
})

test('what is no page gets 401, and is never sent away', async () => {
  await using gate = await startGate()
  const others: [Record<string, string>, string][] = [
    [{ accept: '*/*' }, 'GET'],
    [{ accept: 'text/html', 'sec-fetch-mode': 'cors' }, 'GET'],
    [PAGE, 'POST'],
    [{}, 'GET'],
  ]
  for (const [fields, method] of others) assert.is((await gate.ask('/', fields, method)).says, 'unauthorized')
  assert.is((await gate.ask('/', { accept: 'text/html,*/*' })).says, '303')
  assert.equal(
    [...gate.jar.keys()].map((name) => name.startsWith('sluice_session_login_')),
    [true],
  )
})

test('a cookie that is not ours, is another one’s, or was made for something else opens nothing', async () => {
  await using gate = await startGate()
  await using other = await startGate({ secret: `${SECRET}!` })
  const { cookies } = await gate.ask('/')
  const login = cookies[0]!.split(';')[0]!.split('=')[1]!
  await other.logIn()
  for (const value of ['', 'x', login, other.jar.get('sluice_session')!, 'e'.repeat(9_000)]) {
    gate.jar.clear()
    gate.jar.set('sluice_session', value)
    assert.is((await gate.ask('/', { accept: '*/*' })).says, 'unauthorized', value.slice(0, 20))
    assert.is((await gate.ask('/')).says, '303')
  }
})

test('only the browser that began a login ends it, once, with what the provider has really said', async () => {
  await using gate = await startGate()
  const { location } = await gate.ask('/')
  const back = gate.provider.logIn(location)
  const jar = [...gate.jar]
  const again = (): void => {
    gate.jar.clear()
    for (const [name, value] of jar) gate.jar.set(name, value)
  }
  gate.jar.clear()
  assert.is((await gate.ask(pathOf(back))).says, 'unauthorized')
  again()
  const forged = new URL(back)
  forged.searchParams.set('state', `${back.searchParams.get('state')}x`)
  assert.is((await gate.ask(pathOf(forged))).says, 'unauthorized')
  const denied = new URL(back)
  denied.searchParams.delete('code')
  denied.searchParams.set('error', 'access_denied')
  const refused = await gate.ask(pathOf(denied))
  assert.equal([refused.says, refused.why], ['unauthorized', 'no login: the provider says access_denied'])
  assert.is((await gate.ask(pathOf(back))).says, '303')
  again()
  assert.match((await gate.ask(pathOf(back))).why, 'invalid_grant')
})

test('an ID token that is for another one, of another one, of another login, or wrongly signed is no login', async () => {
  for (const behaviour of [
    { claims: { aud: 'other' } },
    { claims: { iss: 'https://else.where' } },
    { claims: { nonce: 'x' } },
    { signsWrongly: true },
  ]) {
    await using gate = await startGate()
    Object.assign(gate.provider.behaviour, behaviour)
    const { says, cookies } = await gate.logIn()
    assert.equal([says, cookies], ['unauthorized', []], JSON.stringify(behaviour))
    assert.is((await gate.ask('/', { accept: '*/*' })).says, 'unauthorized')
  }
})

test('nobody is sent to another site after a login', async () => {
  await using gate = await startGate()
  for (const [asked, to] of [
    ['//evil.example/', '/'],
    ['/\\evil.example', '/'],
    [`/${'a'.repeat(2_000)}`, '/'],
    ['/a?next=https://evil.example/', '/a?next=https://evil.example/'],
  ] as const)
    assert.is((await gate.logIn(asked)).location, to)
})

test('a session is renewed before its end, once for all that ask at the same time, and its cookie with it', async () => {
  await using gate = await startGate()
  Object.assign(gate.provider.behaviour, { refreshes: true, expiresIn: 0, claims: { email: 'old' } })
  await gate.logIn()
  const before = gate.jar.get('sluice_session')!
  gate.provider.behaviour.expiresIn = 3_600
  const answers = await in5Seconds(() => Promise.all([gate.ask('/'), gate.ask('/'), gate.ask('/', { accept: '*/*' })]))
  assert.equal(
    answers.map(({ says, renewed }) => [says, renewed]),
    Array(3).fill(['pass', true]),
  )
  assert.is(gate.provider.asked.length, 2)
  const after = gate.jar.get('sluice_session')!
  assert.is.not(after, before)
  assert.equal([(await gate.ask('/')).says, gate.provider.asked.length], ['pass', 2])
  // Who still has the cookie before gets the new one.
  gate.jar.set('sluice_session', before)
  const late = await gate.ask('/')
  assert.equal([late.says, late.renewed, gate.provider.asked.length], ['pass', true, 2])
})

/** On a clock that is so much ahead. */
async function in5Seconds<T>(ask: () => Promise<T>): Promise<T> {
  const { now } = Date
  Date.now = () => now() + 5_000
  try {
    return await ask()
  } finally {
    Date.now = now
  }
}

test('a provider that is away, or is not what it should be, is told as such, and asked again later', async () => {
  await using gate = await startGate()
  gate.provider.behaviour.status = 500
  const away = await gate.ask('/')
  assert.equal([away.says, /^127\.0\.0\.1:\d+ does not say what it is: .* answered 500$/.test(away.why)], ['policy_busy', true], away.why)
  await using wrong = await startGate()
  wrong.provider.behaviour.issuer = 'https://else.where'
  assert.is((await wrong.ask('/')).says, 'policy_busy')
  await using later = await startGate()
  const { location } = await later.ask('/')
  const back = later.provider.logIn(location)
  later.provider.behaviour.status = 503
  const failed = await later.ask(pathOf(back))
  assert.equal([failed.says, /answered 503$/.test(failed.why)], ['policy_busy', true], failed.why)
})

test('logging out ends the session here, and leads to where the provider ends its own', async () => {
  await using gate = await startGate({ afterLogout: '/bye?a=1' })
  await gate.logIn()
  const { says, location } = await gate.ask('/oauth2/logout')
  const to = new URL(location)
  assert.equal([says, to.origin + to.pathname], ['303', `${gate.provider.issuer}/logout`])
  assert.equal([to.searchParams.get('post_logout_redirect_uri'), to.searchParams.get('client_id')], ['https://app.example/bye?a=1', 'app'])
  assert.equal([gate.jar.size, (await gate.ask('/', { accept: '*/*' })).says], [0, 'unauthorized'])
})

test('logins in many tabs do not fill the cookies of a browser, and a session is no larger than one holds', async () => {
  await using gate = await startGate({ claimsToHeaders: { 'x-much': 'much' } })
  for (let i = 0; i < 20; i++) await gate.ask('/')
  assert.ok(gate.jar.size <= 5, String(gate.jar.size))
  gate.provider.behaviour.claims = { much: 'x'.repeat(2_500) }
  Object.assign(gate.provider.behaviour, { refreshes: true })
  await gate.logIn()
  assert.ok(gate.jar.get('sluice_session')!.length <= 3_800)
  gate.provider.behaviour.claims = { much: 'x'.repeat(4_000) }
  const tooMuch = await gate.logIn('/other')
  assert.equal([tooMuch.says, /does not fit/.test(tooMuch.why)], ['unauthorized', true], tooMuch.why)
})

test('explain tells where a login is', () => {
  const options = { issuer: 'https://login.example.com', clientId: 'app', secret: SECRET, callback: 'https://a.example/back' }
  assert.is(
    kind.describe(options, new RequestHead('', 0, 'GET', 1)),
    'login at login.example.com, which comes back to /back, for 12h; /oauth2/logout ends it',
  )
})

test.run()
