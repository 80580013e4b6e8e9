import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConnectionHooks } from '../../core/connection/connection-hooks.ts'
import { Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

/** What comes out of its sandbox for bytes of one side, as latin1 text; null: the connection ends. */
async function within(options: unknown, run: (say: Say, it: Sandboxed) => Promise<void>): Promise<void> {
  const it = await Sandboxed.create('worker')
  try {
    const hook = await it.load(file, { options, grant: ['stream'], timeoutMs: 2000 })
    const hooks = new ConnectionHooks([hook], { ip: '192.0.2.7', port: 4000, listener: 'mail' })
    const say: Say = (from, text) =>
      new Promise((resolve) =>
        hooks.inspect(Buffer.from(text, 'latin1'), from, (inspected) =>
          resolve('code' in inspected ? null : Buffer.from(inspected.bytes).toString('latin1')),
        ),
      )
    await run(say, it)
    hooks.close()
  } finally {
    await it.close()
  }
}
type Say = (from: 'client' | 'upstream', text: string) => Promise<string | null>

test('a message of any bytes passes as it is; a smuggled one ends the connection, and the log says why', () =>
  within({ banner: 'mail.example.com ESMTP', maxSize: '1kb' }, async (say, it) => {
    assert.is(await say('upstream', '220 mx7 Postfix\r\n'), '220 mail.example.com ESMTP\r\n')
    assert.is(await say('client', 'EHLO a\r\n'), 'EHLO a\r\n')
    assert.is(await say('upstream', '250-mx7\r\n250 CHUNKING\r\n'), '250-mail.example.com\r\n250 SIZE 1024\r\n')
    assert.is(await say('client', 'DATA\r\n'), 'DATA\r\n')
    assert.is(await say('upstream', '354 go on\r\n'), '354 go on\r\n')
    const message = 'Subject: gr\xfc\xdfe\r\n\r\n\x00\xff\r\n.\r\n'
    assert.is(await say('client', message), message)
    assert.is(await say('upstream', '250 queued\r\n'), '250 queued\r\n')
    await say('client', 'DATA\r\n')
    await say('upstream', '354 go on\r\n')
    assert.is(await say('client', 'text\n.\r\nMAIL FROM:<admin@example.com>\r\n'), null)
    assert.match(it.told.lines.at(-1)!.text, /^ended a connection of 192\.0\.2\.7: a bare CR or LF in a message/)
  }))

test('says what is wrong with its options', async () => {
  for (const options of [{ banner: 'two\r\nlines' }, { maxSize: 5 }, { startTls: true }])
    try {
      await within(options, async () => undefined)
      assert.unreachable(JSON.stringify(options))
    } catch (error) {
      assert.match((error as Error).message, new RegExp(Object.keys(options)[0]!))
    }
})

test.run()
