/** `jwt`: only what the configured key has signed, by a configured algorithm, for this audience and now, gets in. */
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { SignJWT, UnsecuredJWT } from 'jose'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { PENDING } from '../../core/hooks.ts'
import { type JwtOptions, jwt } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { Policies } from '../../core/policy/policies.ts'
import type { Send } from '../../core/policy/policy.ts'

const SECRET = 'a secret of more than thirty-two characters'
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const PEM = ec.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const now = Math.floor(Date.now() / 1000)

function sign(
  claims: Record<string, unknown>,
  key: KeyObject | Uint8Array = Buffer.from(SECRET),
  header: Record<string, string> = {},
): Promise<string> {
  const alg = key instanceof Uint8Array ? 'HS256' : 'ES256'
  return new SignJWT({ sub: 'ann', exp: now + 600, ...claims }).setProtectedHeader({ alg, ...header }).sign(key)
}

/** What the policy says to tokens, on a clock to turn. */
function guarded(options: JwtOptions, send?: Send) {
  const clock = { ms: 1_000 }
  const policies = new Policies(new Deadlines(50, () => clock.ms), send === undefined ? {} : { send })
  const hook = policies.open('/').hookOf(jwt(options))
  const asked = async (lines: Record<string, string>, search = '') => {
    const request = new RequestHead('', 0, 'GET', 1)
    request.search = search
    for (const [name, value] of Object.entries(lines)) request.set(name, value)
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const answer = hook.onRequest!({ request, response: null, ip: '10.0.0.1', part: null, ended: false, resume: resolve })
    const verdict = (answer === PENDING ? await promise : answer) as {
      error: { code: string; message: string }
      fields: Record<string, string>
    } | null
    return { request, atOnce: answer !== PENDING, verdict, says: verdict === null ? 'pass' : verdict.error.code }
  }
  const ask = async (token: string) => asked({ authorization: `Bearer ${token}` })
  return { asked, ask, says: async (token: string) => (await ask(token)).says, clock }
}

test('a valid token passes, is remembered, and says who it is; claims go to fields that no client can set', async () => {
  const { asked, ask } = guarded({
    secret: SECRET,
    claimsToHeaders: { 'x-user': 'sub', 'x-roles': 'realm.roles', 'x-none': 'none', 'x-bad': 'bad' },
  })
  const token = await sign({ realm: { roles: ['a', 'b'] }, bad: 'a\r\nX-Evil: 1' })
  const lines = { authorization: `bearer ${token}`, 'x-user': 'root', x_user: 'root', 'x-none': 'root', 'x-bad': 'root' }
  const first = await asked(lines)
  assert.equal([first.says, first.atOnce, first.request.user], ['pass', false, 'ann'])
  assert.equal(
    ['x-user', 'x_user', 'x-roles', 'x-none', 'x-bad'].map((name) => first.request.get(name)),
    ['ann', null, 'a,b', null, null],
  )
  const second = await ask(token)
  assert.equal([second.says, second.atOnce, second.request.get('x-user')], ['pass', true, 'ann'])
})

test('what is not signed with the key, not for us, or not now, stays outside', async () => {
  const { says, ask, asked } = guarded({ secret: SECRET, issuer: ['me', 'you'], audience: 'api' })
  const good = { iss: 'me', aud: ['web', 'api'] }
  assert.is(await says(await sign(good)), 'pass')
  const wrong = {
    'another secret': await sign(good, Buffer.from(`${SECRET}!`)),
    'another issuer': await sign({ ...good, iss: 'them' }),
    'another audience': await sign({ ...good, aud: 'web' }),
    'no audience': await sign({ iss: 'me' }),
    expired: await sign({ ...good, exp: now - 60 }),
    'not yet': await sign({ ...good, nbf: now + 60 }),
    'no algorithm': new UnsecuredJWT({ sub: 'ann', ...good }).encode(),
    'another algorithm': await sign(good, ec.privateKey),
    'another signature': `${(await sign(good)).slice(0, -4)}AAAA`,
    'no token': 'abc',
    'too long': 'x'.repeat(20_000),
  }
  for (const [what, token] of Object.entries(wrong)) assert.is(await says(token), 'unauthorized', what)
  assert.match((await ask(wrong.expired)).verdict!.fields['WWW-Authenticate']!, 'expired')
  assert.not.match((await ask(wrong['another issuer'])).verdict!.fields['WWW-Authenticate']!, 'iss')
  const missing = await asked({})
  assert.equal([missing.says, missing.verdict!.fields['WWW-Authenticate']], ['unauthorized', 'Bearer'])
})

test('a public key is never taken for a secret, whatever the token says', async () => {
  const { says } = guarded({ publicKey: PEM })
  assert.is(await says(await sign({}, ec.privateKey)), 'pass')
  assert.is(await says(await sign({}, other.privateKey)), 'unauthorized')
  // Signed with the text of the public key, which everybody knows.
  const parts = [{ alg: 'HS256' }, { sub: 'root', exp: now + 600 }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
  const forged = `${parts.join('.')}.${createHmac('sha256', PEM).update(parts.join('.')).digest('base64url')}`
  assert.is(await says(forged), 'unauthorized')
})

test('a token may be in a cookie, the query or a field of its own', async () => {
  const token = await sign({})
  assert.is((await guarded({ secret: SECRET, from: { cookie: 'sid' } }).asked({ cookie: `a=b; sid=${token}` })).says, 'pass')
  assert.is((await guarded({ secret: SECRET, from: { query: 't' } }).asked({}, `?t=${token}`)).says, 'pass')
  assert.is((await guarded({ secret: SECRET, from: { header: 'x-token' } }).asked({ 'x-token': token })).says, 'pass')
  assert.is((await guarded({ secret: SECRET, from: { query: 't' } }).asked({ authorization: `Bearer ${token}` })).says, 'unauthorized')
})

test('a remembered token is forgotten when it may have expired', async () => {
  const { ask, clock } = guarded({ secret: SECRET })
  const token = await sign({ exp: now + 60 })
  assert.is((await ask(token)).atOnce, false)
  assert.is((await ask(token)).atOnce, true)
  clock.ms += 61_000
  assert.is((await ask(token)).atOnce, false)
})

test('keys of a set are fetched once, again when a token names another, and kept when they cannot be had', async () => {
  const keys = [{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'one' }]
  const fetches: string[] = []
  let isDown = true
  const send: Send = async ({ url }) => {
    fetches.push(url.href)
    if (isDown) throw new Error('connection refused')
    return { status: 200, fields: [], body: Buffer.from(JSON.stringify({ keys })) }
  }
  const { says, ask, clock } = guarded({ jwks: 'https://auth.example/keys' }, send)
  const one = await sign({}, ec.privateKey, { kid: 'one' })
  const two = await sign({}, other.privateKey, { kid: 'two' })
  const down = await ask(one)
  assert.equal([down.says, down.verdict!.error.message], ['policy_busy', 'the keys of tokens cannot be had: connection refused'])
  assert.is(await says(one), 'policy_busy')
  assert.is(fetches.length, 1)
  clock.ms += 31_000
  isDown = false
  assert.equal(await Promise.all([says(one), says(one)]), ['pass', 'pass'])
  assert.is(fetches.length, 2)
  // A key that is not in the set: fetched again, but not at once.
  assert.is(await says(two), 'unauthorized')
  keys.push({ ...other.publicKey.export({ format: 'jwk' }), kid: 'two' })
  assert.is(await says(two), 'unauthorized')
  assert.is(fetches.length, 2)
  clock.ms += 31_000
  assert.is(await says(two), 'pass')
  isDown = true
  clock.ms += 700_000
  assert.is(await says(await sign({ jti: 'new' }, ec.privateKey, { kid: 'one' })), 'pass')
  assert.equal(new Set(fetches), new Set(['https://auth.example/keys']))
})

test.run()
