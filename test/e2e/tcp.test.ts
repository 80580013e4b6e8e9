/** A TCP listener as a user runs it: strangers' TLS clients before it, reloads under open tunnels, what is told of it. */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Certificates, withCertificates } from '../support/certificates.ts'
import { connect, request } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { makeHello } from '../support/hello.ts'
import { startOrigin } from '../support/origin.ts'
import { freePort, runCommand, type Sluice, startSluice } from '../support/process.ts'
import { reload } from '../support/reloading.ts'

const secure = withCertificates(test)
const withCurl = spawnSync('curl', ['--version']).error === undefined ? secure : skipped('curl')

function skipped(command: string): typeof secure {
  console.log(`SKIPPED: there is no \`${command}\` command`)
  return (name) => test.skip(name)
}

/** `more`: of the options of the listener. */
function configOf(routes: string, more = '', listen = '127.0.0.1:0'): string {
  return `import { defineConfig, http, respond, tcp, terminate, upstream } from 'sluice'
export default defineConfig({
  listeners: { edge: tcp({ listen: '${listen}', routes: [${routes}], ${more} }) },
  admin: { listen: '127.0.0.1:0' },
})
`
}

const TLS = `tls: terminate({ cert: './web.pem', key: './web.key', alpn: ['h2', 'http/1.1'] })`

function files({ server }: Certificates): Readonly<Record<string, string>> {
  return { 'web.pem': server.cert, 'web.key': server.key }
}

/** The access lines so far. */
function accessLines(sluice: Sluice): Readonly<Record<string, unknown>>[] {
  return sluice.stdout.filter((line) => line.startsWith('{"time"')).map((line) => JSON.parse(line) as Record<string, unknown>)
}

withCurl('curl and openssl: one port for what passes, for HTTP/2, for HTTP/1.1 and for plain text', async (made) => {
  await using bank = await startBank(made)
  const routes = [
    `{ name: 'bank', sni: 'bank.example.com', to: upstream('bank', { endpoints: ['127.0.0.1:${bank.port}'] }) }`,
    `{ sni: '*.example.com', ${TLS}, to: http({ routes: [{ respond: respond(200, 'from http') }] }) }`,
    `{ to: http({ routes: [{ respond: respond(426, 'use https') }] }) }`,
  ]
  await using sluice = await startSluice({ config: configOf(routes.join(', ')), files: files(made), args: ['--workers', '1'] })
  const port = await sluice.port('edge')
  const curl = (name: string, ...args: readonly string[]): Promise<string> =>
    output('curl', [
      ...['-sS', '--cacert', made.ca.certFile, '--resolve', `${name}:${port}:127.0.0.1`, '-w', ' %{http_version}', '--max-time', '5'],
      ...[...args, `https://${name}:${port}/`],
    ])
  assert.is(await curl('bank.example.com', '--http1.1'), 'from the bank 1.1')
  assert.is(await curl('www.example.com', '--http1.1'), 'from http 1.1')
  const offersHttp2 = spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout.includes('HTTP2')
  if (offersHttp2) assert.is(await curl('www.example.com'), 'from http 2')
  assert.match(await output('curl', ['-sS', '--max-time', '5', `http://127.0.0.1:${port}/`]), 'use https')
  const shown = await output('openssl', [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    '-servername',
    'bank.example.com',
    '-CAfile',
    made.ca.certFile,
  ])
  assert.match(shown, 'Verify return code: 0 (ok)')
  assert.match(shown, /subject=.*CN ?= ?server/)

  const lines = await eventually(() => {
    const told = accessLines(sluice).filter(({ tunnel }) => tunnel === true)
    return told.length === 2 ? told : undefined
  }, 'two lines of tunnels')
  assert.equal(
    lines.map(({ route, sni, upstream }) => [route, sni, upstream]),
    [
      ['edge/bank', 'bank.example.com', 'bank'],
      ['edge/bank', 'bank.example.com', 'bank'],
    ],
  )
  const admin = await sluice.port('admin')
  const metrics = await eventually(async () => {
    const { text } = await request(admin, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    return text.includes('sluice_tunnels_total{listener="edge",route="edge/bank"} 2') ? text : undefined
  }, 'the tunnels are counted')
  assert.match(metrics, /sluice_requests_total\{listener="edge\[1\]\/web",route="edge\[1\]\/web\[0\]",status="2xx"\} \d/)
  const status = await runCommand(['status'], { folder: sluice.folder, env: { XDG_RUNTIME_DIR: sluice.folder } })
  assert.match(status.stdout, new RegExp(`listeners +edge tcp://127\\.0\\.0\\.1:${port}`))
})

test('tunnels live through reloads of their route, of their listener, and of its end', async () => {
  await using one = await startOrigin(undefined, { raw: true, onConnection: () => 'one' })
  await using two = await startOrigin(undefined, { raw: true, onConnection: () => 'two' })
  const port = await freePort()
  const listen = `127.0.0.1:${port}`
  const to = (origin: { readonly port: number }) => `{ to: 'tcp://127.0.0.1:${origin.port}' }`
  await using sluice = await startSluice({ config: configOf(to(one), '', listen), args: ['--workers', '1', '--drain', '500ms'] })
  using first = await connect(port)
  assert.is(await first.until('one'), 'one')
  assert.match(await reload(sluice, `${configOf(to(one), '', listen)}// saved again\n`), /nothing changed|code changed/)
  assert.match(await reload(sluice, configOf(to(two), '', listen)), /1 route changed · 0 of 1 connections touched/)
  using second = await connect(port)
  assert.is(await second.until('two'), 'two')
  assert.match(
    await reload(sluice, configOf(to(two), 'limits: { connections: 7 }', listen)),
    /1 listener changed · 0 of 2 connections touched/,
  )
  const moved = configOf(to(two), 'limits: { connections: 7 }').replace('edge:', 'other:')
  assert.match(await reload(sluice, moved), /1 listener added, 1 listener removed.* · 0 of 2 connections touched/)
  for (const [client, origin] of [
    [first, one],
    [second, two],
  ] as const) {
    client.send('still here')
    await origin.connections[0]!.until('still here')
    origin.connections[0]!.write('and here')
    await client.until('and here')
  }
  first.end()
  one.connections[0]!.end()
  await first.closed()
  const line = await eventually(() => accessLines(sluice)[0], 'a line of the tunnel')
  assert.equal([line.listener, line.route, line.in, line.out], ['edge', 'edge[0]', 10, 11])
})

secure('a certificate that changes is the one of the next handshake', async (made) => {
  const routes = `{ ${TLS}, to: http({ routes: [{ respond: respond(200, 'hi') }] }) }`
  await using sluice = await startSluice({ config: configOf(routes), files: files(made), args: ['--workers', '1'] })
  const port = await sluice.port('edge')
  const ask = { tls: { servername: 'example.com' } }
  using before = await connect(port, ask)
  const line = await reload(sluice, () => {
    copyFileSync(made.selfSigned.keyFile, join(sluice.folder, 'web.key'))
    copyFileSync(made.selfSigned.certFile, join(sluice.folder, 'web.pem'))
  })
  assert.match(line, /1 certificate changed · 0 of 1 connections touched/)
  using after = await connect(port, ask)
  assert.is((after.socket as tls.TLSSocket).getPeerCertificate().subject.CN, 'self-signed')
  for (const client of [before, after])
    assert.is((await client.send('GET / HTTP/1.1\r\nHost: example.com\r\n\r\n').response()).headers.connection, undefined)
})

test('a worker that drains lets tunnels go on until the end of its time', async () => {
  await using origin = await startOrigin(undefined, { raw: true, onConnection: () => 'hi' })
  const config = configOf(`{ sni: 'a.test', to: 'tcp://127.0.0.1:${origin.port}' }`)
  await using sluice = await startSluice({ config, args: ['--workers', '1', '--drain', '500ms'] })
  using c = await connect(await sluice.port('edge'))
  c.send(makeHello({ serverName: 'a.test' }))
  assert.is(await c.until('hi'), 'hi')
  sluice.child.kill('SIGTERM')
  await sluice.line(/drain|stop/i)
  c.send('still here')
  await origin.connections[0]!.until('still here')
  assert.is(await sluice.exited(), 0)
  await c.closed()
})

interface Listening extends AsyncDisposable {
  readonly port: number
}

async function startBank({ server: pair }: Certificates): Promise<Listening> {
  const bank = tls.createServer({ cert: pair.cert, key: pair.key }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nfrom the bank'))
  })
  await new Promise<void>((resolve) => bank.listen(0, '127.0.0.1', resolve))
  return {
    port: (bank.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => bank.close(resolve))
    },
  }
}

/** Of a command that gets no input. */
async function output(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => (text += part.toString()))
  await new Promise((resolve) => child.once('close', resolve))
  return text
}

test.run()
