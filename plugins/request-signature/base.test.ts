import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { importSecret, isComponent, signatureBase, toBytes } from './base.ts'
import { bodyProblem } from './digest.ts'
import { quoted, readBytes, readDictionary, unquoted, writeBytes, writeParameters } from './fields.ts'

const headers = (fields: Readonly<Record<string, string>>) => ({ get: (name: string) => fields[name] ?? null })

test('the example of RFC 9421 B.2.5 verifies', async () => {
  const secret = 'base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=='
  const input = 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
  const [member] = readDictionary(input)!
  const parameters = writeParameters(member!.list!, member!.parameters)
  assert.is(`sig-b25=${parameters}`, input)
  const base = `"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@authority": example.com\n"content-type": application/json\n"@signature-params": ${parameters}`
  const [signature] = readDictionary('sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:')!
  assert.ok(await crypto.subtle.verify('HMAC', await importSecret(secret, 'verify'), readBytes(signature!.item)!, toBytes(base)))
})

test('the base holds each component on a line, then the parameters', () => {
  const message = { method: 'POST', path: '/a%20b', search: '', headers: headers({ 'x-list': 'a, b' }) }
  assert.is(
    signatureBase(message, ['@method', '@path', '@query', 'x-list'], '(…);created=1'),
    '"@method": POST\n"@path": /a%20b\n"@query": ?\n"x-list": a, b\n"@signature-params": (…);created=1',
  )
  assert.is(signatureBase({ ...message, search: '?a=%41' }, ['@query'], 'p'), '"@query": ?a=%41\n"@signature-params": p')
  assert.is(signatureBase(message, ['x-missing'], ''), null)
  for (const unknown of ['@authority', '@target-uri', '@query-param', '@status', 'X-Upper', '', '__proto__ x', '@constructor'])
    assert.not.ok(isComponent(unknown), unknown)
})

test('dictionaries are read strictly: what two parsers could read in two ways is not read at all', () => {
  assert.equal(readDictionary('a=("x" "y-z");created=1;nonce="q\\"";flag, b=:YQ==:;p=tok'), [
    {
      label: 'a',
      list: ['x', 'y-z'],
      item: '',
      parameters: [
        ['created', '1'],
        ['nonce', '"q\\""'],
        ['flag', ''],
      ],
    },
    { label: 'b', list: null, item: ':YQ==:', parameters: [['p', 'tok']] },
  ])
  const wrong = [
    'a=("x";sf)',
    'a=("x"',
    'a=(x)',
    'a=("x""y")',
    'a=1, a=2',
    'a=1,',
    'a',
    'A=1',
    'a=1;b=1;b=2',
    'a=1 b=2',
    'a=("x");created=1.5x',
    'a=:Y Q:',
    'a=("\u00e4")',
    'a=99999999999999999',
  ]
  for (const text of wrong) assert.is(readDictionary(text), null, text)
})

test('what is written is read as it was', () => {
  const string = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) })
  fc.assert(
    fc.property(fc.array(string), string, fc.uint8Array({ maxLength: 100 }), (list, nonce, bytes) => {
      const parameters = [
        ['created', '5'],
        ['nonce', quoted(nonce)],
      ] as const
      const [first, second] = readDictionary(`a=${writeParameters(list, parameters)}, b=${writeBytes(bytes)}`)!
      assert.equal([first!.list, first!.parameters, unquoted(first!.parameters[1]![1])], [list, parameters, nonce])
      assert.equal(readBytes(second!.item), bytes)
    }),
  )
})

test('arbitrary text neither throws nor takes its time', () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'a="(); ,:\\?1-*') }), (text) => void readDictionary(text)))
  for (const unit of ['a=("', '"', ';a', '\\"', '(', 'a=1, ']) {
    const began = process.cpuUsage()
    readDictionary(unit.repeat(20_000))
    readDictionary(`a=${unit.repeat(20_000)}`)
    assert.ok(process.cpuUsage(began).user < 500_000, unit)
  }
})

test('a body fits its digests, all that are known', async () => {
  const body = new TextEncoder().encode('{"hello": "world"}')
  // RFC 9530, appendix B.
  const sha256 = 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:'
  const sha512 = 'sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:'
  for (const field of [sha256, sha512, `${sha256}, ${sha512}`, `md5=:AAAA:, ${sha256}`])
    assert.is(await bodyProblem(body, field), null, field)
  assert.is(await bodyProblem(body, `${sha256}, ${sha512.replace('WZ', 'XZ')}`), 'its body does not fit the digest')
  assert.is(await bodyProblem(body, 'md5=:AAAA:'), 'its digest is neither sha-256 nor sha-512')
  assert.is(await bodyProblem(body, 'nonsense('), 'its digest is neither sha-256 nor sha-512')
  assert.is(await bodyProblem(body, null), 'it has a body without a digest')
  assert.is(await bodyProblem(new Uint8Array(0), null), null)
})

test('a secret is text or base64, and not too short', async () => {
  for (const secret of ['sixteen bytes ok', 'base64:AAAAAAAAAAAAAAAAAAAAAA==']) await importSecret(secret, 'sign')
  const error = await importSecret('short', 'sign').catch((reason: Error) => reason)
  assert.match((error as Error).message, 'a secret has at least 16 bytes')
})

test.run()
