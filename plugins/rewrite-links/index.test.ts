import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { responseHead } from '../../test/support/heads.ts'
import { ask, askPart, bodyPart, Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))
const options = { links: { 'app.internal:8080': 'https://www.example.com' } }
const GRANT = ['response.body', 'credentials']

async function within(run: (it: Sandboxed) => Promise<void>): Promise<void> {
  const it = await Sandboxed.create('worker')
  try {
    await run(it)
  } finally {
    await it.close()
  }
}

test('fields of a response follow, digests of a text that may change go', () =>
  within(async (it) => {
    const hook = await it.load(file, { options, grant: GRANT, timeoutMs: 500 })
    const { response } = await ask(hook, {
      response: responseHead(302, {
        Location: 'http://app.internal:8080/in?next=http%3A%2F%2Fapp.internal%3A8080%2F',
        Link: '<http://app.internal:8080/a.css>; rel=preload, <https://elsewhere.example/b>; rel=next',
        'Set-Cookie': 'a=1; Domain=app.internal; Path=/',
        'Content-Type': 'text/html; charset=utf-8',
        'Repr-Digest': 'sha-256=:AAAA:',
        'Accept-Ranges': 'bytes',
        ETag: '"1"',
      }),
    })
    assert.is(response!.get('location'), 'https://www.example.com/in?next=https%3A%2F%2Fwww.example.com%2F')
    assert.is(response!.get('link'), '<https://www.example.com/a.css>; rel=preload, <https://elsewhere.example/b>; rel=next')
    assert.is(response!.get('set-cookie'), 'a=1; Domain=www.example.com; Path=/')
    assert.equal(
      ['repr-digest', 'accept-ranges', 'etag'].map((name) => response!.has(name)),
      [false, false, true],
    )
  }))

test('without the permission credentials cookies stay as they are', () =>
  within(async (it) => {
    const hook = await it.load(file, { options, grant: ['response.body'] })
    const { response } = await ask(hook, { response: responseHead(200, { 'Set-Cookie': 'a=1; Domain=app.internal' }) })
    assert.is(response!.get('set-cookie'), 'a=1; Domain=app.internal')
  }))

test('texts are rewritten as they stream by, two at a time, cut anywhere, and nothing else waits', () =>
  within(async (it) => {
    const hook = await it.load(file, { options, grant: GRANT, timeoutMs: 500 })
    assert.ok(hook.onResponseBody!.types!.includes('text/html'))
    assert.is(hook.onResponseBody!.mode, 'stream')
    const text = Buffer.from('<p>häßlich <a href="http://app.internal:8080/ü">😀</a> and the end http://app.internal:8080')
    const wanted = '<p>häßlich <a href="https://www.example.com/ü">😀</a> and the end https://www.example.com'
    for (const size of [1, 3, 7, 1000]) {
      const bodies = [1, 2].map(async (n) => {
        let out = Buffer.alloc(0)
        for (let at = 0; at < text.length; at += size) {
          const bytes = text.subarray(at, at + size)
          const last = at + size >= text.length
          const verdict = await askPart(hook.onResponseBody!.ask, bodyPart(bytes, { type: 'text/html', state: size * 10 + n, last }))
          out = Buffer.concat([out, verdict?.kind === 'bytes' ? verdict.bytes : bytes])
        }
        assert.is(out.toString(), wanted, `cut each ${size} bytes`)
      })
      await Promise.all(bodies)
    }
    assert.is(await askPart(hook.onResponseBody!.ask, bodyPart('data: no link\n\n', { state: 5 })), null)
  }))

test('a megabyte of HTML is rewritten within the turns that a plugin has', () =>
  within(async (it) => {
    const hook = await it.load(file, { options, grant: GRANT, timeoutMs: 500 })
    const chunk = Buffer.from(
      '<a href="http://app.internal:8080/products/4711">a product</a> with some words around it\n'.repeat(800).slice(0, 65536),
    )
    for (let i = 0; i < 16; i++) {
      const verdict = await askPart(hook.onResponseBody!.ask, bodyPart(chunk, { state: 7, last: i === 15 }))
      assert.is(verdict?.kind, 'bytes', it.told.failures[0]?.detail)
    }
  }))

test('says what is wrong with its links', () =>
  within(async (it) => {
    const refusals: readonly (readonly [links: Record<string, string>, words: string])[] = [
      [{}, 'links is empty'],
      [{ 'http://app.internal': 'https://www.example.com' }, 'not a host of an origin: http://app.internal'],
      [{ 'app.internal': 'www.example.com' }, 'not an origin: www.example.com'],
      [{ 'app.internal': 'https://www.example.com/path' }, 'not an origin: https://www.example.com/path'],
    ]
    for (const [links, words] of refusals) {
      const error = await it.load(file, { options: { links }, grant: GRANT }).then(
        () => null,
        (reason: Error) => reason,
      )
      assert.match(error?.message ?? 'accepted', words)
    }
  }))

test.run()
