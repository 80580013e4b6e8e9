/**
 * What each kind of hook costs across the wall, in one engine; what 20 plugins in a row cost a request; what 1, 10 and 50 plugins hold.
 *
 *     node --no-node-snapshot --no-concurrent-osr bench/micro/hooks.ts [worker|process] [hooks|chain|memory]
 *
 * CPU of this process and, for the process engine, of the plugin hosts; calls come 20 in a turn, as under load. Wishes are answered
 * at once by this process: what the store behind `host.kv` costs comes on top.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Observer } from '../../core/events.ts'
import { type Ask, type CallPart, type Hook, type HookCall, nextState, PENDING } from '../../core/hooks.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { bundlePlugin } from '../../core/sandbox/bundle.ts'
import { Sandbox } from '../../core/sandbox/sandbox.ts'

const isolation = process.argv[2] === 'process' ? 'process' : 'worker'
const only = process.argv[3]
const TURN = 20
const ROUNDS = 7

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
const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const capabilities = { perform: async () => '"value"' }
const grant = ['kv', 'request.body', 'response.body', 'stream']
let files = 0

async function load(sandbox: Sandbox, hooks: string): Promise<Hook> {
  const file = join(folder, `plugin-${files++}.ts`)
  writeFileSync(
    file,
    `import { definePlugin } from 'sluice/plugin'
export default definePlugin({ name: 'p${files}', permissions: ${JSON.stringify(grant)}, setup(_options, host) { return { ${hooks} } } })\n`,
  )
  const limits = { timeoutMs: 50, deadlineMs: 5000, memoryMb: 64 }
  const source = await bundlePlugin(file)
  const [hook] = await sandbox.load([{ source, kvBytes: null, key: file, options: {}, grant, isolation, onFailure: 'deny', ...limits }])
  return hook!
}

const text = `Host: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nAccept-Language: en\r\nX-Id: 1\r\n`

class Call implements HookCall {
  readonly request: RequestHead
  readonly response = null
  readonly ip = '10.0.0.7'
  readonly part: CallPart | null
  readonly ended = false
  readonly #asks: readonly Ask[]
  #next = 0

  constructor(asks: readonly Ask[], part: CallPart | null) {
    this.request = new RequestHead(text, 0, 'GET', 1)
    this.request.endFields(text.length)
    this.request.path = '/users/4711/orders'
    this.#asks = asks
    this.part = part
  }

  resume(): void {
    while (this.#next < this.#asks.length) if (this.#asks[this.#next++]!(this) === PENDING) return
    if (--left === 0) done()
  }
}
let left = 0
let done: () => void = quiet

/** µs CPU a call, what the calls themselves cost taken off. */
async function cost(asks: readonly Ask[], part: () => CallPart | null): Promise<number> {
  const run = async (turns: number, asked: readonly Ask[]): Promise<number> => {
    const before = cpuUs()
    for (let i = 0; i < turns; i++) {
      left = TURN
      const ended = new Promise<void>((resolve) => {
        done = resolve
      })
      for (let n = 0; n < TURN; n++) new Call(asked, part()).resume()
      await ended
    }
    return (cpuUs() - before) / (turns * TURN)
  }
  const turns = part()?.kind === 'responseBody' ? 150 : 500
  await run(turns, asks)
  const costs: number[] = []
  for (let i = 0; i < ROUNDS; i++) costs.push((await run(turns, asks)) - (await run(turns, [])))
  return costs.sort((a, b) => a - b)[ROUNDS >> 1]!
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  let total = user + system
  for (const pid of hosts()) {
    // schedstat: nanoseconds on a processor, of every thread.
    for (const thread of readdirSync(`/proc/${pid}/task`))
      total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000
  }
  return total
}

function hosts(): string[] {
  if (isolation === 'worker') return []
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
}

/** Pages that several processes share, such as Node's own code, are split among them. */
function heldMb(): number {
  const kilobytes = (pid: string): number => {
    try {
      return Number(/^Pss: +(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))![1])
    } catch {
      // One of the measurement before that has just ended.
      return 0
    }
  }
  return ['self', ...hosts()].reduce((sum, pid) => sum + kilobytes(pid), 0) / 1024
}

async function withSandbox<T>(run: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  const sandbox = new Sandbox({ observer, capabilities })
  try {
    return await run(sandbox)
  } finally {
    sandbox.close()
  }
}

const chunk = Buffer.alloc(16_384, 'a')
const body = (): CallPart => ({ kind: 'responseBody', bytes: chunk, last: true, type: 'text/html', state: nextState() })
const message = (): CallPart => ({ kind: 'message', bytes: Buffer.from('{"hello":"world"}'), isText: true, from: 'client', state: 1 })
const head = (): null => null

const kinds: readonly [string, string, keyof Hook, () => CallPart | null][] = [
  ['does nothing', 'onRequest(req) {}', 'onRequest', head],
  ['sets one constant', `onRequest(req) { req.headers.set('x-tag', 'v1') }`, 'onRequest', head],
  ['reads one header', `onRequest(req) { if (req.headers.get('user-agent') === 'x') return { status: 403 } }`, 'onRequest', head],
  ['sets two', `onRequest(req) { req.headers.set('x-a', req.path); req.headers.set('x-b', req.method) }`, 'onRequest', head],
  ['async, one kv read', `async onRequest(req) { req.headers.set('x-a', await host.kv.get('a')) }`, 'onRequest', head],
  ['16 KB chunk, looks', 'onResponseBody(chunk) { if (chunk[0] === 0) return new Uint8Array(0) }', 'onResponseBody', body],
  ['16 KB chunk, changes', 'onResponseBody(chunk) { chunk[0] = 65; return chunk }', 'onResponseBody', body],
  ['16 KB chunk, as text', 'onResponseBody(chunk) { return new TextDecoder().decode(chunk) }', 'onResponseBody', body],
  ['message, looks', 'onMessage(message) { if (message.length > 1000) return deny() }', 'onMessage', message],
]

async function measureHooks(): Promise<void> {
  console.log(`${isolation} engine, ${TURN} a turn: µs CPU a call (median of ${ROUNDS})`)
  for (const [name, hooks, key, part] of kinds) {
    await withSandbox(async (sandbox) => {
      const hook = await load(sandbox, hooks)
      const found = hook[key] as Ask | { readonly ask: Ask }
      const us = await cost([typeof found === 'function' ? found : found.ask], part)
      console.log(`  ${name.padEnd(24)} ${us.toFixed(2).padStart(8)}`)
    })
  }
}

async function measureChain(): Promise<void> {
  await withSandbox(async (sandbox) => {
    const hooks: Hook[] = []
    for (let i = 0; i < 20; i++) hooks.push(await load(sandbox, `onRequest(req) { req.headers.set('x-${i}', req.path) }`))
    const us = await cost(
      hooks.map((hook) => hook.onRequest!),
      head,
    )
    console.log(`${isolation} engine, 20 plugins in a row: ${us.toFixed(2)} µs CPU a request, ${(us / 20).toFixed(2)} a plugin`)
  })
}

async function measureMemory(): Promise<void> {
  console.log(`${isolation} engine: memory (PSS) of so many plugins, each called a thousand times`)
  const before = heldMb()
  for (const count of [1, 10, 50]) {
    await withSandbox(async (sandbox) => {
      for (let i = 0; i < count; i++) {
        const hook = await load(sandbox, `onRequest(req) { req.headers.set('x-a', req.path) }`)
        for (let n = 0; n < 50; n++) await once(hook)
      }
      const mb = heldMb() - before
      console.log(`  ${String(count).padStart(2)} plugins ${mb.toFixed(1).padStart(8)} MB, ${(mb / count).toFixed(2)} each`)
    })
  }
}

async function once(hook: Hook): Promise<void> {
  left = TURN
  const ended = new Promise<void>((resolve) => {
    done = resolve
  })
  for (let n = 0; n < TURN; n++) new Call([hook.onRequest!], null).resume()
  await ended
}

if (only === undefined || only === 'hooks') await measureHooks()
if (only === undefined || only === 'chain') await measureChain()
if (only === undefined || only === 'memory') await measureMemory()
rmSync(folder, { recursive: true, force: true })
process.exit()
