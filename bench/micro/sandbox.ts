/**
 * What a plugin costs: both hooks of block-bots, per request, in one engine, beside the same work without the wall.
 *
 *     node --no-node-snapshot --no-concurrent-osr bench/micro/sandbox.ts [worker|process] [requests a batch]
 */
import { fileURLToPath } from 'node:url'
import type { Observer } from '../../core/events.ts'
import { type HookCall, PENDING } from '../../core/hooks.ts'
import { RequestHead, ResponseHead } from '../../core/net/http1/head.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { Sandbox } from '../../core/sandbox/sandbox.ts'

const isolation = process.argv[2] === 'process' ? 'process' : 'worker'
const batchSizes = process.argv[3] === undefined ? [1, 5, 20, 64] : [Number(process.argv[3])]
const file = process.argv[4] ?? fileURLToPath(new URL('../../plugins/block-bots/index.ts', import.meta.url))

const quiet = (): void => undefined
const observer: Observer = {
  connectionOpened: quiet,
  connectionClosed: quiet,
  exchangeEnded: quiet,
  tunnelEnded: quiet,
  datagramDropped: quiet,
  dialled: quiet,
  upstreamClosed: quiet,
  queued: quiet,
  upstreamChanged: quiet,
  retryRefused: quiet,
  mirrored: quiet,
  buffered: quiet,
  hedged: quiet,
  limitMoved: quiet,
  handshakeFailed: quiet,
  pluginCalled: quiet,
  pluginFailed: (plugin, why, detail) => console.error(plugin, why, detail),
  pluginLogged: quiet,
}
const agents = [
  'curl/7.88.1',
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0',
]
const requestTexts = agents.map(
  (agent, i) =>
    `Host: 127.0.0.1:8080\r\nUser-Agent: ${agent}\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nX-Id: ${i}\r\n`,
)
const responseText =
  'Server: nginx\r\nDate: Sat, 21 Nov 2026 03:28:36 GMT\r\nContent-Type: text/plain\r\nContent-Length: 95\r\nConnection: keep-alive\r\n'

/** Calls are made anew each time, as an exchange makes them: their cost is measured apart and taken off. */
class Call implements HookCall {
  readonly request: RequestHead
  response: ResponseHead | null = null
  readonly ip = '10.0.0.7'
  readonly part = null
  readonly ended = false
  constructor(n: number) {
    const text = requestTexts[n % requestTexts.length]!
    this.request = new RequestHead(text, 0, 'GET', 1)
    this.request.endFields(text.length)
    this.request.path = n % 2 === 0 ? '/users/4711/orders' : '/'
  }
  resume(): void {
    left--
    if (left === 0) done()
  }
}
let left = 0
let done: () => void = quiet

const source = await bundlePlugin(file)
const sandbox = new Sandbox({ observer })
const options = { agents: ['evilbot', 'badbot'] }
const [hook] = await sandbox.load([
  { source, key: 'bench', options, grant: [], timeoutMs: 50, deadlineMs: 1000, memoryMb: 64, kvBytes: null, isolation, onFailure: 'deny' },
])

/** A turn as under load: requests that came in and responses that came in, gathered together. */
async function turn(size: number, asks: boolean): Promise<void> {
  const requests: Call[] = []
  const responses: Call[] = []
  for (let i = 0; i < size; i++) {
    requests.push(new Call(i))
    const call = new Call(i + 1)
    call.response = new ResponseHead(responseText, 0, 200, 'OK', 1)
    call.response.endFields(responseText.length)
    responses.push(call)
  }
  if (!asks) return new Promise((resolve) => setImmediate(resolve))
  left = 0
  const answered = new Promise<void>((resolve) => {
    done = resolve
  })
  for (const call of requests) if (hook!.onRequest!(call) === PENDING) left++
  for (const call of responses) if (hook!.onResponse!(call) === PENDING) left++
  await answered
}

async function measure(size: number, asks: boolean): Promise<number> {
  const turns = Math.ceil(20_000 / size)
  const before = process.cpuUsage()
  for (let i = 0; i < turns; i++) await turn(size, asks)
  const used = process.cpuUsage(before)
  return (used.user + used.system) / (turns * size)
}

console.log(`block-bots, ${isolation} engine, both hooks: µs CPU a request (median of 7)`)
for (const size of batchSizes) {
  await measure(size, true)
  const costs: number[] = []
  for (let i = 0; i < 7; i++) costs.push((await measure(size, true)) - (await measure(size, false)))
  costs.sort((a, b) => a - b)
  console.log(`${String(size).padStart(4)} requests a turn   ${costs[3]!.toFixed(2)}   (${costs[0]!.toFixed(2)} … ${costs[6]!.toFixed(2)})`)
}
sandbox.close()
