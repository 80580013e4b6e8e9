/**
 * Certificates that bear their server's names: it is looked at first, browsers may then ask for several hosts by one connection, and each of these is asked about,
 * reached and verified by its own name.
 */
import { execFile, execFileSync } from 'node:child_process'
import { connect as connectHttp2 } from 'node:http2'
import { createServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Allow, blocklist, type InterceptOptions } from '../../core/index.ts'
import { issue, type Pair, withCertificates } from '../support/certificates.ts'
import { forwarding } from '../support/forward.ts'
import { askOn, certificateFor, OwnAuthority, openTunnel, secureTunnel, startSecureOrigin } from '../support/interception.ts'
import { type RunningProxy, startProxy } from '../support/proxy.ts'
import { turnable } from '../support/turnable.ts'

const NAMES = 'DNS:one.localhost,DNS:two.localhost,DNS:*.wild.localhost,DNS:bank.localhost,IP:127.0.0.1,email:a@one.localhost'

/** What a server was asked for, by the name that TLS was spoken under. */
const told: Parameters<typeof startSecureOrigin>[0] = (request, response) =>
  response.end(`${request.headers.host!.replace(/:.*/, '')} by ${(request.socket as TLSSocket & { servername: string }).servername}`)

const certificated = withCertificates(test)

certificated('several hosts of one server by one connection, each by its own name; any other gets 421', async ({ ca }) => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told, { ...issue('names', { names: NAMES, issuer: ca }) })
  await using proxy = await start(authority, ca, origin.port)
  await using inside = await open(proxy, authority, `one.localhost:${origin.port}`)
  assert.is(inside.names, 'DNS:one.localhost, DNS:two.localhost, DNS:*.wild.localhost, DNS:bank.localhost')
  for (const host of ['one.localhost', 'two.localhost', 'a.wild.localhost', 'two.localhost'])
    assert.equal(await inside.ask(`${host}:${origin.port}`), [200, `${host} by ${host}`])
  // The one that was looked at took the first request.
  assert.is(origin.connections, 3)
  for (const host of ['three.localhost', 'wild.localhost', 'a.b.wild.localhost', '127.0.0.1'])
    assert.is((await inside.ask(`${host}:${origin.port}`))[0], 421, host)
  assert.is(origin.connections, 3)
  // What is known is not looked at again.
  await using again = await open(proxy, authority, `one.localhost:${origin.port}`)
  assert.is(again.names, inside.names)
  assert.is(origin.connections, 3)
})

certificated('rules, block lists and except are about each host, whatever connection it is asked for by', async ({ ca }) => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told, { ...issue('names-2', { names: NAMES, issuer: ca }) })
  const hosts = ['one.localhost', 'two.localhost', 'a.wild.localhost', 'bank.localhost']
  const block = blocklist({ hosts: 'two.localhost' })
  await using proxy = await start(authority, ca, origin.port, { except: ['bank.localhost', 'c.wild.localhost'] }, { hosts }, block)
  await using inside = await open(proxy, authority, `one.localhost:${origin.port}`)
  assert.is(inside.names, 'DNS:one.localhost, DNS:two.localhost, DNS:*.wild.localhost')
  const asked = async (host: string): Promise<unknown[]> => {
    const [status] = await inside.ask(`${host}:${origin.port}`)
    return [status, proxy.ended.at(-1)!.reason]
  }
  assert.equal(await asked('two.localhost'), [403, 'host_blocked'])
  assert.equal(await asked('b.wild.localhost'), [403, 'host_refused'])
  assert.equal(await asked('bank.localhost'), [421, 'misdirected_request'])
  assert.equal(await asked('c.wild.localhost'), [421, 'misdirected_request'])
  assert.equal(await asked('a.wild.localhost'), [200, null])
  assert.is(origin.connections, 2)
})

certificated(
  'a server that is not believed, or not there, is told on the page; its names count for nothing',
  async ({ ca, selfSigned }) => {
    using authority = new OwnAuthority()
    await using origin = await startSecureOrigin(told, { cert: selfSigned.cert, key: selfSigned.key })
    const gone = await startSecureOrigin(told)
    const { port } = gone
    await gone[Symbol.asyncDispose]()
    await using proxy = await start(authority, ca, origin.port, {}, { ports: [origin.port, port] })
    for (const [place, reason] of [
      [`one.localhost:${origin.port}`, 'tls_certificate'],
      [`one.localhost:${port}`, 'connect_refused'],
    ] as const) {
      await using inside = await open(proxy, authority, place)
      assert.is(inside.names, 'DNS:one.localhost')
      const [status, text] = await inside.ask(place)
      assert.is(status, 502)
      assert.match(text, `reason: ${reason}`)
      assert.is((await inside.ask(`example.com:${port}`))[0], 421)
    }
  },
)

test('a name that is blocked is not connected to, and its client gets the page', async () => {
  using authority = new OwnAuthority()
  await using origin = await startSecureOrigin(told)
  const options = { ...authority.options({ names: 'server' }), block: blocklist({ hosts: 'blocked.test' }) }
  await using proxy = await startProxy(forwarding(options, [origin.port]))
  const socket = await openTunnel(proxy.port, `127.0.0.1:${origin.port}`)
  const client = await secureTunnel(socket, { ca: authority.cert, servername: 'blocked.test' })
  assert.match(
    await askOn(client, 'GET / HTTP/1.1\r\nHost: blocked.test\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 403 [\s\S]*host_blocked/,
  )
  assert.is(origin.connections, 0)
})

test('a server that says nothing keeps its client waiting for so long and no longer; one that leaves meanwhile leaves nothing open', async () => {
  using authority = new OwnAuthority()
  const silent = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const { deadlines, turn } = turnable()
  await using proxy = await startProxy({ ...forwarding(authority.options({ names: 'server' }), [port]), deadlines })
  const came = new Promise((resolve) => silent.once('connection', resolve))
  const place = `one.localhost:${port}`
  const opened = secureTunnel(await openTunnel(proxy.port, place), { ca: authority.cert, servername: 'one.localhost' })
  await came
  turn(5_100)
  const client = await opened
  assert.is(client.getPeerCertificate().subjectaltname, 'DNS:one.localhost')
  client.destroy()
  const comesAgain = new Promise((resolve) => silent.once('connection', resolve))
  const leaves = await openTunnel(proxy.port, place)
  secureTunnel(leaves, { ca: authority.cert, servername: 'one.localhost' }).catch(() => {})
  await comesAgain
  leaves.resetAndDestroy()
  turn(5_100)
  await proxy.open(0)
  await new Promise((resolve) => silent.close(resolve))
})

const curled = canRun('curl') ? test : test.skip

curled('curl asks for two hosts of a server by HTTP/2', async () => {
  using authority = new OwnAuthority()
  const certificate = certificateFor(['one.localhost', 'two.localhost'])
  await using origin = await startSecureOrigin(told, { ...certificate })
  await using proxy = await startProxy(forwarding(authority.options({ names: 'server' }), [origin.port]))
  const urls = ['one', 'two'].map((host) => `https://${host}.localhost:${origin.port}/`)
  const args = ['-s', '--max-time', '20', '--noproxy', '', '--cacert', authority.files.cert, '-w', ' %{http_version}\n']
  const out = await new Promise<string>((resolve) =>
    execFile('curl', [...args, '-x', `http://127.0.0.1:${proxy.port}`, ...urls], (_, text) => resolve(text)),
  )
  assert.is(out, 'one.localhost by one.localhost 2\ntwo.localhost by two.localhost 2\n')
})

test.run()

function start(
  authority: OwnAuthority,
  ca: Pair,
  port: number,
  options: Partial<InterceptOptions> = {},
  allow: Allow = {},
  block?: ReturnType<typeof blocklist>,
): Promise<RunningProxy> {
  const reads = authority.options({ names: 'server', verifyUpstream: { ca: ca.cert }, ...options })
  return startProxy(forwarding({ ...reads, allow, ...(block === undefined ? {} : { block }) }, [port]))
}

interface Opened extends AsyncDisposable {
  readonly names: string | undefined
  ask(authority: string): Promise<[status: number, text: string]>
}

/** HTTP/2 inside of a tunnel, on which any host may be asked for. */
async function open(proxy: RunningProxy, authority: OwnAuthority, place: string): Promise<Opened> {
  const socket = await openTunnel(proxy.port, place)
  const servername = place.replace(/:\d+$/, '')
  const secured = await secureTunnel(socket, { ca: authority.cert, servername, ALPNProtocols: ['h2'] })
  const session = connectHttp2(`https://${place}`, { createConnection: () => secured })
  session.on('error', () => {})
  return {
    names: secured.getPeerCertificate().subjectaltname,
    ask: (asked) =>
      new Promise((resolve, reject) => {
        const stream = session.request({ ':path': '/', ':authority': asked })
        let [status, text] = [0, '']
        stream.on('response', (headers) => (status = headers[':status']!)).on('error', reject)
        stream
          .setEncoding('utf8')
          .on('data', (piece: string) => (text += piece))
          .on('end', () => resolve([status, text]))
      }),
    async [Symbol.asyncDispose]() {
      session.destroy()
      secured.destroy()
    },
  }
}

function canRun(command: string): boolean {
  try {
    execFileSync(command, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log(`SKIPPED: there is no \`${command}\` command`)
    return false
  }
}
