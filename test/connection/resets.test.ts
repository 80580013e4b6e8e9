/** Clients that reset their connection while much is on its way to them: none of them stays. They live in a thread, for their timing is their own. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { test } from 'uvu'
import { answer, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const CLIENTS = `
const net = require('node:net')
const { workerData: port, parentPort } = require('node:worker_threads')
const { setTimeout: sleep } = require('node:timers/promises')
const get = (path) => 'GET ' + path + ' HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'
async function visit() {
  const c = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  c.on('error', () => {})
  let got = 0
  c.on('data', (bytes) => { got += bytes.length })
  for (let i = 0; i < 4; i++) {
    const before = got
    c.write(get('/'))
    while (got === before && !c.destroyed) await sleep(1)
  }
  c.write(get('/big').repeat(3))
  await sleep(Math.random() * 8)
  c.resetAndDestroy()
}
;(async () => {
  for (let round = 0; round < 16; round++) await Promise.all(Array.from({ length: 15 }, visit))
  parentPort.postMessage('done')
})()
`

test('a connection that was kept alive is gone when its client resets it in the midst of answers', async () => {
  await using origin = await startOrigin(({ target }) => answer('x'.repeat(target === '/big' ? 200_000 : 1)))
  await using proxy = await startProxy({ origin })
  const clients = new Worker(CLIENTS, { eval: true, workerData: proxy.port })
  await once(clients, 'message')
  await clients.terminate()
  await origin.close()
  await proxy.open(0)
})

test.run()
