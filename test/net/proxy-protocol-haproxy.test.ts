/** HAProxy reads what we write, and we read what it writes: a header goes in at one side of it and comes out at the other. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tls from 'node:tls'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ProxyHeader, readProxyHeader, writeProxyHeader } from '../../core/net/proxy-protocol.ts'
import { certificates } from '../support/certificates.ts'
import { eventually, Waiting, within } from '../support/deadline.ts'

const isThere = certificates !== null && spawnSync('haproxy', ['-v']).error === undefined
if (!isThere) console.log('SKIPPED: there is no `haproxy` command to exchange headers with')
const withHaproxy = isThere ? test : test.skip

const v4 = { source: { ip: '192.0.2.7', port: 4711 }, destination: { ip: '198.51.100.1', port: 443 }, tls: null }
const v6 = { source: { ip: '2001:db8::7', port: 1 }, destination: { ip: '2001:db8::', port: 65_535 }, tls: null }

withHaproxy('both versions, in and out', async () => {
  for (const sent of ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c']) {
    await using proxy = await startHaproxy(sent, 'accept-proxy')
    for (const facts of [v4, v6]) {
      for (const version of [1, 2] as const) {
        const client = proxy.connect()
        client.write(writeProxyHeader(version, facts))
        const { source, destination, isLocal } = await proxy.nextHeader()
        assert.equal({ source, destination, isLocal }, { source: facts.source, destination: facts.destination, isLocal: false }, sent)
        client.destroy()
      }
    }
  }
})

withHaproxy('what it knows of TLS', async () => {
  const { ca, server, client } = certificates!
  const pem = [server.cert, server.key].join('\n')
  const options = 'send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c'
  await using proxy = await startHaproxy(options, `accept-proxy ssl crt PEM alpn h2 ca-file ${ca.certFile} verify optional`, pem)
  const below = proxy.connect()
  below.write(writeProxyHeader(2, v4))
  const secured = tls.connect({
    socket: below,
    servername: 'a.example.com',
    ALPNProtocols: ['h2'],
    ca: ca.cert,
    cert: client.cert,
    key: client.key,
  })
  secured.on('error', () => {})
  const { source, tlvs } = await proxy.nextHeader()
  assert.equal(source, v4.source)
  assert.equal([tlvs.authority, tlvs.alpn], ['a.example.com', 'h2'])
  const { cipher, ...ssl } = tlvs.ssl!
  assert.ok(cipher?.startsWith('TLS_'))
  const certificate = { commonName: 'client', keyAlgorithm: 'EC256', signatureAlgorithm: 'ecdsa-with-SHA256', verified: true }
  assert.equal(ssl, { version: 'TLSv1.3', ...certificate })
  secured.destroy()
})

test.run()

interface Haproxy extends AsyncDisposable {
  connect(): net.Socket
  /** Of the next connection that it makes. */
  nextHeader(): Promise<ProxyHeader>
}

async function startHaproxy(server: string, bind: string, pem = ''): Promise<Haproxy> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-haproxy-'))
  const path = join(folder, 'in.sock')
  const received: ProxyHeader[] = []
  const waiting = new Waiting()
  const origin = net
    .createServer((socket) =>
      collect(socket, (header) => {
        received.push(header)
        waiting.poke()
      }),
    )
    .listen(0, '127.0.0.1')
  await once(origin, 'listening')
  const { port } = origin.address() as net.AddressInfo
  writeFileSync(join(folder, 'pem'), pem)
  const lines = [
    ...['defaults', ' mode tcp', ' timeout connect 5s', ' timeout client 30s', ' timeout server 30s'],
    ...[
      'listen through',
      ` bind unix@${path} ${bind.replace('PEM', join(folder, 'pem'))}`,
      ` server origin 127.0.0.1:${port} ${server}`,
      '',
    ],
  ]
  writeFileSync(join(folder, 'cfg'), lines.join('\n'))
  const child = spawn('haproxy', ['-db', '-f', join(folder, 'cfg')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text))
  const exited = once(child, 'exit')
  const sockets: net.Socket[] = []
  const connect = (): net.Socket => {
    const socket = net.connect(path)
    sockets.push(socket.on('error', () => {}))
    return socket
  }
  await eventually(
    () => canConnect(path),
    () => `haproxy does not listen: ${said}`,
    10_000,
  )
  return {
    connect,
    nextHeader: () =>
      eventually(
        () => received.shift(),
        () => `no header came: ${said}`,
        10_000,
      ),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      child.kill('SIGKILL')
      await within(exited, 'haproxy does not end')
      await new Promise((resolve) => origin.close(resolve))
      rmSync(folder, { recursive: true })
    },
  }
}

async function canConnect(path: string): Promise<true | undefined> {
  const socket = net.connect(path)
  return await new Promise((resolve) => {
    socket.on('connect', () => resolve(true)).on('error', () => resolve(undefined))
  }).then((isOpen) => {
    socket.destroy()
    return isOpen as true | undefined
  })
}

function collect(socket: net.Socket, onHeader: (header: ProxyHeader) => void): void {
  let bytes = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (more: Buffer) => {
    bytes = Buffer.concat([bytes, more])
    const header = readProxyHeader(bytes, bytes.length)
    if (header === null) return
    socket.destroy()
    assert.is.not(header, 'malformed', bytes.toString('hex'))
    onHeader(header as ProxyHeader)
  })
}
