/** `fetch` over the network: what is dialled, what is refused, what is followed, and when it is over. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createCapabilities } from '../../core/capability/capabilities.ts'
import type { FetchResult } from '../../core/capability/fetch.ts'
import { LocalKvStore } from '../../core/capability/local-kv.ts'
import { createTransport, type TransportOptions } from '../../core/capability/transport.ts'
import { isPermission } from '../../core/permissions.ts'
import { withCertificates } from '../support/certificates.ts'
import { eventually } from '../support/deadline.ts'

const servers: Server[] = []
const sockets = new Set<Socket>()
test.after(() => {
  for (const server of servers) server.close()
  for (const socket of sockets) socket.destroy()
})

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return (server.address() as AddressInfo).port
}

const serve = (handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> => listen(createServer(handle))

interface Options extends TransportOptions {
  readonly grant?: readonly string[]
}

/** Asks as a plugin does. */
function fetcher({ grant, ...options }: Options = {}): (args: Record<string, unknown>) => Promise<FetchResult> {
  const capabilities = createCapabilities({ kv: new LocalKvStore(), transport: createTransport(options) })
  return async (args) => {
    const place = (url: URL): string => `net:${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`
    const granted = grant ?? [place(new URL(String(args.url)))]
    return JSON.parse(await capabilities.perform({ plugin: 'tried', method: 'fetch', args: JSON.stringify(args), grant: granted }))
  }
}

const reasonOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    (value) => `answered ${JSON.stringify(value)}`,
    (error: Error) => error.message,
  )
const textOf = ({ body }: FetchResult): string => ('text' in body ? body.text : 'bytes')

test('the name is resolved once, and that address is dialled', async () => {
  const port = await serve((request, response) => response.end(request.headers.host))
  const asked: string[] = []
  // Whoever resolves again gets another answer: rebinding.
  const fetch = fetcher({ resolve: (name, done) => done(asked.push(name) === 1 ? ['127.0.0.1'] : ['127.0.0.2'], null) })
  assert.is(textOf(await fetch({ url: `http://auth.internal:${port}/` })), `auth.internal:${port}`)
  assert.equal(asked, ['auth.internal'])
  assert.match(await reasonOf(fetch({ url: `http://auth.internal:${port}/` })), /^fetch to auth\.internal:\d+: the connection was refused$/)
})

test('an address that does not answer the door gives way to the next one', async () => {
  const port = await serve((_, response) => response.end('here'))
  const fetch = fetcher({ resolve: (_, done) => done(['127.0.0.2', '127.0.0.1'], null) })
  assert.is(textOf(await fetch({ url: `http://a.test:${port}/` })), 'here')
})

test('a grant is one host and one port, or none', () => {
  for (const text of ['net:a.example:80', 'net:[::1]:65535', 'net:10.0.0.1:1', 'kv']) assert.ok(isPermission(text), text)
  for (const text of [
    'net:*:80',
    'net:*.a.example:80',
    'net:u@a:80',
    'net:a/b:80',
    'net:a b:80',
    'net:a:0',
    'net:a:65536',
    'net:a',
    'net:::1:80',
  ])
    assert.not(isPermission(text), text)
})

test('a name that leads to the local link is refused, an address that was granted as such is not', async () => {
  for (const address of [
    '169.254.169.254',
    'fe80::1',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    'fd00:ec2::254',
    'fd20:ce::254',
    '100.100.100.200',
    '168.63.129.16',
  ]) {
    const fetch = fetcher({ resolve: (_, done) => done([address], null) })
    const reason = await reasonOf(fetch({ url: 'http://innocent.test/' }))
    assert.is(
      reason,
      `fetch to innocent.test: the name leads to ${address}, an address of the local link or of a cloud's metadata, which a name may not`,
    )
  }
  const mixed = fetcher({ resolve: (_, done) => done(['169.254.169.254', '127.0.0.1'], null) })
  const port = await serve((_, response) => response.end('local'))
  assert.is(textOf(await mixed({ url: `http://mixed.test:${port}/` })), 'local')
})

test('a name that cannot be resolved says so', async () => {
  const fetch = fetcher({ resolve: (_, done) => done(null, 'dns_error') })
  assert.is(await reasonOf(fetch({ url: 'http://nowhere.test/' })), 'fetch to nowhere.test: the name cannot be resolved')
})

test('a grant is for one host and one port, however they are written', async () => {
  const reasons = async (url: string, grant: readonly string[]): Promise<boolean> =>
    (await reasonOf(fetcher({ grant, resolve: (_, done) => done(null, 'dns_error') })({ url }))).includes('takes the permission')
  for (const [url, granted] of [
    ['http://a.test/', 'net:A.test:80'],
    ['https://A.TEST/', 'net:a.test:443'],
    ['http://a.test:8080/', 'net:a.test:8080'],
  ] as const)
    assert.is(await reasons(url, [granted]), false, url)
  for (const [url, granted] of [
    ['http://a.test/', 'net:a.test:443'],
    ['http://a.test:8080/', 'net:a.test:80'],
    ['http://a.test/', 'net:a.test:*'],
    ['http://a.test/', 'net:*:80'],
    ['http://sub.a.test/', 'net:a.test:80'],
    ['http://a.test.evil/', 'net:a.test:80'],
    ['http://a.test./', 'net:a.test:80'],
    ['http://2130706433/', 'net:localhost:80'],
    ['http://[::ffff:127.0.0.1]/', 'net:127.0.0.1:80'],
    ['http://a.test/', 'kv'],
  ] as const)
    assert.is(await reasons(url, [granted]), true, url)
  const v6 = await reasonOf(fetcher({ grant: ['net:[0:0::1]:1'] })({ url: 'http://[::1]:1/' }))
  assert.match(v6, /^fetch to \[::1\]:1: /)
  assert.not.match(v6, /permission/)
})

test('redirects are not followed unless asked', async () => {
  const port = await serve((_, response) => response.writeHead(302, { location: '/next' }).end())
  const { status, headers, url } = await fetcher()({ url: `http://127.0.0.1:${port}/first#here` })
  assert.equal([status, headers.find(([name]) => name === 'location')?.[1], url], [302, '/next', `http://127.0.0.1:${port}/first`])
})

test('redirects that are followed keep the method as browsers do', async () => {
  const port = await serve((request, response) => {
    const status = Number(request.url!.slice(1))
    if (status > 0) return void response.writeHead(status, { location: '/' }).end()
    request.setEncoding('utf8').on('data', (text) => response.write(text))
    request.on('end', () => response.end(` ${request.method} ${request.headers['content-type']}`))
  })
  const post = (status: number, method: string): Promise<string> => {
    const args = { method, headers: [['content-type', 'text/x']], body: { text: 'body' }, redirect: 'follow' }
    return fetcher()({ ...args, url: `http://127.0.0.1:${port}/${status}` }).then(textOf)
  }
  assert.equal(await Promise.all([post(301, 'POST'), post(303, 'PUT')]), Array(2).fill(' GET undefined'))
  assert.equal(
    await Promise.all([post(302, 'PUT'), post(307, 'POST'), post(308, 'POST')]),
    ['PUT', 'POST', 'POST'].map((method) => `body ${method} text/x`),
  )
})

test('a redirect to what was not granted is refused, and nothing is dialled there', async () => {
  let reached = false
  const secret = await serve((_, response) => {
    reached = true
    response.end('secret')
  })
  const port = await serve((_, response) => response.writeHead(302, { location: `http://127.0.0.1:${secret}/` }).end())
  const reason = await reasonOf(fetcher()({ url: `http://127.0.0.1:${port}/`, redirect: 'follow' }))
  const permission = `net:127.0.0.1:${secret}`
  assert.is(
    reason,
    `fetch to 127.0.0.1:${secret} takes the permission ${permission}: { grant: ['${permission}'] } beside the plugin's options gives it`,
  )
  assert.is(reached, false)
})

test('a redirect to another origin takes no credentials along', async () => {
  const other = await serve((request, response) => response.end(JSON.stringify(request.headers)))
  const port = await serve((request, response) => {
    const location = request.url === '/away' ? `http://127.0.0.1:${other}/` : '/away'
    response.writeHead(307, { location }).end()
  })
  const grant = [`net:127.0.0.1:${port}`, `net:127.0.0.1:${other}`]
  const headers = [
    ['Authorization', 'Bearer 1'],
    ['Cookie', 'a=1'],
    ['X-Kept', '1'],
  ]
  const got = JSON.parse(textOf(await fetcher({ grant })({ url: `http://127.0.0.1:${port}/`, headers, redirect: 'follow' })))
  assert.equal([got.authorization, got.cookie, got['x-kept']], [undefined, undefined, '1'])
})

test('six redirects are too many, and one to another scheme is refused', async () => {
  let turns = 0
  const port = await serve((request, response) => {
    turns++
    response.writeHead(302, { location: request.url === '/file' ? 'file:///etc/passwd' : '/again' }).end()
  })
  const follow = (path: string): Promise<string> => reasonOf(fetcher()({ url: `http://127.0.0.1:${port}${path}`, redirect: 'follow' }))
  assert.is(await follow('/'), `fetch to 127.0.0.1:${port}: more than 5 redirects`)
  assert.is(turns, 6)
  assert.is(await follow('/file'), `fetch to 127.0.0.1:${port}: it redirects to what is no http URL`)
})

test('an answer that is too large is refused, whether it says so or not, and its connection ends', async () => {
  let closed = 0
  const port = await serve((request, response) => {
    request.socket.once('close', () => closed++)
    if (request.url === '/said') response.writeHead(200, { 'content-length': '5000' })
    const more = (): void => {
      while (response.write('x'.repeat(500))) if (response.destroyed) return
    }
    response.on('drain', more)
    more()
  })
  const fetch = fetcher({ mostResponseBody: 1000 })
  for (const path of ['/said', '/chunked']) {
    assert.is(
      await reasonOf(fetch({ url: `http://127.0.0.1:${port}${path}` })),
      `fetch to 127.0.0.1:${port}: the answer is larger than 1000 bytes`,
    )
  }
  await eventually(
    () => (closed === 2 ? true : undefined),
    () => `${closed} of 2 connections ended`,
  )
})

test('1 MiB is an answer, one byte more is none', async () => {
  const port = await serve((request, response) => response.end(Buffer.alloc(1024 * 1024 + Number(request.url!.slice(1)), 'a')))
  assert.is(textOf(await fetcher()({ url: `http://127.0.0.1:${port}/0` })).length, 1024 * 1024)
  assert.match(await reasonOf(fetcher()({ url: `http://127.0.0.1:${port}/1` })), /larger than 1048576 bytes/)
})

test('an answer that is slow to begin or to end is given up at the timeout, and its connection ends', async () => {
  let closed = 0
  const port = await serve((request, response) => {
    request.socket.once('close', () => closed++)
    if (request.url === '/ends') response.write('some')
  })
  for (const path of ['/begins', '/ends']) {
    const reason = await reasonOf(fetcher()({ url: `http://127.0.0.1:${port}${path}`, timeout: '50ms' }))
    assert.is(reason, `fetch to 127.0.0.1:${port}: no complete answer within 50 ms`)
  }
  await eventually(
    () => (closed === 2 ? true : undefined),
    () => `${closed} of 2 connections ended`,
  )
})

test('a name that is slow to resolve is given up, too', async () => {
  const fetch = fetcher({ resolve: () => {} })
  const alive = setInterval(() => {}, 1000)
  assert.is(await reasonOf(fetch({ url: 'http://slow.test/', timeout: '50ms' })), 'fetch to slow.test: no complete answer within 50 ms')
  clearInterval(alive)
})

test('what is no HTTP, ends early or has too large a head is an error in words', async () => {
  const answers: Record<string, string> = {
    '/garbage': 'hello\r\n\r\n',
    '/early': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
    '/nothing': '',
    '/head': `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
    '/switch': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  }
  const port = await listen(
    createRawServer((socket) => socket.once('data', (data) => socket.end(answers[String(data).split(' ')[1]!] ?? ''))),
  )
  const reasons = await Promise.all(Object.keys(answers).map((path) => reasonOf(fetcher()({ url: `http://127.0.0.1:${port}${path}` }))))
  assert.equal(
    reasons.map((reason) => reason.replace(/^fetch to 127\.0\.0\.1:\d+: /, '')),
    [
      ...['the answer is not valid HTTP', 'the connection was closed before the answer was complete', 'the connection was reset'],
      ...['the head of the answer is larger than 32768 bytes', 'it switched to another protocol'],
    ],
  )
})

test('a kept connection is used again, and one that went stale is made anew', async () => {
  const ports = new Set<number | undefined>()
  const port = await serve((request, response) => {
    ports.add(request.socket.remotePort)
    response.end('ok')
  })
  const fetch = fetcher()
  const url = `http://127.0.0.1:${port}/`
  for (let i = 0; i < 3; i++) await fetch({ url })
  assert.is(ports.size, 1)
  for (const socket of sockets) socket.resetAndDestroy()
  assert.is(textOf(await fetch({ url })), 'ok')
})

test('the request says what it must, and no more', async () => {
  const port = await listen(
    createRawServer((socket) =>
      socket.once('data', (data) => {
        const body = String(data)
        socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      }),
    ),
  )
  const sent = async (args: object): Promise<string[]> =>
    textOf(await fetcher()({ url: `http://127.0.0.1:${port}/a?b`, ...args })).split('\r\n')
  const common = [`Host: 127.0.0.1:${port}`]
  const own = ['User-Agent: sluice', 'Accept: */*']
  assert.equal(await sent({}), ['GET /a?b HTTP/1.1', ...common, ...own, 'Connection: keep-alive', '', ''])
  const headers = [['accept', 'text/plain']]
  assert.equal(await sent({ method: 'put', headers }), [
    'PUT /a?b HTTP/1.1',
    ...common,
    'accept: text/plain',
    'User-Agent: sluice',
    'Content-Length: 0',
    'Connection: keep-alive',
    '',
    '',
  ])
  assert.equal((await sent({ method: 'DELETE', body: { base64: 'YWI=' } })).slice(4, 5), ['Content-Length: 2'])
})

withCertificates(test)('the certificate must be for the name, and signed by somebody known', async ({ ca, server, other }) => {
  const handle = (_: IncomingMessage, response: ServerResponse): void => void response.end('secure')
  const good = await listen(createSecureServer({ cert: server.cert, key: server.key }, handle))
  const wrong = await listen(createSecureServer({ cert: other.cert, key: other.key }, handle))
  const resolve: TransportOptions['resolve'] = (_, done) => done(['127.0.0.1'], null)
  const fetch = fetcher({ resolve, ca: ca.cert })
  assert.is(textOf(await fetch({ url: `https://example.com:${good}/` })), 'secure')
  assert.is(textOf(await fetch({ url: `https://127.0.0.1:${good}/` })), 'secure')
  assert.match(await reasonOf(fetch({ url: `https://example.com:${wrong}/` })), /does not match certificate's altnames/)
  assert.match(await reasonOf(fetcher({ resolve })({ url: `https://example.com:${good}/` })), /unable to (verify|get)|self-signed/)
})

test.run()
