import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import { requestHead } from '../../test/support/heads.ts'
import { ask, askPart, bodyPart, outcome, Sandboxed, said } from '../../test/support/sandboxed.ts'
import { eachOfForm, eachOfJson, eachOfMultipart, type Value } from './values.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))
const FORM = 'application/x-www-form-urlencoded'

async function within(options: unknown, run: (guarded: Guarded, it: Sandboxed) => Promise<void>): Promise<void> {
  const it = await Sandboxed.create('worker')
  try {
    await run(new Guarded(await it.load(file, { options, grant: ['request.body'], timeoutMs: 2000 })), it)
  } finally {
    await it.close()
  }
}

class Guarded {
  readonly hook: Hook
  constructor(hook: Hook) {
    this.hook = hook
  }
  async get(path: string, search = ''): Promise<string> {
    return outcome(await ask(this.hook, { request: requestHead({ path, search }) }))
  }
  async post(body: string | Uint8Array, contentType: string, path = '/'): Promise<string> {
    const type = contentType.split(';')[0]!
    const part = bodyPart(body, { kind: 'requestBody', last: true, type })
    return said(await askPart(this.hook.onRequestBody!.ask, part, requestHead({ path }, { 'Content-Type': contentType })))
  }
}

test('refuses in path, query and the names of parameters, and says where and why, but not what', () =>
  within({}, async (guarded, it) => {
    assert.is(await guarded.get('/products/7', '?sort=name&q=O%27Brien'), 'went on')
    assert.is(await guarded.get("/products/7'%20or%20'1'='1"), 'responded 403')
    assert.is(await guarded.get('/', '?page=2&id=1%27+or+%271%27%3D%271'), 'responded 403')
    assert.is(await guarded.get('/', '?a=1&1%27%20UNION%20SELECT%201=2'), 'responded 403')
    const texts = it.told.lines.map(({ text }) => text)
    assert.match(texts[1]!, /^denied GET \/ from 10\.0\.0\.1: sqli-103 sqli-104.* \(score \d+\) in query, parameter "id"$/)
    assert.not.match(texts[1]!, "'1'")
  }))

test('refuses in bodies of forms, JSON, multipart and text', () =>
  within({}, async (guarded) => {
    const attack = "1' or '1'='1"
    assert.is(guarded.hook.onRequestBody!.mode, 'buffer')
    assert.is(guarded.hook.onRequestBody!.maxBytes, 128 * 1024)
    assert.is(await guarded.post('name=O%27Brien&note=select+one', FORM), 'unchanged')
    assert.is(await guarded.post(`name=${encodeURIComponent(attack)}`, FORM), 'responded 403')
    assert.is(await guarded.post('{"name":"O\'Brien","n":[1,{"a":"b"}]}', 'application/json'), 'unchanged')
    assert.is(await guarded.post(JSON.stringify({ list: [{ deep: attack }] }), 'application/json; charset=utf-8'), 'responded 403')
    assert.is(await guarded.post('{"id":"1\\u0027 or \\u00271\\u0027=\\u00271","id":"1"}', 'application/vnd.api+json'), 'responded 403')
    assert.is(await guarded.post(attack, 'text/plain'), 'responded 403')
    const multipart = (value: string, more = '') => `--b\r\nContent-Disposition: form-data; name="a"${more}\r\n\r\n${value}\r\n--b--\r\n`
    assert.is(await guarded.post(multipart('fine'), 'multipart/form-data; boundary=b'), 'unchanged')
    assert.is(await guarded.post(multipart(attack), 'multipart/form-data; boundary="b"'), 'responded 403')
    assert.is(await guarded.post(multipart(attack, '; filename="x.sql"'), 'multipart/form-data; boundary=b'), 'unchanged')
    assert.is(await guarded.post(multipart('x', `; filename="${attack}"`), 'multipart/form-data; boundary=b'), 'responded 403')
    assert.is(await guarded.post('häßlich', FORM), 'unchanged')
    assert.is(await guarded.post('a=1', `${FORM}; charset=ibm037`), 'responded 415')
  }))

test('monitor refuses nothing and tells all the same', () =>
  within({ mode: 'monitor' }, async (guarded, it) => {
    assert.is(await guarded.get('/', '?id=1%27+or+1%3D1'), 'went on')
    assert.is(await guarded.post("a=1'+or+1=1", FORM), 'unchanged')
    assert.equal(
      it.told.lines.map(({ text }) => text.split(' ').slice(0, 3).join(' ')),
      ['would deny GET', 'would deny GET'],
    )
  }))

test('paths, parameters and rules can be let through', () =>
  within({ allow: { paths: ['/sql/*'], parameters: ['query'] }, disable: ['sqli-101'], threshold: 6 }, async (guarded) => {
    const attack = '?id=-1+union+select+1'
    assert.is(await guarded.get('/sql/run', '?id=1%27+or+%271%27%3D%271%27--'), 'went on')
    assert.is(await guarded.get('/sqlite', '?id=1%27+or+%271%27%3D%271%27--'), 'responded 403')
    assert.is(await guarded.get('/', '?query=1%27+or+%271%27%3D%271%27--'), 'went on')
    assert.is(await guarded.get('/', attack), 'went on')
    assert.is(await guarded.post('a=1', FORM, '/sql'), 'unchanged')
  }))

test('says what is wrong with its options', async () => {
  const refused = async (options: unknown): Promise<string> => {
    try {
      await within(options, async () => undefined)
      return 'accepted'
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.match(await refused({ disable: ['sqli-1'] }), 'disable: there is no rule sqli-1')
  assert.match(await refused({ maxBody: '5mb' }), /onRequestBody\.max is a size up to '4mb'/)
})

test('a large body is searched within a time that grows with its size alone', () =>
  within({ maxBody: '1mb' }, async (guarded) => {
    const form = Array.from({ length: 4000 }, (_, i) => `field${i}=it%27s+a+value+(number+${i})+or+so`).join('&')
    assert.is(await guarded.post(form, FORM), 'unchanged')
    const json = JSON.stringify(
      Array.from({ length: 3000 }, (_, i) => ({ name: `it's ${i}`, text: 'select one; or "two" from = (three)' })),
    )
    assert.is(await guarded.post(json, 'application/json'), 'unchanged')
  }))

const values = (each: (see: (value: Value) => boolean) => boolean): string[] => {
  const found: string[] = []
  each(({ name, text }) => {
    found.push(`${name}: ${text}`)
    return false
  })
  return found
}

test('every string of a JSON text is seen, whatever a parser makes of it', () => {
  const text = '{"a":"x","a":"y","b":{"c":["\\"d\\\\", "e"]}, "f": "open'
  assert.equal(
    values((see) => eachOfJson(text, see)),
    [...['a: a', 'a: x', 'a: a', 'a: y', 'b: b', 'c: c', 'c: "d\\', 'c: e', 'f: f', 'f: open']],
  )
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (json) => {
      const strings: string[] = []
      JSON.parse(json, (_key, value: unknown) => {
        if (typeof value === 'string') strings.push(value)
        return value
      })
      const seen = values((see) => eachOfJson(json, see))
      for (const string of strings)
        assert.ok(
          seen.some((one) => one.endsWith(`: ${string}`)),
          json,
        )
    }),
  )
})

test('forms and parts are seen whole, broken ones too', () => {
  assert.equal(
    values((see) => eachOfForm('a=1&&b&=c&d=e=f', 'body', see)),
    ['a: a', 'a: 1', 'b: b', ': c', 'd: d', 'd: e=f'],
  )
  const text =
    '--x\nContent-Disposition: form-data; name=a\n\none\n--x\r\nContent-Disposition: form-data; name="b"\r\n\r\ntwo\r\nlines\r\n--x--'
  assert.equal(
    values((see) => eachOfMultipart(text, 'x', see)),
    ['a: a', 'a: one', 'b: b', 'b: two\r\nlines'],
  )
  assert.equal(
    values((see) => eachOfMultipart('--x\r\n\r\nopen', 'x', see)),
    [': open'],
  )
})

test.run()
