import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SimulatePluginOptions, simulatePlugin } from '../../core/testing.ts'

const plugin = new URL('./index.ts', import.meta.url)
const SECRET = 'a secret of the test, of 32 bytes and more'
const LIMITS: SimulatePluginOptions = { timeout: '2s', deadline: '10s', grant: ['credentials'] }
const CLAIMS = { 'x-user-id': 'sub', 'x-roles': 'realm_access.roles' }

const now = (): number => Math.floor(Date.now() / 1000)
const tokenOf = (claims: Record<string, unknown>, secret = SECRET) =>
  new SignJWT({ exp: now() + 600, ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(secret))
const bearer = (token: string, more: Record<string, string> = {}) => ({ headers: { authorization: `Bearer ${token}`, ...more } })

test('claims reach the endpoint in fields that no client can set', async () => {
  await using proxy = await simulatePlugin(plugin, { ...LIMITS, options: { secret: SECRET, claims: CLAIMS } })
  const token = await tokenOf({ sub: 'ann', realm_access: { roles: ['admin', 'a,b'] } })
  for (const round of ['verified', 'remembered']) {
    const res = await proxy.fetch('/', bearer(token, { 'x-user-id': 'root', x_user_id: 'root', x_roles: 'root' }))
    assert.is(res.status, 200, res.detail ?? round)
    const sent = ['x-user-id', 'x-roles', 'x_user_id', 'x_roles', 'authorization'].map((name) => res.sent!.headers.get(name))
    assert.equal(sent, ['ann', 'admin,a%2Cb', null, null, `Bearer ${token}`], round)
  }
  const other = await proxy.fetch('/', bearer(await tokenOf({ sub: 'a\r\nx-roles: root' }), { 'x-roles': 'root' }))
  assert.equal([other.sent!.headers.get('x-user-id'), other.sent!.headers.get('x-roles')], ['a%0D%0Ax-roles: root', null])
})

test('what is not right gets 401, and the answer says so as RFC 6750 has it', async () => {
  const options = { secret: SECRET, claims: CLAIMS, issuer: 'urn:us', audience: ['api', 'app'], leeway: 5, realm: 'test' }
  await using proxy = await simulatePlugin(plugin, { ...LIMITS, options })
  const good = { sub: 'ann', iss: 'urn:us', aud: ['x', 'app'] }
  const said = async (init: { headers: Record<string, string> }): Promise<string> => {
    const res = await proxy.fetch('/', init)
    return `${res.status} ${res.headers.get('www-authenticate')}`
  }
  const invalid = (words: string) => `401 Bearer realm="test", error="invalid_token", error_description="${words}"`
  assert.is(await said(bearer(await tokenOf(good))), '200 null')
  assert.is(await said(bearer(await tokenOf({ ...good, exp: now() - 3 }))), '200 null')
  assert.is(await said({ headers: {} }), '401 Bearer realm="test"')
  assert.is(await said({ headers: { authorization: 'Basic YTpi' } }), '401 Bearer realm="test"')
  assert.is(await said(bearer(await tokenOf({ ...good, exp: now() - 60 }))), invalid('the token has expired'))
  assert.is(await said(bearer(await tokenOf({ ...good, nbf: now() + 60 }))), invalid('the claim nbf is not as it has to be'))
  assert.is(await said(bearer(await tokenOf({ ...good, iss: 'urn:them' }))), invalid('the claim iss is not as it has to be'))
  assert.is(await said(bearer(await tokenOf({ ...good, aud: 'other' }))), invalid('the claim aud is not as it has to be'))
  assert.is(await said(bearer(await tokenOf(good, 'another secret, of 32 bytes and more'))), invalid('the token is not valid'))
  const [, payload, signature] = (await tokenOf(good)).split('.')
  const none = Buffer.from('{"alg":"none"}').toString('base64url')
  assert.is(await said(bearer(`${none}.${payload}.`)), invalid('the token is not valid'))
  assert.is(await said(bearer(`${none}.${payload}.${signature}`)), invalid('the token is not valid'))
  assert.is(await said(bearer('not.a.token')), invalid('the token is not valid'))
  assert.is(await said(bearer('x'.repeat(17_000))), invalid('the token is too long'))
})

test('a token may be optional, stand in a cookie, and need scopes', async () => {
  const options = { secret: SECRET, claims: CLAIMS, cookie: 'session', required: false, scopes: ['read'] }
  await using proxy = await simulatePlugin(plugin, { ...LIMITS, options })
  const anonymous = await proxy.fetch('/', { headers: { 'x-user-id': 'root' } })
  assert.equal([anonymous.status, anonymous.sent!.headers.get('x-user-id')], [200, null])
  const send = async (token: string) => proxy.fetch('/', { headers: { cookie: `a=1; session=${token}` } })
  const ann = await send(await tokenOf({ sub: 'ann', scope: 'write read' }))
  assert.equal([ann.status, ann.sent?.headers.get('x-user-id')], [200, 'ann'])
  assert.is((await send('not.a.token')).status, 401)
  const narrow = await send(await tokenOf({ sub: 'bob', scope: 'write' }))
  assert.is(narrow.status, 403)
  assert.is(narrow.headers.get('www-authenticate'), 'Bearer realm="sluice", error="insufficient_scope", scope="read"')
})

test('a public key verifies, and is never taken for a secret', async () => {
  const { publicKey, privateKey } = await generateKeyPair('RS256')
  const pem = await exportSPKI(publicKey)
  const options = { publicKey: pem, algorithms: ['RS256'], claims: CLAIMS, forward: false }
  await using proxy = await simulatePlugin(plugin, { ...LIMITS, options })
  const token = await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'RS256' }).sign(privateKey)
  const res = await proxy.fetch('/', bearer(token))
  assert.equal(
    [res.status, res.sent?.headers.get('x-user-id'), res.sent?.headers.get('authorization')],
    [200, 'ann', null],
    res.detail ?? '',
  )
  assert.is((await proxy.fetch('/', bearer(await tokenOf({ sub: 'root' }, pem)))).status, 401)
})

test('the keys of an issuer are fetched once, and anew for a key that is not known', async () => {
  const pairs = await Promise.all(['a', 'b'].map(async (kid) => ({ kid, ...(await generateKeyPair('ES256')) })))
  const jwk = async (i: number) => ({ ...(await exportJWK(pairs[i]!.publicKey)), kid: pairs[i]!.kid, alg: 'ES256' })
  const tokenBy = (i: number) =>
    new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'ES256', kid: pairs[i]!.kid }).sign(pairs[i]!.privateKey)
  let asked = 0
  await using proxy = await simulatePlugin(plugin, {
    ...LIMITS,
    grant: ['credentials', 'net:issuer.example:443'],
    options: { jwksUrl: 'https://issuer.example/jwks', claims: CLAIMS },
    fetch: async () => {
      asked++
      return Response.json({ keys: [await jwk(0)] })
    },
  })
  const ann = await proxy.fetch('/', bearer(await tokenBy(0)))
  assert.equal([ann.status, ann.sent?.headers.get('x-user-id')], [200, 'ann'], ann.detail ?? '')
  const unknown = await proxy.fetch('/', bearer(await tokenBy(1)))
  assert.is(unknown.status, 401)
  assert.match(unknown.headers.get('www-authenticate')!, 'no key of the issuer has signed it')
  assert.is(asked, 1, 'it was asked a moment ago')
})

test('an issuer that is away is not the fault of the client', async () => {
  await using proxy = await simulatePlugin(plugin, {
    ...LIMITS,
    grant: ['credentials', 'net:issuer.example:443'],
    options: { jwksUrl: 'https://issuer.example/jwks', claims: CLAIMS },
    fetch: () => new Response('', { status: 500 }),
  })
  const { privateKey } = await generateKeyPair('ES256')
  const token = await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'ES256', kid: 'a' }).sign(privateKey)
  const res = await proxy.fetch('/', bearer(token))
  assert.equal([res.status, res.headers.get('retry-after')], [503, '10'])
  assert.ok(proxy.logs.some(({ text }) => text.includes('no keys yet: https://issuer.example/jwks answered 500')))
})

test('says what is wrong with its options, and which permission is missing', async () => {
  const refusal = async (options: Record<string, unknown>): Promise<string> => {
    try {
      await using proxy = await simulatePlugin(plugin, {
        ...LIMITS,
        options: { claims: CLAIMS, ...options },
        fetch: () => new Response(''),
      })
      return `accepted, ${proxy.logs.length}`
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.match(await refusal({}), 'one of secret, publicKey, jwk and jwksUrl')
  assert.match(await refusal({ secret: SECRET, algorithms: ['RS256'] }), 'a secret is for HS… alone')
  assert.match(await refusal({ jwksUrl: 'https://issuer.example/jwks' }), "'net:issuer.example:443'")
})

test.run()
