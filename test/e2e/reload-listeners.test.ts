/** Listeners that come, go, move, get another name or TLS by a reload, and certificates that change: what open connections notice. */
import { copyFileSync } from 'node:fs'
import http2 from 'node:http2'
import { join } from 'node:path'
import type * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Pair, withCertificates } from '../support/certificates.ts'
import { type Client, connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { startOrigin } from '../support/origin.ts'
import { freePort, startSluice } from '../support/process.ts'
import { configOf, reload } from '../support/reloading.ts'
import { SharedSluice } from '../support/shared-sluice.ts'

const secured = withCertificates(test)
const shared = new SharedSluice(test, ['--workers', '2', '--drain', '500ms'])

test('a listener that comes accepts; one that goes says so at the next exchange, and lets idle clients linger', async () => {
  const port = await freePort()
  const [stays, more] = [listener('web', '127.0.0.1:0'), listener('more', `127.0.0.1:${port}`)]
  const sluice = await shared.take(configOf(stays))
  assert.match(await reload(sluice, configOf(`${stays}, ${more}`)), /1 listener added, 1 route added · 0 of 0 connections touched/)
  using asking = await connect(port)
  using idle = await connect(port, { deadlineMs: 5_000 })
  using other = await connect(await sluice.port('web'))
  for (const client of [asking, idle, other]) assert.is((await ask(client)).status, 200)
  assert.match(await reload(sluice, configOf(stays)), /1 listener removed, 1 route removed · 2 of 3 connections touched/)
  const last = await ask(asking)
  assert.equal([last.text, last.headers.connection], ['more', 'close'])
  assert.is(await asking.closed(), 'fin')
  assert.is(await idle.closed(), 'fin')
  assert.is((await ask(other)).headers.connection, undefined)
  const refused = await connect(port).then(
    () => false,
    () => true,
  )
  assert.ok(refused)
})

test('a tunnel of a listener that is gone lives until its ends close it', async () => {
  await using origin = await startOrigin(undefined, {
    raw: true,
    onConnection: (connection) => {
      void connection.until('\r\n\r\n').then(() => connection.write(GRANT))
      return undefined
    },
  })
  const port = await freePort()
  const chat = `chat: http({ listen: '127.0.0.1:${port}', routes: [{ to: 'http://127.0.0.1:${origin.port}' }] })`
  const stays = listener('web', '127.0.0.1:0')
  const sluice = await shared.take(configOf(`${stays}, ${chat}`))
  using socket = await connect(port)
  assert.is((await socket.send(UPGRADE).response()).status, 101)
  assert.match(await reload(sluice, configOf(stays)), /· 0 of 1 connections touched/)
  const [connection] = origin.connections
  socket.send('ping;')
  await connection!.until('ping;')
  connection!.write('pong;')
  await socket.until('pong;')
})

test('another address for the same listener: those who are connected stay, and the old address is gone', async () => {
  const [first, second] = [await freePort(), await freePort()]
  const sluice = await shared.take(configOf(listener('web', `127.0.0.1:${first}`)))
  using held = await connect(first)
  assert.is((await ask(held)).text, 'web')
  assert.match(await reload(sluice, configOf(listener('web', `127.0.0.1:${second}`))), /1 listener moved · 0 of 1 connections touched/)
  assert.is((await ask(held)).headers.connection, undefined)
  assert.is((await request(second, GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))).text, 'web')
})

test('every address of a port instead of one of them, and back', async () => {
  const port = await freePort()
  const sluice = await shared.take(configOf(listener('web', `127.0.0.1:${port}`)))
  for (const address of [`0.0.0.0:${port}`, `127.0.0.1:${port}`]) {
    await reload(sluice, configOf(listener('web', address)))
    using client = await connect(port)
    assert.is((await ask(client)).text, 'web')
  }
})

test('the same address under another name: nobody notices, and what is counted goes on under the new name', async () => {
  const port = await freePort()
  const admin = `admin: { listen: '127.0.0.1:0' }`
  await using sluice = await startSluice({ config: configOf(listener('a', `127.0.0.1:${port}`), admin), args: ['--workers', '1'] })
  using held = await connect(port)
  assert.is((await ask(held)).text, 'a')
  assert.match(await reload(sluice, configOf(listener('b', `127.0.0.1:${port}`), admin)), /1 listener renamed, .* 0 of 1 connections/)
  assert.is((await ask(held)).text, 'b')
  held.destroy()
  const metrics = async (): Promise<string> => (await request(await sluice.port('admin'), METRICS)).text
  await eventually(async () => ((await metrics()).includes('sluice_connections{listener="a"} 0') ? true : undefined), 'it is still counted')
})

secured('TLS comes and goes: who is connected ends at the next exchange, who comes speaks the new one', async ({ server }) => {
  const port = await freePort()
  const plain = configOf(listener('web', `127.0.0.1:${port}`))
  const overTls = configOf(listener('web', `127.0.0.1:${port}`, tlsOf(server)))
  const sluice = await shared.take(plain)
  using before = await connect(port)
  assert.is((await ask(before)).status, 200)
  assert.match(await reload(sluice, overTls), /1 listener between TLS and plain text · 1 of 1 connections touched/)
  assert.is((await ask(before)).headers.connection, 'close')
  using h2 = await connectHttp2(port)
  assert.is(await h2.get(), 'web')
  using secure = await connect(port, { tls: {} })
  assert.is((await ask(secure)).text, 'web')
  assert.match(await reload(sluice, plain), / 2 of \d connections touched/)
  await h2.goneAway
  assert.is((await ask(secure)).headers.connection, 'close')
  using after = await connect(port)
  assert.is((await ask(after)).text, 'web')
})

secured(
  'a certificate that is replaced in its file is what the next handshake shows; who is connected stays',
  async ({ server, other }) => {
    const port = await freePort()
    const config = configOf(listener('web', `127.0.0.1:${port}`, `tls: { cert: './c.pem', key: './k.pem' }, `))
    const sluice = await shared.take(config, { 'c.pem': server.cert, 'k.pem': server.key })
    using held = await connect(port, { tls: {} })
    assert.is(subjectOf(held), 'server')
    const line = await reload(sluice, () => {
      // As a renewal does it: one file, then the other.
      copyFileSync(other.keyFile, join(sluice.folder, 'k.pem'))
      copyFileSync(other.certFile, join(sluice.folder, 'c.pem'))
    })
    assert.match(line, /1 certificate changed · 0 of 1 connections touched/)
    using next = await connect(port, { tls: {} })
    assert.is(subjectOf(next), 'other')
    assert.is((await ask(held)).headers.connection, undefined)
  },
)

test.run()

const UPGRADE = 'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const GRANT = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const METRICS = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** One that answers with its name. */
function listener(name: string, address: string, more = ''): string {
  return `${name}: http({ listen: '${address}', ${more}routes: [{ respond: respond(200, '${name}') }] })`
}

function tlsOf({ certFile, keyFile }: Pair): string {
  return `tls: { cert: '${certFile}', key: '${keyFile}', alpn: ['h2', 'http/1.1'] }, `
}

function ask(client: Client): ReturnType<Client['response']> {
  return client.send(GET).response()
}

function subjectOf({ socket }: Client): string | undefined {
  const subject = (socket as tls.TLSSocket).getPeerCertificate().subject.CN
  return Array.isArray(subject) ? subject[0] : subject
}

interface Http2Client extends Disposable {
  readonly goneAway: Promise<void>
  get(): Promise<string>
}

async function connectHttp2(port: number): Promise<Http2Client> {
  const client = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  const { promise: goneAway, resolve } = Promise.withResolvers<void>()
  client.on('error', () => {})
  client.once('goaway', () => resolve())
  return {
    goneAway,
    get: async () => {
      let text = ''
      for await (const chunk of client.request({ ':path': '/' }).setEncoding('utf8')) text += chunk
      return text
    },
    [Symbol.dispose]: () => client.destroy(),
  }
}
