/** A limit holds for all workers of the machine together, exactly; and a worker that is replaced forgets nothing, and keeps nothing. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Client, connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { commandOf, type Sluice, startSluice } from '../support/process.ts'

const configFor = (endpoint: string): string => `import { concurrency, defineConfig, http, rateLimit, respond } from 'sluice'
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:0', routes: [
    { path: '/free', respond: respond(200, 'free') },
    { path: '/held', use: [concurrency({ key: 'ip', limit: 5 })], to: '${endpoint}' },
    { use: [rateLimit({ key: 'ip', limit: 20, window: '1d' })], respond: respond(200, 'ok') },
  ] }) },
})`

const deadlineMs = 20_000
const ask = async (port: number, path = '/'): Promise<number> =>
  (await request(port, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, { deadlineMs })).status

test('twenty of sixty pass, and five at a time, whichever worker takes them; of one that is killed the places are free', async () => {
  await using origin = await startOrigin(() => undefined)
  await using sluice = await startSluice({ config: configFor(origin.address), args: ['--workers', '2', '--no-watch'] })
  const port = await sluice.port('web')
  const statuses = await Promise.all(Array.from({ length: 60 }, () => ask(port)))
  assert.is(statuses.filter((status) => status === 200).length, 20)
  assert.is(statuses.filter((status) => status === 429).length, 40)
  const held = await hold(port, origin)
  assert.equal([held.length, origin.requests.length], [5, 5])
  const before = workersOf(sluice)
  process.kill(before[0]!, 'SIGKILL')
  await eventually(() => (workersOf(sluice).some((pid) => !before.includes(pid)) ? true : undefined), 'no new worker', deadlineMs)
  const more = await hold(port, origin)
  assert.is(held.filter(({ isClosed }) => !isClosed).length + more.length, 5)
  for (let i = 0; i < 6; i++) assert.is(await ask(port), 429)
  assert.is(await ask(port, '/free'), 200)
  for (const client of [...held, ...more]) client.destroy()
})

test('where no memory can be shared that is said, and the workers together let no more through', async () => {
  const config = configFor('127.0.0.1:9')
  await using sluice = await startSluice({ config, args: ['--workers', '2', '--no-watch'], env: { SLUICE_NO_FFI: '1' } })
  const port = await sluice.port('web')
  await sluice.line(/each worker lets its part of a limit through/)
  const statuses = await Promise.all(Array.from({ length: 60 }, () => ask(port)))
  const passed = statuses.filter((status) => status === 200).length
  assert.ok(passed >= 10 && passed <= 20, `${passed} passed`)
})

/** Of sixteen clients who ask for what is never answered those that were not refused. */
async function hold(port: number, origin: Origin): Promise<Client[]> {
  const clients = await Promise.all(Array.from({ length: 16 }, () => connect(port, { deadlineMs })))
  const before = origin.requests.length
  const refused = new Set<Client>()
  for (const client of clients) {
    client.send('GET /held HTTP/1.1\r\nHost: x\r\n\r\n')
    client.response().then(
      ({ status }) => status === 429 && refused.add(client),
      () => {},
    )
  }
  const isDecided = (): boolean => refused.size + origin.requests.length - before === clients.length
  await eventually(
    () => isDecided() || undefined,
    () => `${refused.size} refused of ${clients.length}`,
    deadlineMs,
  )
  return clients.filter((client) => !refused.has(client))
}

/** By their titles. */
function workersOf(sluice: Sluice): number[] {
  return sluice.processes().filter((pid) => commandOf(pid).includes('sluice: worker'))
}

test.run()
