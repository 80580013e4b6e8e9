import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Hook, LogFields } from '../../core/hooks.ts'
import { askPart, Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))
const ENTRY: LogFields = {
  time: '2026-11-28T16:00:00.000Z',
  method: 'GET',
  status: 200,
  path: '/reset/9f2c',
  query: '?code=4711&page=2',
  ip: '192.0.2.77',
  peer: '2001:db8:1:2::3',
  userAgent: 'Mozilla/5.0',
  referer: 'https://example.com/login?token=abc',
  durationMs: 1.5,
}

async function logged(hook: Hook, entry: LogFields): Promise<LogFields | null> {
  const verdict = await askPart(hook.onLog!, { kind: 'log', entries: [entry, entry] })
  assert.ok(verdict?.kind === 'entries')
  assert.equal(verdict.entries[0], verdict.entries[1])
  return verdict.entries[0]!
}

async function within(options: unknown, run: (hook: Hook, it: Sandboxed) => Promise<void>): Promise<void> {
  const it = await Sandboxed.create('worker')
  try {
    await run(await it.load(file, { options }), it)
  } finally {
    await it.close()
  }
}

test('a line loses its secrets and keeps the rest', () =>
  within({ paths: ['/reset/:token'] }, async (hook) => {
    assert.equal(await logged(hook, ENTRY), {
      ...ENTRY,
      path: '/reset/REDACTED',
      query: '?code=REDACTED&page=2',
      ip: '192.0.2.0',
      peer: '2001:db8:1::',
      referer: 'https://example.com/login?token=REDACTED',
    })
  }))

test('parameters, mask and the rest are as the options say', () =>
  within({ parameters: ['page'], mask: '***', ip: 'drop', userAgent: false, referer: 'origin', tokens: false }, async (hook) => {
    assert.equal(await logged(hook, ENTRY), {
      ...ENTRY,
      query: '?code=4711&page=***',
      ip: '',
      peer: '',
      userAgent: null,
      referer: 'https://example.com',
    })
  }))

test('an entry that cannot be dealt with is masked whole', () =>
  within({}, async (hook, it) => {
    const { path, query, ip, peer, userAgent, referer, status } = (await logged(hook, { ...ENTRY, query: 5 }))!
    assert.equal([path, query, ip, peer, userAgent, referer, status], ['REDACTED', '', 'REDACTED', 'REDACTED', null, null, 200])
    assert.match(it.told.lines[0]?.text ?? '', 'an entry was masked whole')
  }))

test.run()
