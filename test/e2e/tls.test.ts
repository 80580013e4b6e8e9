/** TLS as strangers see it: `openssl s_client` and `curl` against a proxy with several certificates, of which one asks for the client's. */
import { execFile } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'uvu'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { certificates, issue, type Pair } from '../support/certificates.ts'
import { connect } from '../support/client.ts'
import { eventually } from '../support/deadline.ts'
import { startOrigin } from '../support/origin.ts'
import { type Sluice, startSluice } from '../support/process.ts'
import { reload } from '../support/reloading.ts'

interface Ran {
  readonly code: number
  readonly output: string
}

function run(command: string, ...args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 10_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, output: stdout + stderr })
    })
    child.stdin?.end()
  })
}

async function testWith(command: string): Promise<Test | Test['skip']> {
  if (certificates !== null && (await run(command, 'version')).code !== -1) return test
  console.log(`SKIPPED: there is no \`${command}\` command`)
  return test.skip
}

const withOpenssl = await testWith('openssl')
const withCurl = await testWith('curl')
const made = certificates!

function configOf(origin: number): string {
  return `import { defineConfig, http } from 'sluice'
const pair = (name) => ({ cert: './' + name + '.pem', key: './' + name + '.key' })
export default defineConfig({
  listeners: {
    web: http({
      listen: '127.0.0.1:0',
      tls: [
        { ...pair('server'), alpn: ['h2', 'http/1.1'] },
        { ...pair('rsa'), alpn: ['h2', 'http/1.1'] },
        { ...pair('other'), clientCertificate: 'require', ca: './ca.pem', forwardClientCertificate: true, minVersion: 'TLSv1.3' },
      ],
      routes: [{ to: 'http://127.0.0.1:${origin}' }],
    }),
  },
  admin: { listen: '127.0.0.1:0' },
})`
}

async function start(origin: number): Promise<Sluice> {
  const rsa = issue('rsa', { names: 'DNS:example.com,DNS:*.example.com,IP:127.0.0.1', issuer: made.ca, rsa: true })
  const pairs: Record<string, Pair> = { server: made.server, rsa, other: made.other }
  const files = Object.entries(pairs).flatMap(([name, { cert, key }]) => [
    [`${name}.pem`, cert],
    [`${name}.key`, key],
  ])
  return startSluice({
    config: configOf(origin),
    files: { ...Object.fromEntries(files), 'ca.pem': made.ca.cert },
    args: ['--workers', '1'],
  })
}

withOpenssl('openssl s_client: the certificate by name and by kind, the versions, and who is not let in', async () => {
  await using origin = await startOrigin()
  await using sluice = await start(origin.port)
  const port = await sluice.port('web')
  const dial = (...args: readonly string[]): Promise<Ran> =>
    run('openssl', 's_client', '-connect', `127.0.0.1:${port}`, '-CAfile', made.ca.certFile, ...args)
  const named = (name: string): RegExp => new RegExp(`subject=CN = ${name}\\b[\\s\\S]*Verify return code: 0 \\(ok\\)`)
  assert.match((await dial('-servername', 'www.example.com', '-alpn', 'h2')).output, named('server'))
  assert.match((await dial('-servername', 'www.example.com', '-tls1_2', '-sigalgs', 'RSA-PSS+SHA256')).output, named('rsa'))
  assert.match((await dial('-noservername')).output, named('server'))
  assert.match((await dial('-servername', 'example.com', '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0')).output, /alert protocol version/)
  assert.match((await dial('-servername', 'other.test', '-tls1_2')).output, /alert protocol version/)
  const asked = await dial('-servername', 'other.test')
  assert.match(asked.output, /subject=CN = other/)
  assert.match(asked.output, /Acceptable client certificate CA names\s+CN = ca/)
  await eventually(() => sluice.stdout.find((line) => line.includes('"reason":"handshake_client_certificate"')), 'no line of it')
})

withCurl('curl: with a client certificate, without one, and a host that this connection is not for', async () => {
  await using origin = await startOrigin()
  await using sluice = await start(origin.port)
  const port = await sluice.port('web')
  const get = (host: string, ...args: readonly string[]): Promise<Ran> =>
    run(
      'curl',
      '-sS',
      '-w',
      '%{http_code} %{http_version}',
      '--cacert',
      made.ca.certFile,
      '--resolve',
      `${host}:${port}:127.0.0.1`,
      ...args,
      `https://${host}:${port}/`,
    )
  const ann = ['--cert', made.client.certFile, '--key', made.client.keyFile]
  assert.equal(await get('example.com'), { code: 0, output: 'ok200 2' })
  assert.equal(await get('other.test', ...ann), { code: 0, output: 'ok200 2' })
  assert.match(origin.requests.at(-1)!.headers['client-cert'] ?? '', /^:[A-Za-z0-9+/=]+:$/)
  // Over HTTP/2 this curl tells only that its connection went.
  const without = await get('other.test', '--http1.1')
  assert.is.not(without.code, 0)
  assert.match(without.output, /alert certificate required/, without.output)
  for (const version of ['--http1.1', '--http2'])
    assert.match((await get('example.com', version, '-H', 'Host: other.test')).output, /421 [12]/)
  const stranger = await get('other.test', '--cert', made.selfSigned.certFile, '--key', made.selfSigned.keyFile)
  assert.is.not(stranger.code, 0)
  const admin = await sluice.port('admin')
  const { output } = await run('curl', '-sS', `http://127.0.0.1:${admin}/metrics`)
  assert.match(output, /sluice_handshake_failures_total\{[^}]*why="client_certificate"[^}]*\} 2/)
})

withOpenssl('one certificate of several is renewed in its files: the next handshake has it, and nobody is cut', async () => {
  await using origin = await startOrigin()
  await using sluice = await start(origin.port)
  const port = await sluice.port('web')
  const options = { servername: 'other.test', cert: made.client.cert, key: made.client.key }
  using before = await connect(port, { tls: options })
  const renewed = issue('renewed', { names: 'DNS:other.test', issuer: made.ca })
  const line = await reload(sluice, () => {
    copyFileSync(renewed.keyFile, join(sluice.folder, 'other.key'))
    copyFileSync(renewed.certFile, join(sluice.folder, 'other.pem'))
  })
  assert.match(line, /1 certificate changed · 0 of 1 connections touched/)
  const shown = await run('openssl', 's_client', '-connect', `127.0.0.1:${port}`, '-servername', 'other.test')
  assert.match(shown.output, /subject=CN = renewed/)
  before.send('GET / HTTP/1.1\r\nHost: other.test\r\n\r\n')
  assert.is((await before.final()).status, 200)
})

test.run()
