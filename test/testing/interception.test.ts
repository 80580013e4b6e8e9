/** Requests inside of TLS through a forward proxy that reads it, in a simulation: no TLS is spoken, and all else is as it is. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { simulate } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { OwnAuthority } from '../support/interception.ts'

test('hooks and rules are asked inside; what passes unread cannot be seen', async () => {
  using authority = new OwnAuthority()
  const file = join(authority.folder, 'proxy.config.ts')
  writeFileSync(
    file,
    `import { blocklist, defineConfig, forward, intercept } from 'sluice'
    export default defineConfig({
      listeners: {
        out: forward({
          listen: '127.0.0.1:3128',
          auth: { users: { ann: 'pw' } },
          block: blocklist({ hosts: '||ads.test^' }),
          intercept: intercept({ ca: { cert: './ca.pem', key: './ca.key' }, except: ['bank.example.com'] }),
          use: [{ onRequest: (req) => void req.headers.set('x-seen', req.path) }],
        }),
      },
    })`,
  )
  const proxy = await simulate(file, { upstreams: { 'www.example.com:443': (req) => new Response(`got ${req.headers.get('x-seen')}`) } })
  try {
    const res = await proxy.fetch('https://www.example.com/a/../b?c')
    assert.equal([res.status, await res.text(), res.endpoint], [200, 'got /b', 'www.example.com:443'])
    assert.is((await proxy.fetch('https://ads.test/')).reason, 'host_blocked')
    assert.is((await proxy.fetch('https://www.example.com:8443/')).reason, 'port_refused')
    await proxy.fetch('https://bank.example.com/').then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, 'tunnels to bank.example.com pass unread by out: nobody sees what is asked there'),
    )
  } finally {
    await proxy.close()
  }
})

test.run()
