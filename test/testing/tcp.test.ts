/** Connections of TCP through a simulation: where they go and why, and every byte either side gets, without a port. */
import { refused, reset, simulate, simulatePlugin } from 'sluice/testing'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { certificates } from '../support/certificates.ts'
import { write } from './support.ts'

const guard = write(
  'guard.ts',
  `import { definePlugin, deny, routeTo } from 'sluice/plugin'
export default definePlugin({ name: 'guard', permissions: ['stream'], setup: ({ denied }: { denied: string }) => ({
  onConnection(conn) { if (conn.ip === denied) return deny(); console.log('welcome', conn.ip) },
  onClientHello(hello) { if (hello.serverName === 'moved.test') return routeTo('spare') },
  onData(data, conn, from) { if (from === 'client' && data.includes(33)) return deny() },
}) })
`,
)

const made = certificates
const TLS =
  made === null ? '' : `, tls: terminate({ cert: ${JSON.stringify(made.server.certFile)}, key: ${JSON.stringify(made.server.keyFile)} })`

const file = write(
  'edge.config.ts',
  `import { defineConfig, http, respond, tcp, terminate, upstream } from 'sluice'
import guard from './guard.ts'
const bank = upstream('bank', { endpoints: ['10.0.0.5:443'] })
const spare = upstream('spare', { endpoints: ['10.0.0.6:443'] })
const flaky = upstream('flaky', { endpoints: ['10.0.0.7:1', '10.0.0.8:1'], retries: { attempts: 2 } })
export default defineConfig({
  upstreams: [spare],
  listeners: {
    edge: tcp({
      listen: ':8443',
      use: [guard({ denied: '192.0.2.66' }, { timeout: '500ms', grant: ['stream'] })],
      routes: [
        { name: 'bank', sni: 'bank.test', to: bank },
        { sni: 'flaky.test', to: flaky },
        { sni: 'mq.test', to: 'tcp://10.0.0.9:5672'${TLS} },
        { alpn: 'h2', to: 'tcp://10.0.0.10:443' },
        { from: '10.1.0.0/16', to: http({ routes: [{ path: '/*', to: 'http://10.0.0.11' }] }) },
        { from: '10.2.0.0/16', to: bank, use: [{ onData: (data, _, from) => from === 'client' ? data.map((byte) => byte ^ 32) : undefined }] },
      ],
    }),
    behind: tcp({ listen: ':9443', proxyProtocol: 'require', trust: '127.0.0.1', routes: [{ from: '10.9.0.0/16', to: bank }] }),
  },
})
`,
)

const proxy = await simulate(file, {
  tcp: {
    bank: ({ data, text }) => (data.length === 0 ? 'welcome\n' : `${data.length} bytes, ${text.slice(-4)}`),
    spare: async () => 'spare',
    '10.0.0.7:1': refused(),
    '10.0.0.8:1': () => reset(),
    'tcp://10.0.0.9:5672': ({ text }) => text.toUpperCase(),
  },
  upstreams: { 'http://10.0.0.11': (req) => new Response(`http ${req.path}`) },
})
test.after(() => proxy.close())

test('a connection says where it went, and what either side got', async () => {
  const conn = await proxy.connect('edge', { sni: 'bank.test', alpn: ['h2', 'http/1.1'], from: '10.0.0.9', data: ['ping', 'pong'] })
  assert.equal([conn.listener, conn.route, conn.upstream, conn.endpoint], ['edge', 'edge/bank', 'bank', '10.0.0.5:443'])
  assert.equal(
    [conn.protocol, conn.sni, conn.reason, conn.decidedBy, conn.attempts, conn.isReset],
    ['TLS', 'bank.test', null, null, 1, false],
  )
  const hello = conn.sent.length - 8
  assert.is(conn.sent[0], 22)
  assert.ok(conn.sentText.includes('bank.test') && conn.sentText.endsWith('pingpong'))
  assert.match(conn.receivedText, new RegExp(`^welcome\n${hello} bytes, .*4 bytes, ping4 bytes, pong$`, 's'))
  assert.equal(
    conn.logs.map(({ plugin, text }) => `${plugin} ${text}`),
    ['guard welcome 10.0.0.9'],
  )
})

test('who refused it, or sent it elsewhere, is named', async () => {
  const denied = await proxy.connect('edge', { sni: 'bank.test', from: '192.0.2.66' })
  assert.equal([denied.reason, denied.decidedBy, denied.upstream, denied.isReset], ['connection_denied', 'guard', null, true])
  const moved = await proxy.connect('edge', { sni: 'moved.test' })
  assert.equal([moved.reason, moved.decidedBy, moved.upstream, moved.receivedText], [null, 'guard', 'spare', 'sparespare'])
  const data = await proxy.connect('edge', { sni: 'bank.test', data: ['fine', 'not!', 'gone'] })
  assert.equal([data.reason, data.decidedBy, data.route], ['connection_denied', 'guard', 'edge/bank'])
  assert.ok(data.sentText.endsWith('fine'))
})

test('hooks of a route change what passes, and it is the changed that is told', async () => {
  const conn = await proxy.connect('edge', { from: '10.2.0.1', data: 'abc' })
  assert.equal([conn.route, conn.protocol, conn.sentText, conn.receivedText], ['edge[5]', 'TCP', 'ABC', 'welcome\n3 bytes, ABC'])
})

test('a client for whom there is no route, and endpoints that fail', async () => {
  const nobody = await proxy.connect('edge', { data: 'hello' })
  assert.equal([nobody.reason, nobody.route, nobody.detail], ['no_route', null, 'the client speaks no TLS'])
  const flaky = await proxy.connect('edge', { sni: 'flaky.test' })
  assert.equal([flaky.upstream, flaky.endpoint, flaky.attempts, flaky.isReset], ['flaky', '10.0.0.8:1', 2, true])
})

test('an upstream without a stub says which one it wants', async () => {
  const conn = await proxy.connect('edge', { sni: 'any.test', alpn: ['h2'] })
  assert.is(
    conn.detail,
    "no stub for the upstream tcp://10.0.0.10:443: give simulate(config, { tcp: { 'tcp://10.0.0.10:443': () => '…' } })",
  )
  let said = ''
  await simulate(file, { tcp: { bnak: () => '' } }).catch((error: Error) => (said = error.message))
  assert.match(said, 'there is no upstream bnak to stub; did you mean bank?')
})

if (made !== null)
  test('where TLS ends the data are what is inside', async () => {
    const conn = await proxy.connect('edge', { sni: 'mq.test', data: 'secret' })
    assert.equal([conn.route, conn.sni, conn.sentText, conn.receivedText], ['edge[2]', 'mq.test', 'secret', 'SECRET'])
  })

test('a route to HTTP answers requests', async () => {
  const conn = await proxy.connect('edge', { from: '10.1.2.3', data: 'GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n' })
  assert.equal([conn.route, conn.protocol, conn.upstream], ['edge[4]', 'HTTP', 'http://10.0.0.11'])
  assert.match(conn.receivedText, /^HTTP\/1\.1 200 OK\r\n.*http \/a$/s)
})

test('behind a proxy of connections the client is the one that the header names', async () => {
  assert.is((await proxy.connect('behind', { from: '10.9.1.1', data: 'x' })).route, 'behind[0]')
  assert.is((await proxy.connect('behind', { from: '10.8.1.1', data: 'x' })).reason, 'no_route')
})

test('connections that are opened together are told apart', async () => {
  const all = await Promise.all(['10.2.0.1', '192.0.2.66', '10.2.0.2'].map((from) => proxy.connect('edge', { from, data: 'a' })))
  assert.equal(
    all.map(({ reason }) => reason),
    [null, 'connection_denied', null],
  )
})

test('a listener is named where there are several, and rightly', async () => {
  for (const [name, pattern] of [
    [undefined, /several TCP listeners \(edge, behind\)/],
    ['egde', /there is no TCP listener egde; did you mean edge\?/],
  ] as const) {
    let said = ''
    await proxy.connect(name, {}).catch((error: Error) => (said = error.message))
    assert.match(said, pattern)
  }
})

test('a plugin of connections by itself', async () => {
  await using alone = await simulatePlugin(guard, {
    options: { denied: '192.0.2.1' },
    timeout: '500ms',
    grant: ['stream'],
    tcp: ({ text }) => text,
  })
  assert.is((await alone.connect({ data: 'hello' })).receivedText, 'hello')
  const denied = await alone.connect({ from: '192.0.2.1', data: 'hello' })
  assert.equal([denied.decidedBy, denied.receivedText, denied.sentText], ['guard', '', ''])
})

test.run()
