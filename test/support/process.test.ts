import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from './client.ts'
import { startOrigin } from './origin.ts'
import { freePort, processesOf, startSluice } from './process.ts'

const config = (port: number, origin: string): string => `
import { defineConfig, http } from 'sluice'
export default defineConfig({ listeners: { web: http({ listen: '127.0.0.1:${port}', routes: [{ path: '/*', to: '${origin}' }] }) } })
`

test('the command line runs in a folder of its own, and is gone after stop', async () => {
  await using origin = await startOrigin()
  const port = await freePort()
  await using sluice = await startSluice({ config: config(port, origin.address), args: ['--workers', '1', '--no-watch'] })
  assert.is(await sluice.port('web'), port)
  assert.is((await request(port, 'GET / HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n')).text, 'ok')
  assert.ok(sluice.processes().length >= 2, 'a supervisor and a worker')
  assert.is(await sluice.stop(), 0)
  assert.equal(sluice.processes(), [])
  assert.not(existsSync(sluice.folder))
})

test('a config that is not valid fails the start with what was printed', async () => {
  const message = await startSluice({ config: 'export default 5', args: ['--workers', '1'] }).then(
    () => 'started',
    (error: Error) => error.message,
  )
  assert.match(message, /exited with 78/)
  assert.match(message, /proxy\.config\.ts/)
})

test('processes of a session are found after their parent is gone', async () => {
  const parent = spawn('sh', ['-c', 'sleep 60 & echo started'], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] })
  await once(parent.stdout, 'data')
  await once(parent, 'exit')
  const left = processesOf(parent.pid!)
  for (const pid of left) process.kill(pid, 'SIGKILL')
  assert.is(left.length, 1)
})

test.run()
