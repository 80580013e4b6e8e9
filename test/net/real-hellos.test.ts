/** What openssl, curl and Node really send first is read as what they were told to send. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ClientHello, readClientHello } from '../../core/net/client-hello.ts'
import { within } from '../support/deadline.ts'

const DEADLINE_MS = 20_000
const TLS13 = 0x0304
const TLS12 = 0x0303

const withOpenssl = register('openssl', ['version'])
const withCurl = register('curl', ['--version'])

withOpenssl('TLS 1.3 with a name and protocols', async () => {
  const hello = await sentBy('openssl', (port) => [...s_client(port), '-servername', 'A.example', '-alpn', 'h2,http/1.1', '-tls1_3'])
  assert.equal(hello, { serverName: 'a.example', alpn: ['h2', 'http/1.1'], versions: [TLS13], isEch: false })
})

withOpenssl('TLS 1.2 without either', async () => {
  const hello = await sentBy('openssl', (port) => [...s_client(port), '-noservername', '-tls1_2'])
  assert.equal(hello, { serverName: null, alpn: [], versions: [TLS12], isEch: false })
})

withOpenssl('all that it can', async () => {
  const hello = await sentBy('openssl', (port) => [...s_client(port), '-servername', 'b.example'])
  assert.is(hello.serverName, 'b.example')
  assert.equal(hello.versions.slice(0, 2), [TLS13, TLS12])
})

withOpenssl('records of 512 bytes', async () => {
  const alpn = Array.from({ length: 60 }, (_, i) => `protocol-number-${i}`)
  const hello = await sentBy('openssl', (port) => [...s_client(port), '-alpn', alpn.join(','), '-max_send_frag', '512'])
  assert.equal(hello.alpn, alpn)
})

withCurl('its protocols, and the name it was given', async () => {
  const hello = await sentBy('curl', (port) => ['-sk', '--resolve', `c.example:${port}:127.0.0.1`, `https://c.example:${port}/`])
  assert.is(hello.serverName, 'c.example')
  assert.ok(hello.alpn.includes('http/1.1'))
  assert.ok(hello.versions.includes(TLS13))
})

withCurl('no name for an address', async () => {
  const hello = await sentBy('curl', (port) => ['-sk', '--tls-max', '1.2', '--no-alpn', `https://127.0.0.1:${port}/`])
  assert.equal([hello.serverName, hello.alpn], [null, []])
  assert.ok(!hello.versions.includes(TLS13))
})

test('node: the key shares of its time, and TLS 1.2', async () => {
  const named = await sentByNode({ servername: 'n.example', ALPNProtocols: ['h2'] })
  assert.equal(named.hello, { serverName: 'n.example', alpn: ['h2'], versions: [TLS13, TLS12], isEch: false })
  assert.ok(named.bytes.length > 1200, 'with a post-quantum key share')
  const old = await sentByNode({ maxVersion: 'TLSv1.2' })
  assert.equal(old.hello, { serverName: null, alpn: [], versions: [TLS12], isEch: false })
})

test('node: every prefix needs more', async () => {
  const { bytes, hello } = await sentByNode({ servername: 'n.example', ALPNProtocols: ['h2', 'http/1.1'] })
  assert.ok([...bytes.keys()].every((length) => readClientHello(bytes, length) === null))
  assert.equal(readClientHello(bytes, bytes.length), hello)
})

test.run()

function register(program: string, probe: readonly string[]): (name: string, run: () => Promise<void>) => void {
  const isThere = spawnSync(program, probe).error === undefined
  if (!isThere) console.log(`SKIPPED: there is no \`${program}\` command to record hellos of`)
  return (name, run) => (isThere ? test(`${program}: ${name}`, run) : test.skip(`${program}: ${name}`))
}

function s_client(port: number): string[] {
  return ['s_client', '-connect', `127.0.0.1:${port}`]
}

async function sentBy(program: string, args: (port: number) => string[]): Promise<ClientHello> {
  await using server = await listen()
  const child = spawn(program, args(server.port), { stdio: ['pipe', 'ignore', 'ignore'] })
  const exited = once(child, 'exit')
  try {
    return (await within(server.hello, `${program} sent no hello`, DEADLINE_MS)).hello
  } finally {
    child.kill('SIGKILL')
    await exited
  }
}

async function sentByNode(options: tls.ConnectionOptions): Promise<Recorded> {
  await using server = await listen()
  const socket = tls.connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false, ...options })
  socket.on('error', () => {})
  try {
    return await within(server.hello, 'node sent no hello', DEADLINE_MS)
  } finally {
    socket.destroy()
  }
}

interface Recorded {
  readonly bytes: Buffer
  readonly hello: ClientHello
}

interface Recorder extends AsyncDisposable {
  readonly port: number
  readonly hello: Promise<Recorded>
}

/** Reads until there is a hello, and hangs up. */
async function listen(): Promise<Recorder> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hello = new Promise<Recorded>((resolve, reject) => {
    server.on('connection', (socket) => {
      let bytes = Buffer.alloc(0)
      socket.on('error', () => {})
      socket.on('data', (more: Buffer) => {
        bytes = Buffer.concat([bytes, more])
        const answer = readClientHello(bytes, bytes.length)
        if (answer === null) return
        socket.destroy()
        if (typeof answer === 'string') reject(new Error(`${answer}: ${bytes.toString('hex')}`))
        else resolve({ bytes, hello: answer })
      })
    })
  })
  hello.catch(() => {})
  return {
    port: (server.address() as AddressInfo).port,
    hello,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
