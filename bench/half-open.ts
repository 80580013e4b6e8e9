/**
 * `npm run bench:half-open [-- --connections 5000]`: what clients that stop in the middle of their TLS hello cost a worker in memory, and
 * others who connect meanwhile in time.
 */
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { median } from './measure.ts'
import { readOptions } from './options.ts'
import { accepting, delay, folder, freePort, rssMb, start, stopAll, tree } from './processes.ts'

const values = readOptions(import.meta.filename, {
  connections: { type: 'string', default: '5000' },
  others: { type: 'string', default: '300' },
})
const COUNT = Number(values.connections)
const OTHERS = Number(values.others)
const SETTLE_MS = 2_000
/** A record of TLS that says it is longer than what is sent of it. */
const HALF_HELLO = Buffer.concat([Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]), Buffer.alloc(240, 7)])

const origin = net.createServer((socket) => socket.on('error', () => {}).end('served')).listen(0, '127.0.0.1')
const port = await freePort()
const config = join(folder, 'proxy.config.ts')
writeFileSync(
  config,
  `import { defineConfig, tcp } from 'sluice'
const to = '127.0.0.1:${(origin.address() as net.AddressInfo).port}'
export default defineConfig({
  listeners: { edge: tcp({ listen: '127.0.0.1:${port}', routes: [{ sni: 'a.test', to }, { to: 'tcp://' + to }], timeouts: { detect: '5m' } }) },
  log: { access: false },
})
`,
)
const main = join(import.meta.dirname, '../core/main.ts')
const proxy = start([process.execPath, main, 'run', '-c', config, '--workers', '1', '--no-watch'])
await accepting(proxy, port)
const workers = (): number[] => tree(proxy.pid ?? -1).slice(1)

await serveOthers()
await delay(SETTLE_MS)
const [before, alone] = [rssMb(workers()), await serveOthers()]
const sockets: net.Socket[] = []
for (let i = 0; i < COUNT; i++) {
  sockets.push(await open(HALF_HELLO))
}
await delay(SETTLE_MS)
const [held, beside] = [rssMb(workers()), await serveOthers()]
console.log(
  `${COUNT} half-open handshakes: worker ${before.toFixed(1)} → ${held.toFixed(1)} MB, ${(((held - before) * 1024) / COUNT).toFixed(2)} KB each`,
)
console.log(
  `another connection, from connect to the endpoint's word: ${alone.toFixed(2)} ms before, ${beside.toFixed(2)} ms beside them (medians of ${OTHERS})`,
)
for (const socket of sockets) socket.destroy()
await delay(SETTLE_MS)
console.log(`after they closed ${rssMb(workers()).toFixed(1)} MB`)
origin.close()
await stopAll()
process.exit(0)

function open(first: Buffer | string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(first, () => resolve(socket)))
    socket.on('error', reject)
  })
}

/** One after the other, each to its end: the median in milliseconds. */
async function serveOthers(): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < OTHERS; i++) {
    const began = performance.now()
    const socket = await open('hello')
    let text = ''
    for await (const part of socket) text += String(part)
    if (text !== 'served') throw new Error(`a connection was not served: ${JSON.stringify(text)}`)
    times.push(performance.now() - began)
  }
  return median(times)
}
