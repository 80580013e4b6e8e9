/** Bodies that a real client sends, and how much of an attack reaches a real endpoint: nothing. */
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../../test/support/client.ts'
import { answer, startOrigin } from '../../test/support/origin.ts'
import { startProxy } from '../../test/support/proxy.ts'
import { Sandboxed } from '../../test/support/sandboxed.ts'

const file = fileURLToPath(new URL('./index.ts', import.meta.url))

test('an attack in a chunked body never reaches the endpoint, a fine body does as it is', async () => {
  const sandboxed = await Sandboxed.create('worker')
  const hook = await sandboxed.load(file, { options: { maxBody: '1kb' }, grant: ['request.body'], timeoutMs: 1000 })
  await using origin = await startOrigin((req) => answer(req.text))
  await using proxy = await startProxy({ origin, routes: [{ hooks: [hook] }] })
  const post = (body: string, cut: number, type = 'application/x-www-form-urlencoded') => {
    const chunks = [body.slice(0, cut), body.slice(cut)].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
    return request(
      proxy.port,
      `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
      {
        deadlineMs: 20_000,
      },
    )
  }
  const attack = 'user=admin&password=1%27+or+%271%27%3D%271'
  for (const cut of [5, 22, 30]) assert.is((await post(attack, cut)).status, 403)
  assert.is((await post('x'.repeat(2000), 1000)).status, 413)
  assert.equal(origin.requests.length, 0)
  const fine = await post('user=O%27Brien&note=a+fine+day', 10)
  assert.equal([fine.status, fine.body.toString()], [200, 'user=O%27Brien&note=a+fine+day'])
  const binary = await post(`${attack}${'x'.repeat(2000)}`, 9, 'application/octet-stream')
  assert.equal([binary.status, binary.body.length], [200, attack.length + 2000])
  await sandboxed.close()
})

test.run()
