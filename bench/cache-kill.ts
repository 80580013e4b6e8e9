/**
 * `npm run bench:cache-kill [-- --kills 100]`: a proxy with a cache on disk under load, killed with all its workers (`kill -9`) and started again,
 * again and again; bodies of 200 KB and more lie on disk alone. Every whole answer is compared with what its URL stands for: one that is another fails the run.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { readOptions } from './options.ts'
import { delay, folder, freePort } from './processes.ts'

const values = readOptions(import.meta.filename, { kills: { type: 'string', default: '100' }, clients: { type: 'string', default: '8' } })
const KILLS = Number(values.kills)
const URLS = 600
const ROOT = new URL('..', import.meta.url).pathname

/** From a few bytes to half a megabyte, another one for each number. */
function bodyOf(number: number): Buffer {
  const seed = hash('sha256', String(number))
  return Buffer.alloc(Number.parseInt(seed.slice(0, 5), 16) >> 1, seed)
}

let asked = 0
const origin = createServer((request, response) => {
  asked++
  response.setHeader('Cache-Control', 'max-age=3600')
  response.end(bodyOf(Number(request.url!.slice(1))))
}).listen(0, '127.0.0.1')
await once(origin, 'listening')

const port = await freePort()
const home = join(folder, 'cache-kill')
mkdirSync(home)
const file = join(home, 'proxy.config.ts')
writeFileSync(
  file,
  `import { cache, defineConfig, http } from 'sluice'
const use = [cache({ memory: '4mb', maxObject: '200kb', disk: { path: './disk', size: '60mb', maxObject: '1mb' } })]
export default defineConfig({
  listeners: { web: http({ listen: '127.0.0.1:${port}', routes: [{ use, to: '127.0.0.1:${(origin.address() as AddressInfo).port}' }] }) },
})
`,
)

const counts = { answers: 0, hits: 0, broken: 0, corrupt: 0 }
for (let kill = 1; kill <= KILLS; kill++) {
  const proxy = await startPatiently()
  let isOver = false
  const clients = Array.from({ length: Number(values.clients) }, async () => {
    while (!isOver) await ask()
  })
  await delay(300 + Math.random() * 900)
  // The group of that proxy: its supervisor and all workers at once.
  process.kill(-proxy.pid!, 'SIGKILL')
  isOver = true
  await Promise.all([...clients, once(proxy, 'close')])
  if (kill % 10 === 0) console.log(`${kill} kills: ${counts.answers} answers, ${counts.hits} hits, ${counts.corrupt} corrupt`)
}
console.log(
  `${KILLS} kills: ${counts.answers} whole answers, ${counts.hits} of them out of the cache, ${counts.corrupt} corrupt; ${counts.broken} broke off; the endpoint was asked ${asked} times`,
)
origin.close()
process.exit(counts.corrupt > 0 || counts.hits === 0 ? 1 : 0)

/** On a machine that has no time for it a config may not be read in time: that says nothing of the cache. */
async function startPatiently(): Promise<ChildProcess> {
  for (let i = 1; ; i++) {
    try {
      return await start()
    } catch (error) {
      if (i === 5 || !String(error).includes('did not finish within')) throw error
    }
  }
}

async function start(): Promise<ChildProcess> {
  const args = [
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'core/main.ts'),
    'run',
    '-c',
    file,
    '--workers',
    '2',
    '--control',
    'off',
    '--no-watch',
    '--log',
    '/dev/null',
  ]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const read = (text: string): void => {
    output += text
    if (/^ready/m.test(output)) resolve()
  }
  child.stderr.setEncoding('utf8').on('data', read)
  child.stdout.setEncoding('utf8').on('data', read)
  child.once('exit', () => reject(new Error(`the proxy did not start:\n${output}`)))
  await promise
  return child
}

function ask(): Promise<void> {
  const number = Math.floor(Math.random() * URLS)
  const { promise, resolve } = Promise.withResolvers<void>()
  const request = get({ host: '127.0.0.1', port, path: `/${number}`, headers: { host: 'example.com' }, timeout: 5000 }, (response) => {
    const pieces: Buffer[] = []
    response.on('data', (bytes: Buffer) => pieces.push(bytes))
    response.on('end', () => {
      judge(number, response, Buffer.concat(pieces))
      resolve()
    })
    response.on('error', () => resolve())
  })
  request.on('timeout', () => request.destroy(new Error('timeout')))
  request.on('error', () => {
    counts.broken++
    resolve()
  })
  return promise
}

function judge(number: number, { statusCode, headers }: IncomingMessage, body: Buffer): void {
  if (statusCode !== 200) return
  counts.answers++
  if (String(headers['cache-status']).includes('hit')) counts.hits++
  if (body.equals(bodyOf(number))) return
  counts.corrupt++
  console.log(`!! ${number}: ${body.length} bytes in the place of ${bodyOf(number).length}: ${headers['cache-status']}`)
}
