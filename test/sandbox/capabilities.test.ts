/** `host.kv`, `fetch` and `crypto.subtle` as a plugin sees them, with the host's part behind a wall of JSON. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createCapabilities } from '../../core/capability/capabilities.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { GuestContext } from '../support/guest.ts'

const grant: string[] = ['kv']
const capabilities = createCapabilities({ kv: new LocalKvStore() })
const guest = await GuestContext.create((method, args) => capabilities.perform({ plugin: 'tried', method, args, grant }))

const server = createServer(async (request, response) => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const { method, url, headers } = request
  if (url === '/bytes') response.end(Buffer.from([0xff, 0x00, 0xfe]))
  else if (url === '/bom') response.end('\ufeff{"a":1}')
  else if (url === '/jwks') response.end(JSON.stringify({ keys: [jwks] }))
  else if (url !== '/hangs') {
    response.writeHead(201, { 'content-type': 'application/json', 'x-many': ['a', 'b'], 'set-cookie': ['c=1', 'd=2'] })
    response.end(
      JSON.stringify({
        method,
        url,
        type: headers['content-type'],
        agent: headers['user-agent'],
        body: Buffer.concat(chunks).toString('latin1'),
      }),
    )
  }
})
await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
grant.push(`net:127.0.0.1:${new URL(origin).port}`)
test.after(() => {
  server.close()
  server.closeAllConnections()
})
let jwks: object = {}

test('kv keeps text, counts, and compares', async () => {
  const code = `return [await kv.get('a'), await kv.set('a', '1', { ttl: '5m' }), await kv.get('a'), await kv.incr('n'), await kv.incr('n', 4),
    await kv.compareAndSet('a', '1', '2'), await kv.compareAndSet('a', '1', '3'), await kv.delete('a'), await kv.delete('a')]`
  assert.equal(await guest.run(code), [null, null, '1', 1, 5, true, false, true, false])
})

test('kv rejects what is no text, and never throws at once', async () => {
  const code = `const failed = []
    for (const call of [() => kv.get(7), () => kv.set('a', 7n), () => kv.set('a'), () => kv.incr('a', 1.5), () => kv.set('a', 'b', { ttl: 'soon' })]) {
      const promise = call()
      failed.push(await promise.catch((error) => error.message))
    }
    return failed`
  const failed = (await guest.run(code)) as string[]
  assert.is(failed[0], 'kv.get: key takes a string')
  assert.match(failed[1]!, /BigInt/)
  assert.equal(failed.slice(2), [
    'kv.set: value takes a string',
    'kv.incr: by takes a whole number',
    "kv.set: ttl takes a duration: '500ms', '5s', '2m'",
  ])
})

test('fetch sends what it was given, and reads the answer', async () => {
  const code = `const response = await fetch('${origin}/x?y=1', { method: 'post', headers: { 'X-A': '1' }, body: 'größe' })
    const { status, ok, statusText, url, headers } = response
    const lines = []
    headers.forEach((value, name) => { if (name === 'x-many' || name === 'set-cookie') lines.push(name + ': ' + value) })
    return { status, ok, statusText, url, lines, type: headers.get('Content-Type'), none: headers.get('x-b'), has: headers.has('x-many'),
      text: (await response.text()).length, size: (await response.arrayBuffer()).byteLength, json: await response.json() }`
  const { json, text, size, ...answer } = (await guest.run(code)) as Record<string, unknown>
  assert.equal(answer, {
    ...{
      status: 201,
      ok: true,
      statusText: 'Created',
      url: `${origin}/x?y=1`,
      lines: ['set-cookie: c=1', 'set-cookie: d=2', 'x-many: a, b'],
    },
    ...{ type: 'application/json', none: null, has: true },
  })
  const body = Buffer.from('größe').toString('latin1')
  assert.equal(json, { method: 'POST', url: '/x?y=1', type: 'text/plain;charset=UTF-8', agent: 'sluice', body })
  assert.ok(Number(size) > Number(text))
})

test('fetch sends and reads bytes as they are, and forms as forms', async () => {
  const code = `const post = async (body) => (await fetch('${origin}/', { method: 'POST', body })).json()
    const sent = await post(new Uint8Array([255, 0, 254]))
    const form = await post(new URLSearchParams({ a: '1 2' }))
    const response = await fetch(new URL('${origin}/bytes'))
    return [sent.body, sent.type ?? null, form.body, form.type, [...(await response.bytes())], await response.text(),
      await (await fetch('${origin}/bom')).json()]`
  assert.equal(await guest.run(code), [
    ...['\xff\0\xfe', null, 'a=1+2', 'application/x-www-form-urlencoded;charset=UTF-8'],
    ...[[255, 0, 254], '\ufffd\0\ufffd', { a: 1 }],
  ])
})

test('fetch that is aborted rejects with the reason', async () => {
  const code = `const names = []
    const controller = new AbortController()
    const first = fetch('${origin}/hangs', { signal: controller.signal, timeout: '100ms' }).catch((error) => names.push(error.name))
    controller.abort()
    await first
    await fetch('${origin}/hangs', { signal: AbortSignal.timeout(10), timeout: '100ms' }).catch((error) => names.push(error.name))
    await fetch('${origin}/hangs', { signal: AbortSignal.any([controller.signal]) }).catch((error) => names.push(error.name))
    return names`
  assert.equal(await guest.run(code), ['AbortError', 'TimeoutError', 'AbortError'])
})

test('fetch to what was not granted names the grant', async () => {
  const message = await guest.run(`return fetch('http://Auth.internal:8080/x').catch((error) => error.message)`)
  const permission = 'net:auth.internal:8080'
  assert.is(
    message,
    `fetch to auth.internal:8080 takes the permission ${permission}: { grant: ['${permission}'] } beside the plugin's options gives it`,
  )
})

test('subtle digests as the host does', async () => {
  const code = `const of = async (name) => [...new Uint8Array(await crypto.subtle.digest(name, new TextEncoder().encode('abc')))]
    return [await of('SHA-1'), await of('sha-256'), await of({ name: 'SHA-384' }), await of('SHA-512')]`
  const expected = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'].map(async (name) => [
    ...new Uint8Array(await crypto.subtle.digest(name, new TextEncoder().encode('abc'))),
  ])
  assert.equal(await guest.run(code), await Promise.all(expected))
})

test('a CryptoKey tells what it is, and signs what another can verify', async () => {
  const code = `const key = await crypto.subtle.importKey('raw', new Uint8Array(32).fill(7), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
    const data = new TextEncoder().encode('abc')
    const signature = await crypto.subtle.sign('HMAC', key, data)
    const wrong = new Uint8Array(signature.slice(0)); wrong[0] ^= 1
    const refused = await crypto.subtle.importKey('raw', new Uint8Array(8), { name: 'HMAC', hash: 'MD5' }, false, ['sign']).catch((e) => e.message)
    return { type: key.type, algorithm: key.algorithm, extractable: key.extractable, usages: key.usages, tag: Object.prototype.toString.call(key),
      is: key instanceof CryptoKey, size: signature.byteLength, ok: await crypto.subtle.verify('HMAC', key, signature, data),
      wrong: await crypto.subtle.verify('HMAC', key, wrong, data), refused }`
  assert.equal(await guest.run(code), {
    ...{
      type: 'secret',
      algorithm: { name: 'HMAC', hash: { name: 'SHA-256' }, length: 256 },
      extractable: false,
      usages: ['sign', 'verify'],
    },
    ...{ tag: '[object CryptoKey]', is: true, size: 32, ok: true, wrong: false },
    refused: 'subtle.importKey: key: algorithm: hash is one of SHA-1, SHA-256, SHA-384, SHA-512',
  })
})

const source = await bundlePlugin(new URL('../support/jose-plugin.ts', import.meta.url).pathname)

async function ask(options: object, token: string): Promise<Record<string, unknown>> {
  const code = `const hooks = await plugin.setup(${JSON.stringify(options)}, { kv })
    const headers = new Headers({ 'x-token': ${JSON.stringify(token)} })
    const answer = await hooks.onRequest({ headers })
    return { answer, subject: headers.get('x-subject'), inner: headers.get('x-inner') }`
  return (await guest.runPlugin(source, code)) as Record<string, unknown>
}

const claim = (alg: string): SignJWT =>
  new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg, kid: 'k' }).setIssuer('urn:test').setIssuedAt().setExpirationTime('1h')

for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
  test(`jose verifies ${alg} in the sandbox, by a JWK, by PEM and by a set that it fetches`, async () => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    const token = await claim(alg).sign(privateKey)
    jwks = { ...(await exportJWK(publicKey)), kid: 'k', alg }
    for (const key of [jwks, await exportSPKI(publicKey), `${origin}/jwks`]) {
      const { answer, subject, inner } = await ask({ alg, key }, token)
      assert.is(answer, undefined, JSON.stringify(answer))
      assert.is(subject, 'ann')
      assert.match(String(inner), /^[\w-]+\.[\w-]+\.[\w-]{43}$/)
    }
    const forged = await ask({ alg, key: jwks }, `${token.slice(0, -8)}AAAAAAAA`)
    assert.equal(forged.answer, { status: 401, body: 'signature verification failed' })
  })
}

test('jose verifies HS256 in the sandbox', async () => {
  const secret = Buffer.alloc(32, 9)
  const token = await claim('HS256').sign(secret)
  const key = { kty: 'oct', k: secret.toString('base64url') }
  assert.is((await ask({ alg: 'HS256', key }, token)).subject, 'ann')
  const other = { kty: 'oct', k: Buffer.alloc(32, 8).toString('base64url') }
  assert.equal((await ask({ alg: 'HS256', key: other }, token)).answer, { status: 401, body: 'signature verification failed' })
})

test('structuredClone copies data with its circles, and refuses functions', async () => {
  const code = `const bytes = new Uint8Array([1, 2, 3, 4]).subarray(1, 3)
    const value = { date: new Date(5), map: new Map([['a', { b: 1 }]]), set: new Set([1]), bytes, list: [1, , 3], error: new RangeError('bad') }
    value.self = value
    const copy = structuredClone(value)
    bytes[0] = 9
    return [copy.self === copy, copy !== value, copy.date.getTime(), copy.map.get('a').b, copy.set.has(1), [...copy.bytes], 1 in copy.list,
      copy.error instanceof RangeError, (() => { try { structuredClone({ f() {} }) } catch (error) { return error.name } })()]`
  assert.equal(await guest.run(code), [true, true, 5, 1, true, [2, 3], false, true, 'DataCloneError'])
})

test('what the types of the sandbox promise is there', async () => {
  const types = readFileSync(new URL('../../core/sandbox/globals.d.ts', import.meta.url), 'utf8')
  const names = [...types.matchAll(/^declare (?:const|class|function) (\w+)/gm)].map(([, name]) => name!)
  assert.ok(names.length > 15 && names.includes('fetch'))
  // These two are made with the runtime, and tried with it.
  const missing = names
    .filter((name) => !['console', 'clearTimeout'].includes(name))
    .map((name) => `typeof ${name} === 'undefined' && '${name}'`)
  assert.equal(await guest.run(`return [${missing}].filter((name) => name !== false)`), [])
})

test('randomUUID is of version 4, and another one each time', async () => {
  const [a, b] = (await guest.run('return [crypto.randomUUID(), crypto.randomUUID()]')) as [string, string]
  assert.match(a, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
  assert.is.not(a, b)
})

test.run()
