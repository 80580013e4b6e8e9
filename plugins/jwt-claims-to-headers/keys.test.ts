import fc from 'fast-check'
import { exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { claimAt, fieldValue } from './claims.ts'
import { KeysUnavailable, RemoteKeys, readKey } from './keys.ts'
import { Verified } from './verified.ts'

const pairs = await Promise.all(['a', 'b'].map(async (kid) => ({ kid, ...(await generateKeyPair('ES256')) })))
const jwks = async (...kids: string[]): Promise<{ keys: JWK[] }> => ({
  keys: await Promise.all(
    pairs
      .filter(({ kid }) => kids.includes(kid))
      .map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' })),
  ),
})
const tokenOf = (kid: string) =>
  new SignJWT({ sub: kid }).setProtectedHeader({ alg: 'ES256', kid }).sign(pairs.find((pair) => pair.kid === kid)!.privateKey)

/** An issuer, its clock, and how often it was asked. */
class Issuer {
  answer: unknown = null
  now = 1_000_000
  asked = 0
  readonly keys = new RemoteKeys({
    url: 'https://issuer.example/jwks',
    now: () => this.now,
    load: async () => {
      this.asked++
      if (this.answer instanceof Error) throw this.answer
      return this.answer
    },
  })
  async verify(kid: string): Promise<string> {
    try {
      return String((await jwtVerify(await tokenOf(kid), this.keys.key, { algorithms: ['ES256'] })).payload.sub)
    } catch (error) {
      return error instanceof KeysUnavailable
        ? `no keys: ${error.message}`
        : ((error as { code?: string }).code ?? (error as Error).message)
    }
  }
}

test('a set is fetched once for all who wait, and kept', async () => {
  const issuer = new Issuer()
  issuer.answer = await jwks('a')
  assert.equal(await Promise.all([issuer.verify('a'), issuer.verify('a'), issuer.verify('a')]), ['a', 'a', 'a'])
  assert.is(issuer.asked, 1)
})

test('an unknown key id fetches anew, but not again and again', async () => {
  const issuer = new Issuer()
  issuer.answer = await jwks('a')
  assert.is(await issuer.verify('a'), 'a')
  issuer.answer = await jwks('a', 'b')
  assert.is(await issuer.verify('b'), 'ERR_JWKS_NO_MATCHING_KEY', 'it was fetched a moment ago')
  issuer.now += 31_000
  assert.is(await issuer.verify('b'), 'b')
  issuer.answer = new Error('away')
  issuer.now += 31_000
  for (let i = 0; i < 5; i++) assert.is(await issuer.verify('a'), 'a')
  assert.is(issuer.asked, 2)
})

test('a set that is due is fetched beside, and one that cannot be fetched serves on for a day', async () => {
  const issuer = new Issuer()
  issuer.answer = await jwks('a')
  await issuer.verify('a')
  issuer.answer = new Error('away')
  issuer.now += 11 * 60_000
  assert.is(await issuer.verify('a'), 'a')
  assert.is(issuer.asked, 2)
  issuer.now += 24 * 60 * 60_000
  assert.is(await issuer.verify('a'), 'no keys: away')
  assert.is(await issuer.verify('a'), 'no keys: there are no keys')
  issuer.answer = await jwks('a')
  issuer.now += 31_000
  assert.is(await issuer.verify('a'), 'a')
})

test('what is no set of keys is a failure of the issuer', async () => {
  const issuer = new Issuer()
  issuer.answer = { keys: 'none' }
  assert.is(await issuer.verify('a'), 'no keys: JSON Web Key Set malformed')
})

test('a key of the options is public, and a secret long enough', async () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'accepted',
      (error: Error) => error.message,
    )
  assert.match(await failure(readKey({ secret: 'short' }, 'HS256')), 'secret has at least 32 bytes')
  assert.match(await failure(readKey({ jwk: { kty: 'oct', k: 'AAAA' } }, 'HS256')), 'jwk is a public key')
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  assert.match(await failure(readKey({ jwk: { ...(await exportJWK(privateKey)) } }, 'ES256')), 'jwk is a public key')
})

test('claims are found by their path', () => {
  const claims = { sub: 'ann', realm_access: { roles: ['a', 'b'] }, 'https://x.example/id': 7, 'a.b': 1, a: { b: 2 } }
  assert.is(claimAt(claims, 'sub'), 'ann')
  assert.equal(claimAt(claims, 'realm_access.roles'), ['a', 'b'])
  assert.is(claimAt(claims, 'https://x.example/id'), 7)
  assert.is(claimAt(claims, 'a.b'), 1)
  assert.is(claimAt(claims, ['a', 'b']), 2)
  for (const nowhere of ['x', 'sub.length', 'realm_access.roles.length.x', 'constructor', 'realm_access.__proto__'])
    assert.is(claimAt(claims, nowhere), undefined, nowhere)
})

test('values are one line of printable ASCII', () => {
  assert.is(fieldValue('ann', ','), 'ann')
  assert.is(fieldValue(['admin', 'a,b', 'ü'], ','), 'admin,a%2Cb,%C3%BC')
  assert.is(fieldValue('a\r\nx-admin: 1', ','), 'a%0D%0Ax-admin: 1')
  assert.is(fieldValue(' 100% ', ','), '%20100%25%20')
  assert.is(fieldValue(true, ','), 'true')
  assert.is(fieldValue({ a: 'ü' }, ','), '{"a":"%C3%BC"}')
  for (const nothing of [undefined, null, '', [], 'x'.repeat(5000)]) assert.is(fieldValue(nothing, ','), null)
})

test('values can be read back, whatever the claim held', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (items) => {
      const value = fieldValue(items, ',')
      if (value === null) return
      assert.match(value, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$|^,*$/)
      assert.equal(
        value.split(',').map(decodeURIComponent),
        items.map((item) => item.toWellFormed()),
      )
    }),
  )
})

test('a verified token is remembered for a moment, and never beyond its end', () => {
  let now = 1_000_000
  const verified = new Verified({ leewayMs: 5000, now: () => now })
  verified.add('long', { exp: 9999 })
  verified.add('short', { exp: 1010 })
  assert.equal([verified.get('long'), verified.get('short'), verified.get('other')], [{ exp: 9999 }, { exp: 1010 }, null])
  now += 15_000
  assert.equal([verified.get('long'), verified.get('short')], [{ exp: 9999 }, null])
  now += 46_000
  assert.is(verified.get('long'), null)
  for (let i = 0; i < 5000; i++) verified.add(`token ${i}`, {})
  assert.is(verified.get('token 0'), null)
  assert.equal(verified.get('token 4999'), {})
})

test.run()
