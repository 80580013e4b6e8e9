/** Heads of answers as text: what was written is read, and nothing that somebody else may have written there. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packHead, unpackHead } from '../../core/cache/packed.ts'
import { storedResponse } from '../support/stored.ts'

const packed = (changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    ...JSON.parse(packHead(storedResponse('k', 3, ['accept'], 'a'))),
    lines: 'Date: x\r\nX-A: caf\u00e9\r\nX-B:\r\n',
    ...changes,
  })

test('what was written is read, for its key and length alone', () => {
  const read = unpackHead(packed(), 'k', { bytes: 3 })!
  assert.equal([read.status, read.vary, read.variant, read.length, read.lines.length], [200, ['accept'], 'a', 3, 26])
  assert.is(unpackHead(packed(), 'other', { bytes: 3 }), null)
  assert.is(unpackHead(packed(), 'k', { bytes: 4 }), null)
})

test('what makes no sense, or would end an answer elsewhere, is not read, and takes no memory', () => {
  const freshness = { ...JSON.parse(packed()).freshness }
  for (const changes of [
    ...[
      'X: a\nY: b\r\n',
      'X: a\r\n\r\nHTTP/1.1 200 OK\r\n',
      'Content-Length: 0\r\n',
      'transfer-encoding: chunked\r\n',
      'X: a',
      ' X: a\r\n',
      7,
    ].map((lines) => ({ lines })),
    ...[100, 101, 206, 304, 999, '200', null].map((status) => ({ status })),
    ...[undefined, null, {}, { ...freshness, bornAt: '1' }, { ...freshness, directives: null }].map((one) => ({ freshness: one })),
    ...[{ vary: 'accept' }, { vary: [1] }, { tags: null }, { url: 1 }, { variant: null }, { etag: 1 }, { version: 1 }],
    ...[-1, 1e15, '3'].map((length) => ({ length })),
  ] as Readonly<Record<string, unknown>>[])
    assert.is(unpackHead(packed(changes), 'k', { bytes: 3 }), null, JSON.stringify(changes))
  for (const text of ['', 'null', '[]', '7', '{']) assert.is(unpackHead(text, 'k', { bytes: 3 }), null)
})

test.run()
