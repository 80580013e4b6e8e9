/** A block list that is fetched, in a running proxy: all of it is in force as soon as it has come, without anybody's doing. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { startSluice } from '../support/process.ts'

test('a fetched list is in force when it has come', async () => {
  const lists = createServer((_, response) => response.end('||blocked.test^\n'))
  await new Promise<void>((resolve) => lists.listen(0, '127.0.0.1', resolve))
  const { port } = lists.address() as AddressInfo
  const config = `import { blocklist, defineConfig, forward } from 'sluice'
    const block = blocklist({ urls: [{ url: 'http://127.0.0.1:${port}/adult.txt?key=s3cr3t', name: 'adult' }] })
    export default defineConfig({ listeners: { out: forward({ listen: '127.0.0.1:0', block, allow: { hosts: ['*.blocked.test'] } }) } })`
  await using sluice = await startSluice({ config, args: ['--workers', '1'] })
  await sluice.line(/^live in .*1 block list changed/)
  const out = await sluice.port('out')
  const refused = await request(out, 'CONNECT www.blocked.test:443 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  assert.is(refused.status, 403)
  assert.match(refused.text, '*.blocked.test in adult')
  await new Promise((resolve) => lists.close(resolve))
})

test.run()
