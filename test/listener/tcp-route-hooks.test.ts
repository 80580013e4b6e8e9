/** Hooks of a TCP route: asked once it is chosen, after those of the listener, and about its connections alone. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { http, respond, type TcpOptions, tcp, upstream } from '../../core/index.ts'
import type { ConnectionHooks } from '../../core/plugin.ts'
import { makeHello } from '../support/hello.ts'
import { type Origin, startOrigin } from '../support/origin.ts'
import { startProxy } from '../support/proxy.ts'

const HELLO = makeHello({ serverName: 'bank.test' })
const deny = { kind: 'deny' } as const
const later = () => new Promise((resolve) => setImmediate(resolve))
const raw = (greeting?: string) => startOrigin(undefined, { raw: true, onConnection: () => greeting })
const to = (name: string, origin: Origin) => upstream(name, { endpoints: [origin.address as `${string}:${number}`] })

async function start(use: ConnectionHooks[], routes: TcpOptions['routes'], extra: Origin | null = null) {
  const upstreams = extra === null ? [] : [to('extra', extra)]
  return await startProxy({ config: { upstreams, listeners: { edge: tcp({ listen: ':1', use, routes }) } } })
}

/** Says when it is asked. */
function spy(told: string[], name: string): ConnectionHooks {
  return {
    async onConnection({ listener }) {
      await later()
      told.push(`${name} connection ${listener}`)
    },
    onClientHello({ serverName }) {
      told.push(`${name} hello ${serverName}`)
    },
    onData(data, _, from) {
      told.push(`${name} ${data.length} from ${from}`)
    },
  }
}

test('first the listener, then the route that was chosen, and no other; data from the endpoint the other way round', async () => {
  await using bank = await raw()
  await using rest = await raw()
  const told: string[] = []
  const routes = [
    { sni: 'bank.test', to: to('bank', bank), use: [spy(told, 'bank')] },
    { to: to('rest', rest), use: [spy(told, 'rest')] },
  ]
  await using proxy = await start([spy(told, 'edge')], routes)
  using c = await proxy.connect()
  c.send(HELLO)
  const connection = await bank.connection()
  await connection.until(HELLO.toString('latin1'))
  connection.write('ok')
  await c.until('ok')
  assert.equal(told, [
    'edge connection edge',
    'edge hello bank.test',
    'bank connection edge',
    'bank hello bank.test',
    `edge ${HELLO.length} from client`,
    `bank ${HELLO.length} from client`,
    'bank 2 from upstream',
    'edge 2 from upstream',
  ])
})

test('a route is asked without hooks of the listener, and about a hello that no route needs', async () => {
  await using origin = await raw()
  const told: string[] = []
  await using proxy = await start([], [{ to: to('origin', origin), use: [spy(told, 'it')] }])
  using c = await proxy.connect()
  c.send(HELLO)
  await (await origin.connection()).until(HELLO.toString('latin1'))
  assert.equal(told, ['it connection edge', 'it hello bank.test', `it ${HELLO.length} from client`])
})

test('a route whose hooks answer after a reload goes where it was to go', async () => {
  await using origin = await raw('ready')
  const asked = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  const slow: ConnectionHooks = {
    async onConnection() {
      asked.resolve()
      await answered.promise
    },
  }
  const configOf = (upstreamName: string, use: ConnectionHooks[]) => ({
    config: { upstreams: [], listeners: { edge: tcp({ listen: ':1', routes: [{ to: to(upstreamName, origin), use }] }) } },
  })
  await using proxy = await startProxy(configOf('before', [slow]))
  using c = await proxy.connect()
  await asked.promise
  await proxy.reload(configOf('after', []))
  answered.resolve()
  await c.until('ready')
})

test('it refuses, or sends elsewhere, before the endpoint is dialled; the line names the route', async () => {
  await using bank = await raw()
  await using extra = await raw()
  const routes = [
    { name: 'no', sni: 'no.test', to: to('bank', bank), use: [{ onConnection: () => deny }] },
    { name: 'late', sni: 'late.test', to: 'tcp://127.0.0.1:1', use: [{ onClientHello: async () => later().then(() => deny) }] },
    { sni: 'else.test', to: 'tcp://127.0.0.1:2', use: [{ onClientHello: () => ({ kind: 'routeTo', upstream: 'extra' }) as const }] },
  ]
  await using proxy = await start([], routes, extra)
  for (const [i, name] of ['no', 'late'].entries()) {
    using c = await proxy.connect()
    await c.send(makeHello({ serverName: `${name}.test` })).closed()
    const { reason, route, detail, bytesIn } = await proxy.tunnel(i + 1)
    assert.equal([reason, route, detail], ['connection_denied', `edge/${name}`, `edge/${name}/use[0]`])
    assert.ok(bytesIn > 0)
  }
  using c = await proxy.connect()
  const hello = makeHello({ serverName: 'else.test' })
  c.send(hello)
  await (await extra.connection()).until(hello.toString('latin1'))
  assert.equal([bank.connections.length, proxy.dialled.length], [0, 1])
})

test('of a route to HTTP it is asked before there is a request', async () => {
  const told: string[] = []
  const { onConnection, onClientHello } = spy(told, 'it') as Required<ConnectionHooks>
  const web = http({ routes: [{ respond: respond(200, 'hi') }] })
  await using proxy = await start([], [{ to: web, use: [{ onConnection, onClientHello }] }])
  using c = await proxy.connect()
  assert.is((await c.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n').final()).text, 'hi')
  assert.equal(told, ['it connection edge'])
})

test('a hook that throws ends that connection alone', async () => {
  await using origin = await raw('hi')
  let calls = 0
  const throwing: ConnectionHooks = {
    onConnection() {
      if (++calls === 1) throw new Error('once')
    },
  }
  await using proxy = await start([], [{ to: to('origin', origin), use: [throwing] }])
  await proxy.connect().then(
    (c) => c.closed(),
    () => {},
  )
  assert.equal([(await proxy.tunnel()).reason, (await proxy.tunnel()).detail], ['hook_failed', 'edge[0]/use[0]: once'])
  using c = await proxy.connect()
  await c.until('hi')
})

test.run()
