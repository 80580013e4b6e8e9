/** What is explained is what happens: the same requests go through a running listener and through `explain`. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from '../../core/config/evaluate.ts'
import type { Observer } from '../../core/events.ts'
import type { Explanation, Sent } from '../../core/explain/explanation.ts'
import { askedAgain, formatRecalled, shownRecalled } from '../../core/explain/recalled.ts'
import { gatherMaterials } from '../../core/materials.ts'
import { FlightRecorder, type RecalledExchange } from '../../core/observe/recorder.ts'
import { compilePlan } from '../../core/plan/compile.ts'
import { Runtime } from '../../core/runtime.ts'
import { bundle } from '../config/support.ts'
import { connect } from '../support/client.ts'
import { Waiting } from '../support/deadline.ts'
import { answer, type OriginRequest, startOrigin } from '../support/origin.ts'
import { explainer } from './support.ts'

const REQUESTS = [
  'GET /a/x/../b?q=1 HTTP/1.1\r\nHost: a.example.com\r\nUser-Agent: curl\r\n\r\n',
  'POST /a HTTP/1.1\r\nHost: B.example.com:80\r\nContent-Length: 2\r\nConnection: foo\r\nFoo: 1\r\nTE: trailers\r\n\r\nhi',
  'GET /users/7?x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4, 10.0.0.1\r\nX-Real-IP: 9.9.9.9\r\n\r\n',
  'GET /users/7 HTTP/1.0\r\nx-beta: 1\r\n\r\n',
  'GET /name HTTP/1.1\r\nHost: x\r\nX_Forwarded_For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\n\r\n',
  'GET /nobody HTTP/1.1\r\nHost: x\r\n\r\n',
  'GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n',
  'GET /old/1/2?q HTTP/1.1\r\nHost: x\r\n\r\n',
  'GET /dead HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cr3t\r\n\r\n',
]

for (const trust of ['', "trust: '127.0.0.0/8', forwarded: true, via: 'me',"]) {
  test(`what is explained is what happens ${trust === '' ? 'to a stranger' : 'behind a trusted proxy'}`, async () => {
    const received: OriginRequest[] = []
    await using origin = await startOrigin((request) => {
      received.push(request)
      return answer('ok')
    })
    const config = `import { defineConfig, http, upstream, respond, redirect } from 'sluice'
      const to = upstream('to', { endpoints: ['${origin.address}'] })
      const name = upstream('name', { endpoints: ['${origin.address}'], host: 'name' })
      export default defineConfig({ listeners: { web: http({ listen: 0, ${trust} routes: [
        { host: '*.example.com', path: '/a/*', to },
        { path: '/users/:id', headers: { 'x-beta': true }, to, rewrite: '/beta/:id' },
        { path: '/users/:id', from: '1.2.3.4', to, rewrite: '/from/:id?y=1' },
        { path: '/users/:id', to },
        { path: '/name', to: name },
        { path: '/old/*', redirect: redirect('/new/*') },
        { path: '/dead', to: '127.0.0.1:1' },
      ] }) } })`
    const ask = await explainer(config)
    await using proxy = await startListener(config)
    for (const request of REQUESTS) {
      received.length = 0
      using client = await connect(proxy.port)
      const response = await client.send(request).response()
      const recalled = await proxy.last()
      const explanation = await ask(askedAgainWithoutFields(recalled))
      compare(explanation, { recalled, received: received[0] ?? null, status: response.status })
    }
  })
}

test('what is printed of a remembered request holds no credentials, and says which config it ran on', async () => {
  const config = `import { defineConfig, http, respond } from 'sluice'
    export default defineConfig({ listeners: { web: http({ listen: 0, routes: [{ respond: respond(200) }] }) } })`
  await using proxy = await startListener(config)
  using client = await connect(proxy.port)
  await client.send('GET /a HTTP/1.1\r\nHost: x\r\nCookie: sid=s3cr3t\r\nAuthorization: Basic s3cr3t\r\n\r\n').response()
  const recalled = await proxy.last()
  assert.match(recalled.head, /s3cr3t/)
  const text = formatRecalled(recalled, { color: false, generation: 4 })
  assert.not.match(text + JSON.stringify(shownRecalled(recalled)), /s3cr3t/)
  assert.match(text, new RegExp(`^${recalled.id} `))
  assert.match(text, /it ran on config 3; now 4 is in force/)
  assert.match(text, /way {7}web → web\[0\]\n/)
})

interface Happened {
  readonly recalled: RecalledExchange
  readonly received: OriginRequest | null
  readonly status: number
}

function compare(explanation: Explanation, { recalled, received, status }: Happened): void {
  const { outcome, routes, request } = explanation
  const what = recalled.head
  assert.is(routes?.matched?.id ?? null, recalled.route, what)
  if (request!.refused === null) assert.is(request!.client.ip, recalled.ip, what)
  if (outcome!.kind === 'tunnel') throw new Error('no listener here is a forward proxy')
  if (outcome!.kind !== 'upstream') {
    assert.is(outcome!.status, status, what)
    assert.is(outcome!.kind === 'error' ? outcome!.code : null, recalled.reason, what)
    return
  }
  assert.equal([outcome!.upstream, outcome!.first], [recalled.upstream, recalled.endpoint], what)
  // It could not be reached, which nobody can know before.
  if (received === null) return assert.is(recalled.reason, 'connect_refused', what)
  compareSent(outcome!, received, what)
}

/** The fields that the endpoint got are the client's, less those removed, plus those added. */
function compareSent(sent: Sent, received: OriginRequest, what: string): void {
  assert.is(`${received.method} ${received.target} HTTP/1.1`, sent.requestLine, what)
  const { lines } = received
  const own = what.split('\r\n\r\n')[0]!.split('\r\n').slice(1)
  const isAdded = (line: string): boolean => !own.includes(line) && !/^host:/i.test(line)
  assert.equal(lines.filter(isAdded).sort(), sent.added.map(({ name, value }) => `${name}: ${value}`).sort(), what)
  assert.ok(lines.includes(`Host: ${sent.host.value}`), what)
  const names = new Set(lines.map((line) => line.split(':')[0]!.toLowerCase()))
  const gone = own.map((line) => line.split(':')[0]!).filter((name) => !names.has(name.toLowerCase()))
  assert.equal(gone.sort(), [...sent.removed].sort(), what)
}

function askedAgainWithoutFields(recalled: RecalledExchange) {
  const { headers: _, ...asked } = askedAgain(recalled, false)
  return asked
}

/** The listener `web` of a config, on port 0 in this process, and what its recorder remembers. */
async function startListener(text: string) {
  const made = await bundle({ 'proxy.config.ts': text })
  const recorder = new FlightRecorder()
  const ended: string[] = []
  const waiting = new Waiting()
  const observer = new Proxy({}, { get: () => () => undefined }) as Observer
  const recording: Observer = Object.assign(Object.create(observer), {
    exchangeEnded(x: Parameters<Observer['exchangeEnded']>[0]) {
      recorder.record(x)
      ended.push(x.id)
      waiting.poke()
    },
  })
  const runtime = new Runtime({ observer: recording, onDescriptors: () => {} })
  const bindUse = (): never => {
    throw new Error('the config uses nothing')
  }
  const plan = compilePlan(await evaluate(made), { generation: 3, folder: '/', bindUse })
  runtime.use(plan, gatherMaterials(plan))
  const server = createServer().listen({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  runtime.accept('web', server)
  let told = 0
  return {
    port: (server.address() as { readonly port: number }).port,
    async last(): Promise<RecalledExchange> {
      const id = await waiting.until(() => ended[told], 'an exchange that ended')
      told++
      return recorder.recall(id) as RecalledExchange
    },
    async [Symbol.asyncDispose]() {
      runtime.close()
      server.close()
    },
  }
}

test.run()
