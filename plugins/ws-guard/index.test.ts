import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook } from '../../core/hooks.ts'
import { requestHead } from '../../test/support/heads.ts'
import { askPart, messagePart, Sandboxed, said } from '../../test/support/sandboxed.ts'
import { Limits, utf8Length } from './limits.ts'
import { isOriginOf, readOrigins } from './origins.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

async function within(options: unknown, run: (hook: Hook, it: Sandboxed) => Promise<void>): Promise<void> {
  const it = await Sandboxed.create('worker')
  try {
    await run(await it.load(file, { options, grant: ['stream'], timeoutMs: 1000 }), it)
  } finally {
    await it.close()
  }
}

async function refusal(options: unknown): Promise<string> {
  try {
    await within(options, async () => undefined)
    return 'accepted'
  } catch (error) {
    return (error as Error).message
  }
}

test('only allowed origins open a WebSocket, and only with allowed subprotocols', () =>
  within({ origins: ['https://app.example.com', 'https://*.example.org'], protocols: ['chat.v2', 'chat.v1'] }, async (hook) => {
    const upgrade = (fields: Record<string, string>): Promise<string> => {
      const request = requestHead({}, fields)
      return new Promise((resolve) => {
        const done = (verdict: Parameters<typeof said>[0]) => resolve(`${said(verdict)} ${request.get('sec-websocket-protocol')}`)
        hook.onUpgrade!({ request, response: null, ip: '', part: null, ended: false, resume: done })
      })
    }
    const origin = 'https://app.example.com'
    assert.is(await upgrade({ Origin: origin }), 'unchanged null')
    assert.is(await upgrade({ Origin: 'https://a.b.example.org' }), 'unchanged null')
    assert.is(await upgrade({}), 'unchanged null')
    for (const wrong of ['https://evil.example', 'http://app.example.com', 'null', 'https://app.example.com.evil.example'])
      assert.is(await upgrade({ Origin: wrong }), 'responded 403 null', wrong)
    assert.is(await upgrade({ Origin: origin, 'Sec-WebSocket-Protocol': 'chat.v1, admin,chat.v2' }), 'unchanged chat.v1, chat.v2')
    assert.is(await upgrade({ Origin: origin, 'Sec-WebSocket-Protocol': 'admin' }), 'responded 400 admin')
  }))

test('closes what is too large or of the wrong kind, each direction by its own limits', () => {
  const options = {
    client: { maxSize: '10b', only: 'json', deny: ['<Script'], denyPatterns: ['"a": ?6\\d'] },
    upstream: { deny: ['secret'] },
  }
  return within(options, async (hook, it) => {
    const say = async (text: string | Uint8Array, from: 'client' | 'upstream' = 'client', state = 1) =>
      said(await askPart(hook.onMessage!, messagePart(text, { from, state })))
    assert.is(await say('{"a":1}'), 'unchanged')
    assert.is(await say('{"a":"€€"}'), 'deny')
    assert.is(await say('{"a":', 'client', 2), 'deny')
    assert.is(await say(new Uint8Array(3), 'client', 3), 'deny')
    assert.is(await say('"<sCRIPT"', 'client', 4), 'deny')
    assert.is(await say('{"a":66}', 'client', 5), 'deny')
    assert.is(await say('no json of any length at all', 'upstream'), 'unchanged')
    assert.is(await say(new Uint8Array(100), 'upstream'), 'unchanged')
    assert.is(await say('a SECRET', 'upstream', 6), 'deny')
    assert.equal(
      it.told.lines.map(({ text }) => text),
      [
        'closed: client sent a message of 14 bytes, of 10 allowed',
        'closed: client sent what is not JSON',
        'closed: client sent a binary message, where text alone is allowed',
        'closed: client sent what deny[0] names',
        'closed: client sent what denyPatterns[0] matches',
        'closed: upstream sent what deny[0] names',
      ],
    )
  })
})

test('each WebSocket has a rate of its own; a flood is told once', () =>
  within({ client: { messages: { perSecond: 0.001, burst: 3 } } }, async (hook, it) => {
    const say = async (state: number) => said(await askPart(hook.onMessage!, messagePart('x', { state })))
    assert.equal(
      [await say(1), await say(1), await say(1), await say(1), await say(1)],
      ['unchanged', 'unchanged', 'unchanged', 'deny', 'deny'],
    )
    assert.is(await say(2), 'unchanged')
    assert.is(it.told.lines.length, 1)
  }))

test('monitor closes nothing and tells all the same', () =>
  within({ monitor: true, origins: [], client: { maxSize: '1b' } }, async (hook, it) => {
    assert.is(said(await askPart(hook.onMessage!, messagePart('xx'))), 'unchanged')
    assert.match(it.told.lines[0]!.text, 'would close: client sent a message of 2 bytes')
  }))

test('a bucket fills with time, up to its burst', () => {
  const limits = new Limits({ messages: { perSecond: 2, burst: 4 }, bytes: { perSecond: '1kb', burst: '2kb' } }, 'client')
  const kept = {}
  const at = (ms: number, text = 'x') => limits.problem(text, kept, 1_000_000 + ms)
  assert.equal([at(0), at(0), at(0), at(0), at(0)], [null, null, null, null, 'more messages than its rate'])
  assert.equal([at(500), at(500)], [null, 'more messages than its rate'])
  assert.is(at(60_000, 'x'.repeat(2048)), null)
  assert.is(at(60_000), 'more bytes than its rate')
  assert.is(at(61_000, 'x'.repeat(1000)), null)
  assert.is(at(60_000), null, 'a clock that was put back takes nothing away')
})

test('size is that of the bytes on the wire', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => assert.is(utf8Length(text), new TextEncoder().encode(text).length)))
})

test('an origin is exact, a star one or more labels', () => {
  const allowed = readOrigins(['https://*.example.com:8443', 'https://a.example:443', 'http://[::1]:3000'])
  for (const good of [
    'https://x.example.com:8443',
    'https://x.y.example.com:8443',
    'https://a.example',
    'HTTPS://A.example',
    'http://[::1]:3000',
  ])
    assert.ok(isOriginOf(allowed, good), good)
  for (const bad of [
    'https://example.com:8443',
    'https://x.example.com',
    'https://evil/.example.com:8443',
    'https://x@.example.com:8443',
    'https://.example.com:8443',
  ])
    assert.not.ok(isOriginOf(allowed, bad), bad)
})

test('says what is wrong with its options', async () => {
  assert.match(await refusal({ origins: ['example.com'] }), 'origins: not an origin: example.com')
  assert.match(await refusal({ client: { denyPatterns: ['('] } }), 'client.denyPatterns: not a regular expression: (')
  assert.match(await refusal({ upstream: { messages: { perSecond: 1, burst: 0.5 } } }), 'upstream.messages.burst is less than one message')
})

test.run()
