/** What a user reads in the log of a real proxy. */
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../../test/support/client.ts'
import { startSluice } from '../../test/support/process.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

test('a token that a client sends is in no line of the log, nor is all of its address', async () => {
  const config = `import { defineConfig, http, respond } from 'sluice'
import redactLog from ${JSON.stringify(file)}
export default defineConfig({
  use: [redactLog({ paths: ['/reset/:token'] }, { timeout: '1s' })],
  listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ respond: respond(200, 'hi') }] }) },
  log: { format: 'json' },
})
`
  await using sluice = await startSluice({ config, args: ['--workers', '1'] })
  const head = 'Host: x\r\nConnection: close\r\nReferer: https://x.example/in?code=s3cr3t\r\n'
  const { status } = await request(await sluice.port('web'), `GET /reset/s3cr3t?access_token=s3cr3t&page=2 HTTP/1.1\r\n${head}\r\n`)
  assert.is(status, 200)
  const line = await sluice.line(/page=2/)
  const entry = JSON.parse(line) as Record<string, unknown>
  assert.equal([entry.path, entry.ip], ['/reset/REDACTED?access_token=REDACTED&page=2', '127.0.0.0'])
  assert.not.match(sluice.stdout.join('\n'), 's3cr3t')
})

test.run()
