/** A limit holds for all workers of the machine together, exactly; and a worker that is replaced forgets nothing. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { commandOf, type Sluice, startSluice } from '../support/process.ts'

const config = `import { defineConfig, http, rateLimit, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:0', routes: [
    { path: '/free', respond: respond(200, 'free') },
    { use: [rateLimit({ key: 'ip', limit: 20, window: '1d' })], respond: respond(200, 'ok') },
  ] }) },
})`

const ask = async (port: number, path = '/'): Promise<number> =>
  (await request(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, { deadlineMs: 20_000 })).status

test('twenty of sixty pass, whichever worker takes them, and none after a worker was killed', async () => {
  await using sluice = await startSluice({ config, args: ['--workers', '2', '--no-watch'] })
  const port = await sluice.port('web')
  const statuses = await Promise.all(Array.from({ length: 60 }, () => ask(port)))
  assert.is(statuses.filter((status) => status === 200).length, 20)
  assert.is(statuses.filter((status) => status === 429).length, 40)
  const before = workersOf(sluice)
  process.kill(before[0]!, 'SIGKILL')
  await eventually(() => (workersOf(sluice).some((pid) => !before.includes(pid)) ? true : undefined), 'no new worker', 20_000)
  for (let i = 0; i < 6; i++) assert.is(await ask(port), 429)
  assert.is(await ask(port, '/free'), 200)
})

test('where no memory can be shared that is said, and the workers together let no more through', async () => {
  await using sluice = await startSluice({ config, args: ['--workers', '2', '--no-watch'], env: { SLUICE_NO_FFI: '1' } })
  const port = await sluice.port('web')
  await sluice.line(/each worker lets its part of a rate limit or quota through/)
  const statuses = await Promise.all(Array.from({ length: 60 }, () => ask(port)))
  const passed = statuses.filter((status) => status === 200).length
  assert.ok(passed >= 10 && passed <= 20, `${passed} passed`)
})

/** By their titles. */
function workersOf(sluice: Sluice): number[] {
  return sluice.processes().filter((pid) => commandOf(pid).includes('sluice: worker'))
}

test.run()
