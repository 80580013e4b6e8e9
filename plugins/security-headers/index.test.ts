import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { simulatePlugin } from '../../core/testing.ts'
import { fieldsOf, type Options } from './fields.ts'

const plugin = new URL('./index.ts', import.meta.url)

async function headersWith(options: unknown, endpoint: Record<string, string> = {}): Promise<Headers> {
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', options, upstream: () => new Response('ok', { headers: endpoint }) })
  return (await proxy.fetch('/')).headers
}

test('without options: careful, and nothing that breaks a site that has not been asked', async () => {
  const headers = await headersWith({}, { server: 'nginx/1.2', 'x-powered-by': 'PHP/5' })
  const ours = [...headers].filter(([name]) => /^(x-|referrer|permissions|cross|content-sec|strict|server)/.test(name))
  assert.equal(Object.fromEntries(ours), {
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'strict-origin-when-cross-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'cross-origin-opener-policy': 'same-origin-allow-popups',
  })
})

test('what the endpoint set stays, unless override', async () => {
  const endpoint = { 'x-frame-options': 'DENY', 'content-security-policy': "default-src 'none'" }
  const options = { contentSecurityPolicy: "default-src 'self'" }
  const kept = await headersWith(options, endpoint)
  assert.is(kept.get('x-frame-options'), 'DENY')
  assert.is(kept.get('content-security-policy'), "default-src 'none'")
  const overridden = await headersWith({ ...options, override: true }, endpoint)
  assert.is(overridden.get('x-frame-options'), 'SAMEORIGIN')
  assert.is(overridden.get('content-security-policy'), "default-src 'self'")
})

test('each can be turned off or said otherwise', async () => {
  const headers = await headersWith(
    {
      contentTypeOptions: false,
      frameOptions: false,
      referrerPolicy: 'no-referrer',
      permissionsPolicy: { camera: [], geolocation: ['self', 'https://maps.example.com'], fullscreen: '*' },
      crossOriginOpenerPolicy: false,
      crossOriginEmbedderPolicy: 'require-corp',
      crossOriginResourcePolicy: 'same-site',
      remove: ['x-secret'],
    },
    { server: 'kept', 'x-secret': '1' },
  )
  for (const gone of ['x-content-type-options', 'x-frame-options', 'cross-origin-opener-policy', 'x-secret'])
    assert.is(headers.get(gone), null)
  assert.is(headers.get('server'), 'kept')
  assert.is(headers.get('referrer-policy'), 'no-referrer')
  assert.is(headers.get('permissions-policy'), 'camera=(), geolocation=(self "https://maps.example.com"), fullscreen=*')
  assert.is(headers.get('cross-origin-embedder-policy'), 'require-corp')
  assert.is(headers.get('cross-origin-resource-policy'), 'same-site')
})

test('a policy may be written as directives, and only report', () => {
  const contentSecurityPolicy = { 'default-src': "'self'", 'img-src': ["'self'", 'data:'], 'upgrade-insecure-requests': '' }
  const text = "default-src 'self'; img-src 'self' data:; upgrade-insecure-requests"
  assert.is(valueIn('content-security-policy', { contentSecurityPolicy }), text)
  assert.is(valueIn('content-security-policy-report-only', { contentSecurityPolicy, reportOnly: true }), text)
  assert.is(valueIn('content-security-policy', { contentSecurityPolicy, reportOnly: true }), undefined)
})

test('strict transport security when it is asked for', () => {
  assert.is(valueIn('strict-transport-security', {}), undefined)
  assert.is(valueIn('strict-transport-security', { hsts: true }), 'max-age=31536000')
  const all = { hsts: { maxAge: 63072000, includeSubDomains: true, preload: true } }
  assert.is(valueIn('strict-transport-security', all), 'max-age=63072000; includeSubDomains; preload')
})

test('answers of the proxy itself have them, too', async () => {
  await using proxy = await simulatePlugin(plugin, { timeout: '1s', upstream: () => ({ failure: 'reset' }) })
  const res = await proxy.fetch('/')
  assert.is(res.status, 502)
  assert.is(res.headers.get('x-content-type-options'), 'nosniff')
})

test('options that cannot be are refused with a sentence', async () => {
  assert.throws(() => fieldsOf({ hsts: { preload: true } }), 'hsts.preload wants includeSubDomains')
  assert.throws(() => fieldsOf({ reportOnly: true }), 'reportOnly is for a contentSecurityPolicy')
  assert.throws(() => fieldsOf({ contentSecurityPolicy: { 'img-src': ['a;b'] } }), 'contentSecurityPolicy.img-src: not a source: a;b')
  assert.throws(() => fieldsOf({ permissionsPolicy: { camera: ['me'] } }), 'permissionsPolicy.camera: me is neither self')
  assert.match(await refusal({ refererPolicy: 'x', referrerPolicy: 'a\r\nb: c' }), /referrerPolicy: .*; there is no option refererPolicy/)
})

function valueIn(name: string, options: Options): string | undefined {
  return fieldsOf(options).find(([field]) => field === name)?.[1]
}

async function refusal(options: unknown): Promise<string> {
  try {
    await using proxy = await simulatePlugin(plugin, { timeout: '1s', options })
    return `accepted: ${proxy.logs.length}`
  } catch (error) {
    return (error as Error).message
  }
}

test.run()
