import { createHash, createHmac } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type SimulatedInit, type SimulatedResponse, simulate, simulatePlugin } from '../../core/testing.ts'
import { config } from '../../test/testing/support.ts'

const signPlugin = new URL('./sign.ts', import.meta.url)
const verifyPlugin = new URL('./verify.ts', import.meta.url)
const SECRET = 'a secret of the test that is long enough'
const LIMITS = { timeout: '1s', deadline: '10s' } as const
const VERIFY = { ...LIMITS, grant: ['request.body', 'kv'] as const }

interface Signed {
  readonly method?: string
  readonly target?: string
  readonly fields?: Readonly<Record<string, string>>
  readonly covers?: readonly string[]
  readonly parameters?: string
  readonly secret?: string
  readonly body?: string
}

let nonces = 0

/** A request as a client of its own signs it, written against the RFC alone. */
function signed({
  method = 'GET',
  target = '/x?a=1',
  fields = {},
  covers = ['@method', '@path', '@query'],
  secret = SECRET,
  ...rest
}: Signed = {}): [string, SimulatedInit] {
  const now = Math.floor(Date.now() / 1000)
  const parameters = `(${covers.map((name) => `"${name}"`).join(' ')})${rest.parameters ?? `;created=${now};keyid="k1";nonce="nonce-${nonces++}"`}`
  const [path = '', query] = target.split('?')
  const known: Readonly<Record<string, string>> = {
    '@method': method,
    '@path': path,
    '@query': query === undefined ? '?' : `?${query}`,
    ...fields,
  }
  const base = [...covers.map((name) => `"${name}": ${known[name]}`), `"@signature-params": ${parameters}`].join('\n')
  const signature = createHmac('sha256', secret).update(base, 'latin1').digest('base64')
  const headers = { ...fields, 'signature-input': `sig1=${parameters}`, signature: `sig1=:${signature}:` }
  return [target, { method, headers, ...(rest.body === undefined ? {} : { body: rest.body }) }]
}

const digestOf = (body: string): string => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`

/** `200`, or `401` and why. */
async function outcome(response: Promise<SimulatedResponse>): Promise<string> {
  const { status, logs } = await response
  return logs.length === 0 ? String(status) : `${status} ${logs.map(({ text }) => text.replace(/^refused .*?: /, '')).join()}`
}

test('what sign signs, anyone can verify, and the client has no part in it', async () => {
  await using proxy = await simulatePlugin(signPlugin, {
    ...LIMITS,
    options: { keyId: 'proxy', secret: SECRET, expiresAfter: 60, tag: 'app' },
  })
  const res = await proxy.fetch('/a%20b?x=%41', {
    method: 'POST',
    body: '{}',
    headers: { 'content-type': 'application/json', signature: 'sluice=:AAAA:' },
  })
  assert.is(res.status, 200, res.detail ?? '')
  const [input, signature] = ['signature-input', 'signature'].map((name) => res.sent?.headers.get(name) ?? '')
  assert.match(
    input!,
    /^sluice=\("@method" "@path" "@query" "content-type"\);created=\d+;expires=\d+;nonce="[^"]{24}";keyid="proxy";alg="hmac-sha256";tag="app"$/,
  )
  const base = `"@method": POST\n"@path": /a%20b\n"@query": ?x=%41\n"content-type": application/json\n"@signature-params": ${input!.slice('sluice='.length)}`
  assert.is(signature, `sluice=:${createHmac('sha256', SECRET).update(base).digest('base64')}:`)
})

test('a signed request goes on with the name of its key, and nobody else names himself', async () => {
  await using proxy = await simulatePlugin(verifyPlugin, { ...VERIFY, options: { keys: { k1: SECRET } } })
  const [target, init] = signed()
  const res = await proxy.fetch(target, { ...init, headers: { ...init.headers, 'x-signature-keyid': 'admin' } })
  assert.is(res.status, 200, res.detail ?? '')
  assert.is(res.sent?.headers.get('x-signature-keyid'), 'k1')
  const refused = await proxy.fetch('/x', { headers: { 'x-signature-keyid': 'k1' } })
  assert.is(refused.status, 401)
  assert.is(refused.headers.get('www-authenticate'), 'Signature')
  assert.is(refused.headers.get('accept-signature'), 'sig=("@method" "@path" "@query");created')
})

test('whatever was changed, is missing, old or unknown is refused, and the log says why', async () => {
  await using proxy = await simulatePlugin(verifyPlugin, {
    ...VERIFY,
    options: { keys: { k1: SECRET }, covers: ['@method', '@path', '@query', 'x-day'] },
  })
  const now = Math.floor(Date.now() / 1000)
  const covers = ['@method', '@path', '@query', 'x-day']
  const fields = { 'x-day': 'monday' }
  const of = (parts: Signed, change: (init: SimulatedInit) => SimulatedInit = (init) => init, target?: string) => {
    const [path, init] = signed({ fields, covers, ...parts })
    return outcome(proxy.fetch(target ?? path, change(init)))
  }
  assert.is(await of({}), '200')
  const misfit = '401 the signature of "k1" does not fit'
  assert.is(await of({}, undefined, '/y?a=1'), misfit)
  assert.is(await of({}, undefined, '/x?a=2'), misfit)
  assert.is(await of({}, undefined, '/x'), misfit)
  assert.is(await of({}, (init) => ({ ...init, method: 'DELETE' })), misfit)
  assert.is(await of({}, (init) => ({ ...init, headers: { ...init.headers, 'x-day': 'tuesday' } })), misfit)
  assert.is(await of({ secret: 'another secret, long enough' }), misfit)
  assert.is(await of({ covers: ['@method', '@path', '@query'] }), '401 it does not sign "x-day"')
  assert.is(await of({ covers: [...covers, '@authority'] }), '401 it signs "@authority", which is not known here')
  assert.is(await of({ parameters: `;created=${now};keyid="k2"` }), '401 no key of these signed it')
  assert.is(await of({ parameters: `;created=${now};keyid="k1";alg="rsa-v1_5-sha256"` }), '401 its algorithm is not hmac-sha256')
  assert.is(await of({ parameters: ';keyid="k1"' }), '401 it does not say when it was made')
  assert.match(await of({ parameters: `;created=${now - 400};keyid="k1"` }), /^401 it is 40\d s old$/)
  assert.match(await of({ parameters: `;created=${now + 100};keyid="k1"` }), /^401 it is \d+ s from the future$/)
  assert.is(await of({ parameters: `;created=${now - 100};expires=${now - 60};keyid="k1"` }), '401 it has expired')
  assert.is(
    await of({}, (init) => ({ ...init, headers: { ...init.headers, signature: 'sig1=nonsense(' } })),
    '401 its signature cannot be read',
  )
  assert.is(await of({}, (init) => ({ method: init.method! })), '401 it is not signed')
})

test('a body has to fit a digest that is signed', async () => {
  await using proxy = await simulatePlugin(verifyPlugin, { ...VERIFY, options: { keys: { k1: SECRET } } })
  const body = '{"hello": "world"}'
  const covers = ['@method', '@path', '@query', 'content-digest']
  const fields = { 'content-digest': digestOf(body) }
  const send = (parts: Signed) => outcome(proxy.fetch(...signed({ method: 'POST', ...parts })))
  assert.is(await send({ fields, covers, body }), '200')
  const [target, init] = signed({ method: 'POST', fields, covers, body })
  const res = await proxy.fetch(target, { ...init, headers: { ...init.headers, 'x-signed-content-digest': 'sha-256=:AAAA:' } })
  assert.equal([await res.sent!.text(), res.sent!.headers.get('x-signed-content-digest')], [body, digestOf(body)])
  assert.is(await send({ fields: { 'x-signed-content-digest': digestOf(body) }, body }), '401 it has a body without a digest')
  assert.is(await send({ fields, covers, body: '{"hello": "you"}' }), '401 its body does not fit the digest')
  assert.is(await send({ fields, body }), '401 the digest of the body is not signed')
  assert.is(await send({ body }), '401 it has a body without a digest')
  assert.is(await send({ body: '' }), '200')
  assert.is(await send({ fields: { ...fields, 'content-encoding': 'gzip' }, covers, body }), '415')
})

test('a nonce counts once', async () => {
  await using proxy = await simulatePlugin(verifyPlugin, { ...VERIFY, options: { keys: { k1: SECRET }, replay: true, body: false } })
  const request = signed()
  assert.is(await outcome(proxy.fetch(...request)), '200')
  assert.is(await outcome(proxy.fetch(...request)), '401 the nonce was used before')
  assert.is(await outcome(proxy.fetch(...signed())), '200')
  assert.is(
    await outcome(proxy.fetch(...signed({ parameters: `;created=${Math.floor(Date.now() / 1000)};keyid="k1"` }))),
    '401 it has no nonce of 8 to 128 characters',
  )
})

test('replay without kv is refused when the plugin is loaded', async () => {
  const error = await simulatePlugin(verifyPlugin, {
    ...LIMITS,
    grant: ['request.body'],
    options: { keys: { k1: SECRET }, replay: true },
  }).then(
    (proxy) => proxy.close().then(() => null),
    (reason: Error) => reason,
  )
  assert.match(error?.message ?? 'accepted', 'kv')
})

test('one proxy signs, the next verifies, with a rewrite before it', async () => {
  const before = `import sign from ${JSON.stringify(fileURLToPath(signPlugin))}
import verify from ${JSON.stringify(fileURLToPath(verifyPlugin))}
const secret = '${SECRET}'`
  const file = config(
    `{ path: '/out/*', to: 'http://10.0.0.1', use: [sign({ keyId: 'k1', secret }, { timeout: '1s', deadline: '10s' })] },
     { path: '/in', to: 'http://10.0.0.2', use: [verify({ keys: { k1: secret } }, { timeout: '1s', deadline: '10s', grant: ['request.body'] })] },`,
    { before },
  )
  await using proxy = await simulate(file, { upstreams: { '*': () => new Response('ok') } })
  const out = await proxy.fetch('/out/x?y=1')
  assert.is(out.status, 200, out.detail ?? '')
  const headers = Object.fromEntries([...out.sent!.headers].filter(([name]) => name.startsWith('signature')))
  assert.is(await outcome(proxy.fetch('/in?y=1', { headers })), '401 the signature of "k1" does not fit')
})

test.run()
