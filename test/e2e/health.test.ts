/** Health checks of a running proxy with several workers: one checks, all know, and it goes on when the one that checks is gone. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { answer, startOrigin } from '../support/origin.ts'
import { runCommand, startSluice } from '../support/process.ts'

const get = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

test('one worker checks for all, and another one when it is gone', async () => {
  let status = 200
  await using good = await startOrigin((req) => answer(req.target === '/up' ? '' : 'good'))
  await using bad = await startOrigin((req) => answer(req.target === '/up' ? '' : 'bad', req.target === '/up' ? status : 200))
  const config = `import { defineConfig, http, upstream } from 'sluice'
const api = upstream('api', {
  endpoints: ['${good.address}', '${bad.address}'],
  healthCheck: { path: '/up', interval: '100ms', unhealthyAfter: 2 },
})
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:0', routes: [{ to: api }] }) },
  admin: { listen: '127.0.0.1:0' },
})
`
  await using sluice = await startSluice({ config, args: ['--workers', '2', '--no-watch'] })
  const port = await sluice.port('web')
  const admin = await sluice.port('admin')
  const report = async () => JSON.parse((await request(admin, get.replace('/ ', '/api/upstreams '))).text)[0] ?? { list: [], workers: 0 }
  const until = (state: string, endpoint: { address: string }): Promise<unknown> =>
    eventually(
      async () => {
        const { list, workers } = await report()
        const found = list.find((one: { address: string }) => one.address === endpoint.address)
        return workers === 2 && found?.state === state ? true : undefined
      },
      `${endpoint.address} is not ${state}`,
      20_000,
    )
  await until('available', bad)
  status = 503
  await until('unhealthy', bad)
  for (let i = 0; i < 8; i++) assert.is((await request(port, get)).text, 'good')
  const line = await sluice.line(/is unhealthy/)
  assert.match(line, /endpoint 127\.0\.0\.1:\d+ of api is unhealthy: 2 checks in a row failed, the last: status 503/)
  const { stdout } = await runCommand(['status'], { folder: sluice.folder })
  assert.match(stdout, /^upstreams +api: 1 of 2 endpoints available\n +127\.0\.0\.1:\d+ unhealthy: 2 checks/m)

  const { workers } = JSON.parse((await runCommand(['status', '--json'], { folder: sluice.folder })).stdout)
  for (const { pid } of workers) process.kill(pid, 'SIGKILL')
  await until('unhealthy', bad)
  status = 200
  await until('available', bad)
})

test.run()
