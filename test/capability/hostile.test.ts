/** What a plugin that means harm may ask: everything is answered by a rejection in words, and never costs more than it may. */
import { generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createCapabilities } from '../../core/capability/capabilities.ts'
import type { KvStore } from '../../core/capability/kv-store.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import type { Transport } from '../../core/capability/transport.ts'
import type { Wish } from '../../core/sandbox/capabilities.ts'

const METHODS = [
  ...['kv.get', 'kv.set', 'kv.delete', 'kv.incr', 'kv.compareAndSet', 'fetch'],
  ...['subtle.digest', 'subtle.importKey', 'subtle.sign', 'subtle.verify'],
]
const grant = ['kv', 'net:a.test:80']
const answering: Transport = async () => ({ status: 200, statusText: 'OK', fields: [], body: Buffer.alloc(0) })
const capabilities = createCapabilities({ kv: new LocalKvStore(), transport: answering })

function perform(method: string, args: unknown, wish: Partial<Wish> = {}): Promise<string> {
  return capabilities.perform({ plugin: 'tried', method, args: JSON.stringify(args) ?? '', grant, ...wish })
}

const reasonOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    (value) => `answered ${value}`,
    (error: Error) => error.message,
  )

/** Near misses find more than noise: arguments that are mostly right. */
const junk = fc.oneof(fc.jsonValue(), fc.constantFrom(null, '', -1, 1e308, [], {}, '__proto__', 'x'.repeat(100_000)))
const keyLike = fc.record(
  {
    format: fc.oneof(fc.constantFrom('raw', 'jwk', 'spki', 'pkcs8'), junk),
    key: fc.oneof(
      fc.base64String(),
      fc.record({ kty: fc.constantFrom('oct', 'RSA', 'EC', 'OKP'), k: junk, n: junk, e: junk, crv: junk, x: junk }),
      junk,
    ),
    algorithm: fc.oneof(fc.record({ name: fc.constantFrom('HMAC', 'ECDSA', 'RSA-PSS', 'Ed25519'), hash: junk, namedCurve: junk }), junk),
    usages: fc.oneof(fc.constant(['sign', 'verify']), junk),
  },
  { requiredKeys: [] },
)
const argsLike = fc.dictionary(
  fc.constantFrom(
    'key',
    'value',
    'expected',
    'ttl',
    'by',
    'url',
    'method',
    'headers',
    'body',
    'timeout',
    'redirect',
    'algorithm',
    'data',
    'hash',
  ),
  fc.oneof(junk, keyLike, fc.constantFrom('a', '5s', 'http://a.test/', 'POST', 'SHA-256', 'YWJj'), fc.array(fc.tuple(fc.string(), junk))),
)

test('any arguments settle, by JSON or by an Error with words, and nothing is thrown at once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.constantFrom(...METHODS), fc.string()), fc.oneof(argsLike, junk), async (method, args) => {
      const outcome = perform(method, args)
      assert.instance(outcome, Promise)
      const error = await outcome.then(
        (json) => void JSON.parse(json),
        (reason: unknown) => reason,
      )
      assert.ok(error === undefined || (error instanceof Error && error.message.length > 0 && error.message.length < 1000), String(error))
    }),
    { numRuns: 2000 },
  )
})

test('arguments that are no JSON, or no object, are refused', async () => {
  for (const args of ['', '{', 'null', '[]', '"a"', '{"key":1}{'])
    assert.not.match(await reasonOf(perform('kv.get', 0, { args })), /^answered/)
  assert.is(await reasonOf(perform('kv.get', null)), 'kv.get takes an object of arguments')
})

test('what is inherited is no argument', async () => {
  assert.is(await reasonOf(perform('kv.get', 0, { args: '{"__proto__":{"key":"a"}}' })), 'kv.get: key takes a string')
  assert.is(await reasonOf(perform('constructor', {})), 'there is no constructor')
})

test('without the grant nothing is done, and the sentence names it', async () => {
  for (const method of METHODS.filter((name) => name.startsWith('kv.'))) {
    const reason = await reasonOf(perform(method, { key: 'a', value: '1' }, { grant: ['credentials', 'net:kv:1'] }))
    assert.is(reason, `${method} takes the permission kv: { grant: ['kv'] } beside the plugin's options gives it`)
  }
  assert.match(await reasonOf(perform('fetch', { url: 'http://b.test/' })), /^fetch to b\.test:80 takes the permission net:b\.test:80: /)
  assert.match(await perform('subtle.digest', { hash: 'SHA-256', data: '' }, { grant: [] }), /^"47DEQpj8/)
})

test('keys and values have their sizes', async () => {
  assert.is(await perform('kv.set', { key: 'k'.repeat(512), value: 'ä'.repeat(32 * 1024) }), 'null')
  assert.is(await reasonOf(perform('kv.get', { key: 'k'.repeat(513) })), 'kv.get: key takes up to 512 characters')
  const value = 'ä'.repeat(32 * 1024 + 1)
  assert.is(await reasonOf(perform('kv.set', { key: 'a', value })), 'kv.set: value takes up to 65536 bytes')
  assert.is(
    await reasonOf(perform('kv.compareAndSet', { key: 'a', expected: null, value })),
    'kv.compareAndSet: value takes up to 65536 bytes',
  )
  assert.match(await reasonOf(perform('kv.get', { key: 'a', more: 'x'.repeat(5_000_000) })), /up to 4194304 characters of arguments/)
})

test('two plugins do not see what the other has stored', async () => {
  await perform('kv.set', { key: 'mine', value: '1' }, { plugin: 'a' })
  assert.is(await perform('kv.get', { key: 'mine' }, { plugin: 'b' }), 'null')
  assert.is(await perform('kv.get', { key: 'mine' }, { plugin: 'a' }), '"1"')
})

const fetched = (args: object): Promise<string> => reasonOf(perform('fetch', { url: 'http://a.test/', ...args }))

test('a request cannot speak for the connection, or break out of its lines', async () => {
  for (const name of ['Host', 'content-length', 'Transfer-Encoding', 'connection', 'upgrade', 'TE', 'expect', 'proxy-authorization']) {
    assert.is(await fetched({ headers: [[name, 'x']] }), `fetch: headers cannot have ${name.toLowerCase()}: it belongs to the connection`)
  }
  for (const value of ['a\r\nx: y', 'a\0', 'ü\u0100', 7])
    assert.match(await fetched({ headers: [['x-a', value]] }), /takes text in one line/)
  for (const name of ['', 'a b', 'a:', 'x\r\n']) assert.match(await fetched({ headers: [[name, 'a']] }), /names that are tokens/)
  for (const method of ['CONNECT', 'trace', 'GET /x', '']) assert.match(await fetched({ method }), /^fetch: method cannot be/)
  assert.match(await fetched({ headers: Array(101).fill(['a', 'b']) }), /up to 100 entries/)
  assert.match(await fetched({ headers: [['a', 'x'.repeat(33_000)]] }), /up to 32768 characters/)
})

test('a request is of a size, to a URL, for a time', async () => {
  assert.match(await fetched({ method: 'POST', body: { text: 'x'.repeat(1024 * 1024) } }), /^answered/)
  assert.match(await fetched({ method: 'POST', body: { text: 'ä'.repeat(1024 * 1024) } }), /body takes up to 1048576 bytes/)
  assert.match(await fetched({ method: 'POST', body: { base64: Buffer.alloc(1024 * 1024 + 1).toString('base64') } }), /up to 1048576 bytes/)
  assert.match(await fetched({ method: 'POST', body: { base64: 'a' } }), /base64 takes bytes/)
  assert.match(await fetched({ body: { text: 'x' } }), /cannot go with GET/)
  for (const url of ['/x', 'ftp://a.test/', 'file:///etc/passwd', 'http://', 'data:,x', 7])
    assert.match(await fetched({ url }), /^fetch: url takes/)
  assert.match(await fetched({ url: 'http://user:secret@a.test/' }), /no user and password/)
  assert.match(await fetched({ timeout: '6s' }), /timeout takes up to 5s/)
  for (const timeout of ['0ms', 5, 'soon']) assert.match(await fetched({ timeout }), /timeout takes a duration/)
  assert.match(await fetched({ redirect: 'always' }), /redirect takes 'manual', 'follow'/)
})

test('so many calls of one plugin may be under way, and of those so many requests', async () => {
  const waiting: (() => void)[] = []
  const held = new Promise<void>((resolve) => waiting.push(resolve))
  const kv: KvStore = { perform: async () => held.then(() => null) }
  const transport: Transport = async (hop, signal) => held.then(() => answering(hop, signal))
  const slow = createCapabilities({ kv, transport })
  const ask = (method: string, plugin: string): Promise<string> =>
    reasonOf(slow.perform({ plugin, method, args: '{"key":"a","url":"http://a.test/"}', grant }))
  const fetches = Array.from({ length: 65 }, () => ask('fetch', 'busy'))
  assert.match(await fetches[64]!, /^fetch: 64 requests of this plugin are under way already; await some of them first$/)
  const gets = Array.from({ length: 193 }, () => ask('kv.get', 'busy'))
  assert.match(await gets[192]!, /^kv\.get: 256 calls of this plugin are under way already/)
  const other = ask('kv.get', 'other')
  for (const go of waiting) go()
  const answers = await Promise.all([...fetches.slice(0, 64), ...gets.slice(0, 192), other])
  assert.ok(answers.every((answer) => answer.startsWith('answered')))
  assert.is(await ask('kv.get', 'busy'), 'answered null')
})

const rsa = (modulusLength: number): string =>
  generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'der', type: 'spki' }).toString('base64')

test('keys of RSA have up to 4096 bits', async () => {
  const importRsa = (modulusLength: number): Promise<string> => {
    const key = {
      format: 'spki',
      key: rsa(modulusLength),
      algorithm: { name: 'RSA-PSS', hash: 'SHA-256' },
      extractable: true,
      usages: ['verify'],
    }
    return reasonOf(perform('subtle.importKey', { key }))
  }
  assert.match(
    await importRsa(2048),
    /^answered \{"type":"public","algorithm":\{"name":"RSA-PSS",.*"modulusLength":2048,"publicExponent":"AQAB"/,
  )
  assert.is(await importRsa(4104), 'keys of RSA have up to 4096 bits here, this one has 4104')
})

test('a key does only what it says it does', async () => {
  const key = { format: 'raw', key: 'YWJjZA==', algorithm: { name: 'HMAC', hash: 'SHA-1' }, extractable: false, usages: ['verify'] }
  const args = { key, algorithm: { name: 'HMAC' }, data: 'YQ==' }
  assert.is(await reasonOf(perform('subtle.sign', args)), "subtle.sign: the key's usages do not have sign")
  assert.is(await perform('subtle.verify', { ...args, signature: '' }), 'false')
  assert.not.match(
    await reasonOf(perform('subtle.verify', { ...args, algorithm: { name: 'ECDSA', hash: 'SHA-1' }, signature: '' })),
    /^answered/,
  )
  assert.match(
    await reasonOf(perform('subtle.digest', { hash: 'SHA-256', data: Buffer.alloc(1024 * 1024 + 3).toString('base64') })),
    /up to 1048576 bytes/,
  )
  assert.match(
    await reasonOf(perform('subtle.importKey', { key: { ...key, usages: ['encrypt'] } })),
    /usages are sign and verify, no others/,
  )
})

test('keys are remembered by all that makes them, and only so many', async () => {
  const sign = async (key: string, hash: string): Promise<string> => {
    const data = {
      format: 'raw',
      key: Buffer.from(key).toString('base64'),
      algorithm: { name: 'HMAC', hash },
      extractable: false,
      usages: ['sign'],
    }
    return perform('subtle.sign', { key: data, algorithm: { name: 'HMAC' }, data: 'YQ==' })
  }
  const first = [await sign('a', 'SHA-1'), await sign('a', 'SHA-256'), await sign('b', 'SHA-1')]
  assert.is(new Set(first).size, 3)
  for (let i = 0; i < 300; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => sign(`key ${i + j}`, 'SHA-1')))
  assert.equal([await sign('a', 'SHA-1'), await sign('a', 'SHA-256'), await sign('b', 'SHA-1')], first)
})

test.run()
